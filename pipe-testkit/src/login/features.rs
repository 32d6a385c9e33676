//! What a plugin offers beyond logging people in.

/// What a plugin offers beyond logging people in. What it does not offer, it has to refuse, where it
/// can be asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginFeatures {
    /// It takes logout tokens (OpenID Connect Back-Channel Logout 1.0).
    pub back_channel_logout: bool,
    /// It pushes its requests where the provider demands it (RFC 9126).
    pub pushed_requests: bool,
    /// It asks for a way to prove who one is, and insists on it (`acr`).
    pub assurance: bool,
    /// It keeps sessions in [`LoginTrust::sessions`](crate::LoginTrust::sessions), so that several
    /// instances know them.
    pub shared_sessions: bool,
    /// It measures durations with `tokio::time::Instant`.
    pub tokio_time: bool,
}

impl LoginFeatures {
    /// All of them.
    pub const ALL: Self = Self {
        back_channel_logout: true,
        pushed_requests: true,
        assurance: true,
        shared_sessions: true,
        tokio_time: true,
    };

    /// It refuses logout tokens as `Unsupported`.
    #[must_use]
    pub const fn without_back_channel_logout(self) -> Self {
        Self { back_channel_logout: false, ..self }
    }

    /// It sends its requests through the browser.
    #[must_use]
    pub const fn without_pushed_requests(self) -> Self {
        Self { pushed_requests: false, ..self }
    }

    /// It does not look at `acr`.
    #[must_use]
    pub const fn without_assurance(self) -> Self {
        Self { assurance: false, ..self }
    }

    /// Its sessions are its own.
    #[must_use]
    pub const fn without_shared_sessions(self) -> Self {
        Self { shared_sessions: false, ..self }
    }

    /// Its durations cannot be set forward: cases wait for its deadlines.
    #[must_use]
    pub const fn without_tokio_time(self) -> Self {
        Self { tokio_time: false, ..self }
    }
}

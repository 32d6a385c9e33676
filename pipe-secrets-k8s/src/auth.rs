//! What says who we are: a token that is read again as it rotates, credentials of an identity
//! plugin, or a client certificate, about which nothing is to be sent.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use pipe_core::identity::{BearerSource, ServiceAuthRequest};
use pipe_core::{Error, ErrorKind, IdentityPlugin, Result, SecretSource};
use pipe_http::bearer;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a token that was read is used before it is read again. The kubelet replaces a token
/// when a fifth of its life is left, two minutes at least.
const TOKEN_KEPT: Duration = Duration::from_secs(10);
/// Credentials of a plugin are replaced that long before their end.
const BEFORE_END: Duration = Duration::from_secs(30);

/// Who we are, and how we show it.
pub(crate) struct Auth {
    source: Source,
    kept: RwLock<Option<Kept>>,
    /// Held by the one who obtains a token, for all others.
    turn: Mutex<()>,
}

enum Source {
    Certificate,
    Bearer(BearerSource),
}

#[derive(Clone)]
struct Kept {
    header: HeaderValue,
    until: Instant,
}

impl Auth {
    pub(crate) fn certificate() -> Self {
        Self::of(Source::Certificate)
    }

    pub(crate) fn token(token: &SecretSource) -> Self {
        Self::of(Source::Bearer(BearerSource::setting(token)))
    }

    /// Bearer tokens from any identity plugin, such as OIDC (REQ 002-46).
    pub(crate) fn identity(plugin: Arc<dyn IdentityPlugin>, request: ServiceAuthRequest) -> Self {
        Self::of(Source::Bearer(BearerSource::identity(plugin, request)))
    }

    fn of(source: Source) -> Self {
        Self { source, kept: RwLock::default(), turn: Mutex::default() }
    }

    /// The `Authorization` header; `None` where a client certificate speaks for us.
    pub(crate) async fn header(&self) -> Result<Option<HeaderValue>> {
        if matches!(self.source, Source::Certificate) {
            return Ok(None);
        }
        if let Some(header) = self.kept() {
            return Ok(Some(header));
        }
        let _turn = self.turn.lock().await;
        if let Some(header) = self.kept() {
            return Ok(Some(header));
        }
        let fresh = self.obtain().await?;
        let header = fresh.header.clone();
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(Some(header))
    }

    /// Another header than the one that the server refused, if there is one by now: a file may have
    /// been rotated since it was read.
    pub(crate) async fn other_than(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            if kept.as_ref().is_some_and(|kept| kept.header == *refused) {
                *kept = None;
            }
        }
        self.header().await.ok().flatten().filter(|header| header != refused)
    }

    fn kept(&self) -> Option<HeaderValue> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| Instant::now() < kept.until).map(|kept| kept.header.clone())
    }

    async fn obtain(&self) -> Result<Kept> {
        match &self.source {
            Source::Certificate => {
                Err(Error::new(ErrorKind::Unexpected, "a client certificate has no token"))
            }
            Source::Bearer(source) => {
                let obtained = source.obtain().await?;
                let kept = obtained.expires_at.map_or(TOKEN_KEPT, |end| {
                    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
                    // A day at most: a clock that is wrong must not keep a token for ever.
                    left.saturating_sub(BEFORE_END).min(Duration::from_secs(24 * 3600))
                });
                let header = bearer(obtained.token.expose())?;
                Ok(Kept { header, until: Instant::now() + kept })
            }
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Certificate => f.write_str("Certificate"),
            Source::Bearer(source) => source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rotated_token_is_read_again() {
        let file = std::env::temp_dir().join(format!("pipe-k8s-token-{}", std::process::id()));
        std::fs::write(&file, "first\n").unwrap();
        let auth = Auth::token(&SecretSource::file(&file));
        assert_eq!(auth.header().await.unwrap().unwrap(), "Bearer first");
        std::fs::write(&file, "second\n").unwrap();
        assert_eq!(auth.header().await.unwrap().unwrap(), "Bearer first");
        tokio::time::advance(TOKEN_KEPT).await;
        assert_eq!(auth.header().await.unwrap().unwrap(), "Bearer second");
        std::fs::write(&file, "third\n").unwrap();
        let refused = HeaderValue::from_static("Bearer second");
        assert_eq!(auth.other_than(&refused).await.unwrap(), "Bearer third");
        let refused = HeaderValue::from_static("Bearer third");
        assert_eq!(auth.other_than(&refused).await, None);
        std::fs::remove_file(&file).unwrap();
    }

    #[tokio::test]
    async fn a_token_with_a_line_break_is_refused_and_not_shown() {
        let auth = Auth::token(&SecretSource::Value("hunter2\nhunter2".into()));
        let error = auth.header().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(!format!("{error:?} {auth:?}").contains("hunter2"));
    }
}

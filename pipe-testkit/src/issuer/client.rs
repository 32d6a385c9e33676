//! Clients in which people log in.

use std::collections::BTreeSet;

use super::{SigningAlgorithm, SigningKey};

pub(super) const AUTHORIZATION_CODE: &str = "authorization_code";
pub(super) const REFRESH_TOKEN: &str = "refresh_token";
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A client for [`TestIssuer::add_client`](super::TestIssuer::add_client). It may use the grants
/// `authorization_code` and `refresh_token`, and gets `id_token`s with RS256.
///
/// ```
/// use pipe_testkit::issuer::Client;
///
/// let web = Client::confidential("web", "a-secret").redirect_uri("http://127.0.0.1:9/callback");
/// let cli = Client::public("cli").device();
/// # drop((web, cli));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Client {
    pub(super) id: String,
    pub(super) authentication: Authentication,
    pub(super) grants: BTreeSet<String>,
    pub(super) redirect_uris: Vec<String>,
    pub(super) post_logout_redirect_uris: Vec<String>,
    pub(super) backchannel_logout_uri: Option<String>,
    pub(super) backchannel_logout_session_required: bool,
    pub(super) id_token_algorithm: SigningAlgorithm,
    pub(super) is_native: bool,
}

/// How a client proves who it is.
#[derive(Clone)]
pub(super) enum Authentication {
    None,
    Secret(String),
    Key(SigningKey),
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Secret(_) => "Secret",
            Self::Key(_) => "Key",
        })
    }
}

impl Client {
    /// A client that proves who it is by a secret (`client_secret_basic` or `_post`).
    pub fn confidential(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::Secret(secret.into()))
    }

    /// A client that proves who it is by a key (`private_key_jwt`).
    pub fn with_key(id: impl Into<String>, key: &SigningKey) -> Self {
        Self::new(id.into(), Authentication::Key(key.clone()))
    }

    /// A client that cannot prove who it is (`none`).
    pub fn public(id: impl Into<String>) -> Self {
        Self::new(id.into(), Authentication::None)
    }

    fn new(id: String, authentication: Authentication) -> Self {
        let grants = [AUTHORIZATION_CODE, REFRESH_TOKEN].map(str::to_owned);
        Self {
            id,
            authentication,
            grants: grants.into(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            backchannel_logout_session_required: true,
            id_token_algorithm: SigningAlgorithm::Rs256,
            is_native: false,
        }
    }

    /// Codes may be sent there too.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// A logout may lead there too.
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Logouts are told there, with `sid`, which its `id_token`s then have.
    pub fn backchannel_logout_uri(self, uri: impl Into<String>) -> Self {
        Self { backchannel_logout_uri: Some(uri.into()), ..self }
    }

    /// Neither its `id_token`s nor its logout tokens have a `sid`.
    pub fn without_logout_session(self) -> Self {
        Self { backchannel_logout_session_required: false, ..self }
    }

    /// It may use this grant too.
    pub fn grant(mut self, grant_type: impl Into<String>) -> Self {
        self.grants.insert(grant_type.into());
        self
    }

    /// It may not use this grant.
    pub fn without_grant(mut self, grant_type: &str) -> Self {
        self.grants.remove(grant_type);
        self
    }

    /// It may use the device grant (RFC 8628).
    pub fn device(self) -> Self {
        self.grant(DEVICE_CODE)
    }

    /// It is a native application (RFC 8252): a redirect to the loopback interface may have any port,
    /// and nobody logs in without being asked.
    pub fn native(self) -> Self {
        Self { is_native: true, ..self }
    }

    /// Its `id_token`s and logout tokens are signed so.
    pub fn id_token_algorithm(self, algorithm: SigningAlgorithm) -> Self {
        Self { id_token_algorithm: algorithm, ..self }
    }

    pub(super) fn may(&self, grant_type: &str) -> bool {
        self.grants.contains(grant_type)
    }

    pub(super) fn includes_sid(&self) -> bool {
        self.backchannel_logout_uri.is_some() && self.backchannel_logout_session_required
    }

    pub(super) fn may_redirect_to(&self, uri: &str) -> bool {
        self.allows(&self.redirect_uris, uri)
    }

    pub(super) fn may_log_out_to(&self, uri: &str) -> bool {
        self.allows(&self.post_logout_redirect_uris, uri)
    }

    fn allows(&self, allowed: &[String], uri: &str) -> bool {
        allowed.iter().any(|it| it == uri)
            || self.is_native
                && without_port(uri).is_some_and(|uri| {
                    allowed.iter().any(|it| without_port(it).as_ref() == Some(&uri))
                })
    }
}

/// A URI of the loopback interface without its port.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    let host = ["http://127.0.0.1", "http://[::1]"].into_iter().find(|it| uri.starts_with(it))?;
    let rest = uri.strip_prefix(host)?;
    let rest = rest
        .strip_prefix(':')
        .map_or(rest, |port| port.trim_start_matches(|character: char| character.is_ascii_digit()));
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

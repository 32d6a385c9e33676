//! How a plugin has to be configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::Clock;
use pipe_core::identity::SessionStore;

use crate::issuer::{Client, TestIssuer};

/// What a plugin has to be made with, to be held to the login suite.
///
/// - People log in at [`issuer`](Self::issuer), which is found by discovery. It is at plain HTTP on
///   127.0.0.1, which has to be allowed for it, and signs ID tokens with RS256.
/// - The plugin is the client [`client_id`](Self::client_id) there, with `client_secret_basic`.
/// - Mapping: the id from `sub`, the tenant from `tenant`, roles from `roles` as they are, groups from
///   `groups`; who is in the group [`AUDITORS`](Self::AUDITORS) has the role
///   [`AUDITOR`](Self::AUDITOR) too.
/// - Limits: a leeway of 30 seconds, at least 30 seconds between two fetches of the keys, and a pause
///   of at most a minute after a renewal that failed. It gives up on an answer after at most 20
///   seconds.
/// - A logout token has the type `logout+jwt`.
/// - It tells the time of day by [`clock`](Self::clock), and how long things take by
///   `tokio::time::Instant`, which the suite sets forward as well (see
///   [`LoginFeatures::without_tokio_time`](crate::LoginFeatures::without_tokio_time)).
#[derive(Clone)]
#[non_exhaustive]
pub struct LoginTrust {
    /// The issuer's identifier, an `http:` URL without a slash at the end.
    pub issuer: String,
    /// The client that the plugin is there.
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: String,
    /// Where browsers come back to, as it is registered: byte by byte. Another one is registered too.
    pub redirect_uri: String,
    /// Where browsers go after a logout, as it is registered.
    pub post_logout_redirect_uri: String,
    /// What is asked for, `openid` and `offline_access` included. For the latter, the provider wants
    /// `prompt=consent` (OpenID Connect Core 11).
    pub scopes: Vec<String>,
    /// How long ago people may have proved who they are; not asked for when absent.
    pub max_age: Option<Duration>,
    /// In which way they have to prove it (`acr`); in any when absent.
    pub assurance: Option<String>,
    /// How long a person has to log in.
    pub login_time: Duration,
    /// How long a session lasts that is not used.
    pub idle: Duration,
    /// How long a session lasts in any case.
    pub longest: Duration,
    /// Where sessions are kept, by a plugin that can share them.
    pub sessions: Arc<dyn SessionStore>,
    /// The time of day.
    pub clock: Clock,
}

impl LoginTrust {
    /// A group that gives a role.
    pub const AUDITORS: &'static str = "auditors";
    /// The role that it gives.
    pub const AUDITOR: &'static str = "auditor";

    /// What a plugin needs to log people in at this issuer.
    #[must_use]
    pub fn new(issuer: &TestIssuer, sessions: Arc<dyn SessionStore>) -> Self {
        let scopes = ["openid", "profile", "email", "groups", "offline_access"];
        Self {
            issuer: issuer.url(),
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
            post_logout_redirect_uri: POST_LOGOUT.to_owned(),
            scopes: scopes.map(str::to_owned).into(),
            max_age: None,
            assurance: None,
            login_time: Duration::from_secs(600),
            idle: Duration::from_secs(30 * 60),
            longest: Duration::from_secs(12 * 3600),
            sessions,
            clock: issuer.clock().shared(),
        }
    }
}

impl fmt::Debug for LoginTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginTrust").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

pub(crate) const CLIENT: &str = "pipe-testkit-web";
pub(crate) const SECRET: &str = "web-secret:0123456789%ab+cdef/0123456789";
/// What a URL library would write in another way.
pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback?app=A%2fb";
const OTHER_REDIRECT_URI: &str = "http://127.0.0.1:9/auth/other";
pub(crate) const POST_LOGOUT: &str = "http://127.0.0.1:9/goodbye";

/// The client, as the issuer knows it. With two URIs registered, none may be left out.
pub(super) fn client() -> Client {
    Client::confidential(CLIENT, SECRET)
        .redirect_uri(OTHER_REDIRECT_URI)
        .redirect_uri(REDIRECT_URI)
        .post_logout_redirect_uri(POST_LOGOUT)
        .backchannel_logout_uri("http://127.0.0.1:9/logout")
}

//! The layer, which is the builder of its own settings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::identity::{ContextVerifier, Role, TokenExpectation};
use pipe_core::{Error, ErrorKind, IdentityPlugin, Result};
use tower_layer::Layer;

use crate::Authenticate;
use crate::check::Authority;
use crate::credentials::Origin;

/// Lets a request through to the service inside only when an identity plugin says who sent it
/// (REQ 001-29, 004-75.4).
///
/// The service finds the caller in the request's extensions, as an
/// [`Arc<SecurityContext>`](pipe_core::SecurityContext), and everything it calls finds it with
/// [`SecurityContext::current`](pipe_core::SecurityContext::current). The [crate's docs](crate)
/// say what is answered to everybody else.
///
/// Clones share the plugin.
#[derive(Clone, Debug)]
pub struct AuthenticateLayer(Arc<Settings>);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) authority: Authority,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) deadline: Duration,
    pub(crate) realm: Option<Box<str>>,
    pub(crate) origin: Option<Origin>,
    pub(crate) after_use: AfterUse,
}

/// What happens to the credentials of a request that was let through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AfterUse {
    Remove,
    Keep,
}

impl AuthenticateLayer {
    /// Every request needs a token that this plugin accepts, and that meets the expectation. The
    /// expectation's certificate and DPoP proof are replaced by the request's own.
    ///
    /// An `Arc<dyn IdentityPlugin>` is a plugin, too.
    pub fn new(plugin: impl IdentityPlugin, expect: TokenExpectation) -> Self {
        Self::by(Authority::Token { plugin: Arc::new(plugin), expect })
    }

    /// Every request needs the context of its caller, signed by the service that sends it
    /// ([`ContextSigner`](pipe_core::identity::ContextSigner)), in the header [`SIGNED_CONTEXT`]:
    /// for a service behind others of the family, which checked the caller's token.
    ///
    /// Roles are those that the sender knew, at most a few minutes ago: nobody is asked for them.
    ///
    /// [`SIGNED_CONTEXT`]: crate::SIGNED_CONTEXT
    #[must_use]
    pub fn signed_context(verifier: ContextVerifier) -> Self {
        Self::by(Authority::Signed(verifier))
    }

    fn by(authority: Authority) -> Self {
        Self(Arc::new(Settings {
            authority,
            roles: BTreeSet::new(),
            scopes: BTreeSet::new(),
            deadline: Duration::from_secs(10),
            realm: None,
            origin: None,
            after_use: AfterUse::Remove,
        }))
    }

    /// What the challenge calls the part of the service that is protected; no name by default.
    ///
    /// # Errors
    /// `ConfigInvalid` for anything but printable ASCII, and for `"` and `\`.
    pub fn with_realm(self, realm: impl AsRef<str>) -> Result<Self> {
        let realm = realm.as_ref();
        if realm.is_empty() || !realm.bytes().all(is_quotable) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the realm cannot be quoted")
                .hint("use printable ASCII without quotes and backslashes as the realm"));
        }
        Ok(self.changed(|settings| settings.realm = Some(realm.into())))
    }

    /// Answers 403 to a caller without this role; may be repeated, and then all are needed. Roles
    /// that a plugin tells are resolved anew for each request, as
    /// [`authorize`](pipe_core::IdentityPluginExt::authorize) does.
    #[must_use]
    pub fn require_role(self, role: Role) -> Self {
        self.changed(|settings| _ = settings.roles.insert(role))
    }

    /// Answers 403 to a token that was not granted this scope; may be repeated, and then all are
    /// needed. The answer tells which they are (RFC 6750 3).
    ///
    /// # Errors
    /// `ConfigInvalid` for what is no scope (RFC 6749 3.3): empty, or with a blank, `"` or `\`.
    pub fn require_scope(self, scope: impl Into<String>) -> Result<Self> {
        let scope = scope.into();
        if scope.is_empty() || !scope.bytes().all(|byte| byte != b' ' && is_quotable(byte)) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the required scope is none")
                .hint("require one scope at a time, without blanks, quotes and backslashes"));
        }
        Ok(self.changed(|settings| _ = settings.scopes.insert(scope)))
    }

    /// How long the check may take before the answer is 503; 10 seconds by default. The service
    /// inside is not part of it.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        self.changed(|settings| settings.deadline = deadline)
    }

    /// Accepts DPoP-bound tokens (RFC 9449). The origin is what clients call the service, such as
    /// `https://api.example.org`: a proof is made for it, and the request does not tell it.
    ///
    /// # Errors
    /// `ConfigInvalid` when it has more or less than a scheme, a host and a port.
    pub fn with_public_origin(self, origin: impl AsRef<str>) -> Result<Self> {
        let origin = origin.as_ref().parse()?;
        Ok(self.changed(|settings| settings.origin = Some(origin)))
    }

    /// Leaves the credentials in the request, marked as sensitive: for a gateway, which passes
    /// them on. By default they are removed, and no service can log them.
    #[must_use]
    pub fn keep_credentials(self) -> Self {
        self.changed(|settings| settings.after_use = AfterUse::Keep)
    }

    fn changed(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate::new(inner, Arc::clone(&self.0))
    }
}

/// What may stand between quotes in a header without an escape (RFC 9110 5.6.4).
fn is_quotable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

//! A strict verifier of tokens, which trusts one issuer: right in everything but one defect, which is
//! called after the case that has to find it. It is short, and not fast.

mod binding;
mod claims;
mod http;
mod json;
mod keys;
mod markers;
mod opaque;
mod provider;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{
    BearerToken, ContextRequest, IdentityCapabilities, JwtRequest, Principal, PrincipalId,
    SecurityContext, ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::{Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, TokenFault};
use pipe_testkit::Trust;
use pipe_testkit::issuer::AUDIENCE;

use self::provider::Provider;

pub(crate) const LEEWAY: u64 = 30;
pub(crate) const LONGEST: u64 = 24 * 3600;
pub(crate) const LARGEST_TOKEN: usize = 16 << 10;
pub(crate) const LARGEST_HEADER: usize = 4 << 10;

/// The name of the case that has to fail, or any other name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defect(pub(crate) &'static str);

impl Defect {
    pub(crate) fn is(self, case: &str) -> bool {
        self.0 == case
    }

    /// A check, which is left out when it is the defect.
    pub(crate) fn check(self, case: &str, is_right: bool, fault: TokenFault) -> Result<()> {
        if is_right || self.is(case) { Ok(()) } else { Err(refused(fault)) }
    }
}

pub(crate) fn refused(fault: TokenFault) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), "the token is refused")
}

pub(crate) struct Verifier {
    pub(crate) trust: Trust,
    pub(crate) defect: Defect,
    pub(crate) provider: Arc<Provider>,
    /// What the defects remember, and the ids of proofs.
    pub(crate) seen: Mutex<Vec<String>>,
    /// What was accepted before, for the defects that remember too much.
    remembered: Mutex<Vec<(String, SecurityContext)>>,
}

impl Verifier {
    pub(crate) fn new(trust: Trust, defect: &'static str) -> Self {
        let defect = Defect(defect);
        let provider = Arc::new(Provider::new(trust.clone(), defect));
        Self { trust, defect, provider, seen: Mutex::default(), remembered: Mutex::default() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.trust.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Whether this was not remembered before; it is from now on.
    pub(crate) fn is_new(&self, what: &str) -> bool {
        let mut seen = self.seen.lock().expect("lock");
        let is_new = !seen.iter().any(|other| other == what);
        if is_new {
            seen.push(what.to_owned());
        }
        is_new
    }

    fn recall(&self, key: &str) -> Option<SecurityContext> {
        let remembered = self.remembered.lock().expect("lock");
        remembered.iter().find(|(other, _)| other == key).map(|(_, context)| context.clone())
    }

    fn remember(&self, key: String, context: &SecurityContext) {
        self.remembered.lock().expect("lock").push((key, context.clone()));
    }

    /// Whether a defect remembers what it said about this token.
    fn remembers(&self, text: &str) -> bool {
        match self.defect.0 {
            "h5_an_accepted_token_is_held_to_every_expectation"
            | "d2_a_token_that_was_accepted_expires" => true,
            "h5_a_bound_token_is_held_to_its_proof_every_time" => {
                let payload = text.split('.').nth(1).unwrap_or_default();
                let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
                String::from_utf8_lossy(&payload).contains("\"cnf\"")
            }
            "h6_a_revoked_token_is_refused_within_the_bound" => !text.contains('.'),
            _ => false,
        }
    }

    async fn verify(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let text = token.expose_str().ok_or_else(|| refused(TokenFault::Malformed))?;
        let is_jwt = text.split('.').count() == 3;
        if self.remembers(text)
            && let Some(context) = self.recall(text)
            && self.may_recall(expect, &context)
        {
            return Ok(context);
        }
        let checked = if is_jwt || !self.is_opaque(text) {
            self.verify_jwt(text, expect).await
        } else {
            self.introspect(text, expect).await
        };
        let checked = self.misjudge(text, expect, checked);
        if let Ok(context) = &checked
            && self.remembers(text)
        {
            self.remember(text.to_owned(), context);
        }
        checked
    }

    /// What the defects that remember do not look at any more.
    fn may_recall(&self, expect: &TokenExpectation, context: &SecurityContext) -> bool {
        let is_plain = expect.tenant.is_none();
        let ended = context.expires_at + Duration::from_secs(LEEWAY) <= self.trust.clock.now();
        match self.defect.0 {
            "h5_an_accepted_token_is_held_to_every_expectation" => {
                is_plain && !ended && expect.audiences == ["https://third"]
            }
            "d2_a_token_that_was_accepted_expires" => {
                // By its own clock, which nobody moves so far.
                let jumped = self.trust.clock.now() > context.expires_at + Duration::from_secs(60);
                is_plain && ended && !jumped
            }
            "h5_a_bound_token_is_held_to_its_proof_every_time" => {
                is_plain && expect.dpop.is_none() && expect.peer_certificate.is_none() && !ended
            }
            _ => is_plain && !ended && expect.audiences == [AUDIENCE],
        }
    }
}

/// Somebody whom no token speaks for.
pub(crate) fn anybody(now: SystemTime) -> SecurityContext {
    let id = PrincipalId::new("anybody").expect("legal");
    SecurityContext::new(Principal::service(id), "x", now, now + Duration::from_secs(60))
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

#[async_trait]
impl Plugin for Verifier {
    fn name(&self) -> &str {
        "verifier"
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl IdentityPlugin for Verifier {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY
    }

    async fn authenticate_service(&self, _: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        Err(Error::unsupported(self.name(), "authenticate_service"))
    }

    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        Err(Error::unsupported(self.name(), "generate_jwt"))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let checked = self.verify(token, expect).await;
        checked.map_err(|error| error.at(self.name(), "validate_token"))
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let context = request.context.clone();
        if let Some(tenant) = &request.tenant
            && !self.defect.is("d9_a_context_of_another_tenant_is_refused")
        {
            context.require_tenant(tenant)?;
        }
        Ok(context)
    }
}

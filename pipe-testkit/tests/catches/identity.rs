//! Defective identity plugins.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{
    BearerToken, ContextRequest, Credential, IdentityCapabilities, JwtRequest, Principal,
    PrincipalId, ServiceAuthRequest, ServiceCredentials, SignedJwt, TokenExpectation,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Plugin, Result, SecurityContext, TokenFault,
};
use pipe_testkit::IDENTITY_CASES;
use pipe_testkit::reference::InMemoryIdentity;

/// It obtains credentials, and does not declare it.
const UNDECLARED: &str = "credentials_are_temporary_or_unsupported_undeclared";

/// A plugin that is right in everything but one defect, which is called after the case that has to
/// find it.
struct Defective {
    defect: &'static str,
    inner: InMemoryIdentity,
    seen: Mutex<Vec<SignedJwt>>,
}

impl Defective {
    fn new(defect: &'static str) -> Self {
        Self { defect, inner: InMemoryIdentity::new(), seen: Mutex::default() }
    }

    fn has(&self, defect: &str) -> bool {
        self.defect == defect
    }

    fn accept(&self) -> SecurityContext {
        let id = PrincipalId::new("anybody").expect("legal");
        let now = SystemTime::now();
        SecurityContext::new(Principal::service(id), "x", now, now + Duration::from_secs(60))
    }
}

impl fmt::Debug for Defective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Defective")
    }
}

#[async_trait]
impl Plugin for Defective {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn health(&self) -> Health {
        if self.has("the_identity_plugin_says_that_it_serves") {
            return Health::unhealthy("never well", "nothing helps");
        }
        self.inner.health().await
    }
}

fn with_payload(
    jwt: SignedJwt,
    change: impl Fn(&mut serde_json::Map<String, serde_json::Value>),
) -> SignedJwt {
    let text = jwt.token.expose_str().expect("text").to_owned();
    let mut segments: Vec<_> = text.split('.').map(str::to_owned).collect();
    let json = URL_SAFE_NO_PAD.decode(&segments[1]).expect("base64url");
    let mut claims = serde_json::from_slice(&json).expect("an object");
    change(&mut claims);
    segments[1] = URL_SAFE_NO_PAD.encode(serde_json::Value::Object(claims).to_string());
    SignedJwt::new(BearerToken::new(segments.join(".")), jwt.id, jwt.expires_at)
}

/// The token with a header that says that it is not signed.
fn unsigned(jwt: SignedJwt) -> SignedJwt {
    let text = jwt.token.expose_str().expect("text");
    let (_, rest) = text.split_once('.').expect("three segments");
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    SignedJwt::new(BearerToken::new(format!("{header}.{rest}")), jwt.id, jwt.expires_at)
}

#[async_trait]
impl IdentityPlugin for Defective {
    fn capabilities(&self) -> IdentityCapabilities {
        match self.defect {
            UNDECLARED => IdentityCapabilities::VERIFY_ONLY.with_issue(),
            _ => self.inner.capabilities(),
        }
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        if self.has("credentials_that_are_tokens_say_the_same") {
            let elsewhere = request.clone().with_audience("everybody");
            return self.inner.authenticate_service(&elsewhere).await;
        }
        let mut credentials = self.inner.authenticate_service(request).await?;
        match self.defect {
            "credentials_are_temporary_or_unsupported" => {
                credentials.credential = Credential::Bearer(BearerToken::new("opaque"));
                credentials.expires_at = SystemTime::now() + Duration::from_secs(1 << 32);
            }
            "credentials_carry_only_requested_scopes" => {
                credentials.scopes.insert("admin".to_owned());
            }
            _ => {}
        }
        Ok(credentials)
    }

    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
        let wanted = match self.defect {
            "a_lifetime_of_nothing_is_refused" if request.lifetime.is_zero() => {
                request.clone().with_lifetime(Duration::from_secs(3600))
            }
            "i2_a_lifetime_past_all_bounds_is_refused"
                if (1 << 32..1 << 50).contains(&request.lifetime.as_secs()) =>
            {
                request.clone().with_lifetime(Duration::from_secs(3600))
            }
            "a_lifetime_of_two_hours_is_kept_or_refused" if request.lifetime.as_secs() == 7200 => {
                request.clone().with_lifetime(Duration::from_secs(3600))
            }
            "a_signed_token_lives_as_long_as_asked" if request.lifetime.as_secs() == 90 => {
                request.clone().with_lifetime(Duration::from_secs(60))
            }
            _ => request.clone(),
        };
        let jwt = self.inner.generate_jwt(&wanted).await?;
        Ok(match self.defect {
            // These break the signature too, so they show only where nobody validates: the case
            // looks at the token itself.
            "custom_claims_are_carried" => with_payload(jwt, |claims| drop(claims.remove("run"))),
            "a_signed_token_has_the_registered_claims" => {
                SignedJwt::new(jwt.token, format!("{}-x", jwt.id), jwt.expires_at)
            }
            "every_signed_token_has_an_id_of_its_own" if !request.claims().contains_key("i3") => {
                let mut seen = self.seen.lock().expect("lock");
                let id = seen.first().map_or(jwt.id.clone(), |first| first.id.clone());
                seen.push(jwt.clone());
                SignedJwt::new(jwt.token, id, jwt.expires_at)
            }
            "i3_tokens_signed_at_once_have_ids_of_their_own"
                if request.claims().contains_key("i3") =>
            {
                // A counter that goes round.
                let mut seen = self.seen.lock().expect("lock");
                seen.push(jwt.clone());
                let id = seen[(seen.len() - 1) % 10].id.clone();
                SignedJwt::new(jwt.token, id, jwt.expires_at)
            }
            "i4_the_header_names_the_key_and_does_not_hold_it"
                if request.claims().contains_key("i4") =>
            {
                let text = jwt.token.expose_str().expect("text");
                let (_, rest) = text.split_once('.').expect("three segments");
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","k":"c2VjcmV0"}"#);
                let token = BearerToken::new(format!("{header}.{rest}"));
                SignedJwt::new(token, jwt.id, jwt.expires_at)
            }
            "a_signed_token_is_a_jwt_or_unsupported" => {
                self.seen.lock().expect("lock").push(jwt.clone());
                unsigned(jwt)
            }
            _ => jwt,
        })
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let mut token = token.clone();
        if self.has("a_signed_token_is_a_jwt_or_unsupported") {
            // It accepts its own unsigned tokens, and only these.
            let seen = self.seen.lock().expect("lock").clone();
            let own = seen.into_iter().find(|jwt| unsigned(jwt.clone()).token == token);
            token = own.map_or(token, |jwt| jwt.token);
        }
        let checked = self.inner.validate_token(&token, expect).await;
        let fault = match checked.as_ref().map_err(Error::kind) {
            Err(ErrorKind::TokenRejected(fault)) => Some(fault),
            _ => None,
        };
        let text = token.expose_str().unwrap_or_default();
        let mut parts = text.split('.');
        let (header, payload) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let decoded = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let unsigned = text.ends_with('.') || header.len() < 30;
        let real = decoded.contains("floe-job-runner") || decoded.contains("somebody-else");
        match (self.defect, fault) {
            ("our_own_token_is_accepted", None) => {
                // Takes a bearer token for one that may be used once.
                let mut seen = self.seen.lock().expect("lock");
                if seen.iter().any(|jwt| jwt.token == token) {
                    return Err(Error::new(ErrorKind::TokenRejected(TokenFault::Replayed), "x"));
                }
                seen.push(SignedJwt::new(token.clone(), "", SystemTime::now()));
                checked
            }
            ("a_token_for_somebody_else_is_refused", Some(TokenFault::WrongAudience))
                if expect.audiences == ["PIPE-TESTKIT"] =>
            {
                Ok(self.accept())
            }
            ("one_matching_audience_is_enough", None) if expect.audiences.len() > 1 => {
                Err(Error::new(ErrorKind::TokenRejected(TokenFault::WrongAudience), "x"))
            }
            ("an_expectation_without_audience_is_refused", None) if expect.audiences.is_empty() => {
                Ok(self.accept())
            }
            ("a_tampered_payload_is_refused", Some(TokenFault::BadSignature))
                if decoded.contains("\"admin\"") =>
            {
                Ok(self.accept())
            }
            ("a_tampered_signature_is_refused", Some(TokenFault::BadSignature))
                if real && !decoded.contains("admin") && text.ends_with("AAAA") =>
            {
                Ok(self.accept())
            }
            ("a_token_without_signature_is_refused", Some(_)) if unsigned && real => {
                Ok(self.accept())
            }
            ("garbage_is_refused", Some(_)) if text == "null" => {
                Err(Error::new(ErrorKind::Unexpected, "cannot parse"))
            }
            ("a_huge_token_is_refused", Some(TokenFault::Malformed))
                if text.starts_with("....") =>
            {
                Err(Error::new(ErrorKind::Unexpected, "out of memory"))
            }
            ("a_token_of_another_tenant_is_refused", None) => {
                let accepted = SignedJwt::new(token.clone(), "", SystemTime::now());
                self.seen.lock().expect("lock").push(accepted);
                checked
            }
            ("a_token_of_another_tenant_is_refused", Some(TokenFault::TenantMismatch))
                if !self.seen.lock().expect("lock").iter().any(|jwt| jwt.token == token) =>
            {
                Ok(self.accept())
            }
            ("refusals_tell_the_presenter_nothing", Some(TokenFault::Malformed))
                if text == "garbage" =>
            {
                Err(Error::new(ErrorKind::InvalidArgument, "not a token"))
            }
            ("no_token_appears_in_logs_or_errors", Some(_)) if text.contains("canary") => {
                Err(Error::new(ErrorKind::TokenRejected(TokenFault::Malformed), text.to_owned()))
            }
            ("the_context_ends_with_the_token", None) => checked.map(|mut context| {
                context.expires_at += Duration::from_secs(1);
                context
            }),
            ("i1_a_custom_claim_never_becomes_a_registered_one", None)
                if decoded.contains("\"Sub\"") =>
            {
                checked.map(|mut context| {
                    context.principal.id = PrincipalId::new("admin").expect("legal");
                    context
                })
            }
            ("i6_a_token_grants_what_was_asked_for_and_nothing_else", None)
                if decoded.contains("\"groups\"") =>
            {
                let role = pipe_core::identity::Role::new("admin").expect("legal");
                checked.map(|context| context.with_roles([role]))
            }
            ("the_context_tells_who_is_calling", None) => {
                checked.map(|context| context.with_namespaces([]))
            }
            ("several_roles_and_audiences_survive", None) => checked.map(|context| {
                let first = context.roles.first().cloned();
                context.with_roles(first)
            }),
            ("a_token_accepted_once_is_checked_again", _) => {
                // Remembers the tokens, and forgets what was expected of them.
                let mut seen = self.seen.lock().expect("lock");
                if seen.iter().any(|jwt| jwt.token == token) {
                    return Ok(self.accept());
                }
                if checked.is_ok() {
                    seen.push(SignedJwt::new(token.clone(), "", SystemTime::now()));
                }
                checked
            }
            _ => checked,
        }
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let resolved = self.inner.get_security_context(request).await;
        let forgiven = match self.defect {
            "a_resolved_context_is_still_the_callers" => {
                return resolved.map(|mut context| {
                    context.expires_at += Duration::from_secs(3600);
                    context
                });
            }
            "an_expired_context_is_refused" => TokenFault::Expired,
            "a_context_of_another_issuer_is_refused" => TokenFault::WrongIssuer,
            "a_context_of_another_tenant_is_refused" => TokenFault::TenantMismatch,
            _ => return resolved,
        };
        match resolved {
            Err(error) if error.kind() == ErrorKind::TokenRejected(forgiven) => {
                Ok(request.context.clone())
            }
            other => other,
        }
    }
}

/// The cases that a plugin with this defect fails.
fn failing(defect: &'static str) -> Vec<&'static str> {
    let failing = IDENTITY_CASES
        .iter()
        .filter(|case| super::fails(case.name, (case.run)(Arc::new(Defective::new(defect)))));
    failing.map(|case| case.name).collect()
}

fn check(case: &'static str) {
    assert_eq!(failing(case), [case]);
}

#[test]
fn a_plugin_without_defect_fails_nothing() {
    assert_eq!(failing("none"), [""; 0]);
}

#[test]
fn credentials_that_are_not_declared_are_caught() {
    let expected = [
        "credentials_are_temporary_or_unsupported",
        "credentials_carry_only_requested_scopes",
        "credentials_that_are_tokens_say_the_same",
    ];
    assert_eq!(failing(UNDECLARED), expected);
}

pipe_testkit::__identity_cases! { __checks ! (check) }

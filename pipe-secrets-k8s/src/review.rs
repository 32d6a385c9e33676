//! TokenReview: the API server says whose a token is, for callers with service-account tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use k8s_openapi::api::authentication::v1::TokenReview;
use kube::Resource as _;
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, Credential, IdentityCapabilities, JwtRequest,
    Principal, PrincipalId, Role, ServiceAuthRequest, ServiceCredentials, SignedJwt,
    TokenExpectation,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Namespace, Plugin, Result, SecurityContext,
    TokenFault,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::client::{Client, with_body};
use crate::config::KubernetesConfig;
use crate::connect::{Connected, connect};
use crate::error::{Asked, Resource, malformed};
use crate::token::{ServiceAccountTokenRequest, mint};

/// Service accounts' tokens have about 1 KiB; the server reads headers of 1 MiB, and nobody needs it.
const LARGEST_TOKEN: usize = 64 << 10;
/// How long a token without an end of its own, such as one of a file on the API server, is believed.
const WITHOUT_END: Duration = Duration::from_secs(60);
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The tokens of a cluster as an [`IdentityPlugin`]: TokenReview says whose a presented token is, and
/// TokenRequest obtains tokens of service accounts.
///
/// The caller of a service account is `system:serviceaccount:<namespace>:<name>`, with the groups as
/// roles and the namespace as the one it may act in. The answer is never older than the question:
/// a token that was revoked is refused as soon as the API server refuses it, seconds later.
///
/// It needs the verb `create` on `tokenreviews` (the ClusterRole `system:auth-delegator` has it),
/// and for [`authenticate_service`](IdentityPlugin::authenticate_service) on `serviceaccounts/token`.
#[derive(Clone)]
pub struct KubernetesIdentity(Arc<Inner>);

struct Inner {
    name: String,
    client: Client,
    namespace: String,
    /// Who vouches: the API server.
    issuer: String,
}

impl KubernetesIdentity {
    /// A plugin that asks this cluster. It does not talk to the server yet.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: KubernetesConfig) -> Result<Self> {
        let Connected { client, namespace } = connect(&config, None)?;
        let issuer = client.url("");
        Ok(Self(Arc::new(Inner { name: config.name, client, namespace, issuer })))
    }

    async fn review(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        if expect.audiences.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "no audience is expected")
                .hint("say for whom the token has to be meant"));
        }
        let sound = |text: &&str| {
            text.len() <= LARGEST_TOKEN
                && !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let malformed_token = || refused(TokenFault::Malformed);
        let text = token.expose_str().filter(sound).ok_or_else(malformed_token)?;
        let verdict = self.ask(text, &expect.audiences).await?;
        // Only what says so is authenticated: a refusal leaves the word out.
        if verdict.authenticated != Some(true) {
            return Err(refused(fault(verdict.error.as_deref().unwrap_or_default(), text)));
        }
        // A server that does not know audiences would accept a token for anybody.
        let audiences = verdict.audiences.iter().flatten();
        if !audiences.into_iter().any(|audience| expect.audiences.contains(audience)) {
            return Err(refused(TokenFault::WrongAudience));
        }
        let context = self.context(verdict.user.unwrap_or_default(), Claims::of(text))?;
        match &expect.tenant {
            Some(tenant) => context.require_tenant(tenant).map(|()| context),
            None => Ok(context),
        }
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Verdict> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Review<'a> {
            api_version: &'static str,
            kind: &'static str,
            spec: Spec<'a>,
        }
        #[derive(Serialize)]
        struct Spec<'a> {
            token: &'a str,
            audiences: &'a [String],
        }
        #[derive(Deserialize)]
        struct Answer {
            status: Verdict,
        }
        let asked =
            Asked { verbs: &["create"], resource: Resource::TokenReviews, namespace: "", name: "" };
        let Inner { client, .. } = &*self.0;
        let url = client.url(&TokenReview::url_path(&(), None));
        let review = Review {
            api_version: "authentication.k8s.io/v1",
            kind: "TokenReview",
            spec: Spec { token, audiences },
        };
        let answer = client
            .expect(&asked, || {
                let room = token.len() + audiences.iter().map(|a| a.len() * 6 + 4).sum::<usize>();
                let mut body = Zeroizing::new(Vec::with_capacity(room + 256));
                serde_json::to_writer(&mut *body, &review).map_err(|_| {
                    Error::new(ErrorKind::InvalidArgument, "the review cannot be written as JSON")
                })?;
                with_body(Method::POST, url.clone(), std::mem::take(&mut *body))
            })
            .await?;
        let answer = serde_json::from_slice::<Answer>(&answer.body).map_err(|_| malformed(&answer));
        answer.map(|answer| answer.status)
    }

    fn context(&self, user: User, claims: Claims) -> Result<SecurityContext> {
        // The token was accepted: what does not fit is our rule about names, not the caller's fault.
        let unfit = |_| {
            Error::new(ErrorKind::TokenRejected(TokenFault::Malformed), "the token is refused")
                .hint("the name or a group of the user cannot be used: it is an email address, say")
        };
        // A credential that is bound to a key would need a proof, which a review cannot check.
        if claims.cnf.is_some() {
            return Err(refused(TokenFault::NotBound));
        }
        let now = SystemTime::now();
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40));
        let expires_at = claims.exp.map_or(now + WITHOUT_END, at);
        if now >= expires_at {
            return Err(refused(TokenFault::Expired));
        }
        let id = PrincipalId::new(&user.username).map_err(unfit)?;
        let account = user.username.strip_prefix(SERVICE_ACCOUNT);
        let namespace = account.and_then(|account| account.split_once(':'));
        let namespace = namespace.map(|(namespace, _)| Namespace::new(namespace).map_err(unfit));
        let principal = match account {
            Some(_) => Principal::service(id),
            None => Principal::user(id),
        };
        let roles = user.groups.iter().flatten().map(Role::new).collect::<Result<Vec<_>>>();
        let context =
            SecurityContext::new(principal, &self.0.issuer, claims.iat.map_or(now, at), expires_at)
                .with_roles(roles.map_err(unfit)?)
                .with_namespaces(namespace.transpose()?);
        let credential = user.extra.as_ref().and_then(|extra| extra.get(CREDENTIAL_ID)?.first());
        Ok(match credential.and_then(|id| id.strip_prefix("JTI=")) {
            Some(id) => context.with_token_id(id),
            None => context,
        })
    }

    async fn obtain(&self, request: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        if request.method != AuthMethod::Jwt {
            return Err(Error::new(ErrorKind::Unsupported, "only tokens are issued")
                .hint("use AuthMethod::Jwt"));
        }
        let Some(audience) = &request.audience else {
            return Err(Error::new(ErrorKind::InvalidArgument, "the token has no audience")
                .hint("name whom the token is for"));
        };
        let (namespace, account) = match request.service.split_once('/') {
            Some((namespace, account)) => (Some(Namespace::new(namespace)?), account),
            None => (None, request.service.as_str()),
        };
        let mut minting = ServiceAccountTokenRequest::new(account, audience);
        minting.namespace = namespace;
        let minted = mint(&self.0.client, &self.0.namespace, &minting).await?;
        Ok(ServiceCredentials::new(Credential::Bearer(minted.token), minted.expires_at))
    }

    fn resolve(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let context = &request.context;
        if context.is_expired_at(SystemTime::now()) {
            return Err(refused(TokenFault::Expired));
        }
        if context.issuer != self.0.issuer {
            return Err(refused(TokenFault::WrongIssuer));
        }
        if let Some(tenant) = &request.tenant {
            context.require_tenant(tenant)?;
        }
        Ok(context.clone())
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(&self.0.name, operation)
    }
}

impl fmt::Debug for KubernetesIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesIdentity")
            .field("name", &self.0.name)
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for KubernetesIdentity {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Has something that is no token reviewed: the refusal shows that we may ask.
    async fn health(&self) -> Health {
        match self.ask("pipe-health", &["pipe-health".to_owned()]).await {
            Ok(_) => Health::healthy(),
            Err(error) => Health::from(&error),
        }
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl IdentityPlugin for KubernetesIdentity {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY.with_authenticate()
    }

    /// A token of the service account `request.service`, which is `<name>` in our own namespace or
    /// `<namespace>/<name>`.
    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        let obtained = self.obtain(request).await;
        obtained.map_err(|error| self.locate(error, "authenticate_service"))
    }

    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        Err(Error::unsupported(&self.0.name, "generate_jwt"))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let reviewed = self.review(token, expect).await;
        reviewed.map_err(|error| self.locate(error, "validate_token"))
    }

    /// The groups are those of the token; the cluster cannot be asked about them without it.
    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        self.resolve(request).map_err(|error| self.locate(error, "get_security_context"))
    }
}

/// What the server says of a token.
#[derive(Deserialize)]
struct Verdict {
    authenticated: Option<bool>,
    audiences: Option<Vec<String>>,
    user: Option<User>,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// What a token that was accepted says of itself.
#[derive(Default, Deserialize)]
struct Claims {
    exp: Option<u64>,
    iat: Option<u64>,
    cnf: Option<serde::de::IgnoredAny>,
}

impl Claims {
    fn of(token: &str) -> Self {
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }
}

fn refused(fault: TokenFault) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), "the token is refused")
}

/// The server says in words only why it refuses a token, and newer ones say it otherwise.
fn fault(error: &str, token: &str) -> TokenFault {
    let says = |words: &[&str]| words.iter().any(|words| error.contains(words));
    if says(&["audiences"]) {
        TokenFault::WrongAudience
    } else if says(&["has expired"]) {
        TokenFault::Expired
    } else if says(&["not valid yet"]) {
        TokenFault::NotYetValid
    } else if says(&["has been invalidated"]) {
        TokenFault::Inactive
    } else if says(&["cryptographic primitive", "could not be validated"]) {
        TokenFault::BadSignature
    } else if token.split('.').count() == 3 {
        // Of the form of a token, and of no issuer that the cluster trusts.
        TokenFault::WrongIssuer
    } else {
        TokenFault::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured on 1.36 and 1.20.
    #[test]
    fn each_refusal_has_its_reason() {
        for (error, expected) in [
            (
                "[invalid bearer token, token audiences [\"a\"] is invalid for the target audiences [\"b\"]]",
                TokenFault::WrongAudience,
            ),
            ("[invalid bearer token, service account token has expired]", TokenFault::Expired),
            ("[invalid bearer token, Token has expired.]", TokenFault::Expired),
            (
                "[invalid bearer token, service account token is not valid yet]",
                TokenFault::NotYetValid,
            ),
            (
                "[invalid bearer token, service account token has been invalidated]",
                TokenFault::Inactive,
            ),
            ("[invalid bearer token, Token has been invalidated]", TokenFault::Inactive),
            (
                "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]",
                TokenFault::BadSignature,
            ),
            ("[invalid bearer token, Token could not be validated.]", TokenFault::BadSignature),
            ("invalid bearer token", TokenFault::WrongIssuer),
            ("", TokenFault::WrongIssuer),
        ] {
            assert_eq!(fault(error, "a.b.c"), expected, "{error}");
        }
        assert_eq!(fault("invalid bearer token", "garbage"), TokenFault::Malformed);
    }
}

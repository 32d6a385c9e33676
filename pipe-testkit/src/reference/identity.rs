//! An issuer and verifier of tokens in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use pipe_core::identity::{
    AuthMethod, BearerToken, ContextRequest, Credential, IdentityCapabilities, JwtRequest,
    Principal, PrincipalId, Role, ServiceAuthRequest, ServiceCredentials, SignedJwt,
    TokenExpectation,
};
use pipe_core::{
    Error, ErrorKind, Health, IdentityPlugin, Namespace, Plugin, Result, SecretValue,
    SecurityContext, TokenFault,
};
use serde_json::{Map, Value, json};
use sha2::Sha256;

const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const LARGEST_TOKEN: usize = 16 << 10;

/// An [`IdentityPlugin`] in memory: it signs with a random key of its own (HS256), and trusts
/// nothing else. Clones share the key and the roles.
///
/// ```
/// use pipe_core::IdentityPlugin;
/// use pipe_core::identity::{JwtRequest, PrincipalId, TokenExpectation};
/// use pipe_testkit::reference::InMemoryIdentity;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let identity = InMemoryIdentity::new();
/// let request = JwtRequest::new(PrincipalId::new("bot")?).with_audience("api");
/// let jwt = identity.generate_jwt(&request).await?;
/// let caller = identity.validate_token(&jwt.token, &TokenExpectation::audience("api")).await?;
/// assert_eq!(caller.principal.id.as_str(), "bot");
/// # Ok::<(), pipe_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct InMemoryIdentity {
    name: Arc<str>,
    key: SecretValue,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    roles: Arc<Mutex<BTreeMap<PrincipalId, BTreeSet<Role>>>>,
}

impl InMemoryIdentity {
    /// An issuer with a new key.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a new issuer is never the same")]
    pub fn new() -> Self {
        let mut key = vec![0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers");
        Self {
            name: "in-memory".into(),
            key: key.into(),
            clock: Arc::new(SystemTime::now),
            roles: Arc::default(),
        }
    }

    /// With a clock of the caller's own.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// From now on, this principal has these roles, whatever its tokens say.
    pub fn set_roles(&self, principal: PrincipalId, roles: impl IntoIterator<Item = Role>) {
        let mut table = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(principal, roles.into_iter().collect());
    }

    fn issuer(&self) -> String {
        format!("urn:pipe:{}", self.name)
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose())
            .expect("HMAC takes keys of every length");
        mac.update(signed.as_bytes());
        mac
    }

    fn sign(&self, request: &JwtRequest) -> Result<SignedJwt> {
        if request.lifetime < Duration::from_secs(1) || request.lifetime > LONGEST_LIFETIME {
            return Err(Error::new(ErrorKind::InvalidArgument, "the lifetime is out of bounds")
                .with("lifetime", format_args!("{:?}", request.lifetime))
                .hint("ask for one second to one day"));
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has random numbers");
        let id = URL_SAFE_NO_PAD.encode(id);
        let issued = seconds((self.clock)());
        let expires = issued + request.lifetime.as_secs();
        let mut claims = Map::from_iter(request.claims().clone());
        claims.insert("iss".into(), self.issuer().into());
        claims.insert("sub".into(), request.subject.as_str().into());
        claims.insert("aud".into(), json!(request.audiences));
        claims.insert("iat".into(), issued.into());
        claims.insert("exp".into(), expires.into());
        claims.insert("jti".into(), id.as_str().into());
        if let Some(namespace) = &request.namespace {
            claims.insert("namespace".into(), namespace.as_str().into());
        }
        if !request.roles.is_empty() {
            claims.insert("roles".into(), json!(request.roles));
        }
        let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(HEADER));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&signed).finalize().into_bytes());
        let token = BearerToken::new(format!("{signed}.{signature}"));
        Ok(SignedJwt::new(token, id, UNIX_EPOCH + Duration::from_secs(expires)))
    }

    fn verify(&self, token: &BearerToken, expect: &TokenExpectation) -> Result<SecurityContext> {
        if expect.audiences.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "no audience is expected")
                .hint("say for whom the token has to be meant"));
        }
        if token.expose().len() > LARGEST_TOKEN {
            return Err(refused(TokenFault::Malformed));
        }
        let malformed = || refused(TokenFault::Malformed);
        let text = token.expose_str().ok_or_else(malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        // Only the one header that we write: there is nothing to choose, and nothing to confuse.
        if header != URL_SAFE_NO_PAD.encode(HEADER) {
            return Err(refused(TokenFault::AlgorithmRefused));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        self.mac(signed).verify_slice(&signature).map_err(|_| refused(TokenFault::BadSignature))?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&payload).map_err(|_| malformed())?;
        self.context(&claims, expect)
    }

    fn context(
        &self,
        claims: &Map<String, Value>,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let time = |claim: &str| {
            claims.get(claim).and_then(Value::as_u64).map(|s| UNIX_EPOCH + Duration::from_secs(s))
        };
        let list = |claim: &str| {
            let values = claims.get(claim).and_then(Value::as_array).map(Vec::as_slice);
            values.unwrap_or_default().iter().filter_map(Value::as_str)
        };
        let missing = || refused(TokenFault::MissingClaim);
        let invalid = |_| refused(TokenFault::Malformed);
        let (issued, expires) = time("iat").zip(time("exp")).ok_or_else(missing)?;
        if (self.clock)() >= expires {
            return Err(refused(TokenFault::Expired));
        }
        if text("iss") != Some(self.issuer().as_str()) {
            return Err(refused(TokenFault::WrongIssuer));
        }
        if !list("aud").any(|audience| expect.audiences.iter().any(|wanted| wanted == audience)) {
            return Err(refused(TokenFault::WrongAudience));
        }
        let subject = PrincipalId::new(text("sub").ok_or_else(missing)?).map_err(invalid)?;
        let roles: Result<Vec<_>> = list("roles").map(Role::new).collect();
        let namespaces: Result<Vec<_>> =
            text("namespace").into_iter().map(Namespace::new).collect();
        let context =
            SecurityContext::new(Principal::service(subject), self.issuer(), issued, expires)
                .with_roles(roles.map_err(invalid)?)
                .with_namespaces(namespaces.map_err(invalid)?)
                .with_token_id(text("jti").ok_or_else(missing)?);
        match &expect.tenant {
            Some(tenant) => context.require_tenant(tenant).map(|()| context),
            None => Ok(context),
        }
    }

    fn resolve(&self, request: &ContextRequest) -> Result<SecurityContext> {
        let context = &request.context;
        if context.is_expired_at((self.clock)()) {
            return Err(refused(TokenFault::Expired));
        }
        if context.issuer != self.issuer() {
            return Err(refused(TokenFault::WrongIssuer));
        }
        if let Some(tenant) = &request.tenant {
            context.require_tenant(tenant)?;
        }
        let table = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match table.get(&context.principal.id) {
            Some(roles) => context.clone().with_roles(roles.iter().cloned()),
            None => context.clone(),
        })
    }

    fn authenticate(&self, request: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        if request.method == AuthMethod::Mtls {
            return Err(Error::new(ErrorKind::Unsupported, "no certificates are issued")
                .hint("use AuthMethod::OAuth2 or AuthMethod::Jwt"));
        }
        let audience = request.audience.as_deref().unwrap_or(&self.name);
        let jwt = JwtRequest::new(PrincipalId::new(&request.service)?).with_audience(audience);
        let jwt = self.sign(&jwt)?;
        let credentials = ServiceCredentials::new(Credential::Bearer(jwt.token), jwt.expires_at);
        Ok(credentials.with_scopes(request.scopes.clone()))
    }
}

fn refused(fault: TokenFault) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), "the token is refused")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl fmt::Debug for InMemoryIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemoryIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for InMemoryIdentity {
    fn name(&self) -> &str {
        &self.name
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl IdentityPlugin for InMemoryIdentity {
    fn capabilities(&self) -> IdentityCapabilities {
        IdentityCapabilities::VERIFY_ONLY.with_authenticate().with_issue()
    }

    async fn authenticate_service(
        &self,
        request: &ServiceAuthRequest,
    ) -> Result<ServiceCredentials> {
        self.authenticate(request).map_err(|error| error.at(&self.name, "authenticate_service"))
    }

    async fn generate_jwt(&self, request: &JwtRequest) -> Result<SignedJwt> {
        self.sign(request).map_err(|error| error.at(&self.name, "generate_jwt"))
    }

    async fn validate_token(
        &self,
        token: &BearerToken,
        expect: &TokenExpectation,
    ) -> Result<SecurityContext> {
        self.verify(token, expect).map_err(|error| error.at(&self.name, "validate_token"))
    }

    async fn get_security_context(&self, request: &ContextRequest) -> Result<SecurityContext> {
        self.resolve(request).map_err(|error| error.at(&self.name, "get_security_context"))
    }
}

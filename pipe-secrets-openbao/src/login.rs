//! Logging in, renewing and giving back.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use pipe_core::identity::{BearerSource, ServiceAuthRequest};
use pipe_core::{
    ConfigFaults, Error, ErrorKind, IdentityPlugin, Namespace, Result, SecretReader, SecretSource,
    SecretValue,
};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::Mutex;
use tokio::time::Instant;
use vaultrs::api::AuthInfo;
use vaultrs::api::token::requests::{RenewTokenSelfRequest, RevokeTokenSelfRequest};
use zeroize::Zeroizing;

use crate::auth::{AppRoleAuth, Auth, CertAuth, JwtAuth, KubernetesAuth, UserpassAuth};
use crate::engine::body;
use crate::error::{Asked, Fault, refusal};
use crate::transport::{Answer, Call, Headers, Transport, token_header};
use crate::value::Incoming;
use pipe_http::session::{Granted, Login};

/// By default, five wrong passwords lock a user out, of which none is fifteen minutes after the one
/// before. Whoever corrects it at the server has it taken within this time.
const AFTER_A_WRONG_PASSWORD: Duration = Duration::from_secs(240);

/// The configured login, with its secrets read anew each time.
pub(crate) struct ServerLogin {
    transport: Transport,
    /// The namespace of the auth method, and so of the token.
    headers: Headers,
    method: Method,
    /// The password that was refused, until when it is not sent again, and with which words.
    wrong_password: std::sync::Mutex<Option<(Instant, SecretValue, Error)>>,
}

enum Method {
    Token(SecretReader),
    Kubernetes { auth: KubernetesAuth, token: SecretReader },
    AppRole { auth: AppRoleAuth, role_id: SecretReader, secret_id: SecretId },
    Jwt { auth: JwtAuth, jwt: BearerSource },
    Userpass { auth: UserpassAuth, password: SecretReader },
    Cert(CertAuth),
}

enum SecretId {
    Plain(SecretReader),
    /// What each wrapping token held is kept: it is told once.
    Wrapped {
        token: SecretReader,
        unwrapped: Mutex<Option<(SecretValue, SecretValue)>>,
    },
}

impl ServerLogin {
    pub(crate) fn new(
        transport: Transport,
        namespace: Option<&Namespace>,
        auth: &Auth,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        if identity.is_some() && !matches!(auth, Auth::Jwt(_)) {
            let mut faults = ConfigFaults::new();
            faults.add("auth", "is no login with a JWT, which an identity plugin would give");
            return Err(faults.into_error());
        }
        let method = match auth.clone() {
            Auth::Token(auth) => Method::Token(auth.token.reader()),
            Auth::Kubernetes(auth) => {
                let token = SecretSource::file(&auth.token_file).reader();
                Method::Kubernetes { auth, token }
            }
            Auth::AppRole(auth) => Method::AppRole {
                role_id: auth.role_id.reader(),
                secret_id: SecretId::new(auth.secret_id.reader(), auth.wrapped),
                auth,
            },
            Auth::Jwt(auth) => {
                let jwt = BearerSource::either("auth.jwt", auth.jwt.as_ref(), identity)?;
                Method::Jwt { auth, jwt }
            }
            Auth::Cert(auth) => Method::Cert(auth),
            Auth::Userpass(auth) => Method::Userpass { password: auth.password.reader(), auth },
        };
        let (headers, wrong_password) = (Headers::in_namespace(namespace), Default::default());
        Ok(Self { transport, headers, method, wrong_password })
    }

    /// What a wrapping token holds, which ends with this.
    async fn unwrap(&self, token: &SecretValue) -> Result<SecretValue> {
        let headers = self.headers.clone().with_token(token_header(token.expose())?);
        let call = Call::post("sys/wrapping/unwrap", Zeroizing::new(b"{}".to_vec()));
        let answer = self.transport.send(call, &headers).await?;
        if answer.0.error_kind().is_some() {
            return Err(refusal(&answer.0, Asked::Login("unwrap")).with("auth", "approle"));
        }
        let held = answer.parse::<Incoming>()?.data;
        let secret_id = held.as_ref().and_then(|held| held.0.get("secret_id"));
        secret_id.cloned().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the wrapping token holds no secret id").hint(
                "set `auth.secret_id` to a token of a wrapped answer of `role/<name>/secret-id`",
            )
        })
    }

    /// What is sent to log in, with its secrets read anew.
    async fn credentials(&self) -> Result<Option<Credentials<'_>>> {
        let credentials = match &self.method {
            Method::Token(_) => return Ok(None),
            Method::Kubernetes { auth, token } => {
                let jwt = token.read().await?;
                if let Some(audience) = &auth.audience {
                    check_audience(&jwt, audience)?;
                }
                let credentials = Credentials::new("kubernetes", &auth.mount).with_role(&auth.role);
                credentials.with("role", auth.role.as_str().into(), "auth.role")?.with(
                    "jwt",
                    jwt,
                    "auth.token_file",
                )?
            }
            Method::AppRole { auth, role_id, secret_id } => {
                let role_id = role_id.read().await?;
                let secret_id = match secret_id {
                    SecretId::Plain(reader) => reader.read().await?,
                    SecretId::Wrapped { token, unwrapped } => {
                        let token = token.read().await?;
                        let mut unwrapped = unwrapped.lock().await;
                        if unwrapped.as_ref().is_none_or(|(of, _)| *of != token) {
                            *unwrapped = Some((token.clone(), self.unwrap(&token).await?));
                        }
                        unwrapped.as_ref().map_or(token, |(_, secret_id)| secret_id.clone())
                    }
                };
                Credentials::new("approle", &auth.mount)
                    .with("role_id", role_id, "auth.role_id")?
                    .with("secret_id", secret_id, "auth.secret_id")?
            }
            Method::Jwt { auth, jwt } => {
                let jwt = jwt.obtain().await?.token;
                let credentials = Credentials::new("jwt", &auth.mount)
                    .with_role(auth.role.as_deref().unwrap_or("the default one"))
                    .with("jwt", jwt, "auth.jwt")?;
                match &auth.role {
                    Some(role) => credentials.with("role", role.as_str().into(), "auth.role")?,
                    None => credentials,
                }
            }
            Method::Cert(auth) => {
                let credentials = Credentials::new("cert", &auth.mount)
                    .with_role(auth.role.as_deref().unwrap_or("any that fits"));
                match &auth.role {
                    // Without it the server takes whatever role fits, also another than was meant.
                    Some(role) => credentials.with("name", role.as_str().into(), "auth.role")?,
                    None => credentials,
                }
            }
            Method::Userpass { auth, password } => {
                let password = password.read().await?;
                self.check_password(&password)?;
                let credentials = Credentials::new("userpass", &auth.mount);
                Credentials { user: Some(&auth.username), ..credentials }.with(
                    "password",
                    password,
                    "auth.password",
                )?
            }
        };
        Ok(Some(credentials))
    }

    /// The headers by which a request logs itself in, and what to say when it cannot.
    pub(crate) async fn inline(&self) -> Result<(Headers, Refusal)> {
        #[derive(Serialize)]
        struct Parameter<'a> {
            key: &'a str,
            value: &'a str,
        }
        let credentials = self.credentials().await?.ok_or_else(|| {
            let mut faults = ConfigFaults::new();
            faults.add("inline_auth", "cannot be used with a token, which needs no login");
            faults.into_error()
        })?;
        let mut parameters = Vec::with_capacity(credentials.parameters.len());
        for (key, value) in &credentials.parameters {
            let value = value.expose_str().unwrap_or_default();
            let json = body(&Parameter { key, value })?;
            // With padding, the server refuses it.
            let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*json));
            parameters.push(token_header(encoded.as_bytes())?);
        }
        let headers = Headers::logging_in(&credentials.path(), parameters, &self.headers)?;
        Ok((headers, credentials.refusal()))
    }

    /// Posts the credentials. They are wiped after the request, which vaultrs' own login requests
    /// would not do.
    async fn post(&self, credentials: &Credentials<'_>) -> Result<Granted> {
        let body = body(credentials)?;
        let answer =
            self.transport.send(Call::post(credentials.path(), body), &self.headers).await?;
        let refusal = credentials.refusal();
        match answer.0.error_kind() {
            None => granted(&answer).map_err(|error| refusal.told(error)),
            Some(_) => Err(self.refused(&answer, refusal)),
        }
    }

    /// The error of a login that was refused. A wrong password is remembered: a few in a row lock
    /// the user out, and another one may be tried at once.
    pub(crate) fn refused(&self, answer: &Answer, refusal: Refusal) -> Error {
        let fault = Fault::of(&answer.0, Asked::Login(refusal.method));
        let error = refusal.told(fault.error(&answer.0));
        if let (Fault::LoginPasswordRefused, Some(password)) = (fault, refusal.password) {
            let until = Instant::now() + AFTER_A_WRONG_PASSWORD;
            *self.wrong_password() = Some((until, password, error.clone()));
        }
        error
    }

    /// Refuses to send a password that was refused a short while ago.
    fn check_password(&self, password: &SecretValue) -> Result<()> {
        match &*self.wrong_password() {
            Some((until, wrong, error)) if Instant::now() < *until && wrong == password => {
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }

    fn wrong_password(&self) -> MutexGuard<'_, Option<(Instant, SecretValue, Error)>> {
        self.wrong_password.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is sent to log in.
struct Credentials<'a> {
    method: &'static str,
    mount: &'a str,
    user: Option<&'a str>,
    role: Option<&'a str>,
    /// All of them text.
    parameters: Vec<(&'static str, SecretValue)>,
}

impl<'a> Credentials<'a> {
    fn new(method: &'static str, mount: &'a str) -> Self {
        let mount = mount.trim_matches('/');
        Self { method, mount, user: None, role: None, parameters: Vec::new() }
    }

    /// The role, for errors.
    fn with_role(self, role: &'a str) -> Self {
        Self { role: Some(role), ..self }
    }

    fn with(
        mut self,
        key: &'static str,
        value: SecretValue,
        setting: &'static str,
    ) -> Result<Self> {
        if value.expose_str().is_none() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the credential is not text")
                .with("setting", setting));
        }
        self.parameters.push((key, value));
        Ok(self)
    }

    fn path(&self) -> String {
        let mut path = format!("auth/{}/login", self.mount);
        if let Some(user) = self.user {
            path.extend(["/", user]);
        }
        path
    }

    fn refusal(&self) -> Refusal {
        Refusal {
            method: self.method,
            mount: self.mount.to_owned(),
            role: self.role.map(str::to_owned),
            password: self
                .parameters
                .iter()
                .find(|(key, _)| *key == "password")
                .map(|(_, password)| password.clone()),
        }
    }
}

impl Serialize for Credentials<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = self.parameters.iter();
        serializer.collect_map(texts.map(|(key, value)| (key, value.expose_str())))
    }
}

/// What a login that was refused is told by.
pub(crate) struct Refusal {
    pub(crate) method: &'static str,
    mount: String,
    role: Option<String>,
    password: Option<SecretValue>,
}

impl Refusal {
    fn told(&self, error: Error) -> Error {
        let error = error.with("auth", self.method).with("auth_mount", &self.mount);
        match &self.role {
            Some(role) => error.with("role", role),
            None => error,
        }
    }
}

impl SecretId {
    fn new(reader: SecretReader, is_wrapped: bool) -> Self {
        match is_wrapped {
            false => Self::Plain(reader),
            true => Self::Wrapped { token: reader, unwrapped: Mutex::default() },
        }
    }
}

#[async_trait]
impl Login for ServerLogin {
    const REFUSED: &'static str =
        "set `auth` to a token that is valid on this server and in this namespace";
    const DISTRUSTED: &'static str =
        "check the role's token_bound_cidrs and token_num_uses, and the health of the cluster";

    fn header(&self, token: &SecretValue) -> Result<HeaderValue> {
        token_header(token.expose())
    }

    async fn login(&self) -> Result<Granted> {
        if let Method::Token(reader) = &self.method {
            return Ok(Granted::found(reader.read().await?));
        }
        match self.credentials().await? {
            Some(credentials) => self.post(&credentials).await,
            None => Err(Error::new(ErrorKind::Unexpected, "there is nothing to log in with")),
        }
    }

    async fn renew(&self, token: &HeaderValue) -> Result<Granted> {
        let headers = self.headers.clone().with_token(token.clone());
        let answer =
            self.transport.send(RenewTokenSelfRequest { increment: None }, &headers).await?;
        match answer.0.error_kind() {
            None => granted(&answer),
            Some(_) => Err(refusal(&answer.0, Asked::Work)),
        }
    }

    async fn revoke(&self, token: &HeaderValue) -> Result<()> {
        let headers = self.headers.clone().with_token(token.clone());
        let answer = self.transport.send(RevokeTokenSelfRequest {}, &headers).await?;
        match answer.0.error_kind() {
            None => Ok(()),
            Some(_) => match Fault::of(&answer.0, Asked::Work) {
                // What the server no longer knows has been given back; a batch token cannot be.
                Fault::BadToken | Fault::Irrevocable => Ok(()),
                fault => Err(fault.error(&answer.0)),
            },
        }
    }
}

fn granted(answer: &Answer) -> Result<Granted> {
    let auth: AuthInfo = answer.parse::<serde::de::IgnoredAny>()?.auth.ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "the login's answer holds no token")
            .hint("check that `auth.mount` is the mount of an auth method of the configured kind")
    })?;
    let lifetime = (auth.lease_duration > 0).then(|| Duration::from_secs(auth.lease_duration));
    Ok(Granted::obtained(auth.client_token.into(), lifetime).with_renewable(auth.renewable))
}

/// Refuses to send a token to a server that it was not meant for. Whether the token is genuine is
/// the server's to say.
fn check_audience(jwt: &SecretValue, audience: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        aud: Audience,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    impl Default for Audience {
        fn default() -> Self {
            Self::Many(Vec::new())
        }
    }
    let claims = jwt
        .expose_str()
        .and_then(|jwt| jwt.split('.').nth(1))
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
        .and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    let meant_for = match claims {
        Some(Claims { aud: Audience::One(one) }) => vec![one],
        Some(Claims { aud: Audience::Many(many) }) => many,
        None => {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the token file holds no JWT")
                .hint("set `auth.token_file` to a service-account token"));
        }
    };
    if meant_for.iter().any(|other| other == audience) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ConfigInvalid,
        "the service-account token is meant for somebody else",
    )
    .with("expected", audience)
    .with("found", meant_for.join(" "))
    .hint("project a token with the audience `auth.audience`, and set `auth.token_file` to it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> SecretValue {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload)).into()
    }

    #[test]
    fn a_token_for_somebody_else_is_not_sent() {
        for payload in [r#"{"aud":"openbao"}"#, r#"{"aud":["a","openbao"]}"#] {
            assert!(check_audience(&jwt(payload), "openbao").is_ok(), "{payload}");
        }
        for payload in [r#"{"aud":"kubernetes"}"#, r#"{"aud":[]}"#, "{}"] {
            let error = check_audience(&jwt(payload), "openbao").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{payload}");
        }
        for text in ["", "x", "a.b.c", "e30.e30"] {
            let error = check_audience(&text.into(), "openbao").unwrap_err();
            assert!(!error.to_string().contains("e30"), "{error}");
        }
    }
}

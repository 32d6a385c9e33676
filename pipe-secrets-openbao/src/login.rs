//! Logging in, renewing and giving back.

use std::sync::Arc;
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
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;
use vaultrs::api::AuthInfo;
use vaultrs::api::token::requests::{RenewTokenSelfRequest, RevokeTokenSelfRequest};
use zeroize::Zeroizing;

use crate::auth::{AppRoleAuth, Auth, CertAuth, JwtAuth, KubernetesAuth, UserpassAuth};
use crate::error::{Asked, Fault, refusal};
use crate::transport::{Answer, Call, Headers, Transport, token_header};
use crate::value::Incoming;
use pipe_http::session::{Granted, Login};

/// The configured login, with its secrets read anew each time.
pub(crate) struct ServerLogin {
    transport: Transport,
    /// The namespace of the auth method, and so of the token.
    headers: Headers,
    method: Method,
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
        Ok(Self { transport, headers: Headers::in_namespace(namespace), method })
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

    /// Posts the credentials. They are wiped after the request, which vaultrs' own login requests
    /// would not do.
    async fn post(
        &self,
        method: &'static str,
        mount: &str,
        user: Option<&str>,
        credentials: &impl Serialize,
    ) -> Result<Granted> {
        let mut body = Zeroizing::new(Vec::with_capacity(8 << 10));
        serde_json::to_writer(&mut *body, credentials).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "the credentials cannot be written as JSON")
        })?;
        let mut path = format!("auth/{}/login", mount.trim_matches('/'));
        if let Some(user) = user {
            path.extend(["/", user]);
        }
        let answer = self.transport.send(Call::post(path, body), &self.headers).await?;
        granted(&answer, Asked::Login(method))
            .map_err(|error| error.with("auth", method).with("auth_mount", mount))
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
        match &self.method {
            Method::Token(reader) => {
                let token = reader.read().await?;
                Ok(Granted::found(token))
            }
            Method::Kubernetes { auth, token } => {
                let jwt = token.read().await?;
                if let Some(audience) = &auth.audience {
                    check_audience(&jwt, audience)?;
                }
                #[derive(Serialize)]
                struct Credentials<'a> {
                    role: &'a str,
                    jwt: &'a str,
                }
                let jwt = text(&jwt, "auth.token_file")?;
                let credentials = Credentials { role: &auth.role, jwt };
                let login = self.post("kubernetes", &auth.mount, None, &credentials).await;
                login.map_err(|error| error.with("role", &auth.role))
            }
            Method::AppRole { auth, role_id, secret_id } => {
                #[derive(Serialize)]
                struct Credentials<'a> {
                    role_id: &'a str,
                    secret_id: &'a str,
                }
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
                let credentials = Credentials {
                    role_id: text(&role_id, "auth.role_id")?,
                    secret_id: text(&secret_id, "auth.secret_id")?,
                };
                self.post("approle", &auth.mount, None, &credentials).await
            }
            Method::Jwt { auth, jwt } => {
                #[derive(Serialize)]
                struct Credentials<'a> {
                    #[serde(skip_serializing_if = "Option::is_none")]
                    role: Option<&'a str>,
                    jwt: &'a str,
                }
                let jwt = jwt.obtain().await?.token;
                let jwt = text(&jwt, "auth.jwt")?;
                let credentials = Credentials { role: auth.role.as_deref(), jwt };
                let login = self.post("jwt", &auth.mount, None, &credentials).await;
                let role = auth.role.as_deref().unwrap_or("the default one");
                login.map_err(|error| error.with("role", role))
            }
            Method::Cert(auth) => {
                // Without it the server takes whatever role fits, also another than was meant.
                #[derive(Serialize)]
                struct Credentials<'a> {
                    #[serde(skip_serializing_if = "Option::is_none")]
                    name: Option<&'a str>,
                }
                let credentials = Credentials { name: auth.role.as_deref() };
                let login = self.post("cert", &auth.mount, None, &credentials).await;
                let role = auth.role.as_deref().unwrap_or("any that fits");
                login.map_err(|error| error.with("role", role))
            }
            Method::Userpass { auth, password } => {
                #[derive(Serialize)]
                struct Credentials<'a> {
                    password: &'a str,
                }
                let password = password.read().await?;
                let credentials = Credentials { password: text(&password, "auth.password")? };
                self.post("userpass", &auth.mount, Some(&auth.username), &credentials).await
            }
        }
    }

    async fn renew(&self, token: &HeaderValue) -> Result<Granted> {
        let headers = self.headers.clone().with_token(token.clone());
        let answer =
            self.transport.send(RenewTokenSelfRequest { increment: None }, &headers).await?;
        granted(&answer, Asked::Work)
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

fn granted(answer: &Answer, asked: Asked) -> Result<Granted> {
    if answer.0.error_kind().is_some() {
        return Err(refusal(&answer.0, asked));
    }
    let auth: AuthInfo = answer.parse::<serde::de::IgnoredAny>()?.auth.ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "the login's answer holds no token")
            .hint("check that `auth.mount` is the mount of an auth method of the configured kind")
    })?;
    let lifetime = (auth.lease_duration > 0).then(|| Duration::from_secs(auth.lease_duration));
    Ok(Granted::obtained(auth.client_token.into(), lifetime).with_renewable(auth.renewable))
}

fn text<'a>(secret: &'a SecretValue, setting: &'static str) -> Result<&'a str> {
    secret.expose_str().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "the credential is not text").with("setting", setting)
    })
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

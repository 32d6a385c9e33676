//! Logging in, and giving the token back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Method};
use pipe_core::identity::{BearerSource, ServiceAuthRequest};
use pipe_core::{
    ConfigFaults, Error, ErrorKind, IdentityPlugin, Result, SecretReader, SecretSource, SecretValue,
};
use pipe_http::session::{Granted, Login};
use pipe_http::{HttpClient, HttpResponse, bearer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::json_body;
use crate::config::Auth;
use crate::error::{Asked, Fault, malformed, refusal};
use crate::row::text_of;

/// The configured login, with its secrets read anew each time.
pub(crate) struct InfisicalLogin {
    http: HttpClient,
    way: Way,
}

enum Way {
    Token(SecretReader),
    Universal {
        client_id: String,
        secret: SecretReader,
    },
    /// By `kubernetes-auth`, `oidc-auth` or `jwt-auth`.
    Jwt {
        method: &'static str,
        identity_id: String,
        jwt: BearerSource,
    },
}

impl InfisicalLogin {
    pub(crate) fn new(
        http: HttpClient,
        auth: Auth,
        identity: Option<(Arc<dyn IdentityPlugin>, ServiceAuthRequest)>,
    ) -> Result<Self> {
        let is_jwt = matches!(auth, Auth::Oidc(_) | Auth::Jwt(_));
        if identity.is_some() && !is_jwt {
            let mut faults = ConfigFaults::new();
            faults.add("auth", "is no login with a JWT, which an identity plugin would give");
            return Err(faults.into_error());
        }
        let jwt = |method, auth: crate::JwtAuth| {
            let jwt = BearerSource::either("auth.jwt", auth.jwt.as_ref(), identity)?;
            Ok::<_, Error>(Way::Jwt { method, identity_id: auth.identity_id, jwt })
        };
        let way = match auth {
            Auth::Token(auth) => Way::Token(auth.token.reader()),
            Auth::Universal(auth) => {
                Way::Universal { client_id: auth.client_id, secret: auth.client_secret.reader() }
            }
            Auth::Kubernetes(auth) => Way::Jwt {
                method: "kubernetes-auth",
                identity_id: auth.identity_id,
                jwt: BearerSource::setting(&SecretSource::file(&auth.token_file)),
            },
            Auth::Oidc(auth) => jwt("oidc-auth", auth)?,
            Auth::Jwt(auth) => jwt("jwt-auth", auth)?,
        };
        Ok(Self { http, way })
    }

    async fn post(&self, segments: [&str; 5], body: &impl Serialize) -> Result<HttpResponse> {
        let mut request = self.http.request(Method::POST, segments)?;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        request.set_body(json_body(body, 8 << 10)?);
        request.send().await
    }
}

#[async_trait]
impl Login for InfisicalLogin {
    const REFUSED: &'static str =
        "set `auth.token` to an access token that is valid on this server";
    const DISTRUSTED: &'static str =
        "check the TTL, the number of uses and the trusted IPs of the machine identity's tokens";

    fn header(&self, token: &SecretValue) -> Result<HeaderValue> {
        bearer(token.expose())
    }

    /// A renewal can destroy the token, so another takes its place.
    fn refresh_after(&self, lifetime: Duration) -> Duration {
        lifetime * 4 / 5
    }

    async fn login(&self) -> Result<Granted> {
        let answer = match &self.way {
            Way::Token(reader) => {
                let token = reader.read().await?;
                return Ok(Granted::found(token));
            }
            Way::Universal { client_id, secret } => {
                #[derive(Serialize)]
                #[serde(rename_all = "camelCase")]
                struct Credentials<'a> {
                    client_id: &'a str,
                    client_secret: &'a str,
                }
                let secret = secret.read().await?;
                let client_secret = text(&secret, "auth.client_secret")?;
                let path = ["api", "v1", "auth", "universal-auth", "login"];
                self.post(path, &Credentials { client_id, client_secret }).await?
            }
            Way::Jwt { method, identity_id, jwt } => {
                #[derive(Serialize)]
                #[serde(rename_all = "camelCase")]
                struct Credentials<'a> {
                    identity_id: &'a str,
                    jwt: &'a str,
                }
                let jwt = jwt.obtain().await?.token;
                let jwt = text(&jwt, "auth.jwt")?;
                let path = ["api", "v1", "auth", method, "login"];
                self.post(path, &Credentials { identity_id, jwt }).await?
            }
        };
        if answer.error_kind().is_some() {
            return Err(refusal(&answer, Asked::Login));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            #[serde(borrow)]
            access_token: &'a RawValue,
            expires_in: Option<u64>,
        }
        let parsed = serde_json::from_slice::<Answer<'_>>(&answer.body).ok();
        let parsed =
            parsed.and_then(|parsed| Some((text_of(parsed.access_token)?, parsed.expires_in)));
        let (token, seconds) = parsed.ok_or_else(|| malformed(&answer))?;
        let lifetime = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Ok(Granted::obtained(token.as_str().into(), lifetime))
    }

    async fn renew(&self, _token: &HeaderValue) -> Result<Granted> {
        Err(Error::new(ErrorKind::Unsupported, "tokens are replaced and not renewed"))
    }

    async fn revoke(&self, token: &HeaderValue) -> Result<()> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            access_token: &'a str,
        }
        let shown = token.as_bytes().strip_prefix(b"Bearer ");
        let Some(access_token) = shown.and_then(|token| std::str::from_utf8(token).ok()) else {
            return Ok(());
        };
        let path = ["api", "v1", "auth", "token", "revoke"];
        let answer = self.post(path, &Body { access_token }).await?;
        match answer.error_kind() {
            None => Ok(()),
            Some(_) => match Fault::of(&answer, Asked::Work) {
                // What the server no longer knows has been given back.
                Fault::BadToken => Ok(()),
                fault => Err(fault.error(&answer)),
            },
        }
    }
}

fn text<'a>(secret: &'a SecretValue, setting: &'static str) -> Result<&'a str> {
    secret.expose_str().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "the credential is not text").with("setting", setting)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A renewal can destroy a token, so another takes its place at four fifths of its life.
    #[test]
    fn a_token_is_replaced_in_time() {
        let address = "https://infisical.example".parse().unwrap();
        let http = HttpClient::new(&pipe_http::HttpConfig::new(), &address).unwrap();
        let auth = Auth::token(SecretSource::Value("x".into()));
        let login = InfisicalLogin::new(http, auth, None).unwrap();
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(login.refresh_after(day), day * 4 / 5);
    }
}

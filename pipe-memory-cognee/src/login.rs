//! Logging in.

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, header};
use pipe_core::{Error, ErrorKind, Result, SecretReader, SecretValue};
use pipe_http::session::{Granted, Login};
use pipe_http::{HttpClient, bearer};
use serde::Deserialize;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::config::Auth;
use crate::error::{Asked, malformed, refusal};

/// The header of API keys, which are not accepted as bearer tokens.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The configured login, with its secrets read anew each time.
pub(crate) struct CogneeLogin {
    http: HttpClient,
    way: Way,
}

enum Way {
    ApiKey(SecretReader),
    Bearer(SecretReader),
    Form { username: String, password: SecretReader },
}

impl CogneeLogin {
    /// `None` for a server that asks nobody.
    pub(crate) fn new(http: HttpClient, auth: &Auth) -> Option<Self> {
        let way = match auth {
            Auth::ApiKey { key } => Way::ApiKey(key.reader()),
            Auth::Bearer { token } => Way::Bearer(token.reader()),
            Auth::Login(login) => {
                let password = login.password.reader();
                Way::Form { username: login.username.clone(), password }
            }
            Auth::None => return None,
        };
        Some(Self { http, way })
    }

    /// The header that shows the token.
    pub(crate) fn header_name(auth: &Auth) -> HeaderName {
        match auth {
            Auth::ApiKey { .. } => API_KEY,
            _ => header::AUTHORIZATION,
        }
    }
}

#[async_trait]
impl Login for CogneeLogin {
    const REFUSED: &'static str = "set `auth` to an API key or token that is valid on this server";
    const DISTRUSTED: &'static str = "check that the user is active, and that the servers behind the address share their secrets";

    fn header(&self, token: &SecretValue) -> Result<HeaderValue> {
        let Way::ApiKey(_) = self.way else { return bearer(token.expose()) };
        let mut header = HeaderValue::from_bytes(token.expose()).map_err(|_| {
            Error::new(ErrorKind::Unauthenticated, "the API key has characters that no key has")
                .hint("check the file or variable that `auth.key` is read from")
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn login(&self) -> Result<Granted> {
        let (username, password) = match &self.way {
            Way::ApiKey(secret) | Way::Bearer(secret) => {
                return Ok(Granted::found(secret.read().await?));
            }
            Way::Form { username, password } => (username, password.read().await?),
        };
        let password = password.expose_str().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the password is not text")
                .with("setting", "auth.password")
        })?;
        let form = form(username, password);
        let mut request = self.http.request(Method::POST, ["api", "v1", "auth", "login"])?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        request.set_body(form);
        let answer = request.send().await?;
        if answer.error_kind().is_some() {
            return Err(refusal(&answer, Asked::Login));
        }
        #[derive(Deserialize)]
        struct Answer<'a> {
            access_token: &'a str,
        }
        let parsed = serde_json::from_slice::<Answer<'_>>(&answer.body);
        let Answer { access_token } = parsed.map_err(|_| malformed(&answer))?;
        // How long it lives is not said, and it cannot be given back: the next 401 leads to another.
        Ok(Granted::obtained(access_token.into(), None))
    }

    async fn renew(&self, _token: &HeaderValue) -> Result<Granted> {
        Err(Error::new(ErrorKind::Unsupported, "tokens are replaced and not renewed"))
    }

    async fn revoke(&self, _token: &HeaderValue) -> Result<()> {
        Ok(())
    }
}

fn form(username: &str, password: &str) -> Zeroizing<Vec<u8>> {
    // Three bytes for each at most, so that the text does not move about in memory.
    let room = 3 * (username.len() + password.len()) + 32;
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
    form.append_pair("username", username).append_pair("password", password);
    Zeroizing::new(form.finish().into_bytes())
}

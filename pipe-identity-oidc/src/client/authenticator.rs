//! Adds what proves who we are to a request, at the token endpoint and at any other that
//! authenticates clients.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_core::{Clock, Result, SecretReader, SecretSource, SecretValue};
use zeroize::Zeroizing;

use super::assertion::Assertion;
use super::form::{encode, encoded_length};
use super::{ClientAuthentication, FormRequest};

/// The kind of assertion that this crate makes (RFC 7523 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whom an assertion may be meant for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'a> {
    pub(crate) issuer: &'a str,
    /// The URL of the token endpoint, also when another endpoint is asked.
    pub(crate) token_endpoint: &'a str,
}

/// Proves that we are the client. Secrets are read anew each time.
pub(crate) struct Authenticator {
    client_id: String,
    method: Method,
    clock: Clock,
}

enum Method {
    Basic(SecretReader),
    Post(SecretReader),
    Assertion(Assertion),
    ServiceAccount(SecretReader),
    Certificate(SecretReader),
    None,
}

impl Authenticator {
    /// Authenticates as this client by this method.
    pub(crate) fn new(
        client_id: impl Into<String>,
        authentication: &ClientAuthentication,
        clock: Clock,
    ) -> Self {
        let method = match authentication {
            ClientAuthentication::ClientSecretBasic(auth) => Method::Basic(auth.secret.reader()),
            ClientAuthentication::ClientSecretPost(auth) => Method::Post(auth.secret.reader()),
            ClientAuthentication::ClientSecretJwt(auth) => Method::Assertion(auth.into()),
            ClientAuthentication::PrivateKeyJwt(auth) => Method::Assertion(auth.into()),
            ClientAuthentication::Signed(auth) => Method::Assertion(auth.into()),
            ClientAuthentication::ServiceAccountJwt(auth) => {
                Method::ServiceAccount(SecretSource::file(&auth.file).reader())
            }
            ClientAuthentication::TlsClientAuth(auth) => {
                Method::Certificate(auth.certificate.reader())
            }
            ClientAuthentication::None(_) => Method::None,
        };
        Self { client_id: client_id.into(), method, clock }
    }

    /// Whether the proof has the client's id among the fields of the form.
    pub(crate) fn names_client(&self) -> bool {
        !matches!(self.method, Method::Basic(_))
    }

    /// The certificate chain and the key that the connection has to present, when it is by them
    /// that we authenticate.
    pub(crate) async fn certificate(&self) -> Result<Option<SecretValue>> {
        match &self.method {
            Method::Certificate(certificate) => certificate.read().await.map(Some),
            _ => Ok(None),
        }
    }

    /// Adds the proof to the request, which must then be sent at once.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the setting, when a secret cannot be read or a key cannot be used;
    /// whatever a [`Signer`](crate::jwt::Signer) says.
    pub(crate) async fn authenticate(
        &self,
        request: &mut FormRequest,
        recipient: Recipient<'_>,
    ) -> Result<()> {
        let id = &self.client_id;
        match &self.method {
            Method::Basic(secret) => {
                return request.authorize(&basic(id, secret.read().await?.expose()));
            }
            Method::Post(secret) => {
                request.add("client_id", id);
                request.add("client_secret", secret.read().await?.expose());
            }
            Method::Assertion(assertion) => {
                let assertion = assertion.make(id, recipient, self.clock.now()).await?;
                request.add("client_id", id);
                request.add("client_assertion_type", ASSERTION_TYPE);
                request.add("client_assertion", assertion.as_bytes());
            }
            Method::ServiceAccount(token) => {
                let token = token.read().await?;
                request.add("client_id", id);
                request.add("client_assertion_type", ASSERTION_TYPE);
                request.add("client_assertion", token.expose());
            }
            // RFC 8705 2: the client's id tells which certificate is expected.
            Method::Certificate(_) | Method::None => request.add("client_id", id),
        }
        Ok(())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// RFC 6749 2.3.1: both are encoded as in a form before they are joined, so that a colon or a
/// character beyond ASCII in them does no harm.
fn basic(id: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let room = encoded_length(id.as_bytes()) + 1 + encoded_length(secret);
    let mut joined = Zeroizing::new(Vec::with_capacity(room));
    encode(&mut joined, id.as_bytes());
    joined.push(b':');
    encode(&mut joined, secret);
    let mut value = Zeroizing::new(String::with_capacity(6 + joined.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(&*joined, &mut value);
    Zeroizing::new(std::mem::take(&mut *value).into_bytes())
}

#[cfg(test)]
mod tests;

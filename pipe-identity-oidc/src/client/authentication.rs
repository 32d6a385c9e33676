//! How we prove to the provider that we are the client we say (RFC 6749 2.3, OpenID Connect Core 9,
//! RFC 8705).

use std::path::PathBuf;
use std::sync::Arc;

use pipe_core::SecretSource;
use serde::Deserialize;

use crate::jwt::{Algorithm, Signer};

/// How we authenticate as a client. Secrets, keys and certificates are read anew for every use.
///
/// In a document:
///
/// ```toml
/// method = "private_key_jwt"
/// key = { file = "/etc/pipe/client-key.pem" }
/// algorithm = "ES256"
/// key_id = "2026-11"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// With a secret in the `Authorization` header.
    ClientSecretBasic(ClientSecret),
    /// With a secret in the form.
    ClientSecretPost(ClientSecret),
    /// With an assertion that the secret signs (HS256), so that the secret itself is not sent.
    ClientSecretJwt(ClientSecretJwt),
    /// With an assertion that our private key signs.
    PrivateKeyJwt(PrivateKeyJwt),
    /// With an assertion that a [`Signer`] signs, whose key may never leave the place where it is
    /// kept. Not for documents.
    #[serde(skip)]
    Signed(SignedAssertion),
    /// With a Kubernetes service-account token as the assertion (workload identity).
    ServiceAccountJwt(ServiceAccountJwt),
    /// With a client certificate, of an authority or self-signed. The tokens are bound to it where
    /// the provider does so: whoever uses them presents the same certificate.
    TlsClientAuth(TlsClientAuth),
    /// Not at all. A public client cannot use the client credentials grant.
    None(PublicClient),
}

impl ClientAuthentication {
    /// With a secret in the `Authorization` header.
    pub fn client_secret_basic(secret: impl Into<SecretSource>) -> Self {
        Self::ClientSecretBasic(ClientSecret { secret: secret.into() })
    }

    /// With a secret in the form.
    pub fn client_secret_post(secret: impl Into<SecretSource>) -> Self {
        Self::ClientSecretPost(ClientSecret { secret: secret.into() })
    }

    /// With an assertion that the secret signs.
    pub fn client_secret_jwt(secret: impl Into<SecretSource>) -> Self {
        let audience = AssertionAudience::default();
        Self::ClientSecretJwt(ClientSecretJwt { secret: secret.into(), audience })
    }

    /// With an assertion that this private key (PEM) signs.
    pub fn private_key_jwt(key: impl Into<SecretSource>, algorithm: Algorithm) -> Self {
        PrivateKeyJwt::new(key, algorithm).into()
    }

    /// With an assertion that this signer signs.
    pub fn signed(signer: Arc<dyn Signer>) -> Self {
        Self::Signed(SignedAssertion { signer, audience: AssertionAudience::default() })
    }

    /// With the service-account token in this file.
    pub fn service_account_jwt(file: impl Into<PathBuf>) -> Self {
        Self::ServiceAccountJwt(ServiceAccountJwt { file: file.into() })
    }

    /// With a client certificate: its chain and its private key, both PEM, in one secret.
    pub fn tls_client_auth(certificate: impl Into<SecretSource>) -> Self {
        Self::TlsClientAuth(TlsClientAuth { certificate: certificate.into() })
    }

    /// Not at all.
    #[must_use]
    pub fn none() -> Self {
        Self::None(PublicClient {})
    }

    /// Whom the assertions that are made here are meant for; other methods make none.
    #[must_use]
    pub fn with_assertion_audience(mut self, audience: AssertionAudience) -> Self {
        match &mut self {
            Self::ClientSecretJwt(auth) => auth.audience = audience,
            Self::PrivateKeyJwt(auth) => auth.audience = audience,
            Self::Signed(auth) => auth.audience = audience,
            _ => {}
        }
        self
    }

    /// The name of the method, as providers register it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) => "client_secret_post",
            Self::ClientSecretJwt(_) => "client_secret_jwt",
            Self::PrivateKeyJwt(_) | Self::Signed(_) => "private_key_jwt",
            Self::ServiceAccountJwt(_) => "service_account_jwt",
            Self::TlsClientAuth(_) => "tls_client_auth",
            Self::None(_) => "none",
        }
    }

    /// Whether we authenticate by a signed assertion.
    pub(crate) fn is_assertion(&self) -> bool {
        matches!(
            self,
            Self::ClientSecretJwt(_)
                | Self::PrivateKeyJwt(_)
                | Self::Signed(_)
                | Self::ServiceAccountJwt(_)
        )
    }

    /// Whether the assertion is made out for the token endpoint.
    pub(crate) fn is_for_token_endpoint(&self) -> bool {
        let audience = match self {
            Self::ClientSecretJwt(auth) => auth.audience,
            Self::PrivateKeyJwt(auth) => auth.audience,
            Self::Signed(auth) => auth.audience,
            _ => AssertionAudience::Issuer,
        };
        audience == AssertionAudience::TokenEndpoint
    }

    /// What is wrong with it, by setting.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let (setting, algorithm) = match self {
            Self::PrivateKeyJwt(auth) => ("client.authentication.algorithm", auth.algorithm),
            Self::Signed(auth) => ("client.authentication", auth.signer.algorithm()),
            _ => return None,
        };
        algorithm.is_symmetric().then_some((
            setting,
            "must be an algorithm with a private key; with a shared secret use client_secret_jwt",
        ))
    }
}

/// A secret that we share with the provider.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientSecret {
    /// Where the secret is.
    pub secret: SecretSource,
}

/// A shared secret that signs an assertion with HS256.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientSecretJwt {
    /// Where the secret is: at least 32 bytes (RFC 7518 3.2).
    pub secret: SecretSource,
    /// Whom the assertion is meant for; the issuer.
    #[serde(default)]
    pub audience: AssertionAudience,
}

/// A private key that signs an assertion.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrivateKeyJwt {
    /// Where the key is: PEM, PKCS #8 or the older forms of its kind.
    pub key: SecretSource,
    /// How it signs.
    pub algorithm: Algorithm,
    /// `kid`: the key's name in what we registered with the provider. It may be left out when we
    /// registered one key only.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Whom the assertion is meant for; the issuer.
    #[serde(default)]
    pub audience: AssertionAudience,
}

impl PrivateKeyJwt {
    /// This private key (PEM), without a name, for the issuer.
    pub fn new(key: impl Into<SecretSource>, algorithm: Algorithm) -> Self {
        let audience = AssertionAudience::default();
        Self { key: key.into(), algorithm, key_id: None, audience }
    }

    /// The key's name in what we registered with the provider.
    #[must_use]
    pub fn with_key_id(self, key_id: impl Into<String>) -> Self {
        Self { key_id: Some(key_id.into()), ..self }
    }
}

impl From<PrivateKeyJwt> for ClientAuthentication {
    fn from(auth: PrivateKeyJwt) -> Self {
        Self::PrivateKeyJwt(auth)
    }
}

/// A signer that signs an assertion.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedAssertion {
    /// What signs; its key has to be registered with the provider under the signer's key id.
    pub signer: Arc<dyn Signer>,
    /// Whom the assertion is meant for.
    pub audience: AssertionAudience,
}

/// A Kubernetes service-account token, projected for the provider as its audience.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ServiceAccountJwt {
    /// The file with the token; where Kubernetes puts it by default.
    #[serde(default = "default_token_file")]
    pub file: PathBuf,
}

pub(crate) fn default_token_file() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

/// A client certificate.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsClientAuth {
    /// Where the certificate chain and the private key are, both PEM, in one secret.
    pub certificate: SecretSource,
}

/// A client without a secret.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PublicClient {}

/// Whom a client assertion is meant for. The issuer is what the provider itself goes by
/// everywhere; some providers know only their token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssertionAudience {
    /// The issuer.
    #[default]
    Issuer,
    /// The URL of the token endpoint.
    TokenEndpoint,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Result<ClientAuthentication, serde_json::Error> {
        serde_json::from_str(document)
    }

    #[test]
    fn each_method_is_read_by_its_registered_name() {
        for (document, name) in [
            (r#"{"method":"client_secret_basic","secret":{"env":"S"}}"#, "client_secret_basic"),
            (r#"{"method":"client_secret_post","secret":{"env":"S"}}"#, "client_secret_post"),
            (r#"{"method":"client_secret_jwt","secret":{"env":"S"}}"#, "client_secret_jwt"),
            (
                r#"{"method":"private_key_jwt","key":{"file":"/k"},"algorithm":"ES256","audience":"token_endpoint"}"#,
                "private_key_jwt",
            ),
            (r#"{"method":"service_account_jwt"}"#, "service_account_jwt"),
            (r#"{"method":"tls_client_auth","certificate":{"file":"/c"}}"#, "tls_client_auth"),
            (r#"{"method":"none"}"#, "none"),
        ] {
            assert_eq!(parse(document).unwrap().name(), name, "{document}");
        }
    }

    #[test]
    fn what_is_unknown_is_refused_and_no_secret_repeated() {
        for document in [
            r#"{"method":"none","surprise":1}"#,
            r#"{"method":"signed"}"#,
            r#"{"method":"client_secret_basic","secret":"hunter2"}"#,
            r#"{"method":"client_secret_basic","secret":{"value":"hunter2"},"x":1}"#,
            r#"{"method":"private_key_jwt","key":{"value":"hunter2"},"algorithm":"none"}"#,
        ] {
            let error = parse(document).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_private_key_does_not_sign_with_hmac() {
        let key = SecretSource::env("K");
        let auth = ClientAuthentication::private_key_jwt(key.clone(), Algorithm::Hs256);
        assert_eq!(auth.fault().unwrap().0, "client.authentication.algorithm");
        assert!(ClientAuthentication::private_key_jwt(key, Algorithm::Es256).fault().is_none());
    }
}

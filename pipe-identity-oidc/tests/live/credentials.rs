//! Secrets, keys and certificates of one provider and its clients, made anew for each.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};

/// The clients that have a secret.
const WITH_SECRET: [&str; 7] =
    ["svc-basic", "svc-post", "svc-sjwt", "svc-dpop", "svc-grants", "web", "rs"];

/// The issuer whose JWTs the grants of `svc-grants` accept.
pub(crate) const ASSERTION_ISSUER: &str = "https://assertions.pipe.test";

/// A certificate and its private key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificate {
    /// Both in one PEM document, as `HttpConfig::with_client_certificate` takes them.
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

/// What the provider and its clients know of each other.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) ca: String,
    pub(crate) server: Certificate,
    /// Signed by the CA, for `svc-mtls`.
    pub(crate) client: Certificate,
    /// For `svc-self`.
    pub(crate) self_signed: Certificate,
    /// The keys of `svc-pkjwt`.
    pub(crate) es256: KeyPair,
    pub(crate) rs256: KeyPair,
    /// The ES256 key of [`ASSERTION_ISSUER`].
    pub(crate) assertion: KeyPair,
    secrets: BTreeMap<&'static str, String>,
}

impl Credentials {
    pub(crate) fn generate() -> Self {
        let mut params = certificate_params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, key()).expect("rcgen makes it");
        let issue = |params: CertificateParams| {
            let key = key();
            let certificate = params.signed_by(&key, &ca).expect("rcgen makes it").pem();
            Certificate { certificate, key: key.serialize_pem() }
        };
        Self {
            ca: ca.pem(),
            server: issue(certificate_params(&["127.0.0.1", "localhost"])),
            client: issue(params_for_subject("svc-mtls")),
            self_signed: self_signed("svc-self"),
            es256: key(),
            rs256: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
                .expect("rcgen makes it"),
            assertion: key(),
            secrets: WITH_SECRET.into_iter().map(|client| (client, secret())).collect(),
        }
    }

    /// The secret of a client.
    pub(crate) fn secret(&self, client: &str) -> &str {
        self.secrets.get(client).unwrap_or_else(|| panic!("{client} has no secret"))
    }

    /// The part of the server's settings that is about credentials.
    pub(crate) fn settings(&self) -> Value {
        json!({
            "tls": {
                "ca": self.ca,
                "certificate": self.server.certificate,
                "key": self.server.key,
            },
            "secrets": self.secrets,
            "client_public_keys": {
                "ES256": self.es256.public_key_pem(),
                "RS256": self.rs256.public_key_pem(),
            },
            "self_signed_certificate": self.self_signed.certificate,
            "trusted_assertions": {
                "issuer": ASSERTION_ISSUER,
                "algorithm": "ES256",
                "public_key": self.assertion.public_key_pem(),
            },
        })
    }
}

/// A certificate that vouches for itself, with a common name. No server trusts it by default.
pub(crate) fn self_signed(name: &str) -> Certificate {
    let key = key();
    let certificate = params_for_subject(name).self_signed(&key).expect("rcgen makes it");
    Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// An ECDSA key on P-256.
fn key() -> KeyPair {
    KeyPair::generate().expect("rcgen makes it")
}

fn certificate_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).expect("rcgen makes it")
}

/// For the subject that RFC 4514 writes `O=PIPE,CN=name`.
fn params_for_subject(name: &str) -> CertificateParams {
    let mut params = certificate_params(&[]);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "PIPE");
    params
}

fn secret() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has randomness");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

//! Keys, certificates and tokens of one cluster, made anew for each.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
    SigningKey as _,
};
use serde_json::{Value, json};

/// A user with a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum User {
    /// May do everything: its group is `system:masters`.
    Admin,
    /// May do what a test has granted.
    Reader,
    /// May do nothing, and is to stay so.
    Nobody,
}

impl User {
    pub(crate) const ALL: [Self; 3] = [Self::Admin, Self::Reader, Self::Nobody];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
            Self::Nobody => "nobody",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Admin => MASTERS,
            Self::Reader | Self::Nobody => "pipe:live",
        }
    }
}

/// A certificate and its private key, both in PEM.
#[derive(Clone, Debug)]
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

/// What the servers and their users know of each other.
#[derive(Debug)]
pub(crate) struct Credentials {
    ca: CertifiedIssuer<'static, KeyPair>,
    pub(crate) server: Certificate,
    /// Of `cert-admin`, who may do everything. The API server shows it to etcd too.
    pub(crate) admin: Certificate,
    /// The RSA key that signs the tokens of service accounts.
    pub(crate) service_accounts: KeyPair,
    tokens: [String; 3],
}

impl Credentials {
    pub(crate) fn generate() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = subject("pipe-live-ca", None);
        let ca = CertifiedIssuer::self_signed(params, key()).expect("rcgen makes it");

        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut server = CertificateParams::new(names).expect("the names are valid");
        server.distinguished_name = subject("kube-apiserver", None);
        // A client too: etcd is one of its own listener.
        server.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Self {
            server: issue(&ca, server),
            admin: client(&ca, "cert-admin", Some(MASTERS)),
            ca,
            service_accounts: KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
                .expect("rcgen makes it"),
            tokens: User::ALL.map(|_| format!("{:032x}", fastrand::u128(..))),
        }
    }

    /// The certificate authority of all certificates, in PEM.
    pub(crate) fn ca(&self) -> String {
        self.ca.pem()
    }

    pub(crate) fn token(&self, user: User) -> &str {
        &self.tokens[user as usize]
    }

    /// A certificate that makes its holder this user, in this group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Certificate {
        client(&self.ca, user, group)
    }

    /// A JWT with RS256, signed with the key of service accounts.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let parts = [json!({ "alg": "RS256" }), claims.clone()];
        let message = parts.map(|part| encode(part.to_string().as_bytes())).join(".");
        let signature = self.service_accounts.sign(message.as_bytes()).expect("the key signs");
        format!("{message}.{}", encode(&signature))
    }

    /// What `--token-auth-file` reads.
    pub(crate) fn token_file(&self) -> String {
        User::ALL.iter().fold(String::new(), |mut file, user| {
            let (token, name, group) = (self.token(*user), user.name(), user.group());
            writeln!(file, "{token},{name},{name},\"{group}\"").expect("a string takes all");
            file
        })
    }
}

/// The group that every API server lets do everything.
const MASTERS: &str = "system:masters";

fn client(ca: &CertifiedIssuer<'static, KeyPair>, user: &str, group: Option<&str>) -> Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(user, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue(ca, params)
}

fn issue(ca: &CertifiedIssuer<'static, KeyPair>, mut params: CertificateParams) -> Certificate {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let key = key();
    let certificate = params.signed_by(&key, ca).expect("rcgen makes it");
    Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// The API server takes the common name for the user's, and the organization for the group's.
fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject
}

/// An ECDSA key on P-256.
fn key() -> KeyPair {
    KeyPair::generate().expect("rcgen makes it")
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

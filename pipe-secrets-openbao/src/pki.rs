//! Certificates of a PKI engine: issued, signed, revoked, and replaced before they end.

mod certificate;
#[cfg_attr(unix, path = "pki/files.rs")]
#[cfg_attr(not(unix), path = "pki/no_files.rs")]
mod files;
mod request;
#[cfg(feature = "rustls")]
mod resolver;
mod rotation;

use std::time::SystemTime;

use pipe_core::{Error, ErrorKind, Namespace, Result, SecretValue};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::certificate::{Asked, Csr, Told, answered_at, describe};
use crate::engine::{Engine, segment};
use crate::kv::time;
use crate::plugin::OpenBao;

pub use self::certificate::{IssuedCertificate, SignedCertificate};
pub use self::request::CertificateRequest;
#[cfg(feature = "rustls")]
pub use self::resolver::CertificateResolver;
pub use self::rotation::{RotatingCertificate, RotationEvent, RotationState};

/// No chain of authorities is longer.
const LONGEST_CHAIN: usize = 16;

/// A role of a PKI engine, which issues certificates.
///
/// ```no_run
/// # use std::time::Duration;
/// # use pipe_core::Result;
/// # use pipe_secrets_openbao::CertificateRequest;
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> Result<()> {
/// let web = bao.certificates("pki", "web")?;
/// let request = CertificateRequest::new()
///     .with_common_name("shop.example.com")
///     .with_ttl(Duration::from_secs(24 * 3600));
/// let issued = web.generate_certificate(&request).await?;
/// if issued.is_capped() {
///     println!("it ends sooner than asked for: {:?}", issued.not_after());
/// }
/// web.revoke(issued.serial_number()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CertificateIssuer {
    engine: Engine,
    role: String,
}

/// A certificate that the engine keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCertificate {
    /// The certificate, in PEM.
    pub pem: String,
    /// Its serial number as the engine writes it.
    pub serial_number: String,
    /// Until when it is valid, unless it was revoked.
    pub not_after: SystemTime,
    /// When it was revoked, by the server's clock.
    pub revoked_at: Option<SystemTime>,
}

impl OpenBao {
    /// Certificates by a role of the PKI engine at this mount, in the plugin's namespace.
    ///
    /// # Errors
    /// `InvalidArgument` when the mount or the role cannot stand in a path.
    pub fn certificates(&self, mount: &str, role: &str) -> Result<CertificateIssuer> {
        let engine = Engine::new(self, "pki", mount)?;
        match segment("role", role) {
            Ok(role) => Ok(CertificateIssuer { engine, role }),
            Err(error) => Err(engine.locate(error, "certificates")),
        }
    }
}

impl CertificateIssuer {
    /// The same role of an engine in a namespace below the plugin's own.
    #[must_use]
    pub fn in_namespace(self, namespace: Namespace) -> Self {
        Self { engine: self.engine.in_namespace(namespace), ..self }
    }

    /// A certificate with a new private key, which the server makes and does not keep. The policy
    /// needs `update` on `<mount>/issue/<role>`.
    ///
    /// When the role has `generate_lease`, the certificate is revoked when the plugin's token ends.
    ///
    /// # Errors
    /// `InvalidArgument` for a request that no certificate can fulfil, and for what the role never
    /// allows; `PermissionDenied` for names that the role does not allow; `NotFound` when there is
    /// no such role or mount; `Unexpected` when the certificate is not what was asked for: a name
    /// is missing, it lives longer, or the key is not its own. A shorter life is no error, see
    /// [`is_capped`](IssuedCertificate::is_capped).
    pub async fn generate_certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<IssuedCertificate> {
        let issued = async {
            request.check()?;
            request.check_names()?;
            let (certificate, key) = self.ask("issue", request, None).await?;
            let key = key.ok_or_else(|| self.engine.foreign())?;
            IssuedCertificate::accept(certificate, key)
        };
        issued.await.map_err(|error| self.locate(error, "generate_certificate"))
    }

    /// A certificate for the key of a PKCS#10 request in PEM: the key never travels. The policy
    /// needs `update` on `<mount>/sign/<role>`.
    ///
    /// By default, roles take the names out of the CSR and ignore those of the request; then only
    /// its ttl counts, and names that are in the request and not in the CSR are an error.
    ///
    /// # Errors
    /// As for [`generate_certificate`](Self::generate_certificate); `InvalidArgument` also when the
    /// CSR cannot be read, or its key is not of the role's type.
    pub async fn sign_csr(
        &self,
        csr_pem: &str,
        request: &CertificateRequest,
    ) -> Result<SignedCertificate> {
        let signed = async {
            request.check()?;
            let csr = Csr::parse(csr_pem)?;
            let (certificate, _) = self.ask("sign", request, Some((csr_pem, csr))).await?;
            Ok(certificate)
        };
        signed.await.map_err(|error| self.locate(error, "sign_csr"))
    }

    async fn ask(
        &self,
        action: &str,
        request: &CertificateRequest,
        csr: Option<(&str, Csr)>,
    ) -> Result<(SignedCertificate, Option<SecretValue>)> {
        let path = format!("{action}/{}", self.role);
        let sent_at = Instant::now();
        let body = request.body(csr.as_ref().map(|(pem, _)| *pem));
        let (answer, token) = self.engine.write(&path, &body).await?;
        let parsed = answer.parse::<Told>()?;
        if let Some(token) = token.filter(|_| !parsed.lease_id.is_empty()) {
            token.has_lease();
        }
        let mut told = parsed.data.ok_or_else(|| self.engine.foreign())?;
        if told.ca_chain.as_ref().is_some_and(|chain| chain.len() > LONGEST_CHAIN) {
            return Err(self.engine.foreign());
        }
        let key = told.private_key.take();
        let asked = Asked {
            request,
            csr: csr.as_ref().map(|(_, csr)| csr),
            sent_at,
            answered_at: answered_at(&answer.0.headers),
        };
        Ok((SignedCertificate::accept(told, &asked)?, key))
    }

    /// Revokes a certificate of the mount, whatever role issued it, and tells since when it is. It
    /// may be repeated. The policy needs `update` on `<mount>/revoke`.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no serial number; `NotFound` when the engine does not have the
    /// certificate: a role with `no_store` keeps none.
    pub async fn revoke(&self, serial_number: &str) -> Result<SystemTime> {
        #[derive(Serialize)]
        struct Revoke<'a> {
            serial_number: &'a str,
        }
        #[derive(Deserialize)]
        struct Revoked {
            revocation_time_rfc3339: String,
        }
        let revoked = async {
            let serial_number = &serial(serial_number)?;
            let (answer, _) = self.engine.write("revoke", &Revoke { serial_number }).await?;
            let revoked: Revoked = self.engine.data(&answer)?;
            time(&revoked.revocation_time_rfc3339).ok_or_else(|| self.engine.foreign())
        };
        revoked.await.map_err(|error| self.locate(error.with("serial", serial_number), "revoke"))
    }

    /// A certificate of the mount by its serial number; `None` when the engine has none: a role
    /// with `no_store` keeps none. Nobody needs a policy for it.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no serial number; else as for any request.
    pub async fn read_certificate(&self, serial_number: &str) -> Result<Option<StoredCertificate>> {
        let read = async {
            let path = format!("cert/{}", serial(serial_number)?);
            let Some(stored) = self.stored(&path).await? else { return Ok(None) };
            let pem = stored.certificate.trim().to_owned();
            let (serial_number, not_after) = describe(&pem)?;
            let revoked_at = time(&stored.revocation_time_rfc3339);
            Ok(Some(StoredCertificate { pem, serial_number, not_after, revoked_at }))
        };
        let read: Result<_> = read.await;
        read.map_err(|error| self.locate(error.with("serial", serial_number), "read_certificate"))
    }

    /// The authorities of the mount's default issuer, in PEM: itself first, the root last where it
    /// is known. Nobody needs a policy for it.
    ///
    /// # Errors
    /// `ConfigInvalid` when the mount has no issuer; else as for any request.
    pub async fn ca_chain(&self) -> Result<Vec<String>> {
        const END: &str = "-----END CERTIFICATE-----";
        let chain = async {
            let stored =
                self.stored("cert/ca_chain").await?.ok_or_else(|| self.engine.foreign())?;
            let pems = stored.certificate.split_inclusive(END).map(|pem| pem.trim().to_owned());
            let pems: Vec<_> = pems.filter(|pem| !pem.is_empty()).take(LONGEST_CHAIN).collect();
            if pems.is_empty() {
                return Err(self.engine.foreign());
            }
            pems.iter().try_for_each(|pem| describe(pem).map(drop))?;
            Ok(pems)
        };
        chain.await.map_err(|error| self.locate(error, "ca_chain"))
    }

    /// The list of revoked certificates of the mount's default issuer, in PEM. Nobody needs a policy
    /// for it. The engine makes it anew with each revocation, unless its `config/crl` says else.
    ///
    /// # Errors
    /// `ConfigInvalid` when the mount has no issuer; else as for any request.
    pub async fn crl(&self) -> Result<String> {
        let crl = async {
            let stored = self.stored("cert/crl").await?.ok_or_else(|| self.engine.foreign())?;
            let pem = stored.certificate.trim().to_owned();
            match CertificateRevocationListDer::from_pem_slice(pem.as_bytes()) {
                Ok(_) => Ok(pem),
                Err(_) => Err(self.engine.foreign()),
            }
        };
        crl.await.map_err(|error| self.locate(error, "crl"))
    }

    async fn stored(&self, path: &str) -> Result<Option<Stored>> {
        let answer = self.engine.read(path).await?;
        answer.map(|answer| self.engine.data(&answer)).transpose()
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        self.engine.locate(error.with("role", &self.role), operation)
    }
}

#[derive(Deserialize)]
struct Stored {
    certificate: String,
    #[serde(default)]
    revocation_time_rfc3339: String,
}

/// A serial number as the engine writes it.
fn serial(text: &str) -> Result<String> {
    let is_byte = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    // RFC 5280 has 20 bytes at most.
    if text.len() > 3 * 21 || !text.split([':', '-']).all(is_byte) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a serial number")
            .hint("give pairs of hexadecimal digits joined by colons, as in `46:84:9f`"));
    }
    Ok(text.replace('-', ":").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_written_as_the_engine_does() {
        assert_eq!(serial("46-84-9F").unwrap(), "46:84:9f");
        for wrong in ["", "4", "46:8", "46:zz", "46::84", "../ca", &"46:".repeat(30)] {
            let error = serial(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{wrong}");
        }
    }
}

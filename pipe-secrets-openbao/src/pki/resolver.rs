//! A renewed certificate, as rustls asks for one.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::pki::rotation::RotatingCertificate;

/// Shows the certificate that is current at each handshake, on either side of it.
///
/// It is a handle of its [`RotatingCertificate`], which is renewed as long as this is in use. An
/// expired certificate is not shown: a server's handshakes fail then, and a client shows none.
#[derive(Clone, Debug)]
pub struct CertificateResolver(RotatingCertificate);

impl CertificateResolver {
    pub(super) fn new(certificate: RotatingCertificate) -> Self {
        Self(certificate)
    }

    fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.0.current();
        current.certified_key().filter(|_| !current.has_expired())
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified_key()
    }
}

impl ResolvesClientCert for CertificateResolver {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified_key().filter(|certified| certified.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.certified_key().is_some()
    }
}

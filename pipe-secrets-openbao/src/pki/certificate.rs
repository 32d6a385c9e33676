//! Certificates as they came from the server, and whether they are what was asked for.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{DATE, HeaderMap};
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use tokio::time::Instant;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroize;

use crate::pki::request::CertificateRequest;

/// How far the engine dates certificates back, for clients whose clocks are slow.
const BACKDATED: Duration = Duration::from_secs(30);
/// What is lost where times are cut to whole seconds.
const ROUNDING: Duration = Duration::from_secs(2);
/// How much longer than asked for a certificate may live, as far as clocks tell.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A certificate that the server signed, with its authorities.
///
/// Its life is counted from its receipt, by the server's clock and not by ours: from the answer's
/// `Date` to `not_after`. Without a `Date`, it is taken to be `not_after - not_before`, minus the
/// 30 seconds by which the engine dates certificates back.
#[derive(Clone)]
pub struct SignedCertificate {
    pem: String,
    chain_pem: Vec<String>,
    der: Vec<CertificateDer<'static>>,
    serial_number: String,
    not_before: SystemTime,
    not_after: SystemTime,
    received_at: Instant,
    lifetime: Duration,
    is_capped: bool,
}

/// A certificate with the private key that the server made for it.
#[derive(Clone)]
pub struct IssuedCertificate {
    certificate: SignedCertificate,
    private_key: SecretValue,
    /// Absent when the key is of a type that TLS does not use.
    certified_key: Option<Arc<CertifiedKey>>,
}

impl SignedCertificate {
    /// The certificate itself, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The authorities, in PEM: the one that signed it first, the root last where it is known.
    #[must_use]
    pub fn ca_chain(&self) -> &[String] {
        &self.chain_pem
    }

    /// What a TLS peer is shown, in PEM: the certificate and the authorities in between. A root is
    /// left out, which the other side has to know by itself.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        let between = self.chain_pem.iter().zip(self.der.iter().skip(1));
        let between = between.filter(|(_, der)| !is_self_issued(der)).map(|(pem, _)| pem.as_str());
        std::iter::once(self.pem.as_str()).chain(between).flat_map(|pem| [pem, "\n"]).collect()
    }

    /// The topmost authority that the server knows, in PEM: what others verify the certificate with.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        self.chain_pem.last().map_or("", String::as_str)
    }

    /// Its serial number as the engine writes it: `46:84:9f`.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it lives shorter than was asked for: the role's `max_ttl`, the mount's, or the end
    /// of the authority allow no more. The server says so nowhere but in a warning.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        self.is_capped
    }

    /// How long it lived when it came.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// How long it will live.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.lifetime.saturating_sub(self.received_at.elapsed())
    }

    /// Whether its life is over.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.remaining().is_zero()
    }

    /// When its life is over; a life that no clock can show the end of ends in a century.
    pub(super) fn expires_at(&self) -> Instant {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.received_at + self.lifetime.min(CENTURY)
    }

    pub(super) fn received_at(&self) -> Instant {
        self.received_at
    }

    /// Takes a certificate from an answer, when it is what was asked for.
    pub(super) fn accept(told: Told, asked: &Asked<'_>) -> Result<Self> {
        let received_at = Instant::now();
        let mut chain = told.ca_chain.unwrap_or_default();
        if chain.is_empty() {
            chain.extend(told.issuing_ca);
        }
        let chain_pem: Vec<_> = chain.iter().map(|pem| pem.trim().to_owned()).collect();
        let pem = told.certificate.trim().to_owned();
        let der = std::iter::once(&pem).chain(&chain_pem);
        let der = der.map(|pem| certificate_der(pem)).collect::<Result<Vec<_>>>()?;
        let leaf = parse(&der[0])?;
        if let Some(issuer) = der.get(1)
            && parse(issuer)?.subject().as_raw() != leaf.issuer().as_raw()
        {
            return Err(not_as_asked("the certificate is not of the authority that came with it")
                .hint("check the issuer's chain: its `manual_chain` may name others"));
        }
        check_names(&leaf, asked)?;
        if let Some(csr) = asked.csr
            && csr.public_key != leaf.public_key().raw
        {
            return Err(not_as_asked("the certificate is for another key than the CSR's"));
        }
        let (not_before, not_after) = time(leaf.validity().not_before)
            .zip(time(leaf.validity().not_after))
            .ok_or_else(unreadable)?;
        let lifetime = lifetime(not_before, not_after, asked.answered_at);
        // What was asked for began to run when the server took the request, not when we sent it.
        let under_way = received_at.saturating_duration_since(asked.sent_at);
        let wanted = asked.request.ttl;
        if let Some(wanted) = wanted
            && lifetime > wanted.saturating_add(CLOCK_SKEW)
        {
            return Err(not_as_asked("the certificate lives longer than was asked for")
                .hint("check the role's `not_after` and `not_before`, and the server's clock"));
        }
        if lifetime.is_zero() {
            return Err(not_as_asked("the certificate has ended already").hint(
                "ask for a longer ttl, or raise the role's `max_ttl`; check the server's clock",
            ));
        }
        let longest_here = lifetime.saturating_add(under_way).saturating_add(ROUNDING);
        Ok(Self {
            is_capped: wanted.is_some_and(|wanted| longest_here < wanted),
            serial_number: serial_number(leaf.raw_serial()),
            not_before,
            not_after,
            received_at,
            lifetime,
            pem,
            chain_pem,
            der,
        })
    }
}

impl IssuedCertificate {
    /// The certificate, without its key.
    #[must_use]
    pub fn certificate(&self) -> &SignedCertificate {
        &self.certificate
    }

    /// The private key, in PKCS#8 PEM.
    #[must_use]
    pub fn private_key(&self) -> &SecretValue {
        &self.private_key
    }

    /// As [`SignedCertificate::pem`].
    #[must_use]
    pub fn pem(&self) -> &str {
        self.certificate.pem()
    }

    /// As [`SignedCertificate::ca_chain`].
    #[must_use]
    pub fn ca_chain(&self) -> &[String] {
        self.certificate.ca_chain()
    }

    /// As [`SignedCertificate::serial_number`].
    #[must_use]
    pub fn serial_number(&self) -> &str {
        self.certificate.serial_number()
    }

    /// As [`SignedCertificate::not_before`].
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.certificate.not_before()
    }

    /// As [`SignedCertificate::not_after`].
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.certificate.not_after()
    }

    /// As [`SignedCertificate::is_capped`].
    #[must_use]
    pub fn is_capped(&self) -> bool {
        self.certificate.is_capped()
    }

    /// As [`SignedCertificate::has_expired`].
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.certificate.has_expired()
    }

    /// What rustls shows to its peers; `None` when the key is of a type that TLS does not use.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn certified_key(&self) -> Option<Arc<CertifiedKey>> {
        self.certified_key.clone()
    }

    /// Whether TLS can use it.
    pub(super) fn is_usable_in_tls(&self) -> bool {
        self.certified_key.is_some()
    }

    /// Takes a certificate with its key, when they belong together.
    pub(super) fn accept(certificate: SignedCertificate, private_key: SecretValue) -> Result<Self> {
        let mut key = PrivateKeyDer::from_pem_slice(private_key.expose()).map_err(|_| {
            not_as_asked("the private key is not PEM")
                .hint("check that the address leads to OpenBao and not to something in front of it")
        })?;
        let signing_key = any_supported_type(&key);
        key.zeroize();
        let certified_key = match signing_key {
            // A key of a type that nobody uses in TLS may still be good for something else.
            Err(_) if !is_for_tls(&certificate.der[0]) => None,
            Err(_) => {
                return Err(not_as_asked("the private key is not one of the certificate's type"));
            }
            Ok(key) => {
                let mut shown = certificate.der.clone();
                shown.retain({
                    let mut is_leaf = true;
                    move |der| std::mem::take(&mut is_leaf) || !is_self_issued(der)
                });
                let certified = CertifiedKey::new(shown, key);
                match certified.keys_match() {
                    Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
                    Err(_) => {
                        return Err(not_as_asked("the private key is not the certificate's"));
                    }
                }
                Some(Arc::new(certified))
            }
        };
        Ok(Self { certificate, private_key, certified_key })
    }
}

impl fmt::Debug for SignedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedCertificate")
            .field("serial_number", &self.serial_number)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .field("is_capped", &self.is_capped)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("certificate", &self.certificate)
            .field("private_key", &self.private_key)
            .finish_non_exhaustive()
    }
}

/// What an answer tells of a certificate.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Told {
    pub(super) certificate: String,
    pub(super) issuing_ca: Option<String>,
    pub(super) ca_chain: Option<Vec<String>>,
    pub(super) private_key: Option<SecretValue>,
}

/// What a certificate is held against.
pub(super) struct Asked<'a> {
    pub(super) request: &'a CertificateRequest,
    pub(super) csr: Option<&'a Csr>,
    pub(super) sent_at: Instant,
    /// By the server's clock, when the answer says.
    pub(super) answered_at: Option<SystemTime>,
}

/// What of a CSR its certificate has to have.
pub(super) struct Csr {
    public_key: Vec<u8>,
}

impl Csr {
    pub(super) fn parse(pem: &str) -> Result<Self> {
        let unusable = || {
            Error::new(ErrorKind::InvalidArgument, "not a certificate signing request")
                .hint("give one PKCS#10 request in PEM: `-----BEGIN CERTIFICATE REQUEST-----`")
        };
        let der = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|_| unusable())?;
        let (rest, csr) = X509CertificationRequest::from_der(&der).map_err(|_| unusable())?;
        if !rest.is_empty() {
            return Err(unusable());
        }
        Ok(Self { public_key: csr.certification_request_info.subject_pki.raw.to_vec() })
    }
}

/// The server's time of day when it answered.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// How long it lives from now on. A date outside of its validity is that of something in between.
fn lifetime(not_before: SystemTime, not_after: SystemTime, now: Option<SystemTime>) -> Duration {
    match now.filter(|now| (not_before..=not_after).contains(now)) {
        Some(now) => not_after.duration_since(now).unwrap_or_default(),
        None => not_after.duration_since(not_before).unwrap_or_default().saturating_sub(BACKDATED),
    }
}

fn check_names(leaf: &X509Certificate<'_>, asked: &Asked<'_>) -> Result<()> {
    let sans = leaf.subject_alternative_name().map_err(|_| unreadable())?;
    let sans = sans.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let request = asked.request;
    let missing = |name: String| {
        let error = not_as_asked("the certificate lacks a name that was asked for");
        let error = error.with("name", name);
        Err(match asked.csr {
            Some(_) => error.hint(
                "put the name into the CSR, or set the role's `use_csr_sans` and `use_csr_common_name` to false",
            ),
            None => error.hint(
                "check the role's allowed_domains, allowed_uri_sans and allow_ip_sans: the server leaves some names \
                 out without a word",
            ),
        })
    };
    let has_dns_name = |name: &str| {
        sans.iter()
            .any(|san| matches!(san, GeneralName::DNSName(dns) if dns.eq_ignore_ascii_case(name)))
    };
    if let Some(name) = request.expected_dns_names().find(|name| !has_dns_name(name)) {
        return missing(name.to_owned());
    }
    let has_address = |address: &IpAddr| {
        sans.iter().any(|san| match (san, address) {
            (GeneralName::IPAddress(bytes), IpAddr::V4(v4)) => *bytes == v4.octets(),
            (GeneralName::IPAddress(bytes), IpAddr::V6(v6)) => *bytes == v6.octets(),
            _ => false,
        })
    };
    if let Some(address) = request.ip_addresses.iter().find(|address| !has_address(address)) {
        return missing(address.to_string());
    }
    let has_uri =
        |uri: &str| sans.iter().any(|san| matches!(san, GeneralName::URI(found) if *found == uri));
    if let Some(uri) = request.uris.iter().find(|uri| !has_uri(uri)) {
        return missing(uri.clone());
    }
    let has_common_name = |name: &str| {
        leaf.subject()
            .iter_common_name()
            .any(|found| found.as_str().is_ok_and(|found| found == name))
    };
    match request.common_name.as_deref().filter(|name| !has_common_name(name)) {
        Some(name) => missing(name.to_owned()),
        None => Ok(()),
    }
}

pub(super) fn certificate_der(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())
}

pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(unreadable()),
    }
}

/// When a certificate that the engine keeps ends, and which number it has.
pub(super) fn describe(pem: &str) -> Result<(String, SystemTime)> {
    let der = certificate_der(pem)?;
    let certificate = parse(&der)?;
    let not_after = time(certificate.validity().not_after).ok_or_else(unreadable)?;
    Ok((serial_number(certificate.raw_serial()), not_after))
}

/// Whether TLS uses keys of the certificate's type: of those that the engine makes, all but P-224.
fn is_for_tls(der: &CertificateDer<'_>) -> bool {
    parse(der).is_ok_and(|leaf| match leaf.public_key().parsed() {
        Ok(PublicKey::EC(point)) => point.key_size() > 224,
        _ => true,
    })
}

fn is_self_issued(der: &CertificateDer<'_>) -> bool {
    parse(der).is_ok_and(|ca| ca.subject().as_raw() == ca.issuer().as_raw())
}

fn time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// As the engine writes it. In DER, a zero byte keeps large numbers from being negative.
fn serial_number(raw: &[u8]) -> String {
    let number = match raw {
        [0, number @ ..] if !number.is_empty() => number,
        number => number,
    };
    number.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Unexpected, "the answer holds no certificate that can be read")
        .hint("name the mount of a `pki` engine")
}

fn not_as_asked(message: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, message)
        .hint("check the role, and what stands in front of the server; do not use the certificate")
}

#[cfg(test)]
pub(in crate::pki) mod tests;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    SerialNumber,
};

use super::*;

/// An authority in memory, whose certificates look like those of the engine.
pub(in crate::pki) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// 2026-11-28T00:00:00Z, when they are issued.
const NOW: u64 = 1_795_824_000;

impl Authority {
    pub(in crate::pki) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Test Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::pki) fn pem(&self) -> String {
        self.0.pem()
    }

    fn params(common_name: &str, lifetime: u64) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
            params.subject_alt_names.push(SanType::DnsName(common_name.try_into().unwrap()));
        }
        params.not_before = (UNIX_EPOCH + Duration::from_secs(NOW - 30)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(NOW + lifetime)).into();
        params.serial_number = Some(SerialNumber::from(fastrand::u64(1 << 62..1 << 63)));
        params
    }

    fn told(&self, params: &CertificateParams, key: &KeyPair) -> Told {
        Told {
            certificate: params.signed_by(key, &self.0).unwrap().pem(),
            issuing_ca: Some(self.pem()),
            ca_chain: Some(vec![self.pem()]),
            private_key: Some(key.serialize_pem().into()),
        }
    }

    /// A certificate of an hour.
    pub(in crate::pki) fn issue(&self) -> IssuedCertificate {
        self.issue_for(Duration::from_secs(3600))
    }

    pub(in crate::pki) fn issue_for(&self, lifetime: Duration) -> IssuedCertificate {
        let key = KeyPair::generate().unwrap();
        let told = self.told(&Self::params("a.example.com", lifetime.as_secs()), &key);
        let request = CertificateRequest::new();
        let certificate = SignedCertificate::accept(told, &asked(&request)).unwrap();
        IssuedCertificate::accept(certificate, key.serialize_pem().into()).unwrap()
    }

    fn accept(&self, params: &CertificateParams, asked: &Asked<'_>) -> Result<SignedCertificate> {
        SignedCertificate::accept(self.told(params, &KeyPair::generate().unwrap()), asked)
    }
}

fn asked(request: &CertificateRequest) -> Asked<'_> {
    let answered_at = Some(UNIX_EPOCH + Duration::from_secs(NOW));
    Asked { request, csr: None, sent_at: Instant::now(), answered_at }
}

fn request() -> CertificateRequest {
    CertificateRequest::new().with_common_name("a.example.com")
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_as_asked_is_taken() {
    let mut params = Authority::params("a.example.com", 3600);
    params.subject_alt_names.extend([
        SanType::DnsName("B.example.com".try_into().unwrap()),
        SanType::IpAddress([10, 0, 0, 1].into()),
        SanType::IpAddress("::1".parse().unwrap()),
        SanType::URI("spiffe://example.com/a".try_into().unwrap()),
    ]);
    let request = request()
        .with_dns_name("b.example.com")
        .with_ip_address([10, 0, 0, 1].into())
        .with_ip_address("::1".parse().unwrap())
        .with_uri("spiffe://example.com/a")
        .with_ttl(Duration::from_secs(3600));
    let certificate = Authority::new().accept(&params, &asked(&request)).unwrap();
    assert!(!certificate.is_capped());
    assert_eq!(certificate.lifetime(), Duration::from_secs(3600));
    assert_eq!(certificate.not_after(), UNIX_EPOCH + Duration::from_secs(NOW + 3600));
    assert_eq!(certificate.not_before(), UNIX_EPOCH + Duration::from_secs(NOW - 30));
    tokio::time::advance(Duration::from_secs(3599)).await;
    assert!(!certificate.has_expired());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(certificate.has_expired());
}

#[tokio::test]
async fn a_name_that_is_missing_is_an_error() {
    let params = Authority::params("a.example.com", 3600);
    let authority = Authority::new();
    for (request, missing) in [
        (request().with_dns_name("b.example.com"), "b.example.com"),
        (request().with_ip_address([10, 0, 0, 1].into()), "10.0.0.1"),
        (request().with_uri("spiffe://example.com/a"), "spiffe://example.com/a"),
        (CertificateRequest::new().with_common_name("bot user"), "bot user"),
    ] {
        let error = authority.accept(&params, &asked(&request)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        assert_eq!(error.context("name"), Some(missing));
        assert!(error.hint_text().contains("role"), "{error:#}");
    }
}

#[tokio::test]
async fn a_shorter_life_is_told_and_a_longer_one_refused() {
    let authority = Authority::new();
    let ttl = |seconds| request().with_ttl(Duration::from_secs(seconds));
    let accept = |request: &CertificateRequest, lifetime| {
        authority.accept(&Authority::params("a.example.com", lifetime), &asked(request))
    };
    assert!(accept(&ttl(7200), 3600).unwrap().is_capped());
    assert!(accept(&ttl(15), 10).unwrap().is_capped());
    assert!(!accept(&ttl(3600), 3600).unwrap().is_capped());
    assert!(!accept(&request(), 3600).unwrap().is_capped());
    let error = accept(&ttl(60), 3600).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.hint_text().contains("not_after"), "{error:#}");
}

/// Asking took time, and the life that was asked for began at the server meanwhile.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_no_cap() {
    let request = request().with_ttl(Duration::from_secs(60));
    let asked = asked(&request);
    tokio::time::advance(Duration::from_secs(20)).await;
    let params = Authority::params("a.example.com", 45);
    assert!(!Authority::new().accept(&params, &asked).unwrap().is_capped());
}

#[test]
fn without_a_date_the_backdating_is_taken_off() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(NOW + seconds);
    let seconds = Duration::from_secs;
    assert_eq!(lifetime(at(0), at(90), Some(at(40))), seconds(50));
    assert_eq!(lifetime(at(0), at(90), None), seconds(60));
    // The clock of something in between.
    assert_eq!(lifetime(at(0), at(90), Some(at(91))), seconds(60));
    assert_eq!(lifetime(at(0), at(20), None), seconds(0));
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_that_is_over_is_refused() {
    let (authority, request) = (Authority::new(), request());
    let key = KeyPair::generate().unwrap();
    let told = authority.told(&Authority::params("a.example.com", 60), &key);
    let leaf = told.certificate.clone();
    let error =
        SignedCertificate::accept(Told { ca_chain: Some(vec![leaf]), ..told }, &asked(&request));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unexpected);
    let over = authority.accept(&Authority::params("a.example.com", 0), &asked(&request));
    assert_eq!(over.unwrap_err().kind(), ErrorKind::Unexpected);
    for garbage in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
        let told = Told {
            certificate: garbage.to_owned(),
            issuing_ca: None,
            ca_chain: None,
            private_key: None,
        };
        let error = SignedCertificate::accept(told, &asked(&request)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let certificate = authority.issue().certificate().clone();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let error = IssuedCertificate::accept(certificate.clone(), other.as_str().into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(!format!("{error:?}").contains(&other[30..60]));
    let error = IssuedCertificate::accept(certificate, "hunter2".into()).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:#}");
}

#[tokio::test]
async fn a_certificate_for_another_key_than_the_csrs_is_refused() {
    let (authority, request) = (Authority::new(), CertificateRequest::new());
    let key = KeyPair::generate().unwrap();
    let params = Authority::params("a.example.com", 3600);
    let requested = CertificateParams::new(Vec::new()).unwrap();
    let pem = requested.serialize_request(&key).unwrap().pem().unwrap();
    let csr = Csr::parse(&pem).unwrap();
    let asked = Asked { csr: Some(&csr), ..asked(&request) };
    SignedCertificate::accept(authority.told(&params, &key), &asked).unwrap();
    let error = authority.accept(&params, &asked).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    for garbage in ["", "nonsense", &authority.pem()] {
        let error = Csr::parse(garbage).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn serial_numbers_are_those_of_the_engine() {
    assert_eq!(serial_number(&[0x46, 0x84, 0x0f]), "46:84:0f");
    assert_eq!(serial_number(&[0, 0x84]), "84");
    assert_eq!(serial_number(&[0]), "00");
}

#[tokio::test]
async fn debug_does_not_show_the_key() {
    let issued = Authority::new().issue();
    let shown = format!("{issued:?}");
    assert!(shown.contains("[REDACTED]") && !shown.contains("PRIVATE KEY"), "{shown}");
}

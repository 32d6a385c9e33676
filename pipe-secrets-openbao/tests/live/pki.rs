//! Certificates of a real PKI engine, and TLS with them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind, Namespace};
use pipe_secrets_openbao::{
    Auth, CertificateIssuer, CertificateRequest, RotatingCertificate, RotationEvent, RotationState,
};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::admin::Admin;
use crate::server::{self, Server};
use crate::setup::{config, plugin, token};

const HOUR: Duration = Duration::from_secs(3600);
const SPIFFE: &str = "spiffe://example.com/shop";

/// A root at `root`, an authority below it at `pki`, and the role `web` there.
async fn engine(admin: &Admin, namespace: &str) {
    for mount in ["root", "pki"] {
        let engine = json!({ "type": "pki", "config": { "max_lease_ttl": "87600h" } });
        admin.write(namespace, &format!("sys/mounts/{mount}"), engine).await;
    }
    let text = |answer: &Value, field: &str| {
        answer["data"][field].as_str().expect("the answer has the field").to_owned()
    };
    let root = json!({ "common_name": "Root", "key_type": "ec", "key_bits": 256, "ttl": "87600h" });
    let root = admin.write(namespace, "root/root/generate/internal", root).await;
    let below = json!({ "common_name": "Issuer", "key_type": "ec", "key_bits": 256 });
    let below = admin.write(namespace, "pki/intermediate/generate/internal", below).await;
    let sign = json!({ "csr": text(&below, "csr"), "common_name": "Issuer", "ttl": "8760h" });
    let signed = admin.write(namespace, "root/root/sign-intermediate", sign).await;
    let both = format!("{}\n{}", text(&signed, "certificate"), text(&root, "certificate"));
    admin.write(namespace, "pki/intermediate/set-signed", json!({ "certificate": both })).await;
    role(admin, namespace, "web", json!({})).await;
}

/// A role that differs in these settings.
async fn role(admin: &Admin, namespace: &str, name: &str, settings: Value) {
    let mut role = json!({
        "allowed_domains": ["example.com", "localhost"],
        "allow_subdomains": true,
        "allow_bare_domains": true,
        "allowed_uri_sans": ["spiffe://example.com/*"],
        "key_type": "ec",
        "key_bits": 256,
        "max_ttl": "2h",
        "require_cn": false,
    });
    for (setting, value) in settings.as_object().into_iter().flatten() {
        role[setting] = value.clone();
    }
    admin.write(namespace, &format!("pki/roles/{name}"), role).await;
}

/// What a service needs, and no more.
const POLICY: &str = r#"
path "pki/issue/*" { capabilities = ["update"] }
path "pki/sign/*"  { capabilities = ["update"] }
path "pki/revoke"  { capabilities = ["update"] }
"#;

async fn issuer_of(server: &Server, namespace: &str, role: &str) -> CertificateIssuer {
    let made = server.admin().token(namespace, &["service"], "10m", json!({})).await;
    issuer(server, namespace, "pki", role, token(made))
}

fn issuer(
    server: &Server,
    namespace: &str,
    mount: &str,
    role: &str,
    auth: Auth,
) -> CertificateIssuer {
    let bao = plugin(config(server.address(), namespace, auth));
    bao.certificates(mount, role).expect("legal names")
}

/// A namespace of its own with an engine, and the role `web` in it.
async fn web() -> Option<(&'static Server, String, CertificateIssuer)> {
    let server = server::shared().await?;
    let namespace = server.admin().fresh_namespace().await;
    engine(server.admin(), &namespace).await;
    server.admin().policy(&namespace, "service", POLICY).await;
    let issuer = issuer_of(server, &namespace, "web").await;
    Some((server, namespace, issuer))
}

fn request() -> CertificateRequest {
    CertificateRequest::new().with_common_name("shop.example.com").with_ttl(HOUR)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

#[tokio::test]
async fn all_kinds_of_names() {
    let Some((_, _, issuer)) = web().await else { return };
    let addresses: [IpAddr; 2] = [[10, 0, 0, 7].into(), "2001:db8::7".parse().unwrap()];
    let request = request()
        .with_dns_name("*.shop.example.com")
        .with_ip_address(addresses[0])
        .with_ip_address(addresses[1])
        .with_uri(SPIFFE)
        .with_uri("spiffe://example.com/a,b");
    let issued = issuer.generate_certificate(&request).await.unwrap();
    assert!(!issued.is_capped());
    assert!(issued.private_key().expose().starts_with(b"-----BEGIN PRIVATE KEY-----"));
    assert_eq!(issued.ca_chain().len(), 2);
    let left = issued.not_after().duration_since(SystemTime::now()).unwrap();
    assert!(left <= HOUR && left > HOUR - Duration::from_secs(60), "{left:?}");
    assert!(issued.not_before() < SystemTime::now());
    let leaf = der(issued.pem());
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let sans = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len();
    assert_eq!(sans, 6);
}

#[tokio::test]
async fn a_spiffe_id_alone() {
    let Some((server, namespace, issuer)) = web().await else { return };
    let workload = CertificateRequest::new().with_uri(SPIFFE).with_ttl(HOUR);
    let issued = issuer.generate_certificate(&workload).await.unwrap();
    let leaf = der(issued.pem());
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
    role(server.admin(), &namespace, "named", json!({ "require_cn": true })).await;
    let issuer = issuer_of(server, &namespace, "named").await;
    let error = issuer.generate_certificate(&workload).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "require_cn");
}

#[tokio::test]
async fn the_common_name_may_stay_out_of_the_sans() {
    let Some((_, _, issuer)) = web().await else { return };
    let request = request().with_uri(SPIFFE).exclude_cn_from_sans();
    let issued = issuer.generate_certificate(&request).await.unwrap();
    let leaf = der(issued.pem());
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let sans = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len();
    assert_eq!(sans, 1);
}

/// The server answers 200, with a warning.
#[tokio::test]
async fn a_lifetime_that_is_capped() {
    let Some((_, _, issuer)) = web().await else { return };
    let issued = issuer.generate_certificate(&request().with_ttl(48 * HOUR)).await.unwrap();
    assert!(issued.is_capped());
    let left = issued.certificate().remaining();
    assert!(left <= 2 * HOUR && left > 2 * HOUR - Duration::from_secs(60), "{left:?}");
    let unasked = CertificateRequest::new().with_common_name("shop.example.com");
    assert!(!issuer.generate_certificate(&unasked).await.unwrap().is_capped());
}

#[tokio::test]
async fn a_namespace_below() {
    let Some(server) = server::shared().await else { return };
    let admin = server.admin();
    let above = admin.fresh_namespace().await;
    let below = admin.namespace(&format!("{above}/below")).await;
    engine(admin, &below).await;
    let issuer = issuer(server, &above, "pki", "web", token(admin.root_token()));
    let error = issuer.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "mount");
    let issuer = issuer.in_namespace(Namespace::new("below").unwrap());
    issuer.generate_certificate(&request()).await.unwrap();
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
    assert!(!error.operation().is_empty(), "{error:#}");
}

#[tokio::test]
async fn names_that_the_role_does_not_allow() {
    let Some((server, namespace, issuer)) = web().await else { return };
    for refused in [
        request().with_dns_name("shop.evil.test"),
        request().with_uri("spiffe://evil.test/shop"),
        CertificateRequest::new().with_common_name("evil.test"),
    ] {
        let error = issuer.generate_certificate(&refused).await.unwrap_err();
        expect(&error, ErrorKind::PermissionDenied, "allowed_uri_sans");
        assert_eq!(error.context("role"), Some("web"));
    }
    role(server.admin(), &namespace, "no-ip", json!({ "allow_ip_sans": false })).await;
    let no_ip = issuer_of(server, &namespace, "no-ip").await;
    let refused = request().with_ip_address([10, 0, 0, 7].into());
    let error = no_ip.generate_certificate(&refused).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "allow_ip_sans");
}

#[tokio::test]
async fn roles_mounts_and_policies_that_are_not_there() {
    let Some((server, namespace, _)) = web().await else { return };
    let admin = server.admin();
    let nosuch = issuer_of(server, &namespace, "nosuch").await;
    let error = nosuch.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "role");
    let root = || token(admin.root_token());
    let unmounted = issuer(server, &namespace, "nosuch", "web", root());
    let error = unmounted.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "mount of a `pki` engine");
    expect(&unmounted.crl().await.unwrap_err(), ErrorKind::NotFound, "mount of a `pki` engine");
    let other = issuer(server, &namespace, "secret", "web", root());
    let error = other.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::ConfigInvalid, "mount of a `pki` engine");

    let made = admin.token(&namespace, &[], "10m", json!({})).await;
    let denied = issuer(server, &namespace, "pki", "web", token(made));
    let error = denied.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant `update` on \"pki/issue/web\"");
    let error = denied.sign_csr(&csr("shop.example.com").0, &request()).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant `update` on \"pki/sign/web\"");
    let error = denied.revoke("00:11").await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "grant `update` on \"pki/revoke\"");
}

#[tokio::test]
async fn lifetimes_and_authorities_that_do_not_fit() {
    let Some((server, namespace, _)) = web().await else { return };
    let admin = server.admin();
    role(admin, &namespace, "long", json!({ "max_ttl": "80000h" })).await;
    let long = issuer_of(server, &namespace, "long").await;
    let error = long.generate_certificate(&request().with_ttl(20_000 * HOUR)).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "leaf_not_after_behavior");
    role(admin, &namespace, "fixed", json!({ "not_after": "2099-01-01T00:00:00Z" })).await;
    let fixed = issuer_of(server, &namespace, "fixed").await;
    let error = fixed.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "not_after");
    role(admin, &namespace, "orphan", json!({ "issuer_ref": "nosuch" })).await;
    let orphan = issuer_of(server, &namespace, "orphan").await;
    let error = orphan.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::ConfigInvalid, "issuer_ref");
    // Of the types that the engine makes, TLS does not use this one.
    role(admin, &namespace, "p224", json!({ "key_bits": 224 })).await;
    let p224 = issuer_of(server, &namespace, "p224").await;
    p224.generate_certificate(&request()).await.unwrap();
    #[cfg(feature = "rustls")]
    {
        let rotating = RotatingCertificate::start(p224, request()).await.unwrap();
        expect(&rotating.resolver().unwrap_err(), ErrorKind::Unsupported, "key_type");
    }
    for (kind, bits) in [("ed25519", 0), ("rsa", 2048), ("ec", 384), ("ec", 521)] {
        role(admin, &namespace, "kind", json!({ "key_type": kind, "key_bits": bits })).await;
        let issuer = issuer_of(server, &namespace, "kind").await;
        let issued = issuer.generate_certificate(&request()).await.unwrap();
        #[cfg(feature = "rustls")]
        assert!(issued.certified_key().is_some(), "{kind} {bits}");
        drop(issued);
    }
    role(admin, &namespace, "any", json!({ "key_type": "any", "key_bits": 0 })).await;
    let any = issuer_of(server, &namespace, "any").await;
    let error = any.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "key_type");
}

#[tokio::test]
async fn a_sealed_server() {
    let Some(server) = Server::persistent().await else { return };
    let namespace = server.admin().fresh_namespace().await;
    engine(server.admin(), &namespace).await;
    let issuer = issuer(&server, &namespace, "pki", "web", token(server.admin().root_token()));
    let rotating = RotatingCertificate::start(issuer.clone(), request()).await.unwrap();
    server.seal().await;
    let error = issuer.generate_certificate(&request()).await.unwrap_err();
    expect(&error, ErrorKind::Unavailable, "unseal");
    assert!(error.is_retryable());
    let serial = rotating.current().serial_number().to_owned();
    expect(&rotating.rotate_now().await.unwrap_err(), ErrorKind::Unavailable, "unseal");
    assert!(matches!(rotating.state(), RotationState::Failing(_)));
    assert_eq!(rotating.current().serial_number(), serial);
}

/// A CSR for this name, and its key.
fn csr(name: &str) -> (String, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a legal name");
    params.distinguished_name.push(DnType::CommonName, name);
    (params.serialize_request(&key).expect("a request").pem().expect("a request"), key)
}

#[tokio::test]
async fn a_csr_is_signed_for_its_own_key() {
    let Some((server, namespace, issuer)) = web().await else { return };
    let (pem, key) = csr("shop.example.com");
    let signed = issuer.sign_csr(&pem, &request()).await.unwrap();
    assert!(!signed.is_capped());
    let leaf = der(signed.pem());
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    use rcgen::PublicKeyData as _;
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());

    // The names of the request are ignored with 200 and a warning, unless the role says else.
    let more = request().with_dns_name("more.example.com");
    let error = issuer.sign_csr(&pem, &more).await.unwrap_err();
    expect(&error, ErrorKind::Unexpected, "use_csr_sans");
    assert_eq!(error.context("name"), Some("more.example.com"));
    let ours = json!({ "use_csr_sans": false, "use_csr_common_name": false });
    role(server.admin(), &namespace, "ours", ours).await;
    issuer_of(server, &namespace, "ours").await.sign_csr(&pem, &more).await.unwrap();

    let (evil, _) = csr("evil.test");
    let error = issuer.sign_csr(&evil, &CertificateRequest::new()).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "allowed_domains");
    role(server.admin(), &namespace, "rsa", json!({ "key_type": "rsa", "key_bits": 2048 })).await;
    let rsa = issuer_of(server, &namespace, "rsa").await;
    let error = rsa.sign_csr(&pem, &request()).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "key_type");
    let error = issuer.sign_csr("nonsense", &request()).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "PKCS#10");
}

#[tokio::test]
async fn a_revoked_certificate_is_on_the_list() {
    let Some((server, namespace, issuer)) = web().await else { return };
    let issued = issuer.generate_certificate(&request()).await.unwrap();
    let serial = issued.serial_number();
    let stored = issuer.read_certificate(serial).await.unwrap().unwrap();
    assert_eq!(stored.pem, issued.pem());
    assert_eq!(stored.not_after, issued.not_after());
    assert_eq!(stored.revoked_at, None);
    assert!(!revoked(&issuer).await.contains(&serial.to_owned()));

    let revoked_at = issuer.revoke(serial).await.unwrap();
    assert_eq!(issuer.revoke(serial).await.unwrap(), revoked_at, "it may be repeated");
    let stored = issuer.read_certificate(&serial.replace(':', "-")).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(revoked_at));
    assert!(revoked(&issuer).await.contains(&serial.to_owned()));

    assert_eq!(issuer.read_certificate("00:11:22").await.unwrap(), None);
    expect(&issuer.revoke("00:11:22").await.unwrap_err(), ErrorKind::NotFound, "no_store");
    let error = issuer.revoke("nonsense").await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "hexadecimal");
    role(server.admin(), &namespace, "unkept", json!({ "no_store": true })).await;
    let unkept = issuer_of(server, &namespace, "unkept").await;
    let issued = unkept.generate_certificate(&request()).await.unwrap();
    assert_eq!(unkept.read_certificate(issued.serial_number()).await.unwrap(), None);
}

/// The serial numbers on the list.
async fn revoked(issuer: &CertificateIssuer) -> Vec<String> {
    use rustls::pki_types::CertificateRevocationListDer;
    use x509_parser::revocation_list::CertificateRevocationList;
    let pem = issuer.crl().await.expect("there is a list");
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let (_, list) = CertificateRevocationList::from_der(&der).expect("a list");
    let revoked = list.iter_revoked_certificates();
    revoked.map(|one| one.raw_serial_as_string().trim_start_matches("00:").to_owned()).collect()
}

/// A life of few seconds, as the server's clock counts it.
#[tokio::test]
async fn a_short_certificate_is_renewed_by_itself() {
    let Some((_, _, issuer)) = web().await else { return };
    let short = request().with_ttl(Duration::from_secs(6));
    let rotating = RotatingCertificate::start(issuer, short).await.unwrap();
    let first = rotating.current();
    let mut events = rotating.subscribe();
    let event = tokio::time::timeout(Duration::from_secs(60), events.recv()).await.unwrap();
    let RotationEvent::Renewed { serial_number, .. } = event.unwrap() else {
        panic!("it is renewed");
    };
    assert_ne!(serial_number, first.serial_number());
    assert!(!first.has_expired(), "it was renewed in time");
    assert_ne!(rotating.current().private_key(), first.private_key());
}

#[cfg(feature = "rustls")]
mod tls {
    use std::collections::HashSet;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use rustls::client::{Resumption, WebPkiServerVerifier};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    const HANDSHAKES: usize = 10_000;
    const ROTATIONS: usize = 20;
    const CLIENTS: usize = 8;

    fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn roots(authority_pem: &str) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(der(authority_pem)).expect("a certificate of an authority");
        roots
    }

    fn server_config(
        certificate: &RotatingCertificate,
        clients: Option<RootCertStore>,
    ) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(provider());
        let config = config.with_safe_default_protocol_versions().expect("the provider has them");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(roots) => {
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                config.with_client_cert_verifier(verifier.build().expect("the roots are sound"))
            }
        };
        let mut config =
            config.with_cert_resolver(certificate.resolver().expect("TLS uses such keys"));
        // Every handshake is to be a whole one.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config
    }

    fn client_config(authority_pem: &str, own: Option<&RotatingCertificate>) -> ClientConfig {
        let config = ClientConfig::builder_with_provider(provider());
        let config = config.with_safe_default_protocol_versions().expect("the provider has them");
        let roots = Arc::new(roots(authority_pem));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider());
        let config = config.with_webpki_verifier(verifier.build().expect("the roots are sound"));
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                config.with_client_cert_resolver(own.resolver().expect("TLS uses such keys"))
            }
        };
        config.resumption = Resumption::disabled();
        config
    }

    /// Echoes a byte on each connection, and counts those that fail.
    async fn serve(config: ServerConfig) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let failures = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&failures);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket takes the option");
                let (acceptor, failures) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let served = async {
                        let mut stream = acceptor.accept(stream).await?;
                        let byte = stream.read_u8().await?;
                        stream.write_u8(byte).await?;
                        stream.shutdown().await
                    };
                    if served.await.is_err() {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        (address, failures)
    }

    /// A whole handshake; the certificate that the server showed.
    async fn shake_hands(
        connector: &TlsConnector,
        address: SocketAddr,
    ) -> std::io::Result<CertificateDer<'static>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = "shop.example.com".try_into().expect("a DNS name");
        let mut stream = connector.connect(name, stream).await?;
        stream.write_u8(7).await?;
        assert_eq!(stream.read_u8().await?, 7);
        let (_, connection) = stream.get_ref();
        let kind = connection.handshake_kind();
        assert!(!matches!(kind, Some(rustls::HandshakeKind::Resumed)), "{kind:?}");
        Ok(connection.peer_certificates().expect("the server showed one")[0].clone().into_owned())
    }

    /// The server of each side is verified with nothing but the root.
    #[tokio::test]
    async fn both_sides_show_theirs_and_the_chain_verifies_them() {
        let Some((_, _, issuer)) = web().await else { return };
        let chain = issuer.ca_chain().await.unwrap();
        assert_eq!(chain.len(), 2);
        let root = chain.last().unwrap();
        let shop = RotatingCertificate::start(issuer.clone(), request()).await.unwrap();
        assert_eq!(shop.current().certificate().authority_pem(), root);
        let workload = CertificateRequest::new().with_uri(SPIFFE).with_ttl(HOUR);
        let workload = RotatingCertificate::start(issuer, workload).await.unwrap();
        let (address, failures) = serve(server_config(&shop, Some(roots(root)))).await;
        let connector = TlsConnector::from(Arc::new(client_config(root, Some(&workload))));
        for _ in 0..3 {
            let shown = shake_hands(&connector, address).await.unwrap();
            assert_eq!(shown, der(shop.current().pem()));
            shop.rotate_now().await.unwrap();
            workload.rotate_now().await.unwrap();
        }
        assert_eq!(failures.load(Ordering::Relaxed), 0);
        let anonymous = TlsConnector::from(Arc::new(client_config(root, None)));
        shake_hands(&anonymous, address).await.unwrap_err();
    }

    /// Certificate rotation under load: 10,000 handshakes across 20 rotations, none of which fails.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn handshakes_go_on_while_the_certificate_is_rotated() {
        let Some((_, _, issuer)) = web().await else { return };
        let rotating = RotatingCertificate::start(issuer, request()).await.unwrap();
        let root = rotating.current().certificate().authority_pem().to_owned();
        let (address, server_failures) = serve(server_config(&rotating, None)).await;
        let connector = TlsConnector::from(Arc::new(client_config(&root, None)));
        let (begun, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let started = std::time::Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
                let (seen, connector) = (Arc::clone(&seen), connector.clone());
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    while begun.fetch_add(1, Ordering::Relaxed) < HANDSHAKES {
                        match shake_hands(&connector, address).await {
                            Ok(shown) => {
                                let (_, leaf) = X509Certificate::from_der(&shown).unwrap();
                                seen.lock().unwrap().insert(leaf.raw_serial().to_vec());
                            }
                            Err(error) => failures.push(error.to_string()),
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    failures
                })
            })
            .collect();
        let mut rotated = HashSet::from([rotating.current().serial_number().to_owned()]);
        for rotation in 1..=ROTATIONS {
            while done.load(Ordering::Relaxed) < rotation * HANDSHAKES / (ROTATIONS + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let issued = rotating.rotate_now().await.unwrap();
            rotated.insert(issued.serial_number().to_owned());
        }
        let mut failures = Vec::new();
        for client in clients {
            failures.extend(client.await.unwrap());
        }
        let took = started.elapsed();
        let seen = seen.lock().unwrap().len();
        println!(
            "{} handshakes, {} rotations, {seen} serial numbers seen, {} failures, {took:?}",
            done.load(Ordering::Relaxed),
            rotated.len() - 1,
            failures.len(),
        );
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!(server_failures.load(Ordering::Relaxed), 0);
        assert_eq!(done.load(Ordering::Relaxed), HANDSHAKES);
        assert_eq!(rotated.len(), ROTATIONS + 1);
        assert!(seen > ROTATIONS, "{seen} serial numbers were seen");
        assert!(matches!(rotating.state(), RotationState::Current));
    }
}

//! A server with a certificate of a private authority.

use pipe_core::{ErrorKind, Plugin, SecretRef, SecretSource, SecretsPlugin};
use pipe_http::{CaBundle, HttpConfig};
use pipe_secrets_openbao::{CertAuth, OpenBaoConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::server::Server;
use crate::setup::{ALL, plugin, token};

struct Certificates {
    ca: String,
    server: (String, String),
    client: String,
}

fn issue_all() -> Certificates {
    let mut params = CertificateParams::new(Vec::new()).expect("rcgen makes it");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("rcgen makes it"))
        .expect("rcgen makes it");
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("rcgen makes it");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("rcgen makes it");
        (params.signed_by(&key, &ca).expect("rcgen makes it").pem(), key.serialize_pem())
    };
    let client = issue("bot");
    Certificates {
        ca: ca.pem(),
        server: issue("127.0.0.1"),
        client: format!("{}{}", client.0, client.1),
    }
}

/// REQ 001-16
#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_a_login() {
    let certificates = issue_all();
    let (certificate, key) = &certificates.server;
    let Some(server) = Server::tls(certificate, key, Some(&certificates.ca)).await else { return };
    let admin = server.admin();
    admin.policy("", "bot", ALL).await;
    admin.enable_auth("", "cert").await;
    let role = |name: &str| json!({ "certificate": certificates.ca, "allowed_dns_sans": [name], "token_policies": ["bot"] });
    admin.write("", "auth/cert/certs/bots", role("bot")).await;
    admin.write("", "auth/cert/certs/others", role("other")).await;
    let client = SecretSource::Value(certificates.client.as_str().into());
    let http = HttpConfig::new()
        .with_ca(CaBundle::pem(certificates.ca.as_str()))
        .with_client_certificate(client);
    let with =
        |auth: CertAuth| plugin(OpenBaoConfig::new(server.address(), auth).with_http(http.clone()));
    let secret = SecretRef::new("absent").unwrap();
    let bot = with(CertAuth::new("bots"));
    assert_eq!(bot.get_secret(&secret).await.unwrap(), None);
    bot.close().await.unwrap();
    // The role is the one that was asked for, and no other that would fit.
    for role in ["nosuch", "others"] {
        let error = with(CertAuth::new(role)).get_secret(&secret).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
        assert!(error.hint_text().contains("auth.role"), "{error:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_and_a_client_certificate_are_used() {
    let certificates = issue_all();
    let (certificate, key) = &certificates.server;
    let Some(server) = Server::tls(certificate, key, Some(&certificates.ca)).await else { return };
    let with = |http| {
        let root = token(server.admin().root_token());
        plugin(OpenBaoConfig::new(server.address(), root).with_http(http))
    };
    let secret = SecretRef::new("absent").unwrap();
    let trusted = HttpConfig::new().with_ca(CaBundle::pem(certificates.ca.as_str()));
    let client = SecretSource::Value(certificates.client.as_str().into());
    let both = trusted.clone().with_client_certificate(client);
    assert_eq!(with(both).get_secret(&secret).await.unwrap(), None);

    let error = with(trusted).get_secret(&secret).await.unwrap_err();
    // The server's alert can be overtaken by the end of the connection.
    let kinds = [ErrorKind::Unauthenticated, ErrorKind::Unavailable];
    assert!(kinds.contains(&error.kind()), "{error:#}");

    let stranger = issue_all();
    let error = with(HttpConfig::new().with_ca(CaBundle::pem(stranger.ca.as_str())))
        .get_secret(&secret)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
    assert!(error.hint_text().contains("ca"), "{error:#}");
}

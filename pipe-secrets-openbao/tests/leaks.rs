//! Our own credentials are seen nowhere either, not even when a hostile server repeats them
//! (REQ 004-72.7, 004-82.4, 004-85.1, 004-85.2). The secrets themselves are the suite's business.

use std::time::Duration;

use pipe_core::{Plugin, SecretData, SecretRef, SecretSource, SecretValue, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_openbao::{
    AppRoleAuth, Auth, CertificateRequest, JwtAuth, KubernetesAuth, OpenBao, OpenBaoConfig,
    RotatingCertificate, UserpassAuth,
};
use pipe_testkit::fake::{self, Fault};
use pipe_testkit::leak::Canary;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

async fn drive(server: &fake::OpenBao, canary: &Canary, auth: Auth) {
    canary.look_at_debug("the auth", &auth);
    let http = HttpConfig::new().with_timeout(Duration::from_secs(2));
    let config = OpenBaoConfig::new(server.address(), auth).with_http(http);
    canary.look_at_debug("the config", &config);
    let secret = SecretRef::new("apps/db").expect("legal");
    let faults = [
        None,
        Some(Fault::EchoSecrets(400)),
        Some(Fault::EchoSecrets(403)),
        Some(Fault::EchoSecrets(404)),
        Some(Fault::EchoSecrets(500)),
        Some(Fault::EchoSecrets(503)),
        Some(Fault::WrongShape200),
        Some(Fault::Reset),
    ];
    for fault in faults {
        server.clear_faults();
        // A plugin of its own for each fault: a failed login is not repeated within a second, and
        // its credentials would then not be sent at all.
        let plugin = OpenBao::new(config.clone()).expect("the settings are sound");
        if let Some(fault) = fault.clone() {
            server.inject(fault, "", usize::MAX);
        }
        let data = SecretData::new().with("password", canary.value());
        canary.look_at_result("create_secret", &plugin.create_secret(&secret, data).await);
        canary.look_at_result("get_secret", &plugin.get_secret(&secret).await);
        canary.look_at_result("read_secret", &plugin.read_secret("secret/data/apps/db").await);
        let leases = plugin.leases();
        canary.look_at_result("open", &leases.open("database/creds/app").await);
        canary.look_at_result("renew", &leases.renew("a/b", Duration::from_secs(60)).await);
        canary.look_at_result("lookup", &leases.lookup("a/b").await);
        canary.look_at_result("revoke", &leases.revoke("a/b").await);
        canary.look_at_debug("the leases", &leases);
        canary.look_at_result("delete_secret", &plugin.delete_secret(&secret).await);
        drive_engines(&plugin, canary).await;
        let issuer = plugin.certificates("pki", "web").expect("legal");
        canary.look_at_debug("the issuer", &issuer);
        let request = CertificateRequest::new().with_common_name("a.example.com");
        let issued = issuer.generate_certificate(&request).await;
        canary.look_at_result("generate_certificate", &issued);
        canary.look_at_result("revoke", &issuer.revoke("00:11").await);
        canary.look_at_result("crl", &issuer.crl().await);
        canary.look_at_debug("health", &plugin.health().await);
        canary.look_at_debug("the plugin", &plugin);
        canary.look_at_result("close", &plugin.close().await);
    }
    canary.assert_unseen();
}

/// The engines besides KV, of a server that repeats what it was sent.
async fn drive_engines(plugin: &OpenBao, canary: &Canary) {
    let secret = SecretValue::from(canary.value());
    let data = SecretData::new().with("password", canary.value());
    let cipher = plugin.cipher("transit", "k").expect("legal").bound_to(canary.value());
    canary.look_at_debug("a cipher", &cipher);
    canary.look_at_result("encrypt", &cipher.encrypt(&secret).await);
    canary.look_at_result("encrypt_all", &cipher.encrypt_all(std::slice::from_ref(&secret)).await);
    canary.look_at_result("decrypt", &cipher.decrypt(canary.value()).await);
    canary.look_at_result("decrypt_all", &cipher.decrypt_all(&[canary.value()]).await);
    let key = plugin.signing_key("transit", "k").expect("legal");
    canary.look_at_result("sign", &key.sign(canary.value().as_bytes()).await);
    let wrapping = plugin.wrapping();
    canary.look_at_result("wrap", &wrapping.wrap(&data, Duration::from_secs(60)).await);
    canary.look_at_result("unwrap", &wrapping.unwrap(&secret, "sys/wrapping/wrap").await);
    canary.look_at_result("rewrap", &wrapping.rewrap(&secret).await);
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(text.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    drive(&server, &canary, Auth::token(value(canary.value()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_works_is_not_shown() {
    let server = fake::OpenBao::start().await;
    // The fake's own tokens are as secret as a canary.
    let canary = Canary::of(&server.root_token());
    drive(&server, &canary, Auth::token(value(&server.root_token()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn role_and_secret_ids_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let auth = || AppRoleAuth::new(value(canary.value()), value(canary.value()));
    drive(&server, &canary, auth().into()).await;
    drive(&server, &canary, auth().with_wrapped_secret_id().into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let file = std::env::temp_dir().join(format!("pipe-leaks-{}", std::process::id()));
    std::fs::write(&file, canary.value()).unwrap();
    drive(&server, &canary, KubernetesAuth::new("bots").with_token_file(&file).into()).await;
    let audience = KubernetesAuth::new("bots").with_token_file(&file).with_audience("openbao");
    drive(&server, &canary, audience.into()).await;
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_and_a_password_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    drive(&server, &canary, JwtAuth::new("bots", value(canary.value())).into()).await;
    drive(&server, &canary, UserpassAuth::new("bot", value(canary.value())).into()).await;
}

/// A token's file with a line break in its middle made vaultrs panic.
#[tokio::test]
async fn a_broken_token_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let broken = format!("{0}\n{0}", canary.value());
    drive(&server, &canary, Auth::token(value(&broken))).await;
}

/// What the engine answers, with this key.
fn issued(certificate: &str, authority: &str, private_key: &Value) -> Fault {
    let data = json!({
        "certificate": certificate,
        "ca_chain": [authority],
        "private_key": private_key,
        "serial_number": "00",
    });
    let body = json!({
        "request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": data, "warnings": null, "auth": null, "wrap_info": null,
    });
    Fault::Status { code: 200, body: body.to_string(), headers: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_key_of_a_certificate_is_not_shown() {
    let server = fake::OpenBao::start().await;
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "a.example.com");
    let certificate = params.signed_by(&key, &authority).unwrap().pem();
    let pem = key.serialize_pem();
    // The first line is the same in all keys of the type, but for its end.
    let secret = &pem.lines().nth(1).expect("a key has lines")[40..];
    let (real, broken) = (Canary::of(secret), Canary::new());

    let config = OpenBaoConfig::new(server.address(), Auth::token(value(&server.root_token())));
    let issuer = OpenBao::new(config).unwrap().certificates("pki", "web").unwrap();
    let request = CertificateRequest::new().with_common_name("a.example.com");
    server.inject(issued(&certificate, &authority.pem(), &json!(pem)), "pki/issue", usize::MAX);
    let result = issuer.generate_certificate(&request).await;
    assert!(result.is_ok(), "{result:?}");
    real.look_at_result("generate_certificate", &result);
    let rotating = RotatingCertificate::start(issuer.clone(), request.clone()).await.unwrap();
    let mut events = rotating.subscribe();
    real.look_at_debug("the rotating certificate", &rotating);
    real.look_at_result("rotate_now", &rotating.rotate_now().await);
    real.look_at_debug("the event", &events.recv().await);
    #[cfg(feature = "rustls")]
    real.look_at_debug("the resolver", &rotating.resolver().unwrap());
    let directory = std::env::temp_dir().join(format!("pipe-leaks-pki-{}", std::process::id()));
    real.look_at_result("write_to", &rotating.write_to(&directory).await);
    std::fs::remove_dir_all(&directory).unwrap();
    let elsewhere = rotating.write_to("/dev/null/nowhere").await;
    assert!(elsewhere.is_err());
    real.look_at_result("write_to", &elsewhere);

    let text = broken.value();
    let header = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----");
    for (certificate, key) in [
        (certificate.as_str(), json!(text)),
        (certificate.as_str(), json!(header)),
        (certificate.as_str(), json!([text])),
        (certificate.as_str(), json!({ "key": text })),
        (text, json!(pem)),
    ] {
        server.clear_faults();
        server.inject(issued(certificate, &authority.pem(), &key), "pki/issue", usize::MAX);
        let result = issuer.generate_certificate(&request).await;
        assert!(result.is_err());
        for canary in [&real, &broken] {
            canary.look_at_result("generate_certificate", &result);
            canary.look_at_result("rotate_now", &rotating.rotate_now().await);
            canary.look_at_debug("the event", &events.recv().await);
            canary.look_at_debug("the state", &rotating.state());
        }
    }
    real.assert_unseen();
    broken.assert_unseen();
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_credentials_are_not_shown() {
    let server = fake::OpenBao::start().await;
    let canary = Canary::new();
    let body = format!(
        r#"{{"request_id":"x","lease_id":"database/creds/app/1","renewable":true,"lease_duration":60,
        "data":{{"password":"{}"}},"warnings":null,"auth":null,"wrap_info":null}}"#,
        canary.value()
    );
    let leased = Fault::Status { code: 200, body, headers: Vec::new() };
    server.inject(leased, "database/", usize::MAX);
    let auth = Auth::token(value(&server.root_token()));
    let plugin = OpenBao::new(OpenBaoConfig::new(server.address(), auth)).expect("sound");
    let secret = plugin.leases().open("database/creds/app").await.expect("the answer is leased");
    let mut events = secret.events();
    canary.look_at_debug("the lease", &secret);
    canary.look_at_debug("the events", &events);
    canary.look_at_debug("the credentials", &secret.current().expect("valid"));
    // The fake knows no such lease, so others are obtained.
    secret.suspect();
    let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    canary.look_at_debug("the event", &event);
    canary.look_at_result("close", &secret.close().await);
    canary.look_at_result("current of a closed one", &secret.current());
    canary.assert_unseen();
}

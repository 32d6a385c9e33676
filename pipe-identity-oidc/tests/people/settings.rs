//! Settings that cannot be used.

use std::time::Duration;

use pipe_core::{ErrorKind, SecretSource};
use pipe_identity_oidc::jwt::Algorithm;
use pipe_identity_oidc::{
    ClientAuthentication, IntrospectionConfig, IssuerConfig, Keys, LoginClient, RelyingParty,
    RelyingPartyConfig, SessionTimes, SessionsConfig,
};

use crate::client;

fn faults(config: RelyingPartyConfig) -> Vec<String> {
    let error = RelyingParty::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error.contexts().map(|(setting, _)| setting.to_owned()).collect()
}

fn no_sessions() -> SessionsConfig {
    serde_json::from_str(r#"{ "store": "memory", "max_logins": 0 }"#).unwrap()
}

#[test]
fn all_faults_are_told_at_once() {
    let secret = SecretSource::Value("secret".into());
    let issuer = IssuerConfig::new("http://idp.example")
        .with_introspection(IntrospectionConfig::new("rs", ClientAuthentication::none()));
    let key = ClientAuthentication::private_key_jwt(secret, Algorithm::Hs256);
    let mut config = RelyingPartyConfig::new(issuer, LoginClient::new("", key), "/callback")
        .with_name("a b")
        .with_post_logout_redirect_uri("https://shop.example/#out")
        .with_scope("two words")
        .with_audience("")
        .with_assurance("")
        .with_login_time(Duration::from_secs(2 * 3600))
        .with_session(SessionTimes::new().with_idle(Duration::ZERO).with_longest(Duration::MAX));
    config.sessions = no_sessions();
    let told = faults(config);
    for setting in [
        "name",
        "issuer.issuer",
        "issuer.introspection",
        "client.id",
        "client.authentication.algorithm",
        "redirect_uri",
        "post_logout_redirect_uri",
        "scopes",
        "audience",
        "assurance",
        "login_time",
        "session.idle",
        "session.longest",
        "sessions.max_logins",
    ] {
        assert!(told.iter().any(|told| told == setting), "{setting}: {told:?}");
    }
}

/// G5
#[test]
fn browsers_come_back_over_https_or_on_this_machine() {
    let with = |uri: &str| {
        RelyingPartyConfig::new(IssuerConfig::new("https://idp.example"), client(), uri)
    };
    for uri in [
        "http://shop.example/callback",
        "https://shop.example/callback#fragment",
        "shop.example/callback",
        "javascript:alert(1)",
        "",
    ] {
        assert_eq!(faults(with(uri)), ["redirect_uri"], "{uri}");
    }
    for uri in ["https://shop.example/callback?a=b", "http://127.0.0.1:8080/callback"] {
        assert!(RelyingParty::new(with(uri)).is_ok(), "{uri}");
    }
}

#[test]
fn a_shared_secret_is_no_provider_of_people() {
    let keys = Keys::Secret(SecretSource::Value("0123456789abcdef0123456789abcdef".into()));
    let issuer = IssuerConfig::new("https://idp.example")
        .with_keys(keys)
        .with_algorithms([Algorithm::Hs256]);
    let config = RelyingPartyConfig::new(issuer, client(), "https://shop.example/callback");
    assert_eq!(faults(config), ["issuer.keys"]);
}

#[test]
fn what_is_unknown_in_a_document_is_refused() {
    let document = serde_json::json!({
        "issuer": { "issuer": "https://idp.example" },
        "client": { "id": "shop", "authentication": { "method": "none" } },
        "redirect_uri": "https://shop.example/callback",
        "session": { "idle": "5m" },
    });
    let config: RelyingPartyConfig = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(config.session.idle, Duration::from_secs(300));
    for place in ["", "/issuer", "/client", "/session"] {
        let mut document = document.clone();
        document.pointer_mut(place).unwrap()["surprise"] = true.into();
        assert!(serde_json::from_value::<RelyingPartyConfig>(document).is_err(), "{place}");
    }
}

/// H2
#[test]
fn debug_shows_no_secret() {
    let client = LoginClient::new(
        "shop",
        ClientAuthentication::client_secret_basic(SecretSource::Value("do-not-print".into())),
    );
    let issuer = IssuerConfig::new("https://idp.example");
    let config = RelyingPartyConfig::new(issuer, client, "https://shop.example/callback");
    let login = RelyingParty::new(config.clone()).unwrap();
    assert!(!format!("{config:?} {login:?}").contains("do-not-print"));
}

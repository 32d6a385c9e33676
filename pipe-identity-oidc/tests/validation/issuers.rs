use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipe_core::identity::{ContextRequest, PrincipalKind, RoleResolver, TenantId};
use pipe_core::{Error, Plugin as _, SecretSource};
use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use pipe_identity_oidc::{
    ClientAuthentication, IntrospectionConfig, KeyTimes, Keys, Preset, SigningConfig,
};
use serde_json::json;

use super::*;

#[tokio::test]
async fn each_of_several_issuers_is_checked_by_its_own_rules() {
    let (one, other) = (TestIssuer::start().await, TestIssuer::start().await);
    let mapped_differently = IssuerConfig::new(other.url());
    let plugin = Oidc::new(config(&one, trusting(&one)).with_issuer(mapped_differently)).unwrap();
    let context = validate(&plugin, one.token().sign()).await.unwrap();
    assert_eq!(context.roles, [role("data_reader")].into());
    let context = validate(&plugin, other.token().sign()).await.unwrap();
    assert!(context.roles.is_empty());
    // One issuer cannot speak for the other.
    let forged = one.token().claim("iss", other.url()).sign();
    assert_eq!(fault(validate(&plugin, forged).await), TokenFault::BadSignature);
    let stranger = one.token().claim("iss", "https://stranger.example").sign();
    assert_eq!(fault(validate(&plugin, stranger).await), TokenFault::WrongIssuer);
}

#[tokio::test]
async fn our_own_tokens_are_taken_beside_those_of_an_issuer() {
    let issuer = TestIssuer::start().await;
    let signer = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let signing = SigningConfig::with_signer("https://us.example", signer);
    let plugin = Oidc::new(config(&issuer, trusting(&issuer)).with_signing(signing)).unwrap();
    assert!(validate(&plugin, issuer.token().sign()).await.is_ok());
    let request =
        pipe_core::identity::JwtRequest::new(pipe_core::identity::PrincipalId::new("bot").unwrap())
            .with_audience(AUDIENCE)
            .with_role(role("data_reader"));
    let own = plugin.generate_jwt(&request).await.unwrap();
    let expect = TokenExpectation::audience(AUDIENCE);
    let context = plugin.validate_token(&own.token, &expect).await.unwrap();
    assert_eq!(context.issuer, "https://us.example");
    assert_eq!(context.roles, [role("data_reader")].into());
    // Replacing the key refuses nobody.
    let next = Arc::new(SigningKey::generate(Algorithm::EdDsa).unwrap());
    plugin.issuer().unwrap().rotate(next).unwrap();
    assert!(plugin.validate_token(&own.token, &expect).await.is_ok());
    let newer = plugin.generate_jwt(&request).await.unwrap();
    assert!(plugin.validate_token(&newer.token, &expect).await.is_ok());
}

/// REQ 002-03
#[tokio::test]
async fn given_keys_need_no_network() {
    let mut issuer = TestIssuer::start().await;
    let jwks = issuer.jwks().to_string();
    let path = std::env::temp_dir().join(format!("pipe-oidc-jwks-{}", std::process::id()));
    std::fs::write(&path, &jwks).unwrap();
    let token = issuer.token().sign();
    issuer.stop().await;
    for keys in [Keys::Inline(jwks), Keys::File(path.clone())] {
        let plugin = Oidc::new(config(&issuer, trusting(&issuer).with_keys(keys))).unwrap();
        assert!(validate(&plugin, &token).await.is_ok());
        assert!(plugin.health().await.is_serving());
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_shared_secret_is_for_its_own_algorithms_alone() {
    let issuer = TestIssuer::start().await;
    let secret = [7; 32];
    let keys = || Keys::Secret(SecretSource::Value(secret.to_vec().into()));
    let trusted = trusting(&issuer).with_keys(keys()).with_algorithms([Algorithm::Hs256]);
    let plugin = Oidc::new(config(&issuer, trusted)).unwrap();
    let token = issuer.token().hmac(&secret).header("alg", "HS256").sign();
    validate(&plugin, token).await.unwrap();
    let mixed = [Algorithm::Hs256, Algorithm::Rs256];
    for trusted in [
        trusting(&issuer).with_keys(keys()),
        trusting(&issuer).with_keys(keys()).with_algorithms(mixed),
        trusting(&issuer).with_algorithms([Algorithm::Hs256]),
    ] {
        let error = Oidc::new(config(&issuer, trusted)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    }
}

/// REQ 002-17
#[tokio::test]
async fn a_tenant_template_takes_the_listed_tenants() {
    let issuer = TestIssuer::start().await;
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let tenant = |id: &str| TenantId::new(id).unwrap();
    let trusted = IssuerConfig::new(template)
        .with_preset(Preset::EntraId)
        .with_tenant(tenant("1a"))
        .with_keys(Keys::Inline(issuer.jwks().to_string()));
    let plugin = Oidc::new(config(&issuer, trusted)).unwrap();
    let token = |named: &str, tid: &str| {
        let iss = template.replace("{tenantid}", named);
        let token = issuer.token().claim("iss", iss).claim("tid", tid).claim("oid", "o1");
        token.header("typ", "JWT").sign()
    };
    let context = validate(&plugin, token("1a", "1a")).await.unwrap();
    assert_eq!(context.principal.id.as_str(), "1a:o1");
    assert_eq!(context.tenant, Some(tenant("1a")));
    assert_eq!(context.issuer, "https://login.microsoftonline.com/1a/v2.0");
    let request = ContextRequest::new(context);
    assert!(plugin.get_security_context(&request).await.is_ok());
    assert_eq!(fault(validate(&plugin, token("2b", "2b")).await), TokenFault::TenantMismatch);
    assert_eq!(fault(validate(&plugin, token("1a", "2b")).await), TokenFault::WrongIssuer);
    assert_eq!(fault(validate(&plugin, token("2b", "1a")).await), TokenFault::WrongIssuer);
}

#[tokio::test]
async fn both_spellings_of_google_are_one_issuer() {
    let issuer = TestIssuer::start().await;
    let trusted = IssuerConfig::new("https://accounts.google.com")
        .with_preset(Preset::GoogleWorkspace)
        .with_tenant(TenantId::new("corp.example").unwrap())
        .with_keys(Keys::Inline(issuer.jwks().to_string()));
    let plugin = Oidc::new(config(&issuer, trusted)).unwrap();
    let token = |iss: &str, hd: &str| {
        let token = issuer.token().claim("iss", iss).claim("hd", hd).header("typ", "JWT");
        token.sign()
    };
    for iss in ["https://accounts.google.com", "accounts.google.com"] {
        let context = validate(&plugin, token(iss, "corp.example")).await.unwrap();
        assert_eq!(context.issuer, "https://accounts.google.com");
    }
    let elsewhere = token("https://accounts.google.com", "gmail.example");
    assert_eq!(fault(validate(&plugin, elsewhere).await), TokenFault::TenantMismatch);
}

/// Okta's default for `sub` is the name that somebody logs in with, and the client for itself.
#[tokio::test]
async fn people_have_another_id_than_clients_at_okta() {
    let issuer = TestIssuer::start().await;
    let trusted = IssuerConfig::new("https://x.okta.com/oauth2/default")
        .with_preset(Preset::Okta)
        .with_keys(Keys::Inline(issuer.jwks().to_string()));
    let plugin = Oidc::new(config(&issuer, trusted)).unwrap();
    let token = |sub: &str| {
        let token = issuer.token().claim("iss", "https://x.okta.com/oauth2/default");
        token.claim("sub", sub).claim("cid", "0oa1").without("client_id").without_header("typ")
    };
    let person = token("alice@example.com").claim("uid", "00u1").sign();
    let person = validate(&plugin, person).await.unwrap().principal;
    assert_eq!((person.kind, person.id.as_str()), (PrincipalKind::User, "00u1"));
    let client = validate(&plugin, token("0oa1").sign()).await.unwrap().principal;
    assert_eq!((client.kind, client.id.as_str()), (PrincipalKind::Service, "0oa1"));
    let odd = token("0oa1").claim("uid", json!(null)).sign();
    assert_eq!(fault(validate(&plugin, odd).await), TokenFault::Malformed);
}

#[derive(Debug)]
struct Directory(Result<&'static str>);

#[async_trait]
impl RoleResolver for Directory {
    async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
        self.0.clone().map(|name| [role(name)].into())
    }
}

/// REQ 004-75.3
#[tokio::test]
async fn roles_that_are_resolved_take_the_place_of_those_in_the_token() {
    let issuer = TestIssuer::start().await;
    let with = |directory| {
        let config = config(&issuer, trusting(&issuer)).with_roles(Arc::new(directory));
        Oidc::new(config).unwrap()
    };
    let token = issuer.token().sign();
    let context = validate(&with(Directory(Ok("auditor"))), &token).await.unwrap();
    assert_eq!(context.roles, [role("auditor")].into());
    let down = Error::new(ErrorKind::Unavailable, "the directory is down");
    let error = validate(&with(Directory(Err(down))), &token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[track_caller]
fn faulty_settings(config: OidcConfig) -> String {
    let error = Oidc::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error.contexts().map(|(setting, _)| setting).collect::<Vec<_>>().join(", ")
}

#[test]
fn no_two_issuers_have_a_name_in_common() {
    let one = || IssuerConfig::new("https://a.example").or_issuer("https://a2.example");
    for other in ["https://a.example", "https://a2.example"] {
        for other in
            [IssuerConfig::new(other), IssuerConfig::new("https://b.example").or_issuer(other)]
        {
            let text = faulty_settings(OidcConfig::new().with_issuer(one()).with_issuer(other));
            assert!(text.contains("issuers[1].issuer"), "{text}");
        }
        let signer = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let signing = SigningConfig::with_signer(other, signer);
        let text = faulty_settings(OidcConfig::new().with_issuer(one()).with_signing(signing));
        assert!(text.contains("issuers[0].issuer"), "{text}");
    }
    let google = || IssuerConfig::new("https://accounts.google.com");
    let workspace = google().with_preset(Preset::GoogleWorkspace);
    let workspace = workspace.with_tenant(TenantId::new("corp.example").unwrap());
    let bare = IssuerConfig::new("accounts.google.com").with_keys(Keys::Inline("{}".to_owned()));
    let text = faulty_settings(OidcConfig::new().with_issuer(workspace).with_issuer(bare));
    assert!(text.contains("issuers[1].issuer"), "{text}");
}

#[test]
fn a_template_has_no_other_spelling() {
    let issuer = IssuerConfig::new("https://login.microsoftonline.com/{tenantid}/v2.0")
        .with_preset(Preset::EntraId)
        .with_tenant(TenantId::new("1a").unwrap())
        .or_issuer("https://sts.windows.net/1a/");
    let text = faulty_settings(OidcConfig::new().with_issuer(issuer));
    assert!(text.contains("issuers[0].also_known_as"), "{text}");
}

/// A time that no clock can count to would be a panic with the first token.
#[test]
fn nothing_is_remembered_for_ever() {
    let secret = SecretSource::Value("secret".into());
    let authentication = ClientAuthentication::client_secret_basic(secret);
    let ever = std::time::Duration::MAX;
    let introspection = IntrospectionConfig::new("us", authentication)
        .with_active_ttl(ever)
        .with_inactive_ttl(ever);
    let issuer = IssuerConfig::new("https://idp.example").with_introspection(introspection);
    let text = faulty_settings(OidcConfig::new().with_issuer(issuer).with_cache_ttl(ever));
    for setting in ["cache_ttl", "introspection.active_ttl", "introspection.inactive_ttl"] {
        assert!(text.contains(setting), "{setting}: {text}");
    }
}

/// What is to be changed is called as it is called in the settings.
#[test]
fn the_settings_of_keys_are_named_as_they_are_set() {
    let times = KeyTimes::new()
        .with_ttl(std::time::Duration::ZERO)
        .with_min_refresh(std::time::Duration::ZERO)
        .with_stale(std::time::Duration::MAX);
    let issuer = |keys| IssuerConfig::new("https://idp.example").with_keys(keys);
    let (bad, none) = (|| "http://idp.example/x".to_owned(), || "{}".to_owned());
    for (issuer, setting) in [
        (issuer(Keys::default()).with_key_times(times.clone()), "key_times.ttl"),
        (issuer(Keys::default()).with_key_times(times.clone()), "key_times.min_refresh"),
        (issuer(Keys::default()).with_key_times(times), "key_times.stale"),
        (issuer(Keys::Discovery(Some(bad()))), "keys.discovery"),
        (issuer(Keys::JwksUri(bad())), "keys.jwks_uri"),
        (issuer(Keys::Inline(none())), "keys.inline"),
        (issuer(Keys::File("/nowhere".into())), "keys.file"),
    ] {
        let text = faulty_settings(OidcConfig::new().with_issuer(issuer));
        assert!(text.contains(setting), "{setting}: {text}");
    }
}

#[test]
fn all_faults_of_the_settings_are_reported_at_once() {
    let twice = || IssuerConfig::new("https://idp.example");
    let config = OidcConfig::new()
        .with_name("has spaces")
        .with_issuer(twice())
        .with_issuer(twice().with_leeway(std::time::Duration::from_secs(301)))
        .with_issuer(IssuerConfig::new("http://idp.example"))
        .with_issuer(IssuerConfig::new("https://x.okta.com").with_preset(Preset::Okta))
        .with_signing(SigningConfig::new(
            "https://us.example",
            Algorithm::Hs256,
            SecretSource::Value("short".into()),
        ));
    let error = Oidc::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let faulty: Vec<_> = error.contexts().map(|(setting, _)| setting).collect();
    let inner = ["issuers[1].leeway", "issuers[2].issuer", "issuers[3].issuer", "signing"];
    assert_eq!(faulty, [&["name"], &inner[..], &["issuers[1].issuer"]].concat(), "{error}");
    assert!(!error.to_string().contains("short\""), "{error}");
}

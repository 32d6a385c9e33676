use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;

use super::*;
use crate::identity::{Principal, PrincipalId};
use crate::secrets::{SecretsCapabilities, WriteOutcome};
use crate::{Health, Plugin, SecretData};

const NOW: Duration = Duration::from_secs(1_000);
const SCHEMA: &str = r#"[
    { "key": "db", "scope": "public", "secret": "postgres" },
    { "key": "cache", "scope": "public" },
    { "key": "debug", "scope": "public", "environments": ["dev"] },
    { "key": "extra", "scope": "public", "required": false },
    { "key": "mail", "scope": "private" }
]"#;

fn places() -> BTreeMap<Environment, SecretPlace> {
    BTreeMap::from([
        (Environment::Development, SecretPlace::Prefix("dev".parse().unwrap())),
        (Environment::Production, SecretPlace::Namespace("crm-prod".parse().unwrap())),
    ])
}

fn broker() -> SecretBroker {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    SecretBroker::new(AppId::new("crm").unwrap(), schema, places())
        .unwrap()
        .with_clock(|| UNIX_EPOCH + NOW)
}

fn caller(id: &str) -> SecurityContext {
    let start = UNIX_EPOCH + NOW;
    let principal = Principal::user(PrincipalId::new(id).unwrap());
    SecurityContext::new(principal, "issuer", start, start + Duration::from_secs(60))
}

fn expired(id: &str) -> SecurityContext {
    SecurityContext { expires_at: UNIX_EPOCH + NOW, ..caller(id) }
}

/// Holds what it was given, or cannot be asked.
#[derive(Debug)]
struct Store(Result<Vec<&'static str>>);

#[async_trait]
impl Plugin for Store {
    fn name(&self) -> &str {
        "store"
    }
    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl SecretsPlugin for Store {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY
    }
    async fn get_secret(&self, secret: &SecretRef) -> Result<Option<Secret>> {
        let names = self.0.as_ref().map_err(Clone::clone)?;
        let is_there = names.contains(&secret.to_string().as_str());
        Ok(is_there.then(|| Secret::new(SecretData::new().with("value", "s3cr3t"))))
    }
    async fn create_secret(&self, _: &SecretRef, _: SecretData) -> Result<WriteOutcome> {
        Err(Error::unsupported("store", "create_secret"))
    }
}

/// REQ 003-09
#[test]
fn the_same_key_has_another_place_in_each_environment() {
    let place = |environment| {
        let db = broker().resolve("db", environment).unwrap();
        assert_eq!(db.path.to_string(), "/artifacts/crm/public/secrets/postgres");
        db.secret.to_string()
    };
    let development = place(Environment::Development);
    assert_eq!(development, "dev/artifacts/crm/public/secrets/postgres");
    let production = place(Environment::Production);
    assert_eq!(production, "crm-prod:artifacts/crm/public/secrets/postgres");
}

/// REQ 003-04, 003-06
#[tokio::test]
async fn a_private_key_means_the_secret_of_whoever_asks() {
    let explicit = broker().resolve_for(&caller("auth0|1"), "mail", Environment::Production);
    let path = "/artifacts/crm/users/auth0%7C1/secrets/mail";
    assert_eq!(explicit.unwrap().path.to_string(), path);
    let ambient = SecurityContext::scope(caller("auth0|2"), async {
        broker().resolve("mail", Environment::Production)
    });
    assert_eq!(ambient.await.unwrap().path.user().unwrap().as_str(), "auth0|2");
}

/// REQ 003-04
#[tokio::test]
async fn nobody_and_an_expired_caller_have_no_private_secret() {
    let nobody = broker().resolve("mail", Environment::Production).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::PermissionDenied);
    let expiry = ErrorKind::TokenRejected(TokenFault::Expired);
    for key in ["mail", "db"] {
        let explicit = broker().resolve_for(&expired("1"), key, Environment::Production);
        assert_eq!(explicit.unwrap_err().kind(), expiry);
        let ambient = SecurityContext::scope(expired("1"), async {
            broker().resolve(key, Environment::Production)
        });
        assert_eq!(ambient.await.unwrap_err().kind(), expiry);
    }
}

#[test]
fn an_equal_id_of_another_issuer_or_tenant_is_somebody_else() {
    let ours = TenantId::new("ours").unwrap();
    let broker = broker().with_issuer("issuer").with_tenant(ours.clone());
    let in_ours = caller("1").with_tenant(ours);
    let resolve = |caller: &SecurityContext| {
        let resolved = broker.resolve_for(caller, "mail", Environment::Production);
        resolved.map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!(resolve(&in_ours), Ok(()));
    let tenant = ErrorKind::TokenRejected(TokenFault::TenantMismatch);
    assert_eq!(resolve(&caller("1")), Err(tenant));
    let other = SecurityContext { issuer: "other".into(), ..in_ours };
    let issuer = ErrorKind::TokenRejected(TokenFault::WrongIssuer);
    assert_eq!(resolve(&other), Err(issuer));
    assert!(broker.resolve_for(&other, "db", Environment::Production).is_ok());
}

#[test]
fn a_service_with_the_id_of_a_person_can_be_kept_out() {
    let broker = broker().with_kind(PrincipalKind::User);
    let person = |kind| {
        let mut caller = caller("alice");
        caller.principal.kind = kind;
        caller
    };
    let resolve = |kind| broker.resolve_for(&person(kind), "mail", Environment::Production);
    assert!(resolve(PrincipalKind::User).is_ok());
    let error = resolve(PrincipalKind::Service).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn what_is_not_declared_names_what_is() {
    for key in ["DB", "", "../db"] {
        let error = broker().resolve(key, Environment::Production).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.context("known"), Some("cache db debug extra mail"));
    }
    let error = broker().resolve("debug", Environment::Production).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.context("environments"), Some("development"));
}

/// REQ 003-09
#[test]
fn environments_have_places_of_their_own() {
    let error = broker().resolve("db", Environment::Staging).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(error.context("environment"), Some("staging"));
    let mut places = places();
    places.insert(Environment::Staging, places[&Environment::Development].clone());
    let app = AppId::new("crm").unwrap();
    let error = SecretBroker::new(app, SecretSchema::default(), places).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn places_are_read_from_a_document() {
    let document = r#"{ "dev": { "prefix": "dev" }, "prod": { "namespace": "crm-prod" } }"#;
    let read: BTreeMap<Environment, SecretPlace> = serde_json::from_str(document).unwrap();
    assert_eq!(read, places());
    assert!(serde_json::from_str::<SecretPlace>(r#"{ "mount": "x" }"#).is_err());
}

/// REQ 003-04
#[tokio::test]
async fn only_the_required_and_absent_is_an_error() {
    let store = Store(Ok(vec!["crm-prod:artifacts/crm/users/7/secrets/mail"]));
    let environment = Environment::Production;
    let mail = broker().fetch_for(&caller("7"), &store, "mail", environment).await.unwrap();
    assert_eq!(mail.unwrap().data.get("value").unwrap().expose(), b"s3cr3t");
    assert_eq!(broker().fetch(&store, "extra", environment).await.unwrap(), None);
    let absent = [
        broker().fetch(&store, "db", environment).await,
        broker().fetch_for(&caller("8"), &store, "mail", environment).await,
    ];
    for error in absent.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.hint_text().contains("create the secret"));
    }
}

#[tokio::test]
async fn all_that_is_missing_is_said_at_once() {
    let keys = |keys: Vec<LogicalKey>| keys.iter().map(LogicalKey::to_string).collect::<Vec<_>>();
    let store = Store(Ok(vec!["dev/artifacts/crm/public/secrets/postgres"]));
    let development = broker().missing(&store, Environment::Development).await.unwrap();
    assert_eq!(keys(development), ["cache", "debug"]);
    let production = broker().missing(&store, Environment::Production).await.unwrap();
    assert_eq!(keys(production), ["cache", "db"]);
    let store = Store(Err(Error::new(ErrorKind::Unavailable, "down")));
    let error = broker().missing(&store, Environment::Production).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// REQ 003-04, 003-06
#[tokio::test]
async fn a_path_from_outside_is_public_or_the_callers_own() {
    let path = |path: &str| path.parse::<ArtifactPath>().unwrap();
    let (public, own) =
        (path("/artifacts/crm/public/secrets/x"), path("/artifacts/crm/users/auth0%7C1/secrets/x"));
    let (one, two) = (caller("auth0|1"), caller("auth0|2"));
    assert!(broker().authorize(&public).is_ok());
    assert!(broker().authorize_for(&one, &public).is_ok());
    assert!(broker().authorize_for(&one, &own).is_ok());
    SecurityContext::scope(one.clone(), async { broker().authorize(&own).unwrap() }).await;
    for refused in [
        broker().authorize(&own),
        broker().authorize_for(&two, &own),
        broker().authorize_for(&one, &path("/artifacts/erp/public/secrets/x")),
        broker().authorize_for(&one, &path("/artifacts/erp/users/auth0%7C1/secrets/x")),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    let error = broker().authorize_for(&expired("auth0|1"), &own).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Expired));
}

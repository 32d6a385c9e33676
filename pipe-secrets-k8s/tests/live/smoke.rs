//! The API server does what the other live tests rely on, as seen without the plugin.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::api::Login;
use crate::credentials::User;
use crate::server::shared;
use crate::setup::Subject;

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// A Secret with one key.
pub(crate) fn secret(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name },
        "data": { "password": BASE64_STANDARD.encode(value) },
    })
}

pub(crate) fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

#[tokio::test]
async fn a_created_secret_can_be_read() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);

    server.admin().create(&path, &secret("db", "s3cret")).await;

    let (status, read) = server.admin().get(&format!("{path}/db")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(read["data"], secret("db", "s3cret")["data"]);
    assert_eq!(read["type"], "Opaque");
}

#[tokio::test]
async fn applies_of_two_managers_conflict() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let path = format!("{path}/db");
    let apply = |manager, value| {
        let path = &path;
        async move { server.admin().apply(path, manager, &secret("db", value)).await }
    };

    assert_eq!(apply("one", "a").await.0, StatusCode::CREATED);
    assert_eq!(apply("one", "b").await.0, StatusCode::OK);
    let (status, conflict) = apply("two", "c").await;

    assert_eq!((status, &conflict["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    let cause = &conflict["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldManagerConflict");
    assert_eq!(cause["field"], ".data.password");
}

#[tokio::test]
async fn a_put_from_an_old_version_conflicts() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let mut created = server.admin().create(&path, &secret("db", "a")).await;
    let path = format!("{path}/db");
    created["data"] = secret("db", "b")["data"].clone();
    assert_eq!(server.admin().put(&path, &created).await.0, StatusCode::OK);
    let (status, conflict) = server.admin().put(&path, &created).await;
    assert_eq!((status, &conflict["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
}

#[tokio::test]
async fn a_watch_tells_of_every_change() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let (_, list) = server.admin().get(&path).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();

    let query = format!("resourceVersion={version}");
    let mut watch = server.admin().watch(&path, &query).await;
    let merge = secret("db", "b");
    server.admin().create(&path, &secret("db", "a")).await;
    server.admin().patch(&format!("{path}/db"), "merge-patch+json", &merge).await;
    server.admin().delete(&format!("{path}/db")).await;

    for (kind, value) in [("ADDED", "a"), ("MODIFIED", "b"), ("DELETED", "b")] {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], kind);
        assert_eq!(event["object"]["data"], secret("db", value)["data"]);
    }
}

#[tokio::test]
async fn users_may_do_what_was_granted_to_them_and_no_more() {
    let Some(server) = shared().await else { return };
    let namespace = server.admin().fresh_namespace().await;
    let path = secrets(&namespace);
    server.admin().create(&path, &secret("db", "s3cret")).await;
    let reader = server.api(Login::Token(server.token(User::Reader)));
    let subject = Subject::User(User::Reader.name());
    let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }]);
    let question = |verb| {
        let what = json!({ "resource": "secrets", "verb": verb, "namespace": namespace });
        json!({ "spec": { "resourceAttributes": what } })
    };

    server.admin().grant(&namespace, "reads", subject, &rules).await;
    assert_eq!(reader.get(&format!("{path}/db")).await.0, StatusCode::OK);
    assert_eq!(reader.get(&path).await.0, StatusCode::FORBIDDEN);
    let review = reader.create(ACCESS_REVIEWS, &question("get")).await;
    assert_eq!(review["status"]["allowed"], true);
    let review = reader.create(ACCESS_REVIEWS, &question("list")).await;
    assert_eq!(review["status"]["allowed"], false);

    server.admin().revoke(&namespace, "reads", subject).await;
    assert_eq!(reader.get(&format!("{path}/db")).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn strangers_may_do_nothing() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let nobody = server.api(Login::Token(server.token(User::Nobody)));
    assert_eq!(nobody.get(&path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.api(Login::Anonymous).get(&path).await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.api(Login::Token("unknown")).get(&path).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_certificate_makes_its_holder_a_user_in_a_group() {
    let Some(server) = shared().await else { return };
    let path = secrets(&server.admin().fresh_namespace().await);
    let master = server.certificate("somebody", Some("system:masters"));
    assert_eq!(server.api(Login::Certificate(&master)).get(&path).await.0, StatusCode::OK);

    let namespace = server.admin().fresh_namespace().await;
    let certificate = server.certificate("holder", None);
    let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["list"] }]);
    server.admin().grant(&namespace, "lists", Subject::User("holder"), &rules).await;
    let holder = server.api(Login::Certificate(&certificate));
    assert_eq!(holder.get(&secrets(&namespace)).await.0, StatusCode::OK);
    assert_eq!(holder.get(&path).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn tokens_of_service_accounts_are_for_their_audience() {
    let Some(server) = shared().await else { return };
    let namespace = server.admin().fresh_namespace().await;
    server.admin().service_account(&namespace, "app").await;
    let app = Subject::ServiceAccount { namespace: &namespace, name: "app" };
    let token = server.admin().service_account_token(&namespace, "app", &["bao"]).await;
    let review = |audience| json!({ "spec": { "token": token, "audiences": [audience] } });

    let accepted = server.admin().create(TOKEN_REVIEWS, &review("bao")).await;
    assert_eq!(accepted["status"]["authenticated"], true);
    assert_eq!(accepted["status"]["audiences"], json!(["bao"]));
    assert_eq!(accepted["status"]["user"]["username"], app.user_name());

    let refused = server.admin().create(TOKEN_REVIEWS, &review("other")).await;
    assert_eq!(refused["status"]["authenticated"], Value::Null);
    let elsewhere = server.api(Login::Token(&token)).get(&secrets(&namespace)).await;
    assert_eq!(elsewhere.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_past_its_time_is_refused() {
    let Some(server) = shared().await else { return };
    let namespace = server.admin().fresh_namespace().await;
    let uid = server.admin().service_account(&namespace, "app").await;
    let review = |seconds: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let token = server.signed_token(&json!({
            "iss": server.url(),
            "aud": ["bao"],
            "sub": format!("system:serviceaccount:{namespace}:app"),
            "nbf": now - 7200,
            "iat": now - 7200,
            "exp": now + seconds,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": "app", "uid": uid },
            },
        }));
        json!({ "spec": { "token": token, "audiences": ["bao"] } })
    };
    let accepted = server.admin().create(TOKEN_REVIEWS, &review(600)).await;
    assert_eq!(accepted["status"]["authenticated"], true, "{accepted}");
    let refused = server.admin().create(TOKEN_REVIEWS, &review(-600)).await;
    assert_eq!(refused["status"]["authenticated"], Value::Null);
}

#[tokio::test]
async fn service_accounts_may_do_what_was_granted_to_them() {
    let Some(server) = shared().await else { return };
    let namespace = server.admin().fresh_namespace().await;
    server.admin().service_account(&namespace, "app").await;
    let subject = Subject::ServiceAccount { namespace: &namespace, name: "app" };
    let token = server.admin().service_account_token(&namespace, "app", &[]).await;
    let app = server.api(Login::Token(&token));
    let review = json!({ "spec": { "token": token } });
    assert_eq!(app.post(TOKEN_REVIEWS, &review).await.0, StatusCode::FORBIDDEN);

    server.admin().grant_cluster_role("system:auth-delegator", subject).await;
    let reviewed = app.create(TOKEN_REVIEWS, &review).await;
    assert_eq!(reviewed["status"]["audiences"], json!([server.url()]));
}

#[tokio::test]
async fn the_keys_of_service_accounts_are_published() {
    let Some(server) = shared().await else { return };
    let (status, document) = server.admin().get("/.well-known/openid-configuration").await;
    assert_eq!((status, &document["issuer"]), (StatusCode::OK, &json!(server.url())));
    assert_eq!(document["jwks_uri"], format!("{}/openid/v1/jwks", server.url()));
    let (status, keys) = server.admin().get("/openid/v1/jwks").await;
    assert_eq!((status, &keys["keys"][0]["alg"]), (StatusCode::OK, &json!("RS256")));
}

#[tokio::test]
async fn a_kubeconfig_is_for_its_login_and_namespace() {
    let Some(server) = shared().await else { return };
    let decode = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    let admin = server.admin_certificate();

    let config = server.kubeconfig(Login::Certificate(admin), "apps");

    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], server.url());
    assert_eq!(config["contexts"][0]["context"]["namespace"], "apps");
    let user = &config["users"][0]["user"];
    assert_eq!(decode(&user["client-certificate-data"]), admin.certificate.as_bytes());
    assert_eq!(decode(&user["client-key-data"]), admin.key.as_bytes());
}

//! Leases: kept alive, followed by others in time, given back (REQ 004-85.3).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use pipe_core::{ErrorKind, Namespace, Plugin, SecretSource};
use pipe_secrets_openbao::{AppRoleAuth, LeaseEvent, LeaseEvents, LeasedSecret, OpenBao};
use pipe_testkit::leak::Canary;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::postgres::{self, Postgres};
use crate::server::{self, Server};
use crate::setup::{config, plugin, token};

const READ: &str = r#"
path "database/creds/*" { capabilities = ["read"] }
path "leased/*"         { capabilities = ["read"] }
"#;
/// What the policy `default` does not grant.
const REVOKE: &str = r#"path "sys/leases/revoke" { capabilities = ["update"] }"#;

/// A namespace with `leased`, an engine whose answers have leases, and a policy `bot` that may all.
async fn namespace(admin: &Admin) -> String {
    let namespace = admin.fresh_namespace().await;
    let engine = json!({ "type": "kv", "options": { "leased_passthrough": "true" } });
    admin.write(&namespace, "sys/mounts/leased", engine).await;
    admin.write(&namespace, "leased/hour", json!({ "password": "x", "ttl": "1h" })).await;
    admin.write(&namespace, "leased/short", json!({ "password": "x", "ttl": "3s" })).await;
    admin.policy(&namespace, "bot", &format!("{READ}{REVOKE}")).await;
    admin.policy(&namespace, "reader", READ).await;
    namespace
}

/// The database engine, each of whose roles gives leases of this life, up to this maximum.
async fn database(
    admin: &Admin,
    namespace: &str,
    postgres: &Postgres,
    roles: &[(&str, &str, &str)],
) {
    admin.write(namespace, "sys/mounts/database", json!({ "type": "database" })).await;
    admin.write(namespace, "database/config/pg", postgres.config()).await;
    for (name, life, maximum) in roles {
        let create =
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let role = json!({
            "db_name": "pg",
            "creation_statements": create,
            "default_ttl": life,
            "max_ttl": maximum,
        });
        admin.write(namespace, &format!("database/roles/{name}"), role).await;
    }
}

async fn by_token(server: &Server, namespace: &str, policy: &str) -> OpenBao {
    let made = server.admin().token(namespace, &[policy], "10m", json!({})).await;
    plugin(config(server.address(), namespace, token(made)))
}

async fn by_approle(server: &Server, namespace: &str, role: Value) -> OpenBao {
    let (role_id, secret_id) = server.admin().approle(namespace, "bots", role).await;
    let value = |text: String| SecretSource::Value(text.into());
    let auth = AppRoleAuth::new(value(role_id), value(secret_id));
    plugin(config(server.address(), namespace, auth))
}

/// The leases that the server holds for what a path made.
async fn leases(admin: &Admin, namespace: &str, path: &str) -> usize {
    let (_, reply) = admin.read(namespace, &format!("sys/leases/lookup/{path}?list=true")).await;
    reply["data"]["keys"].as_array().map_or(0, Vec::len)
}

async fn is_alive(admin: &Admin, namespace: &str, lease: &str) -> bool {
    admin.post(namespace, "sys/leases/lookup", json!({ "lease_id": lease })).await.0 == 200
}

/// Servers that are busy take their time to end what has to end.
async fn ends(admin: &Admin, namespace: &str, lease: &str) {
    let start = Instant::now();
    while is_alive(admin, namespace, lease).await {
        assert!(start.elapsed() < Duration::from_secs(20), "the lease does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn successor(events: &mut LeaseEvents) {
    let next = async {
        loop {
            match events.next().await.expect("the lease is open") {
                LeaseEvent::Successor { .. } => return,
                LeaseEvent::Failed { error } => panic!("{error:#}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), next).await.expect("there is a successor");
}

fn lease_id(secret: &LeasedSecret) -> String {
    secret.current().expect("the credentials are valid").lease.id.clone()
}

/// Users connect all the time with what is current, while it is replaced under their feet.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_queried_through_rotations_without_a_failure() {
    let Some(server) = server::shared().await else { return };
    let Some(postgres) = postgres::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    database(admin, &namespace, postgres, &[("rotated", "8s", "8s")]).await;
    let bao = by_token(server, &namespace, "bot").await;
    let leases = bao.leases().with_overlap(Duration::from_secs(4));
    let secret = leases.open("database/creds/rotated").await.unwrap();
    let mut events = secret.events();
    let rotations = Arc::new(AtomicUsize::new(0));
    let queries = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (secret, rotations, queries) = (secret.clone(), rotations.clone(), queries.clone());
            tokio::spawn(async move {
                let mut users = BTreeSet::new();
                while rotations.load(Ordering::SeqCst) < 5 {
                    let current = secret.current().expect("the credentials are valid");
                    let text = |key| current.secret.data.get(key).and_then(|v| v.expose_str());
                    let user = text("username").expect("a user");
                    let password = text("password").expect("a password");
                    let client = postgres.connect(user, password).await.expect("connect");
                    for _ in 0..20 {
                        let row = client.query_one("SELECT current_user::text", &[]).await;
                        assert_eq!(row.expect("query").get::<_, String>(0), user);
                        queries.fetch_add(1, Ordering::SeqCst);
                    }
                    users.insert(user.to_owned());
                }
                users
            })
        })
        .collect();
    for _ in 0..5 {
        successor(&mut events).await;
        rotations.fetch_add(1, Ordering::SeqCst);
    }
    let mut users = BTreeSet::new();
    for worker in workers {
        users.extend(worker.await.expect("no query failed"));
    }
    assert!(users.len() >= 5, "{users:?}");
    let queries = queries.load(Ordering::SeqCst);
    assert!(queries > 100, "{queries}");
    println!("{queries} queries as {} users", users.len());
    secret.close().await.unwrap();
    assert_eq!(self::leases(admin, &namespace, "database/creds/rotated").await, 0);
    assert_eq!(postgres.roles("rotated").await, 0, "users were left in the database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_leases_leave_nothing_behind() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "10m" });
    let bao = by_approle(server, &namespace, role).await;
    let manager = bao.leases();
    let cycle = async |number: usize| {
        let secret = manager.open("leased/hour").await.unwrap();
        if number.is_multiple_of(2) {
            secret.close().await.unwrap();
        }
    };
    stream::iter(0..1000).for_each_concurrent(8, cycle).await;
    // Those that were dropped are given back in the background.
    let start = Instant::now();
    while leases(admin, &namespace, "leased/hour").await > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "leases are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(admin.token_accessors(&namespace).await, 1);
    bao.close().await.unwrap();
    assert_eq!(admin.token_accessors(&namespace).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_a_token_that_an_operator_revoked_is_followed_by_one_of_another_login() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "10m" });
    let bao = by_approle(server, &namespace, role).await;
    let secret = bao.leases().open("leased/hour").await.unwrap();
    let (mut events, before) = (secret.events(), lease_id(&secret));
    admin.write(&namespace, "sys/leases/revoke-prefix/auth/approle/login", json!({})).await;
    ends(admin, &namespace, &before).await;
    // Any call of the plugin finds out about its token.
    assert!(bao.read_secret("leased/short").await.unwrap().is_some());
    successor(&mut events).await;
    assert!(is_alive(admin, &namespace, &lease_id(&secret)).await);
    secret.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_an_operator_revoked_is_followed_by_another() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let bao = by_token(server, &namespace, "bot").await;
    let revoke = async |lease: String| {
        let body = json!({ "lease_id": lease, "sync": true });
        admin.write(&namespace, "sys/leases/revoke", body).await;
    };
    let noticed_when_renewed = bao.leases().open("leased/short").await.unwrap();
    let mut events = noticed_when_renewed.events();
    revoke(lease_id(&noticed_when_renewed)).await;
    successor(&mut events).await;
    let told = bao.leases().open("leased/hour").await.unwrap();
    let mut events = told.events();
    revoke(lease_id(&told)).await;
    told.suspect();
    successor(&mut events).await;
    assert!(is_alive(admin, &namespace, &lease_id(&told)).await);
}

/// The server gives renewals until the maximum of the role, then less than was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_until_its_maximum_and_then_has_a_successor() {
    let Some(server) = server::shared().await else { return };
    let Some(postgres) = postgres::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    database(admin, &namespace, postgres, &[("capped", "4s", "9s")]).await;
    let bao = by_token(server, &namespace, "bot").await;
    let manager = bao.leases().with_overlap(Duration::from_secs(2));
    let secret = manager.open("database/creds/capped").await.unwrap();
    let (mut events, first) = (secret.events(), lease_id(&secret));
    let mut renewals = 0;
    loop {
        assert!(is_alive(admin, &namespace, &lease_id(&secret)).await);
        match events.next().await.unwrap() {
            LeaseEvent::Renewed { .. } => {
                renewals += 1;
                assert_eq!(lease_id(&secret), first);
            }
            LeaseEvent::Successor { .. } => break,
            event => panic!("{event:?}"),
        }
    }
    assert!(renewals >= 2, "{renewals}");
    // The predecessor is still good, for whoever uses it.
    assert!(is_alive(admin, &namespace, &first).await);
    ends(admin, &namespace, &first).await;
    secret.close().await.unwrap();
}

/// The server gives leases of an hour for a token that ends within seconds, and ends them with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_does_not_outlive_its_token() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "3s", "token_max_ttl": "6s" });
    let bao = by_approle(server, &namespace, role).await;
    let secret = bao.leases().open("leased/hour").await.unwrap();
    let (start, mut seen) = (Instant::now(), BTreeSet::new());
    while start.elapsed() < Duration::from_secs(14) {
        let current = secret.current().unwrap();
        assert!(current.expires_at < Instant::now() + Duration::from_secs(6));
        assert!(is_alive(admin, &namespace, &current.lease.id).await, "{:?}", start.elapsed());
        seen.insert(current.lease.id.clone());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!((3..8).contains(&seen.len()), "{seen:?}");
    secret.close().await.unwrap();
    bao.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_role_and_a_path_without_leases_and_an_absent_one_are_told_apart() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.write(&namespace, "sys/mounts/database", json!({ "type": "database" })).await;
    admin.policy(&namespace, "all", r#"path "*" { capabilities = ["read", "update"] }"#).await;
    admin.kv(&namespace, "plain", "1").await;
    admin.write(&namespace, "plain/x", json!({ "a": "b" })).await;
    let bao = by_token(server, &namespace, "all").await;
    let open = async |path: &str| bao.leases().open(path).await.unwrap_err();
    let error = open("database/creds/nosuch").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.hint_text().contains("role"), "{error}");
    let error = open("plain/x").await;
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.hint_text().contains("read_secret"), "{error}");
    assert_eq!(open("leased/nothing").await.kind(), ErrorKind::NotFound);
    let error = open("nomount/creds/x").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.hint_text().contains("mount"), "{error}");
    assert_eq!(open("leased/../sys").await.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_unavailable() {
    let Some(server) = server::shared().await else { return };
    let Some(mut postgres) = Postgres::start().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    database(admin, &namespace, &postgres, &[("app", "1h", "1h"), ("short", "3s", "1h")]).await;
    let bao = by_token(server, &namespace, "bot").await;
    let manager = bao.leases();
    let secret = manager.open("database/creds/app").await.unwrap();
    let short = manager.open("database/creds/short").await.unwrap();
    let mut events = short.events();
    postgres.stop();
    let down = |error: pipe_core::Error| {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
        assert!(error.is_retryable() && error.hint_text().contains("connection_url"), "{error:#}");
    };
    down(manager.open("database/creds/app").await.unwrap_err());
    let id = lease_id(&secret);
    down(manager.renew(&id, Duration::from_secs(60)).await.unwrap_err());
    down(secret.close().await.unwrap_err());
    // What is known to have ended is not handed out.
    loop {
        match events.next().await.unwrap() {
            LeaseEvent::Failed { error } => break down(error),
            LeaseEvent::Renewed { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    down(short.current().unwrap_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_the_path_and_the_capability() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["reader"], "token_ttl": "10m" });
    let bao = by_approle(server, &namespace, role).await;
    let manager = bao.leases();
    let secret = manager.open("leased/hour").await.unwrap();
    let denied = |error: pipe_core::Error, hint: &str| {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.hint_text().contains(hint), "{error}");
    };
    let revoke = "grant `update` on \"sys/leases/revoke\"";
    denied(manager.revoke(&lease_id(&secret)).await.unwrap_err(), revoke);
    denied(secret.close().await.unwrap_err(), revoke);
    // A login that would end all leases did not come of it.
    assert_eq!(admin.token_accessors(&namespace).await, 1);
    let error = manager.open("sys/mounts").await.unwrap_err();
    denied(error, "grant `read` on \"sys/mounts\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_looked_up_renewed_and_revoked_by_its_id() {
    let Some(server) = server::shared().await else { return };
    let Some(postgres) = postgres::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    database(admin, &namespace, postgres, &[("app", "1h", "2h")]).await;
    let bao = by_token(server, &namespace, "bot").await;
    let manager = bao.leases();
    let lease = bao.read_secret("database/creds/app").await.unwrap().unwrap().lease.unwrap();
    let info = manager.lookup(&lease.id).await.unwrap();
    assert_eq!((info.id.as_str(), info.renewable), (lease.id.as_str(), true));
    assert!(info.ttl > Duration::from_secs(3590) && info.last_renewal.is_none());
    assert!(info.issued_at.unwrap() < info.expires_at.unwrap());
    let renewed = manager.renew(&lease.id, Duration::from_secs(60)).await.unwrap();
    assert_eq!((renewed.id, renewed.duration), (lease.id.clone(), Duration::from_secs(60)));
    assert!(manager.lookup(&lease.id).await.unwrap().last_renewal.is_some());
    manager.revoke(&lease.id).await.unwrap();
    manager.revoke(&lease.id).await.unwrap();
    for error in [
        manager.lookup(&lease.id).await.unwrap_err(),
        manager.renew(&lease.id, Duration::from_secs(60)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_kept_in_a_namespace_below() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let below = admin.namespace(&format!("{namespace}/below")).await;
    let engine = json!({ "type": "kv", "options": { "leased_passthrough": "true" } });
    admin.write(&below, "sys/mounts/leased", engine).await;
    admin.write(&below, "leased/app", json!({ "password": "x", "ttl": "1h" })).await;
    let policy = format!("{READ}{REVOKE}").replace("path \"", "path \"below/");
    admin.policy(&namespace, "below", &policy).await;
    let bao = by_token(server, &namespace, "below").await;
    let manager = bao.leases().in_namespace(Namespace::new("below").unwrap());
    let secret = manager.open("leased/app").await.unwrap();
    assert_eq!(leases(admin, &below, "leased/app").await, 1);
    secret.close().await.unwrap();
    assert_eq!(leases(admin, &below, "leased/app").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_credentials_are_not_shown() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let canary = Canary::new();
    let short = json!({ "password": canary.value(), "ttl": "3s" });
    admin.write(&namespace, "leased/short", short).await;
    let bao = by_token(server, &namespace, "bot").await;
    let manager = bao.leases();
    canary.look_at_debug("the manager", &manager);
    let secret = manager.open("leased/short").await.unwrap();
    let mut events = secret.events();
    let body = json!({ "lease_id": lease_id(&secret), "sync": true });
    admin.write(&namespace, "sys/leases/revoke", body).await;
    canary.look_at_debug("the event", &events.next().await);
    canary.look_at_debug("the secret", &secret);
    canary.look_at_result("current", &secret.current());
    canary.look_at_result("close", &secret.close().await);
    canary.look_at_result("current of a closed one", &secret.current());
    canary.assert_unseen();
}

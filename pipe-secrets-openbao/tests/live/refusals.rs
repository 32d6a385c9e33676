//! The server's refusals, provoked: kind, retryability and hint of each (REQ 004-82).

use pipe_core::{Error, ErrorKind, Namespace, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_secrets_openbao::{
    AppRoleAuth, Auth, JwtAuth, KubernetesAuth, OpenBaoConfig, UserpassAuth,
};
use pipe_testkit::fake::{expired_service_account_jwt, service_account_jwt};
use pipe_testkit::issuer::TestIssuer;
use serde_json::json;
use std::time::Duration;

use crate::admin::Admin;
use crate::server;
use crate::setup::{Pod, config, jwt_role, namespace, plugin, token};

fn secret() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

/// Reads with these settings; the read has to fail.
async fn refused(config: OpenBaoConfig) -> Error {
    let read = plugin(config).get_secret(&secret()).await;
    read.expect_err("the read is refused")
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert_eq!(error.is_retryable(), kind.is_retryable(), "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
    assert_eq!(error.operation(), "get_secret", "{error:#}");
}

async fn bot(admin: &Admin, namespace: &str) -> Auth {
    token(admin.token(namespace, &["bot"], "10m", json!({})).await)
}

#[tokio::test]
async fn tokens() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let at = |auth| config(server.address(), &namespace, auth);

    expect(&refused(at(token("s.bogus"))).await, ErrorKind::Unauthenticated, "auth");
    let revoked = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    admin.revoke(&revoked).await;
    expect(&refused(at(token(revoked))).await, ErrorKind::Unauthenticated, "auth");
    let spent = admin.token(&namespace, &["bot"], "10m", json!({ "num_uses": 1 })).await;
    assert_eq!(admin_read(server.address(), &spent, &namespace).await, 200);
    expect(&refused(at(token(spent))).await, ErrorKind::Unauthenticated, "auth");
    let broken = refused(at(token("s.line\nbreak"))).await;
    expect(&broken, ErrorKind::ConfigInvalid, "line break");

    let powerless = admin.token(&namespace, &[], "10m", json!({})).await;
    let error = refused(at(token(powerless))).await;
    expect(&error, ErrorKind::PermissionDenied, "grant `read` on \"secret/data/apps/db\"");
}

/// Uses a token once.
async fn admin_read(address: &str, token: &str, namespace: &str) -> u16 {
    Admin::new(address, token).read(namespace, "auth/token/lookup-self").await.0
}

#[tokio::test]
async fn namespaces_and_mounts() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let root = || token(admin.root_token());
    let error = refused(config(server.address(), &format!("{namespace}/nosuch"), root())).await;
    expect(&error, ErrorKind::NotFound, "namespace");
    let error = refused(config(server.address(), &namespace, root()).with_mount("nosuch")).await;
    expect(&error, ErrorKind::NotFound, "mount");
    let limited = bot(admin, &namespace).await;
    let error = refused(config(server.address(), &namespace, limited).with_mount("nosuch")).await;
    expect(&error, ErrorKind::PermissionDenied, "nosuch/data/apps/db");

    let below = secret().with_namespace(Namespace::new("nosuch").unwrap());
    let plugin = plugin(config(server.address(), &namespace, root()));
    let error = plugin.get_secret(&below).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "namespace");

    // The cubbyhole answers too, and is none of ours; neither is the other version of KV when one
    // is configured.
    admin.kv(&namespace, "old", "1").await;
    for (mount, version, hint) in [
        ("cubbyhole", None, "mount of a KV engine"),
        ("old", Some(2), "kv_version"),
        ("secret", Some(1), "kv_version"),
    ] {
        let mut config = config(server.address(), &namespace, root()).with_mount(mount);
        config.kv_version = version;
        let plugin = crate::setup::plugin(config);
        let absent = SecretRef::new("absent").expect("legal");
        let error = plugin.get_secret(&absent).await.unwrap_err();
        expect(&error, ErrorKind::ConfigInvalid, hint);
        let data = SecretData::new().with("password", "hunter2");
        let error = plugin.create_secret(&absent, data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error:#}");
        for path in ["absent", "data/absent"] {
            let (status, _) = admin.read(&namespace, &format!("{mount}/{path}")).await;
            assert_eq!(status, 404, "something was stored in the wrong form");
        }
    }

    admin.write("", &format!("sys/namespaces/api-lock/lock/{namespace}"), json!({})).await;
    let error = refused(config(server.address(), &namespace, root())).await;
    assert!(
        matches!(error.kind(), ErrorKind::PermissionDenied) && error.hint_text().contains("unlock"),
        "{error:#}"
    );
}

#[tokio::test]
async fn approle_logins() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "secret_id_num_uses": 1 });
    let (role_id, secret_id) = admin.approle(&namespace, "bots", role).await;
    let value = |text: &str| SecretSource::Value(text.into());
    let at = |role_id: &str, secret_id: &str| {
        config(server.address(), &namespace, AppRoleAuth::new(value(role_id), value(secret_id)))
    };
    expect(&refused(at("bogus", &secret_id)).await, ErrorKind::Unauthenticated, "auth.role_id");
    expect(&refused(at(&role_id, "bogus")).await, ErrorKind::Unauthenticated, "auth.secret_id");
    assert_eq!(plugin(at(&role_id, &secret_id)).get_secret(&secret()).await.unwrap(), None);
    let spent = refused(at(&role_id, &secret_id)).await;
    expect(&spent, ErrorKind::Unauthenticated, "issue a new one");
    expect(&refused(at(&role_id, "")).await, ErrorKind::ConfigInvalid, "auth.secret_id");

    let elsewhere = json!({ "token_policies": ["bot"], "secret_id_bound_cidrs": ["10.0.0.0/8"] });
    let (role_id, secret_id) = admin.approle(&namespace, "elsewhere", elsewhere).await;
    expect(&refused(at(&role_id, &secret_id)).await, ErrorKind::Unauthenticated, "CIDR");

    let auth = AppRoleAuth::new(value(&role_id), value(&secret_id)).with_mount("nosuch");
    let error = refused(config(server.address(), &namespace, auth)).await;
    expect(&error, ErrorKind::Unauthenticated, "auth.mount");
}

#[tokio::test]
async fn wrapped_secret_ids() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let role = json!({ "token_policies": ["bot"], "token_ttl": "10m" });
    let (role_id, _) = admin.approle(&namespace, "bots", role).await;
    let wrapped = |token: &str| {
        let value = |text: &str| SecretSource::Value(text.into());
        let auth = AppRoleAuth::new(value(&role_id), value(token)).with_wrapped_secret_id();
        config(server.address(), &namespace, auth)
    };
    let token = admin.wrapped_secret_id(&namespace, "bots").await;
    let bot = plugin(wrapped(&token));
    assert_eq!(bot.get_secret(&secret()).await.unwrap(), None);
    // The secret id is kept for the next login; the wrapping token is spent.
    admin.write(&namespace, "sys/leases/revoke-prefix/auth/approle/login", json!({})).await;
    assert_eq!(bot.get_secret(&secret()).await.unwrap(), None);
    expect(&refused(wrapped(&token)).await, ErrorKind::Unauthenticated, "intercepted");
    expect(&refused(wrapped("s.bogus")).await, ErrorKind::Unauthenticated, "auth.secret_id");
}

#[tokio::test]
async fn kubernetes_logins() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let hour = Duration::from_secs(3600);
    let at = |auth: KubernetesAuth| config(server.address(), &namespace, auth);
    let plain = || KubernetesAuth::new("bots").with_token_file(&pod.token_file);

    let unknown = KubernetesAuth::new("nosuch").with_token_file(&pod.token_file);
    expect(&refused(at(unknown)).await, ErrorKind::Unauthenticated, "auth.role");
    let error = refused(at(plain().with_mount("nosuch"))).await;
    expect(&error, ErrorKind::Unauthenticated, "auth.mount");

    pod.write_token(&service_account_jwt("other", "bot", "openbao", hour));
    expect(&refused(at(plain())).await, ErrorKind::Unauthenticated, "bound_service_account_");
    pod.write_token(&service_account_jwt("sales", "other", "openbao", hour));
    expect(&refused(at(plain())).await, ErrorKind::Unauthenticated, "bound_service_account_");
    pod.write_token(&service_account_jwt("sales", "bot", "somebody", hour));
    expect(&refused(at(plain())).await, ErrorKind::Unauthenticated, "audience");
    // With the audience set, the token for somebody else does not leave the pod.
    let reviews = pod.review.reviews();
    expect(&refused(at(pod.auth())).await, ErrorKind::ConfigInvalid, "auth.audience");
    assert_eq!(pod.review.reviews(), reviews);
    pod.write_token(&expired_service_account_jwt("sales", "bot", "openbao", hour));
    expect(&refused(at(plain())).await, ErrorKind::Unauthenticated, "kubelet");

    std::fs::remove_file(&pod.token_file).unwrap();
    expect(&refused(at(plain())).await, ErrorKind::ConfigInvalid, "file");

    pod.write_token(&service_account_jwt("sales", "bot", "openbao", hour));
    let bare = admin.fresh_namespace().await;
    admin.enable_auth(&bare, "kubernetes").await;
    admin
        .kubernetes_role(
            &bare,
            "bots",
            json!({
                "bound_service_account_names": ["bot"],
                "bound_service_account_namespaces": ["sales"],
            }),
        )
        .await;
    let error = refused(config(server.address(), &bare, plain())).await;
    expect(&error, ErrorKind::ConfigInvalid, "config");
}

#[tokio::test]
async fn jwt_logins() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let issuer = TestIssuer::start().await;
    let mut role = jwt_role();
    role["bound_claims"] = json!({ "tenant": "acme" });
    admin.jwt(&namespace, &issuer.url(), role).await;
    let value = |text: String| SecretSource::Value(text.into());
    let at = |auth: JwtAuth| config(server.address(), &namespace, auth);
    let with = |jwt: String| at(JwtAuth::new("bots", value(jwt)));
    let good = || issuer.token();
    assert_eq!(plugin(with(good().sign())).get_secret(&secret()).await.unwrap(), None);

    let now = issuer.clock().seconds();
    for (jwt, hint) in [
        (good().claim("aud", "somebody"), "bound_audiences"),
        (good().claim("iss", "https://elsewhere.example"), "bound_issuer"),
        (good().claim("tenant", "other"), "bound_claims"),
        (good().without("sub"), "user_claim"),
        (good().signature([7; 64]), "key that signed it"),
        (good().claim("iat", now - 9000).claim("exp", now - 6000), "clocks"),
        (good().claim("nbf", now + 6000), "clocks"),
    ] {
        expect(&refused(with(jwt.sign())).await, ErrorKind::Unauthenticated, hint);
    }
    expect(&refused(with("no JWT".to_owned())).await, ErrorKind::Unauthenticated, "audience");
    let unknown = at(JwtAuth::new("nosuch", value(good().sign())));
    expect(&refused(unknown).await, ErrorKind::Unauthenticated, "auth.role");
    let elsewhere = at(JwtAuth::new("bots", value(good().sign())).with_mount("nosuch"));
    expect(&refused(elsewhere).await, ErrorKind::Unauthenticated, "auth.mount");

    let bare = admin.fresh_namespace().await;
    admin.enable_auth(&bare, "jwt").await;
    let bare = config(server.address(), &bare, JwtAuth::new("bots", value(good().sign())));
    expect(&refused(bare).await, ErrorKind::ConfigInvalid, "config");
}

#[tokio::test]
async fn password_logins() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.user(&namespace, "bot", "correct horse").await;
    let at = |user: &str, password: &str| {
        let password = SecretSource::Value(password.into());
        config(server.address(), &namespace, UserpassAuth::new(user, password))
    };
    let right = || at("bot", "correct horse");
    assert_eq!(plugin(right()).get_secret(&secret()).await.unwrap(), None);
    expect(&refused(at("nobody", "x")).await, ErrorKind::Unauthenticated, "auth.username");
    expect(&refused(at("bot", "")).await, ErrorKind::Unauthenticated, "auth.password");

    // However often a plugin is asked, it does not send a wrong password again, and so locks nobody
    // out; a corrected one is sent soon.
    let file = std::env::temp_dir().join(format!("pipe-password-{}", std::process::id()));
    std::fs::write(&file, "wrong").unwrap();
    let auth = UserpassAuth::new("bot", SecretSource::file(&file));
    let by_file = plugin(config(server.address(), &namespace, auth));
    for _ in 0..7 {
        let error = by_file.get_secret(&secret()).await.unwrap_err();
        expect(&error, ErrorKind::Unauthenticated, "auth.password");
        // Longer than a failed login is told to all without another.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    assert_eq!(plugin(right()).get_secret(&secret()).await.unwrap(), None);
    std::fs::write(&file, "correct horse").unwrap();
    assert_eq!(by_file.get_secret(&secret()).await.unwrap(), None);
    std::fs::remove_file(&file).unwrap();

    for _ in 0..6 {
        refused(at("bot", "wrong")).await;
    }
    expect(&refused(right()).await, ErrorKind::Unauthenticated, "locked out");
}

#[tokio::test]
async fn a_review_that_fails_is_explained() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let pod = Pod::start(admin, &namespace).await;
    let ca = pipe_testkit::fake::STAND_IN_CA;
    admin.kubernetes(&namespace, &pod.review.url(), "not the reviewer", ca).await;
    let error = refused(config(server.address(), &namespace, pod.auth())).await;
    expect(&error, ErrorKind::Unauthenticated, "token_reviewer_jwt");
}

#[tokio::test]
async fn a_rate_limit_is_retryable() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let plugin = plugin(config(server.address(), &namespace, bot(admin, &namespace).await));
    admin.rate_limit("pipe-live", &format!("{namespace}/secret/"), 1, "30s").await;
    let mut limited = None;
    for _ in 0..5 {
        limited = plugin.get_secret(&secret()).await.err().or(limited);
    }
    admin.remove_rate_limit("pipe-live").await;
    expect(&limited.expect("one of five is one too many"), ErrorKind::RateLimited, "quota");
}

/// Somebody else writes between our read and our write; nobody's write is lost unseen.
#[tokio::test(flavor = "multi_thread")]
async fn writers_in_different_processes_do_not_fail_each_other() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let auth = bot(admin, &namespace).await;
    // Plugins of their own share nothing, as processes would not.
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let plugin = plugin(config(server.address(), &namespace, auth.clone()));
            tokio::spawn(async move {
                for number in 0..10 {
                    let data = SecretData::new().with("value", format!("{writer}-{number}"));
                    plugin.create_secret(&secret(), data).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let plugin = plugin(config(server.address(), &namespace, auth));
    let found = plugin.get_secret(&secret()).await.unwrap().unwrap();
    assert_eq!(found.version.map(|version| version.number()), Some(40), "a write was lost");
}

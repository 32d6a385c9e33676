//! Plugins for a namespace of their own on the shared server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pipe_core::SecretSource;
use pipe_core::identity::{AuthMethod, ServiceAuthRequest};
use pipe_identity_oidc::{ClientAuthentication, ClientConfig, IssuerConfig, Oidc, OidcConfig};
use pipe_secrets_openbao::{
    AppRoleAuth, Auth, JwtAuth, KubernetesAuth, OpenBao, OpenBaoConfig, UserpassAuth,
};
use pipe_testkit::fake::{STAND_IN_CA, TokenReview, service_account_jwt};
use pipe_testkit::issuer::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, TestIssuer};
use serde_json::json;

use crate::admin::Admin;
use crate::server;

/// All that a bot does with its secrets, here and in the namespaces below.
pub(crate) const ALL: &str = r#"
path "secret/*"   { capabilities = ["create", "read", "update", "delete", "list"] }
path "+/secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }
"#;

/// Small pages, so that every list needs several, and no long waits for what is watched.
pub(crate) fn config(address: &str, namespace: &str, auth: impl Into<Auth>) -> OpenBaoConfig {
    let config = OpenBaoConfig::new(address, auth).with_namespace(namespace).with_page_size(7);
    config.with_poll_interval(Duration::from_millis(100))
}

pub(crate) fn plugin(config: OpenBaoConfig) -> OpenBao {
    OpenBao::new(config).expect("the settings are sound")
}

pub(crate) fn token(token: impl Into<String>) -> Auth {
    Auth::token(SecretSource::Value(token.into().into()))
}

/// A namespace with a policy `bot` and the two namespaces that the suite asks for.
pub(crate) async fn namespace(admin: &Admin) -> String {
    let namespace = admin.fresh_namespace().await;
    for below in ["pipe-testkit-a", "pipe-testkit-b"] {
        admin.namespace(&format!("{namespace}/{below}")).await;
    }
    admin.policy(&namespace, "bot", ALL).await;
    namespace
}

/// With a token that an operator made.
pub(crate) async fn by_token() -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let made = server.admin().token(&namespace, &["bot"], "10m", json!({})).await;
    Some((plugin(config(server.address(), &namespace, token(made))), ()))
}

/// With AppRole, each request by itself.
pub(crate) async fn by_inline_approle() -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let role = json!({ "token_policies": ["bot"], "token_ttl": "10m" });
    let (role_id, secret_id) = server.admin().approle(&namespace, "bots", role).await;
    let auth = AppRoleAuth::new(
        SecretSource::Value(role_id.into()),
        SecretSource::Value(secret_id.into()),
    );
    Some((
        plugin(config(server.address(), &namespace, auth).with_inline_auth().with_kv_version(2)),
        (),
    ))
}

/// On an engine of version 1, which is configured or found out.
pub(crate) async fn kv1(version: Option<u8>) -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    for place in ["", "/pipe-testkit-a", "/pipe-testkit-b"] {
        admin.kv(&format!("{namespace}{place}"), "old", "1").await;
    }
    admin.policy(&namespace, "old", &ALL.replace("secret/", "old/")).await;
    let made = admin.token(&namespace, &["old"], "10m", json!({})).await;
    let mut config = config(server.address(), &namespace, token(made)).with_mount("old");
    config.kv_version = version;
    Some((plugin(config), ()))
}

/// With AppRole.
pub(crate) async fn by_approle() -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let role = json!({ "token_policies": ["bot"], "token_ttl": "10m" });
    let (role_id, secret_id) = server.admin().approle(&namespace, "bots", role).await;
    let auth = AppRoleAuth::new(
        SecretSource::Value(role_id.into()),
        SecretSource::Value(secret_id.into()),
    );
    Some((plugin(config(server.address(), &namespace, auth)), ()))
}

/// With a Kubernetes service-account token that a stand-in for the API server vouches for.
pub(crate) async fn by_kubernetes() -> Option<(OpenBao, Pod)> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let pod = Pod::start(server.admin(), &namespace).await;
    let plugin = plugin(config(server.address(), &namespace, pod.auth()));
    Some((plugin, pod))
}

/// With a password, in the namespace above the one that it works in.
pub(crate) async fn by_userpass() -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let admin = server.admin();
    let above = admin.fresh_namespace().await;
    let namespace = admin.namespace(&format!("{above}/bots")).await;
    for below in ["pipe-testkit-a", "pipe-testkit-b"] {
        admin.namespace(&format!("{namespace}/{below}")).await;
    }
    admin.policy(&above, "bot", &ALL.replace("path \"", "path \"bots/")).await;
    admin.user(&above, "bot", "correct horse").await;
    let password = SecretSource::Value("correct horse".into());
    let auth = UserpassAuth::new("bot", password);
    let config = config(server.address(), &namespace, auth).with_auth_namespace(above);
    Some((plugin(config), ()))
}

/// With access tokens that an OpenID Connect client obtains.
pub(crate) async fn by_jwt() -> Option<(OpenBao, TestIssuer)> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let issuer = TestIssuer::start().await;
    server.admin().jwt(&namespace, &issuer.url(), jwt_role()).await;
    let secret = SecretSource::Value(CLIENT_SECRET.into());
    let client = ClientConfig::new(CLIENT_ID, ClientAuthentication::client_secret_basic(secret));
    let oidc = OidcConfig::new().with_issuer(IssuerConfig::new(issuer.url())).with_client(client);
    let identity = Arc::new(Oidc::new(oidc).expect("the settings are sound"));
    let request = ServiceAuthRequest::new(CLIENT_ID, AuthMethod::OAuth2).with_audience(AUDIENCE);
    let config = config(server.address(), &namespace, JwtAuth::of_plugin("bots"));
    let plugin = OpenBao::with_identity(config, identity, request);
    Some((plugin.expect("the settings are sound"), issuer))
}

/// A role for tokens of the issuer.
pub(crate) fn jwt_role() -> serde_json::Value {
    json!({
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": [AUDIENCE],
        "token_policies": ["bot"],
        "token_ttl": "10m",
    })
}

/// With a token that may do nothing.
pub(crate) async fn denied() -> Option<(OpenBao, ())> {
    let server = server::shared().await?;
    let namespace = namespace(server.admin()).await;
    let made = server.admin().token(&namespace, &[], "10m", json!({})).await;
    Some((plugin(config(server.address(), &namespace, token(made))), ()))
}

/// Where nobody listens.
pub(crate) async fn unavailable() -> Option<(OpenBao, ())> {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", free.local_addr().expect("a bound socket has an address"));
    drop(free);
    Some((plugin(OpenBaoConfig::new(address, token("any"))), ()))
}

/// What a pod has: a service-account token in a file, and an API server that vouches for it.
pub(crate) struct Pod {
    pub(crate) review: TokenReview,
    pub(crate) token_file: PathBuf,
}

impl Pod {
    /// A pod of the service account `bot` in `sales`, which the role `bots` accepts.
    pub(crate) async fn start(admin: &Admin, namespace: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let review = TokenReview::start().await;
        admin.kubernetes(namespace, &review.url(), review.reviewer_token(), STAND_IN_CA).await;
        let role = json!({
            "bound_service_account_names": ["bot"],
            "bound_service_account_namespaces": ["sales"],
            "audience": "openbao",
            "token_policies": ["bot"],
            "token_ttl": "10m",
        });
        admin.kubernetes_role(namespace, "bots", role).await;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pipe-live-{}-{count}.jwt", std::process::id());
        let pod = Self { review, token_file: std::env::temp_dir().join(name) };
        pod.write_token(&service_account_jwt("sales", "bot", "openbao", Duration::from_secs(600)));
        pod
    }

    /// As the kubelet does: a new file in the place of the old one.
    pub(crate) fn write_token(&self, jwt: &str) {
        let new = self.token_file.with_extension("new");
        std::fs::write(&new, jwt).expect("the token can be written");
        std::fs::rename(new, &self.token_file).expect("the token can be put in place");
    }

    pub(crate) fn auth(&self) -> KubernetesAuth {
        KubernetesAuth::new("bots").with_audience("openbao").with_token_file(&self.token_file)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.token_file);
    }
}

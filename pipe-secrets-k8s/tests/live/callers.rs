//! The manifests of a group mapping on a real server: what they bind works for callers, on whose behalf
//! a service account acts, and nothing else does (REQ 002-30, 002-49).

use std::time::{Duration, Instant, SystemTime};

use pipe_core::identity::{Group, Principal, PrincipalId, TenantId};
use pipe_core::pod::Manifest;
use pipe_core::rbac::{GroupMapping, GroupRights};
use pipe_core::{
    ErrorKind, Namespace, Result, SecretData, SecretRef, SecretsPlugin as _, SecurityContext,
};
use pipe_secrets_k8s::{Connection, KubeconfigConnection, Kubernetes, KubernetesConfig};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::api::{Api, Login};
use crate::server::{Server, shared};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const DEADLINE: Duration = Duration::from_secs(20);

/// A cluster to which a mapping was applied, and the service that acts for its callers.
struct Cluster {
    server: &'static Server,
    rights: GroupRights,
    service: Kubernetes,
    token: String,
    /// Where editors may write Secrets, and where auditors may.
    editors: String,
    auditors: String,
}

impl Cluster {
    async fn prepare() -> Option<Self> {
        let server = shared().await?;
        let admin = server.admin();
        let (editors, auditors) = (admin.fresh_namespace().await, admin.fresh_namespace().await);
        // Roles of the cluster are for all tests, so their names are made of the namespace.
        let role = format!("secrets-{editors}");
        let rules = json!([{ "apiGroups": [""], "resources": ["secrets"],
            "verbs": ["get", "create", "patch"] }]);
        let object = json!({ "metadata": { "name": role }, "rules": rules });
        admin.create(&format!("{RBAC}/clusterroles"), &object).await;
        let object = json!({ "metadata": { "name": "own" }, "rules": rules });
        admin.create(&format!("{RBAC}/namespaces/{auditors}/roles"), &object).await;
        let mapping: GroupMapping = serde_json::from_value(json!({
            "grants": [
                { "group": "editors", "tenant": "bni", "kubernetes": {
                    "groups": [format!("editors-{editors}")],
                    "bindings": [{ "cluster_role": role, "namespaces": [editors] }],
                } },
                { "group": "auditors", "kubernetes": {
                    "groups": [format!("auditors-{editors}")],
                    "bindings": [
                        { "role": "own", "namespaces": [auditors] },
                        { "cluster_role": "system:aggregate-to-view", "cluster_wide": true },
                    ],
                } },
            ],
        }))
        .expect("it is a mapping");
        let rights = GroupRights::new(mapping).expect("the mapping is sound");
        admin.service_account(&editors, "pipe").await;
        let impersonator = rights.impersonator(&format!("pipe-{editors}"), &editors, "pipe");
        let impersonator = impersonator.expect("the names are legal");
        // Applied twice, as by a pipeline that runs again.
        for manifest in rights.bindings().iter().chain(&impersonator).cycle().take(10) {
            apply(admin, manifest).await;
        }
        let token = admin.service_account_token(&editors, "pipe", &[]).await;
        let kubeconfig = server.kubeconfig(Login::Token(&token), &editors);
        let path = server.write(&format!("kubeconfig-callers-{editors}"), &kubeconfig);
        let connection = Connection::from(KubeconfigConnection::new().with_path(path));
        let service = Kubernetes::new(KubernetesConfig::new(connection)).unwrap();
        let cluster = Self { server, rights, service, token, editors, auditors };
        // The server learns of roles a little later than it stores them.
        cluster.until_allowed().await;
        Some(cluster)
    }

    async fn until_allowed(&self) {
        let start = Instant::now();
        let (editor, auditor) = (self.caller("bni", "editors"), self.caller("bnp", "auditors"));
        while self.read(&editor, &self.editors).await.is_err()
            || self.read(&auditor, &self.auditors).await.is_err()
            || self.raw(&self.headers(&auditor), "/api/v1/configmaps").await != StatusCode::OK
        {
            assert!(start.elapsed() < DEADLINE, "what is bound is not granted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Somebody of a tenant who is in this group of the identity provider.
    fn caller(&self, tenant: &str, group: &str) -> SecurityContext {
        let principal = Principal::user(PrincipalId::new("248289761001").unwrap());
        let now = SystemTime::now();
        SecurityContext::new(principal, "https://idp.example", now, now + Duration::from_secs(600))
            .with_tenant(TenantId::new(tenant).unwrap())
            .with_groups([Group::new(group).unwrap()])
    }

    fn acting_for(&self, caller: &SecurityContext) -> Kubernetes {
        self.service.as_caller(&self.rights.kubernetes_user(caller).unwrap()).unwrap()
    }

    async fn read(&self, caller: &SecurityContext, namespace: &str) -> Result<()> {
        self.acting_for(caller).get_secret(&secret(namespace)).await.map(|_| ())
    }

    fn headers(&self, caller: &SecurityContext) -> Vec<(&'static str, String)> {
        let user = self.rights.kubernetes_user(caller).unwrap();
        let groups = user.groups().map(|group| ("impersonate-group", group.to_owned()));
        [("impersonate-user", user.name().to_owned())].into_iter().chain(groups).collect()
    }

    /// What the server answers the service account, whoever it says that it acts for.
    async fn raw(&self, headers: &[(&str, String)], path: &str) -> StatusCode {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let api = self.server.api(Login::Token(&self.token));
        api.exchange(Method::GET, path, &headers, String::new()).await.status()
    }
}

async fn apply(admin: &Api, manifest: &Manifest) {
    let object = manifest.as_value();
    let resource = format!("{}s", manifest.kind().to_lowercase());
    let path = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{RBAC}/namespaces/{namespace}/{resource}"),
        None => format!("{RBAC}/{resource}"),
    };
    let (status, answer) =
        admin.apply(&format!("{path}/{}", manifest.name()), "pipe", object).await;
    assert!(status.is_success(), "{answer}");
}

fn secret(namespace: &str) -> SecretRef {
    SecretRef::new("db").unwrap().with_namespace(Namespace::new(namespace).unwrap())
}

#[tokio::test]
async fn what_is_bound_to_a_group_works_for_its_members() {
    let Some(cluster) = Cluster::prepare().await else { return };
    let data = SecretData::new().with("password", "hunter2");
    for (tenant, group, namespace) in
        [("bni", "editors", &cluster.editors), ("bnp", "auditors", &cluster.auditors)]
    {
        let caller = cluster.acting_for(&cluster.caller(tenant, group));
        caller.create_secret(&secret(namespace), data.clone()).await.unwrap();
        let read = caller.get_secret(&secret(namespace)).await.unwrap().unwrap();
        assert_eq!(read.data, data, "{group}");
    }
}

#[tokio::test]
async fn what_is_not_bound_is_forbidden() {
    let Some(cluster) = Cluster::prepare().await else { return };
    for (tenant, group, namespace) in [
        ("bni", "editors", &cluster.auditors),
        ("bnp", "auditors", &cluster.editors),
        // Another tenant, and groups that are called nearly so.
        ("bnp", "editors", &cluster.editors),
        ("bni", "editor", &cluster.editors),
        ("bni", "Editors", &cluster.editors),
        ("bni", "editors-2", &cluster.editors),
    ] {
        let error = cluster.read(&cluster.caller(tenant, group), namespace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{tenant} {group}: {error:#}");
        assert_eq!(error.context("status"), Some("403"), "{error:#}");
    }
    let error = cluster.service.get_secret(&secret(&cluster.editors)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "the service itself: {error:#}");
}

#[tokio::test]
async fn only_what_is_bound_in_all_of_the_cluster_is_granted_there() {
    let Some(cluster) = Cluster::prepare().await else { return };
    let auditor = cluster.headers(&cluster.caller("bnp", "auditors"));
    let editor = cluster.headers(&cluster.caller("bni", "editors"));
    for (headers, path, expected) in [
        (&auditor, "/api/v1/configmaps", StatusCode::OK),
        (&auditor, "/api/v1/secrets", StatusCode::FORBIDDEN),
        (&editor, "/api/v1/configmaps", StatusCode::FORBIDDEN),
        (&editor, "/api/v1/secrets", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(cluster.raw(headers, path).await, expected, "{headers:?} {path}");
    }
}

/// The account may act for the groups of the mapping: for no other, and for no service account.
#[tokio::test]
async fn the_impersonator_can_be_nobody_else() {
    let Some(cluster) = Cluster::prepare().await else { return };
    let account = format!("system:serviceaccount:{}:pipe", cluster.editors);
    let user = || ("impersonate-user", "oidc:248289761001".to_owned());
    let group = |name: &str| ("impersonate-group", name.to_owned());
    let path = format!("/api/v1/namespaces/{}/secrets/db", cluster.editors);
    let ours = format!("oidc:editors-{}", cluster.editors);
    for headers in [
        vec![user(), group("system:masters")],
        vec![user(), group(&ours), group("system:masters")],
        vec![user(), group("oidc:other")],
        vec![user(), group(&ours.to_uppercase())],
        vec![("impersonate-user", account)],
    ] {
        assert_eq!(cluster.raw(&headers, &path).await, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let allowed = cluster.raw(&[user(), group(&ours)], &path).await;
    assert!(matches!(allowed, StatusCode::OK | StatusCode::NOT_FOUND), "{allowed}");
}

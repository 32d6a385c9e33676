//! A root client that prepares what a live test needs in a real server.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// A client with the root token.
///
/// `namespace` is a path such as `team` or `team/child`, and empty for the root namespace. Bodies
/// are the server's own; setup that the server refuses is a panic.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    http: Client,
    address: String,
    token: String,
}

impl Admin {
    pub(crate) fn new(address: &str, token: &str) -> Self {
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            // Every test has a runtime of its own, and a pooled connection ends with the runtime
            // that opened it.
            .pool_max_idle_per_host(0)
            .build()
            .expect("build the HTTP client");
        Self { http, address: address.to_owned(), token: token.to_owned() }
    }

    pub(crate) fn root_token(&self) -> &str {
        &self.token
    }

    /// Creates a namespace, whose parent exists, with a KV version 2 mount `secret`.
    ///
    /// Returns its path.
    pub(crate) async fn namespace(&self, path: &str) -> String {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.write(parent, &format!("sys/namespaces/{name}"), json!({})).await;
        self.kv(path, "secret", "2").await;
        path.to_owned()
    }

    /// Creates a [namespace](Self::namespace) that no other test has.
    pub(crate) async fn fresh_namespace(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The time keeps apart two runs against one external server.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now is after 1970");
        self.namespace(&format!("live-{}-{}-{count}", now.as_secs(), process::id())).await
    }

    /// Mounts a KV engine of version "1" or "2" and waits until it serves.
    pub(crate) async fn kv(&self, namespace: &str, mount: &str, version: &str) {
        let engine = json!({ "type": "kv", "options": { "version": version } });
        self.write(namespace, &format!("sys/mounts/{mount}"), engine).await;
        // A new version 2 mount may first answer 400 "Upgrading from non-versioned to versioned".
        let start = Instant::now();
        while self.read(namespace, &format!("{mount}/data/absent")).await.0 == 400 {
            assert!(start.elapsed() < Duration::from_secs(10), "mount {mount} does not get ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes a policy in OpenBao's policy language.
    pub(crate) async fn policy(&self, namespace: &str, name: &str, hcl: &str) {
        let path = format!("sys/policies/acl/{name}");
        self.write(namespace, &path, json!({ "policy": hcl })).await;
    }

    /// Creates a token; `options` are further fields of `auth/token/create`, such as `period`.
    pub(crate) async fn token(
        &self,
        namespace: &str,
        policies: &[&str],
        ttl: &str,
        options: Value,
    ) -> String {
        let mut body = options;
        body["policies"] = json!(policies);
        body["ttl"] = json!(ttl);
        let reply = self.write(namespace, "auth/token/create", body).await;
        text(&reply["auth"]["client_token"])
    }

    /// Revokes a token of any namespace, with its children and leases.
    pub(crate) async fn revoke(&self, token: &str) {
        self.write("", "auth/token/revoke", json!({ "token": token })).await;
    }

    /// How many tokens the namespace holds.
    pub(crate) async fn token_accessors(&self, namespace: &str) -> usize {
        let list = Method::from_bytes(b"LIST").expect("LIST is a valid method");
        let (_, reply) = send(self.request(list, namespace, "auth/token/accessors")).await;
        reply["data"]["keys"].as_array().map_or(0, Vec::len)
    }

    /// Creates an AppRole in the mount `approle`; returns the role id and a secret id.
    ///
    /// `role` is the body of `auth/approle/role/<name>`: `token_policies`, `token_ttl`,
    /// `token_max_ttl`, `secret_id_ttl`, `secret_id_num_uses` …
    pub(crate) async fn approle(
        &self,
        namespace: &str,
        name: &str,
        role: Value,
    ) -> (String, String) {
        self.enable_auth(namespace, "approle").await;
        let path = format!("auth/approle/role/{name}");
        self.write(namespace, &path, role).await;
        let (_, reply) = self.read(namespace, &format!("{path}/role-id")).await;
        (text(&reply["data"]["role_id"]), self.secret_id(namespace, name).await)
    }

    /// Another secret id of an AppRole.
    pub(crate) async fn secret_id(&self, namespace: &str, name: &str) -> String {
        let path = format!("auth/approle/role/{name}/secret-id");
        text(&self.write(namespace, &path, json!({})).await["data"]["secret_id"])
    }

    /// A wrapping token that holds another secret id of an AppRole.
    pub(crate) async fn wrapped_secret_id(&self, namespace: &str, name: &str) -> String {
        let path = format!("auth/approle/role/{name}/secret-id");
        let request = self.request(Method::POST, namespace, &path).body("{}");
        let (status, reply) = send(request.header("x-vault-wrap-ttl", "60s")).await;
        assert_eq!(status, 200, "wrap a secret id in {namespace:?}: {reply}");
        text(&reply["wrap_info"]["token"])
    }

    /// Enables the mount `kubernetes` with a TokenReview service at `review_url`.
    pub(crate) async fn kubernetes(
        &self,
        namespace: &str,
        review_url: &str,
        reviewer_token: &str,
        ca_pem: &str,
    ) {
        self.enable_auth(namespace, "kubernetes").await;
        // The CA is wanted even for an http:// address, unless the server itself runs in a pod.
        let config = json!({
            "kubernetes_host": review_url,
            "kubernetes_ca_cert": ca_pem,
            "disable_local_ca_jwt": true,
            "token_reviewer_jwt": reviewer_token,
        });
        self.write(namespace, "auth/kubernetes/config", config).await;
    }

    /// Creates a role of the mount `kubernetes`.
    ///
    /// `role` is the body of `auth/kubernetes/role/<name>`: `bound_service_account_names`,
    /// `bound_service_account_namespaces`, `audience`, `token_policies`, `token_ttl` …
    pub(crate) async fn kubernetes_role(&self, namespace: &str, name: &str, role: Value) {
        self.write(namespace, &format!("auth/kubernetes/role/{name}"), role).await;
    }

    /// A user with the policy `bot`, of the mount `userpass`.
    pub(crate) async fn user(&self, namespace: &str, name: &str, password: &str) {
        self.enable_auth(namespace, "userpass").await;
        let user = json!({ "password": password, "token_policies": ["bot"], "token_ttl": "10m" });
        self.write(namespace, &format!("auth/userpass/users/{name}"), user).await;
    }

    /// The mount `jwt`, which trusts this issuer, with the role `bots`.
    pub(crate) async fn jwt(&self, namespace: &str, issuer: &str, role: Value) {
        self.enable_auth(namespace, "jwt").await;
        let config = json!({ "oidc_discovery_url": issuer, "bound_issuer": issuer });
        self.write(namespace, "auth/jwt/config", config).await;
        self.write(namespace, "auth/jwt/role/bots", role).await;
    }

    /// Enables the auth method `kind` at the mount of the same name, unless it is there.
    pub(crate) async fn enable_auth(&self, namespace: &str, kind: &str) {
        let path = format!("sys/auth/{kind}");
        let (status, reply) = self.post(namespace, &path, json!({ "type": kind })).await;
        let is_there = reply.to_string().contains("path is already in use");
        assert!(status == 204 || is_there, "enable {kind} in {namespace:?}: {status} {reply}");
    }

    /// Lets `rate` requests per `interval` through to a path, which starts with its namespace.
    pub(crate) async fn rate_limit(&self, name: &str, path: &str, rate: u32, interval: &str) {
        let quota = json!({ "path": path, "rate": rate, "interval": interval });
        self.write("", &format!("sys/quotas/rate-limit/{name}"), quota).await;
    }

    /// Removes a [rate limit](Self::rate_limit).
    pub(crate) async fn remove_rate_limit(&self, name: &str) {
        self.delete("", &format!("sys/quotas/rate-limit/{name}")).await;
    }

    /// How many nodes of a cluster have a vote.
    pub(crate) async fn voters(&self) -> usize {
        let (_, reply) = self.read("", "sys/storage/raft/configuration").await;
        let servers = reply["data"]["config"]["servers"].as_array();
        servers.map_or(0, |all| all.iter().filter(|one| one["voter"] == true).count())
    }

    /// The status of `sys/health`; `None` while the server cannot be reached.
    pub(crate) async fn health(&self) -> Option<u16> {
        let url = format!("{}/v1/sys/health", self.address);
        let request = self.http.get(url).timeout(Duration::from_secs(5));
        Some(request.send().await.ok()?.status().as_u16())
    }

    /// Posts and returns the answer.
    pub(crate) async fn write(&self, namespace: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.post(namespace, path, body).await;
        assert!((200..300).contains(&status), "write {path} in {namespace:?}: {status} {reply}");
        reply
    }

    /// Deletes what is at a path.
    pub(crate) async fn delete(&self, namespace: &str, path: &str) {
        let (status, reply) = send(self.request(Method::DELETE, namespace, path)).await;
        assert!((200..300).contains(&status), "delete {path} in {namespace:?}: {status} {reply}");
    }

    /// The status and body of a read, whatever they are.
    pub(crate) async fn read(&self, namespace: &str, path: &str) -> (u16, Value) {
        send(self.request(Method::GET, namespace, path)).await
    }

    /// The status and body of a post, whatever they are.
    pub(crate) async fn post(&self, namespace: &str, path: &str, body: Value) -> (u16, Value) {
        send(self.request(Method::POST, namespace, path).body(body.to_string())).await
    }

    fn request(&self, method: Method, namespace: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/v1/{path}", self.address);
        let request = self.http.request(method, url).header("x-vault-token", &self.token);
        match namespace {
            "" => request,
            namespace => request.header("x-vault-namespace", namespace),
        }
    }
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the server answers its administrator");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("read the answer");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().expect("the answer holds the field").to_owned()
}

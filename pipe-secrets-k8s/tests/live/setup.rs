//! What an administrator prepares for a test: namespaces, service accounts, rights and tokens.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::api::Api;

const DEADLINE: Duration = Duration::from_secs(20);

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Who gets a right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    User(&'a str),
    ServiceAccount { namespace: &'a str, name: &'a str },
}

/// As the administrator. What the server refuses is a panic.
impl Api {
    /// Creates a namespace that no other test has, and returns its name.
    ///
    /// It has no service account, and once deleted stays for ever: no controllers run beside the
    /// API server.
    pub(crate) async fn fresh_namespace(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now is after 1970");
        let name = format!("live-{}-{}-{count}", now.as_secs(), process::id());
        self.create("/api/v1/namespaces", &json!({ "metadata": { "name": name } })).await;
        name
    }

    /// Creates a service account and returns its uid.
    pub(crate) async fn service_account(&self, namespace: &str, name: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let created = self.create(&path, &json!({ "metadata": { "name": name } })).await;
        created["metadata"]["uid"].as_str().expect("the server gives a uid").to_owned()
    }

    /// A token of a service account for these audiences, or for the API server when there are
    /// none. It lives for ten minutes, which is the least.
    pub(crate) async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[&str],
    ) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({ "spec": { "audiences": audiences, "expirationSeconds": 600 } });
        let answer = self.create(&path, &request).await;
        answer["status"]["token"].as_str().expect("the answer has a token").to_owned()
    }

    /// Grants the rules of a new Role, `name`, in a namespace, and returns when they hold.
    pub(crate) async fn grant(
        &self,
        namespace: &str,
        name: &str,
        subject: Subject<'_>,
        rules: &Value,
    ) {
        let path = format!("{RBAC}/namespaces/{namespace}");
        let role = json!({ "metadata": { "name": name }, "rules": rules });
        self.create(&format!("{path}/roles"), &role).await;
        let binding = binding("Role", name, name, subject);
        self.create(&format!("{path}/rolebindings"), &binding).await;
        self.until_allowed(subject, Some(namespace), rules, true).await;
    }

    /// Takes back what [`grant`](Self::grant) gave, and returns when it no longer holds.
    pub(crate) async fn revoke(&self, namespace: &str, name: &str, subject: Subject<'_>) {
        let path = format!("{RBAC}/namespaces/{namespace}");
        let (status, role) = self.get(&format!("{path}/roles/{name}")).await;
        assert!(status.is_success(), "{role}");
        let (status, answer) = self.delete(&format!("{path}/rolebindings/{name}")).await;
        assert!(status.is_success(), "{answer}");
        self.until_allowed(subject, Some(namespace), &role["rules"], false).await;
    }

    /// Grants a ClusterRole such as `system:auth-delegator` everywhere, and returns when it holds.
    pub(crate) async fn grant_cluster_role(&self, role: &str, subject: Subject<'_>) {
        let (status, found) = self.get(&format!("{RBAC}/clusterroles/{role}")).await;
        assert!(status.is_success(), "{found}");
        let name = format!("{role}-{:x}", fastrand::u64(..));
        let binding = binding("ClusterRole", role, &name, subject);
        self.create(&format!("{RBAC}/clusterrolebindings"), &binding).await;
        self.until_allowed(subject, None, &found["rules"], true).await;
    }

    /// Waits until the server, which learns of roles a little later than it stores them, judges so.
    async fn until_allowed(
        &self,
        subject: Subject<'_>,
        namespace: Option<&str>,
        rules: &Value,
        allowed: bool,
    ) {
        let start = Instant::now();
        for mut spec in questions(namespace, rules) {
            spec["user"] = json!(subject.user_name());
            let review = json!({ "spec": spec });
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            while self.create(path, &review).await["status"]["allowed"] != allowed {
                assert!(start.elapsed() < DEADLINE, "not {allowed} in time: {spec}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Subject<'_> {
    /// The name by which the server knows the subject when it makes a request.
    pub(crate) fn user_name(self) -> String {
        match self {
            Self::User(name) => name.to_owned(),
            Self::ServiceAccount { namespace, name } => {
                format!("system:serviceaccount:{namespace}:{name}")
            }
        }
    }

    fn reference(self) -> Value {
        match self {
            Self::User(name) => {
                json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name })
            }
            Self::ServiceAccount { namespace, name } => {
                json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
            }
        }
    }
}

fn binding(role_kind: &str, role: &str, name: &str, subject: Subject<'_>) -> Value {
    json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role },
        "subjects": [subject.reference()],
    })
}

/// What to ask, and of whom is left open, to learn whether rules hold: one question for each
/// combination of what they name.
fn questions(namespace: Option<&str>, rules: &Value) -> Vec<Value> {
    let mut questions = Vec::new();
    for rule in rules.as_array().expect("rules are an array") {
        for verb in texts(rule, "verbs") {
            for path in texts(rule, "nonResourceURLs") {
                questions.push(json!({ "nonResourceAttributes": { "verb": verb, "path": path } }));
            }
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    let (resource, subresource) =
                        resource.split_once('/').unwrap_or((resource, ""));
                    let names = texts(rule, "resourceNames");
                    // No name in a rule means any, and in a question the whole collection.
                    for name in if names.is_empty() { vec![""] } else { names } {
                        questions.push(json!({ "resourceAttributes": {
                            "verb": verb, "group": group, "resource": resource,
                            "subresource": subresource, "name": name, "namespace": namespace,
                        }}));
                    }
                }
            }
        }
    }
    questions
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    let values = rule[field].as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().map(|value| value.as_str().expect("rules hold strings")).collect()
}

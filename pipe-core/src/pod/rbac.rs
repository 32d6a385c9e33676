//! The least rights that a plugin needs in Kubernetes (REQ 001-94, 002-48).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Manifest;
use super::openbao::{check_namespace, check_object_name};
use crate::{Error, ErrorKind, Result};

/// What a service account may do with the Secrets of one namespace.
///
/// ```
/// use pipe_core::pod::SecretsRole;
///
/// let [role, binding] = SecretsRole::new("pipe-bot-secrets", "pipe-bots")
///     .reading(["db-creds"])
///     .bound_to("pipe-bots", "pipe-bot")?;
/// assert_eq!((role.kind(), binding.kind()), ("Role", "RoleBinding"));
/// assert_eq!(role.as_value()["rules"][0]["resourceNames"], serde_json::json!(["db-creds"]));
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// Rights are for Secrets by their names in Kubernetes, see
/// [`kubernetes_secret_name`](super::kubernetes_secret_name). A Role with names lets nobody create by `POST`, or list
/// the namespace; it does let server-side apply create just these, and it lets a list or a watch
/// through that has the field selector `metadata.name=<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretsRole {
    name: String,
    namespace: String,
    read: BTreeSet<String>,
    watched: BTreeSet<String>,
    written: BTreeSet<String>,
    deleted: BTreeSet<String>,
    lists_all: bool,
    token_for: BTreeSet<String>,
}

impl SecretsRole {
    /// A Role of this name in this namespace, which allows nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            read: BTreeSet::new(),
            watched: BTreeSet::new(),
            written: BTreeSet::new(),
            deleted: BTreeSet::new(),
            lists_all: false,
            token_for: BTreeSet::new(),
        }
    }

    /// May read these.
    #[must_use]
    pub fn reading<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.read.extend(secrets.into_iter().map(Into::into));
        self
    }

    /// May read and watch these, each by a field selector of its name.
    #[must_use]
    pub fn watching<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.watched.extend(secrets.into_iter().map(Into::into));
        self
    }

    /// May read these, and create and change them by server-side apply.
    #[must_use]
    pub fn writing<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.written.extend(secrets.into_iter().map(Into::into));
        self
    }

    /// May read and delete these.
    #[must_use]
    pub fn deleting<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.deleted.extend(secrets.into_iter().map(Into::into));
        self
    }

    /// May list all Secrets of the namespace, which cannot be done without seeing their values.
    #[must_use]
    pub fn listing_the_namespace(self) -> Self {
        Self { lists_all: true, ..self }
    }

    /// May ask for tokens of this service account.
    #[must_use]
    pub fn minting_tokens_of(mut self, service_account: impl Into<String>) -> Self {
        self.token_for.insert(service_account.into());
        self
    }

    /// The Role, and the RoleBinding that gives it to a service account of a namespace.
    ///
    /// # Errors
    /// `InvalidArgument` for names that Kubernetes would refuse, and for a Role that allows
    /// nothing.
    pub fn bound_to(&self, namespace: &str, service_account: &str) -> Result<[Manifest; 2]> {
        for name in [self.name.as_str(), service_account] {
            check_object_name("name", name)?;
        }
        for name in [self.namespace.as_str(), namespace] {
            check_namespace(name)?;
        }
        for name in &self.token_for {
            check_object_name("service account", name)?;
        }
        for name in self.secrets() {
            check_object_name("secret", name)?;
        }
        let rules = self.rules();
        if rules.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the role allows nothing")
                .with("role", &self.name)
                .hint("name the secrets that it is for"));
        }
        let role = self.object("Role", json!({"rules": rules}));
        let binding = json!({
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": self.name},
            "subjects": [
                {"kind": "ServiceAccount", "name": service_account, "namespace": namespace},
            ],
        });
        Ok([role, self.object("RoleBinding", binding)])
    }

    /// Rules of equal rights are one, and each name is in one of them.
    fn rules(&self) -> Vec<Value> {
        let mut by_verbs: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
        for name in self.secrets() {
            let mut verbs = vec!["get"];
            for (names, more) in [
                (&self.watched, &["list", "watch"][..]),
                (&self.written, &["create", "patch"]),
                (&self.deleted, &["delete"]),
            ] {
                if names.contains(name) {
                    verbs.extend(more);
                }
            }
            by_verbs.entry(verbs).or_default().push(name);
        }
        let mut rules: Vec<_> =
            by_verbs.iter().map(|(verbs, names)| rule("secrets", names, verbs)).collect();
        if self.lists_all {
            rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}));
        }
        if !self.token_for.is_empty() {
            let names: Vec<_> = self.token_for.iter().map(String::as_str).collect();
            rules.push(rule("serviceaccounts/token", &names, &["create"]));
        }
        rules
    }

    fn secrets(&self) -> BTreeSet<&String> {
        let all = [&self.read, &self.watched, &self.written, &self.deleted];
        all.into_iter().flatten().collect()
    }

    fn object(&self, kind: &str, rest: Value) -> Manifest {
        Manifest::new(API, kind, &self.name, &self.namespace, rest)
    }
}

/// The ClusterRoleBinding that lets a service account ask who a token is of (TokenReview), and
/// whether somebody may do something (SubjectAccessReview).
///
/// # Errors
/// `InvalidArgument` for names that Kubernetes would refuse.
pub fn token_review_binding(
    name: &str,
    namespace: &str,
    service_account: &str,
) -> Result<Manifest> {
    check_object_name("name", name)?;
    check_namespace(namespace)?;
    check_object_name("service account", service_account)?;
    let binding = json!({
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}],
    });
    Ok(Manifest::new(API, "ClusterRoleBinding", name, "", binding))
}

const GROUP: &str = "rbac.authorization.k8s.io";
const API: &str = "rbac.authorization.k8s.io/v1";

fn rule(resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [""], "resources": [resource], "resourceNames": names, "verbs": verbs})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(role: &SecretsRole) -> Value {
        let [role, _] = role.bound_to("bots", "bot").unwrap();
        role.into_value()["rules"].take()
    }

    #[test]
    fn each_name_is_in_one_rule_with_what_it_needs() {
        let role = SecretsRole::new("r", "bots").reading(["a", "b"]).watching(["b"]).writing(["b"]);
        let expected = json!([
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["b"],
             "verbs": ["get", "list", "watch", "create", "patch"]},
        ]);
        assert_eq!(rules(&role), expected);
    }

    #[test]
    fn only_what_says_so_is_without_names() {
        let role = SecretsRole::new("r", "bots").deleting(["a"]).minting_tokens_of("bot");
        for rule in rules(&role).as_array().unwrap() {
            assert!(!rule["resourceNames"].as_array().unwrap().is_empty(), "{rule}");
        }
        let rules = rules(&role.listing_the_namespace());
        let open: Vec<_> = rules
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule.get("resourceNames").is_none())
            .collect();
        assert_eq!(
            open,
            [&json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]})]
        );
    }

    #[test]
    fn a_role_that_allows_nothing_or_has_no_name_is_refused() {
        assert!(SecretsRole::new("r", "bots").bound_to("bots", "bot").is_err());
        assert!(SecretsRole::new("R", "bots").reading(["a"]).bound_to("bots", "bot").is_err());
        assert!(SecretsRole::new("r", "b.b").reading(["a"]).bound_to("bots", "bot").is_err());
        assert!(SecretsRole::new("r", "bots").reading(["a"]).bound_to("bots", "").is_err());
        assert!(SecretsRole::new("r", "bots").reading(["a/b"]).bound_to("bots", "bot").is_err());
        assert!(token_review_binding("r", "bots", "").is_err());
    }
}

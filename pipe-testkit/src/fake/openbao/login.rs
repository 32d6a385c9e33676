//! Logins: AppRole and Kubernetes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::token_review::{ServiceAccount, random_id};
use super::answers::{self, Outcome};
use super::request::{ApiRequest, Operation};
use super::state::State;
use super::time::unix;
use super::token::{SYSTEM_MAX_TTL, Token};

/// The roles of an auth method. OpenBao has no such mount before it is enabled: before `Some`.
pub(super) type Mount<R> = Option<BTreeMap<String, R>>;

/// What tokens of a role are.
#[derive(Clone, Debug)]
pub(super) struct RoleTokens {
    pub(super) policies: Vec<String>,
    pub(super) ttl: Duration,
    /// Zero: the system's.
    pub(super) max_ttl: Duration,
    pub(super) entity_id: String,
}

impl RoleTokens {
    pub(super) fn new(policies: &[&str], ttl: Duration, max_ttl: Duration) -> Self {
        Self {
            policies: policies.iter().copied().map(str::to_owned).collect(),
            ttl: if ttl.is_zero() { SYSTEM_MAX_TTL } else { ttl },
            max_ttl,
            entity_id: random_id(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct AppRole {
    pub(super) role_id: String,
    pub(super) secret_id: String,
    /// `None`: as often as one likes.
    pub(super) uses_left: Option<u32>,
    pub(super) tokens: RoleTokens,
}

#[derive(Clone, Debug)]
pub(super) struct KubernetesRole {
    pub(super) audience: Option<String>,
    pub(super) names: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) tokens: RoleTokens,
}

/// How far clocks may differ before OpenBao calls a service account's token expired.
const LEEWAY: u64 = 60;

impl State {
    /// The answer to a login; `None` when this is none that the namespace offers.
    pub(super) fn login(&mut self, namespace: &str, request: &ApiRequest) -> Option<Outcome> {
        if matches!(request.operation, Operation::List | Operation::Scan) {
            return None;
        }
        let mounts = &self.namespaces[namespace];
        match request.path.as_str() {
            "auth/approle/login" if mounts.approles.is_some() => {
                Some(self.approle_login(namespace, request))
            }
            "auth/kubernetes/login" if mounts.kubernetes_roles.is_some() => {
                Some(self.kubernetes_login(namespace, request))
            }
            _ => None,
        }
    }

    fn approle_login(&mut self, namespace: &str, request: &ApiRequest) -> Outcome {
        let role_id = text(request, "role_id");
        if role_id.is_empty() {
            return Err(answers::error(500, "missing role_id"));
        }
        let secret_id = text(request, "secret_id");
        if secret_id.is_empty() {
            return Err(answers::error(400, "missing secret_id"));
        }
        let space = self.namespaces.get_mut(namespace).expect("the namespace was looked up");
        let mut roles = space.approles.iter_mut().flatten();
        let found = roles.find(|(_, role)| role.role_id == role_id && role.secret_id == secret_id);
        let found = found.filter(|(_, role)| role.uses_left != Some(0));
        let Some((name, role)) = found else {
            return Err(answers::error(400, "invalid role or secret ID"));
        };
        role.uses_left = role.uses_left.map(|left| left - 1);
        let (meta, tokens) = (json!({ "role_name": name }), role.tokens.clone());
        self.issue(namespace, request, &tokens, "approle", meta)
    }

    fn kubernetes_login(&mut self, namespace: &str, request: &ApiRequest) -> Outcome {
        if request.operation != Operation::Update {
            return Err(answers::error(405, "unsupported operation"));
        }
        let name = text(request, "role");
        if name.is_empty() {
            return Err(answers::error(400, "missing role"));
        }
        let jwt = text(request, "jwt");
        if jwt.is_empty() {
            return Err(answers::error(400, "missing jwt"));
        }
        let roles = self.namespaces[namespace].kubernetes_roles.as_ref();
        let Some(role) = roles.and_then(|roles| roles.get(&name)).cloned() else {
            return Err(answers::error(400, &format!("invalid role name {name:?}")));
        };
        // A token of nobody's is refused by the review, which names no reason either.
        let Some(account) = ServiceAccount::of(&jwt) else {
            return Err(answers::token_refused());
        };
        let now = unix(self.now());
        let refused = |text: &str| Err(answers::error(403, text));
        if role.audience.as_ref().is_some_and(|audience| *audience != account.audience) {
            return refused(
                "invalid audience (aud) claim: audience claim does not match any expected audience",
            );
        }
        if account.expiry + LEEWAY <= now {
            return refused("invalid expiration time (exp) claim: token is expired");
        }
        if !is_bound(&role.names, &account.name) {
            return refused("service account name not authorized");
        }
        if !is_bound(&role.namespaces, &account.namespace) {
            return refused("namespace not authorized");
        }
        if account.expiry <= now {
            return Err(answers::token_refused());
        }
        let meta = json!({
            "role": name,
            "service_account_name": account.name,
            "service_account_namespace": account.namespace,
            "service_account_secret_name": "",
            "service_account_uid": account.uid,
        });
        let display_name = format!("kubernetes-{}-{}", account.namespace, account.name);
        self.issue(namespace, request, &role.tokens, &display_name, meta)
    }

    fn issue(
        &mut self,
        namespace: &str,
        request: &ApiRequest,
        role: &RoleTokens,
        display_name: &str,
        meta: Value,
    ) -> Outcome {
        let policies = role.policies.iter().map(String::as_str).collect::<Vec<_>>();
        let mut token = Token::new(self, namespace, &policies, role.ttl);
        if !role.max_ttl.is_zero() {
            token.max_ttl = role.max_ttl;
        }
        token.from_role = true;
        token.display_name = match namespace {
            "" => display_name.to_owned(),
            _ => format!("{}auth-{display_name}", namespace.replace('/', "-")),
        };
        token.meta = meta;
        token.path = request.path.clone();
        token.entity_id = format!("{}{}", role.entity_id, self.token_suffix(namespace));
        let auth = token.auth(token.ttl);
        self.tokens.insert(token.id.clone(), token);
        self.logins += 1;
        Ok(answers::auth(&auth, &Value::Null))
    }
}

fn text(request: &ApiRequest, field: &str) -> String {
    match request.body.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn is_bound(bound: &[String], name: &str) -> bool {
    bound.iter().any(|bound| match bound.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => bound == name,
    })
}

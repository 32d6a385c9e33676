//! Everything the server knows.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::super::http::Call;
use super::fault::Fault;
use super::login::{AppRole, KubernetesRole, Mount};
use super::policy::{Acl, Policy, default_policy};
use super::store::Store;
use super::token::{Token, random_text};

/// A request that the server got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent, without `/v1/` and the query.
    pub path: String,
    /// The query as it was sent.
    pub query: String,
    /// Whether a token was shown. Which one is not kept.
    pub has_token: bool,
    /// The header `X-Vault-Namespace`.
    pub namespace: Option<String>,
}

#[derive(Debug)]
pub(super) struct State {
    /// By path: `""` is the root, others end in a slash.
    pub(super) namespaces: BTreeMap<String, Namespace>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) root_token: String,
    /// How far this server's clock is ahead.
    pub(super) ahead: Duration,
    pub(super) sealed: bool,
    pub(super) standby: bool,
    pub(super) page_limit: Option<i64>,
    pub(super) faults: Vec<InjectedFault>,
    pub(super) log: Vec<RequestRecord>,
    pub(super) logins: usize,
    pub(super) renewals: usize,
}

/// One namespace: its policies, its auth methods and its KV v2 mount `secret`.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    /// What tokens of this namespace end in.
    pub(super) id: String,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) approles: Mount<AppRole>,
    pub(super) kubernetes_roles: Mount<KubernetesRole>,
    pub(super) store: Store,
}

#[derive(Debug)]
pub(super) struct InjectedFault {
    pub(super) fault: Fault,
    pub(super) path_prefix: String,
    pub(super) left: usize,
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self {
            namespaces: BTreeMap::new(),
            tokens: BTreeMap::new(),
            root_token: String::new(),
            ahead: Duration::ZERO,
            sealed: false,
            standby: false,
            page_limit: None,
            faults: Vec::new(),
            log: Vec::new(),
            logins: 0,
            renewals: 0,
        };
        state.add_namespace("");
        let mut root = Token::new(&state, "", &[], Duration::ZERO);
        root.policies = vec!["root".to_owned()];
        root.expires = None;
        root.renewable = false;
        state.root_token = root.id.clone();
        state.tokens.insert(root.id.clone(), root);
        state
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    /// Adds a namespace by its path, unless it is there.
    pub(super) fn add_namespace(&mut self, path: &str) {
        let id = if path.is_empty() { String::new() } else { random_text(6) };
        let policies = BTreeMap::from([("default".to_owned(), default_policy(path))]);
        let added = || Namespace { id, policies, ..Namespace::default() };
        self.namespaces.entry(path.to_owned()).or_insert_with(added);
    }

    /// `.1WtqhG`, or nothing in the root namespace.
    pub(super) fn token_suffix(&self, namespace: &str) -> String {
        match self.namespaces[namespace].id.as_str() {
            "" => String::new(),
            id => format!(".{id}"),
        }
    }

    /// A token that is known and not expired.
    pub(super) fn live_token(&self, id: &str) -> Option<&Token> {
        let now = self.now();
        let token = self.tokens.get(id)?;
        token.expires.is_none_or(|end| end > now).then_some(token)
    }

    /// What a token may do. Policies that do not exist grant nothing.
    pub(super) fn acl(&self, token: &Token) -> Acl {
        let mut acl = Acl::default();
        for name in &token.policies {
            acl.root |= name == "root";
            if let Some(policy) = self.namespaces[&token.namespace].policies.get(name) {
                acl.add(policy);
            }
        }
        acl
    }

    pub(super) fn record(&mut self, call: &Call, has_token: bool) {
        self.log.push(RequestRecord {
            method: call.method.to_string(),
            path: api_path(call).to_owned(),
            query: call.query.clone(),
            has_token,
            namespace: call.header("x-vault-namespace").map(str::to_owned),
        });
    }

    /// The first fault for this path that is not used up.
    pub(super) fn next_fault(&mut self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.iter_mut();
        let injected = faults.find(|one| one.left > 0 && path.starts_with(&one.path_prefix))?;
        injected.left -= 1;
        Some(injected.fault.clone())
    }
}

/// The path below `/v1/`, as it was sent.
pub(super) fn api_path(call: &Call) -> &str {
    call.path.strip_prefix("/v1/").unwrap_or(&call.path)
}

//! From a request to its answer, in the order in which OpenBao looks at things.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::super::http::{Answer, Call, Handler};
use super::answers::{self, JSON, Outcome, Reply};
use super::kv;
use super::request::{self, ApiRequest, Operation};
use super::state::{State, api_path};
use super::time::unix;
use super::token::Token;

/// The state, shared by the server and the handle.
#[derive(Debug)]
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Shared {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.state();
        state.record(call, request::token(call).is_some());
        match state.next_fault(api_path(call)) {
            Some(fault) => fault.answer(call, || state.reply(call)),
            None => state.reply(call).send(),
        }
    }
}

impl State {
    fn reply(&mut self, call: &Call) -> Reply {
        let outcome = ApiRequest::read(call).and_then(|request| self.handle(request));
        outcome.unwrap_or_else(|early| early)
    }

    fn handle(&mut self, mut request: ApiRequest) -> Outcome {
        match request.path.as_str() {
            "sys/health" => return self.health(&request),
            "sys/seal-status" => return self.seal_status(&request),
            _ if self.sealed => return Err(answers::error(503, "Vault is sealed")),
            _ => {}
        }
        let namespace = self.enter_namespace(&mut request)?;
        match request.path.as_str() {
            "sys/seal-status" => return self.seal_status(&request),
            "sys/health" => {
                let text = "operation only available in root namespace";
                return Err(answers::error(400, text));
            }
            _ => {}
        }
        if request.operation == Operation::Update && request.path.ends_with('/') {
            return Err(answers::error(400, "cannot write to a path ending in '/'"));
        }
        if let Some(outcome) = self.login(&namespace, &request) {
            return outcome;
        }
        let token = request.token.as_deref().and_then(|id| self.live_token(id));
        let token = token.cloned().ok_or_else(answers::token_refused)?;
        if let Some(path) = request.path.strip_prefix("sys/internal/ui/mounts/") {
            return self.mount(&namespace, path, &token);
        }
        let kv_path = match request.path.strip_prefix("secret") {
            Some("") => Some(String::new()),
            Some(rest) => rest.strip_prefix('/').map(str::to_owned),
            None => None,
        };
        if let Some(path) = &kv_path {
            kv::check_fields(path, &request)?;
        }
        self.authorize(&namespace, kv_path.as_deref(), &mut request, &token)?;
        let now = self.now();
        if let Some(path) = kv_path {
            let space = self.namespaces.get_mut(&namespace).expect("the namespace was looked up");
            return space.store.route(&path, &request, now);
        }
        if request.path.starts_with("auth/token/") {
            return self.token_route(&request, &token);
        }
        let space = &self.namespaces[&namespace];
        let (approle, kubernetes) = (space.approles.is_some(), space.kubernetes_roles.is_some());
        let path = request.path.as_str();
        if path.starts_with("sys/")
            || (approle && path.starts_with("auth/approle/"))
            || (kubernetes && path.starts_with("auth/kubernetes/"))
        {
            return Err(answers::unsupported_path());
        }
        Err(answers::no_route(path))
    }

    /// The namespace of the header, and of those that the path begins with.
    fn enter_namespace(&self, request: &mut ApiRequest) -> Result<String, Reply> {
        let mut namespace = match request.namespace.as_str() {
            "" => String::new(),
            named => format!("{named}/"),
        };
        if !self.namespaces.contains_key(&namespace) {
            return Err(answers::error(404, "namespace not found"));
        }
        while let Some((first, rest)) = request.path.split_once('/') {
            let child = format!("{namespace}{first}/");
            if !self.namespaces.contains_key(&child) {
                break;
            }
            namespace = child;
            request.path = rest.to_owned();
        }
        Ok(namespace)
    }

    /// Refuses what the token's policies do not allow, and cuts a listing to the page limit.
    fn authorize(
        &self,
        namespace: &str,
        kv_path: Option<&str>,
        request: &mut ApiRequest,
        token: &Token,
    ) -> Result<(), Reply> {
        let acl = self.acl(token);
        let store = &self.namespaces[namespace].store;
        let capability = match request.operation {
            Operation::Read | Operation::Head => "read",
            Operation::Update if kv_path.is_some_and(|path| !store.is_update(path)) => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::List => "list",
            Operation::Scan => "scan",
            Operation::Patch => "patch",
        };
        // A token asks about itself where it lives, whatever the namespace of the request.
        let of_itself = ["lookup-self", "renew-self", "revoke-self"];
        let of_itself =
            request.path.strip_prefix("auth/token/").is_some_and(|path| of_itself.contains(&path));
        let place = if of_itself { &token.namespace } else { namespace };
        let is_inside = place.starts_with(&token.namespace);
        if !is_inside || !acl.allows(&format!("{place}{}", request.path), capability) {
            return Err(answers::policy_refused());
        }
        if let (Some(most), false, Operation::List) = (self.page_limit, acl.root, request.operation)
        {
            match request.number("limit")? {
                0 => request.query.insert(0, ("limit".to_owned(), most.to_string())),
                asked if asked < 0 || asked > most => return Err(answers::policy_refused()),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is mounted at a path, for whoever may do anything there.
    fn mount(&self, namespace: &str, path: &str, token: &Token) -> Outcome {
        let mount = path.split('/').next().unwrap_or_default();
        let is_inside = namespace.starts_with(&token.namespace);
        if mount != "secret"
            || !is_inside
            || !self.acl(token).touches(&format!("{namespace}secret"))
        {
            let text =
                "preflight capability check returned 403, please ensure client's policies grant";
            return Err(answers::error(403, &format!("{text} access to path \"{path}/\"")));
        }
        let (kind, options) = ("kv", json!({ "version": "2" }));
        Ok(answers::data(&json!({ "type": kind, "path": "secret/", "options": options })))
    }

    fn health(&self, request: &ApiRequest) -> Outcome {
        if !matches!(request.operation, Operation::Read | Operation::Head) {
            return Err(answers::errors(405, &[]));
        }
        let code = |name: &str, usual: u16| match request.parameter(name).unwrap_or_default() {
            "" => Ok(usual),
            text => text.parse().map_err(|_| answers::errors(400, &[])),
        };
        let active = code("activecode", 200)?;
        let standby_ok = request.parameter("standbyok").is_some_and(|text| text != "false");
        let standby = code("standbycode", if standby_ok { active } else { 429 })?;
        let status = match (self.sealed, self.standby) {
            (true, _) => code("sealedcode", 503)?,
            (false, true) => standby,
            (false, false) => active,
        };
        let replication = if self.sealed { "unknown" } else { "disabled" };
        let mut body = json!({
            "initialized": true,
            "sealed": self.sealed,
            "standby": self.sealed || self.standby,
            "replication_performance_mode": replication,
            "replication_dr_mode": replication,
            "server_time_utc": unix(self.now()),
            "version": VERSION,
        });
        self.name_cluster(&mut body);
        Ok(Reply::new(status, JSON, format!("{body}\n")))
    }

    fn seal_status(&self, request: &ApiRequest) -> Outcome {
        if request.operation != Operation::Read {
            return Err(answers::errors(405, &[]));
        }
        let mut body = json!({
            "type": "shamir",
            "initialized": true,
            "sealed": self.sealed,
            "t": 1,
            "n": 1,
            "progress": 0,
            "nonce": "",
            "recovery_seal": false,
            "version": VERSION,
            "commit_date": "2026-10-26T20:32:27Z",
            "migration": false,
            "storage_type": "inmem",
        });
        self.name_cluster(&mut body);
        Ok(Reply::new(200, JSON, format!("{body}\n")))
    }

    /// A sealed server does not know which cluster it belongs to.
    fn name_cluster(&self, body: &mut serde_json::Value) {
        if !self.sealed {
            body["cluster_name"] = "vault-cluster-fake".into();
            body["cluster_id"] = "00000000-0000-0000-0000-000000000000".into();
        }
    }
}

const VERSION: &str = "2.7.2";

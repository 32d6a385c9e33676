//! Which request goes where.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::super::http::{Answer, Call, Handler};
use super::request::ApiRequest;
use super::secrets::Target;
use super::state::Shared;
use super::status::{self, Reply};

/// The server behind its port.
#[derive(Debug)]
pub(super) struct Front(pub(super) Arc<Shared>);

impl Handler for Front {
    fn answer(&self, call: &Call) -> Answer {
        let line = match call.query.as_str() {
            "" => format!("{} {}", call.method, call.path),
            query => format!("{} {}?{query}", call.method, call.path),
        };
        let fault = {
            let mut state = self.0.state();
            state.impersonated = call.header("impersonate-user").map(str::to_owned);
            let waiting = state.faults.iter_mut();
            let fault = waiting.filter(|f| f.left > 0 && line.contains(&f.part)).map(|f| {
                f.left -= 1;
                f.fault.clone()
            });
            let fault = fault.take(1).last();
            state.log.push(line);
            fault
        };
        match fault {
            Some(fault) => {
                fault.answer(call, || self.carry_out(call).unwrap_or_else(|reply| reply))
            }
            None => self.respond(call),
        }
    }
}

impl Front {
    fn respond(&self, call: &Call) -> Answer {
        let request = ApiRequest::new(call);
        if let Some(namespace) = secrets_of(&call.path)
            && call.method == Method::GET
            && request.is_set("watch")
        {
            let user = self.0.state().authenticate(call);
            let opened = user.and_then(|user| self.0.watch(&request, &user, namespace));
            return match opened {
                Ok(body) => Reply::text(200, "application/json", "").send_with(body),
                Err(reply) => reply.send(),
            };
        }
        self.carry_out(call).unwrap_or_else(|reply| reply).send()
    }

    fn carry_out(&self, call: &Call) -> Result<Reply, Reply> {
        let request = ApiRequest::new(call);
        let mut state = self.0.state();
        let parts: Vec<_> = call.path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["version"] => {
                let version = json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"});
                return Ok(Reply::json(200, &version));
            }
            ["livez" | "readyz" | "healthz"] => {
                return Ok(Reply::text(200, "text/plain; charset=utf-8", "ok"));
            }
            _ => {}
        }
        let user = state.authenticate(call)?;
        request.check_accept()?;
        let before = state.revision;
        let answer = match parts.as_slice() {
            ["api", "v1", "secrets"] => match call.method {
                Method::GET => state.list(&request, &user, ""),
                _ => Err(not_allowed()),
            },
            ["api", "v1", "namespaces", namespace, "secrets"] => match call.method {
                Method::GET => state.list(&request, &user, namespace),
                Method::POST => {
                    state.create(&request, &Target { user: &user, namespace, name: "" })
                }
                Method::DELETE => state.delete_all(&request, &user, namespace),
                _ => Err(not_allowed()),
            },
            ["api", "v1", "namespaces", namespace, "secrets", name] => {
                Target { user: &user, namespace, name }.answer(&mut state, &request)
            }
            ["api", "v1", "namespaces", namespace, "serviceaccounts", name, "token"]
                if call.method == Method::POST =>
            {
                state.token_request(&request, &user, namespace, name)
            }
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]
                if call.method == Method::POST =>
            {
                state.access_review(&request, &user)
            }
            ["apis", "authentication.k8s.io", "v1", "tokenreviews"]
                if call.method == Method::POST =>
            {
                state.token_review(&request, &user)
            }
            ["api", "v1", ..] => Err(status::no_resource()),
            ["apis", "authentication.k8s.io" | "authorization.k8s.io", ..] => {
                Err(status::no_resource())
            }
            _ => Err(status::page_not_found()),
        };
        let changed = state.revision != before;
        drop(state);
        if changed {
            self.0.changes.send_modify(|count| *count += 1);
        }
        answer
    }
}

/// The namespace whose Secrets a path is about; empty is all.
fn secrets_of(path: &str) -> Option<&str> {
    if path == "/api/v1/secrets" {
        return Some("");
    }
    path.strip_prefix("/api/v1/namespaces/")?.strip_suffix("/secrets")
}

pub(super) fn not_allowed() -> Reply {
    let message = "the server does not allow this method on the requested resource";
    status::status(405, "MethodNotAllowed", message, Value::Object(serde_json::Map::new()))
}

//! Which request goes where.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use serde_json::{Value, json};

use super::super::http::{Answer, Call, Handler};
use super::reply::{Refusal, Reply, no_route, refuse};
use super::state::{InfisicalRelease, State};

/// The largest body that is read.
const MAX_BODY: usize = 1 << 20;
/// The longest part of a path that the router takes as a name.
const MAX_NAME: usize = 100;

/// The server behind its port.
#[derive(Debug)]
pub(super) struct Front(pub(super) Arc<Mutex<State>>);

/// A request as the routes read it.
pub(super) struct ApiCall<'a> {
    pub(super) call: &'a Call,
    query: Vec<(String, String)>,
    pub(super) body: Value,
    /// Whether it is one of the v4 API.
    pub(super) v4: bool,
}

impl ApiCall<'_> {
    /// A parameter of the query, or a field of the body, where requests with a body have it.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        if self.call.method != Method::GET {
            return self.body[name].as_str().map(str::to_owned);
        }
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    /// A switch: nothing but `true` and `false` is one.
    pub(super) fn is_set(&self, name: &str, default: bool) -> bool {
        match self.parameter(name).as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => default,
        }
    }
}

impl Handler for Front {
    fn answer(&self, call: &Call) -> Answer {
        let line = match call.query.as_str() {
            "" => format!("{} {}", call.method, call.path),
            query => format!("{} {}?{query}", call.method, call.path),
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = state.faults.iter_mut();
        let fault =
            waiting.find(|fault| fault.left > 0 && line.contains(&fault.part)).map(|fault| {
                fault.left -= 1;
                fault.fault.clone()
            });
        state.log.push(line);
        let mut carry_out = || {
            let reply = carry_out(&mut state, call).unwrap_or_else(|refusal| *refusal);
            let reply = reply.tagged(call.header("if-none-match"));
            state.bytes_sent += reply.body.len();
            reply
        };
        match fault {
            Some(fault) => fault.answer(call, &mut carry_out),
            None => carry_out().send(),
        }
    }
}

fn carry_out(state: &mut State, call: &Call) -> Result<Reply, Refusal> {
    let path = decoded_path(&call.path);
    let parts: Vec<_> = path.iter().map(String::as_str).collect();
    let Some(body) = call.body.as_deref().filter(|body| body.len() <= MAX_BODY) else {
        return Err(refuse(500, "InternalServerError", "Something went wrong"));
    };
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body)
            .map_err(|_| refuse(500, "InternalServerError", "Something went wrong"))?,
    };
    let query = url_decoded_pairs(&call.query);
    let mut call = ApiCall { call, query, body, v4: false };
    let current = state.release == InfisicalRelease::Current;
    let method = call.call.method.as_str();
    match (method, parts.as_slice()) {
        ("GET", ["api", "status"]) => {
            let body = json!({"message": "Ok", "emailConfigured": false, "redisConfigured": true});
            return Ok(Reply::ok(&body));
        }
        ("POST", ["api", "v1", "auth", "universal-auth", "login"]) => {
            return state.universal_login(&call.body);
        }
        (
            "POST",
            ["api", "v1", "auth", way @ ("kubernetes-auth" | "oidc-auth" | "jwt-auth"), "login"],
        ) => {
            return state.jwt_login(way, &call.body);
        }
        ("POST", ["api", "v1", "auth", "token", "renew"]) => return state.renew(&call.body),
        ("POST", ["api", "v1", "auth", "token", "revoke"]) => return state.revoke(&call.body),
        _ => {}
    }
    let known = match parts.as_slice() {
        ["api", "v4", "secrets", ..] | ["api", "v2", "folders"] => current,
        ["api", "v3", "secrets", "raw" | "batch", ..] | ["api", "v1", "folders"] => true,
        _ => false,
    };
    let short = parts.iter().all(|part| part.len() <= MAX_NAME);
    if !known || !short {
        return Err(no_route(method, &call.call.path));
    }
    call.v4 = parts[1] == "v4" || parts[1] == "v2";
    let rights = state.authenticate(call.call.header("authorization"))?;
    match (method, &parts[1..]) {
        ("GET", ["v4", "secrets"] | ["v3", "secrets", "raw"]) => state.list(&call, rights),
        ("GET", ["v4", "secrets", name] | ["v3", "secrets", "raw", name]) => {
            state.get(&call, rights, name)
        }
        (
            "POST" | "PATCH" | "DELETE",
            ["v4", "secrets", "batch"] | ["v3", "secrets", "batch", "raw"],
        ) => state.change(&call, rights, None),
        ("POST" | "PATCH" | "DELETE", ["v4", "secrets", name] | ["v3", "secrets", "raw", name]) => {
            state.change(&call, rights, Some(name))
        }
        ("POST", ["v1" | "v2", "folders"]) => state.create_folder(&call, rights),
        _ => Err(no_route(method, &call.call.path)),
    }
}

fn decoded_path(path: &str) -> Vec<String> {
    path.trim_start_matches('/').split('/').map(percent_decoded).collect()
}

fn url_decoded_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

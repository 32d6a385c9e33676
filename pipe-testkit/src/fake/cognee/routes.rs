//! Which request goes where.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::http::{Answer, Call, Handler, Payload, response};
use super::super::token_review::random_id;
use super::graph::Graph;
use super::{CogneeFault, Dataset, State, form, texts};

/// The server behind its port.
#[derive(Debug)]
pub(super) struct Front(pub(super) Arc<Mutex<State>>);

/// A status and a body.
pub(super) type Reply = (u16, Value);

impl Handler for Front {
    fn answer(&self, call: &Call) -> Answer {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.log.push(format!("{} {}", call.method, call.path));
        let fault = state.fault.as_mut().filter(|(_, left)| *left > 0).map(|(fault, left)| {
            *left -= 1;
            fault.clone()
        });
        let (status, body) = match fault {
            Some(CogneeFault::Reset) => return Answer::Close,
            Some(CogneeFault::WrongShape200) => (200, json!({"success": [{"data": 1}]})),
            Some(CogneeFault::EchoRequest(status)) => {
                (status, json!({"error": echo(call), "detail": echo(call)}))
            }
            None => carry_out(&mut state, call),
        };
        let status = StatusCode::from_u16(status).expect("a status that exists");
        response(status, "application/json", Payload::of(body.to_string()))
    }
}

fn echo(call: &Call) -> String {
    let headers = call.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let headers: Vec<_> = headers.collect();
    let body = String::from_utf8_lossy(call.body.as_deref().unwrap_or_default());
    format!("{} {body} [{}]", headers.join(" "), headers.join(" "))
}

fn carry_out(state: &mut State, call: &Call) -> Reply {
    let path: Vec<_> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    let body = call.body.as_deref().unwrap_or_default();
    match (&call.method, path.as_slice()) {
        (&Method::GET, ["health"]) => {
            return (200, json!({"status": "ready", "health": "healthy", "version": "1.6.5"}));
        }
        (&Method::POST, ["api", "v1", "auth", "login"]) => return login(state, body),
        _ => {}
    }
    if state.access_control && !is_known(state, call) {
        return detail(
            401,
            "Authentication required (auth posture: explicit REQUIRE_AUTHENTICATION).",
        );
    }
    match (&call.method, path.as_slice()) {
        (&Method::GET, ["api", "v1", "users", "me"]) => {
            (200, json!({"id": state.user, "email": state.username, "tenant_id": null}))
        }
        (&Method::GET, ["api", "v1", "datasets"]) => (200, datasets(state)),
        (&Method::POST, ["api", "v1", "remember"]) => remember(state, call, body),
        (&Method::POST, ["api", "v1", "search"]) => search(state, body),
        (&Method::POST, ["api", "v1", "add"]) => texts::add(state, call, body),
        (&Method::PATCH, ["api", "v1", "update"]) => texts::update(state, call, body),
        (&Method::POST, ["api", "v1", "recall"]) => texts::recall(state, body),
        (&Method::POST, ["api", "v1", "cognify"]) => texts::cognify(state, body),
        (&Method::GET, ["api", "v1", "activity", "pipeline-runs"]) => texts::runs(state, call),
        (&Method::GET, ["api", "v1", "datasets", "status", "progress"]) => {
            texts::progress(state, call)
        }
        (&Method::GET, ["api", "v1", "datasets", id, "data"]) => texts::list(state, call, id),
        (&Method::GET, ["api", "v1", "datasets", id, "graph"]) => match graph_of(state, id) {
            Some(graph) => (200, graph.whole()),
            None => denied("read"),
        },
        _ => detail(404, "Not Found"),
    }
}

/// A wrong password, a missing one and a body that is no form are told in the same words.
fn login(state: &mut State, body: &[u8]) -> Reply {
    let form = String::from_utf8_lossy(body).replace("%40", "@");
    let expected = format!("username={}&password={}", state.username, state.password);
    if form != expected {
        return detail(400, "LOGIN_BAD_CREDENTIALS");
    }
    let token = random_id();
    state.tokens.push(token.clone());
    (200, json!({"access_token": token, "token_type": "bearer"}))
}

/// An API key is no bearer token.
fn is_known(state: &State, call: &Call) -> bool {
    let is_in = |known: &[String], shown: &str| known.iter().any(|known| known == shown);
    let bearer = call.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    bearer.is_some_and(|token| is_in(&state.tokens, token))
        || call.header("x-api-key").is_some_and(|key| is_in(&state.api_keys, key))
}

fn datasets(state: &State) -> Value {
    let shown = state.datasets.iter().map(|dataset| {
        json!({"id": dataset.id, "name": dataset.name, "createdAt": "2026-11-22T00:38:13.971976", "updatedAt": null, "ownerId": dataset.owner})
    });
    shown.collect()
}

fn remember(state: &mut State, call: &Call, body: &[u8]) -> Reply {
    let invalid = || (400, json!({"error": "Invalid COGX archive."}));
    let Some(parts) = call.header("content-type").and_then(|kind| form::parts(kind, body)) else {
        return (
            400,
            json!({"detail": [{"type": "missing", "loc": ["body", "data"], "msg": "Field required"}], "body": null}),
        );
    };
    let field = |name: &str| parts.get(name).map(|value| String::from_utf8_lossy(value));
    if field("content_type").as_deref() != Some("cogx-archive")
        || field("import_mode").as_deref() != Some("preserve")
    {
        return (
            500,
            json!({"error": "Internal server error", "detail": "a fake has no language model"}),
        );
    }
    let files = parts.get("data").and_then(|tar| form::files(tar));
    let Some(files) = files.filter(|files| files.contains_key("manifest.json")) else {
        return invalid();
    };
    let lines = |name: &str| -> Option<Vec<Value>> {
        let text = std::str::from_utf8(files.get(name).map_or(&[][..], Vec::as_slice)).ok()?;
        text.lines().map(|line| serde_json::from_str(line).ok()).collect()
    };
    let (Some(nodes), Some(facts)) = (lines("nodes.jsonl"), lines("facts.jsonl")) else {
        return invalid();
    };
    let (id, name) = (field("datasetId"), field("datasetName"));
    let dataset = match for_writing(state, id.as_deref(), name.as_deref()) {
        Ok(dataset) => dataset,
        Err(refused) => return refused,
    };
    let Some(imported) = dataset.graph.import(&nodes, &facts) else { return invalid() };
    let name = dataset.name.clone();
    state.knows_types = true;
    state.largest_import = state.largest_import.max(imported.nodes);
    let report = json!({
        "kind": "migration_import",
        "mode": "preserve",
        "graph_nodes": imported.nodes,
        "graph_edges": imported.edges,
        "skipped_facts": imported.skipped,
        "deduped_edges": imported.doubled,
    });
    (
        200,
        json!({"status": "completed", "dataset_name": name, "dataset_id": null, "items": [report]}),
    )
}

fn search(state: &mut State, body: &[u8]) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return (
            400,
            json!({"detail": [{"type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error"}], "body": "{"}),
        );
    };
    state.sessions.push(body["session_id"].as_str().unwrap_or_default().to_owned());
    let query = body["query"].as_str().unwrap_or_default();
    if query.trim().is_empty() {
        return detail(422, "The query must be a non-empty string. [QueryValidationError]");
    }
    let is_retrieval = body["search_type"] == "GRAPH_COMPLETION"
        && body["only_context"] == true
        && body["verbose"] == true;
    if !is_retrieval {
        return (
            500,
            json!({"error": "Internal server error", "detail": "a fake has no language model"}),
        );
    }
    let id = body["dataset_ids"][0].as_str().unwrap_or_default();
    let Some(graph) = graph_of(state, id) else { return denied("read") };
    if graph.size().0 == 0 {
        return detail(
            404,
            "No searchable memory in dataset: its knowledge graph is empty. [NoDataError]",
        );
    }
    let top_k = body["top_k"].as_u64().and_then(|top_k| usize::try_from(top_k).ok());
    let edges = graph.search(query, top_k.unwrap_or(15), state.knows_types);
    let found =
        json!({"text_result": null, "context_result": "", "objects_result": edges, "evidence": []});
    if !state.access_control {
        return (200, json!([found]));
    }
    let mut found = found;
    found["dataset_id"] = id.into();
    (200, json!([found]))
}

/// A dataset that the user may write to. By its name, it is made when there is none of the user's
/// own, whatever somebody shares under that name.
pub(super) fn for_writing<'a>(
    state: &'a mut State,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<&'a mut Dataset, Reply> {
    let place = match (id, name) {
        (Some(id), _) => {
            let is_it = |dataset: &Dataset| dataset.id == id && dataset.writable;
            state.datasets.iter().position(is_it).ok_or_else(|| denied("write"))?
        }
        (None, Some(name)) => {
            let is_it = |dataset: &Dataset| {
                dataset.name == name && dataset.writable && dataset.owner == state.user
            };
            state.datasets.iter().position(is_it).unwrap_or_else(|| {
                state.datasets.push(Dataset::new(name, &state.user));
                state.datasets.len() - 1
            })
        }
        (None, None) => {
            let error = "Either datasetId or datasetName must be provided.";
            return Err((400, json!({"error": error, "detail": null})));
        }
    };
    Ok(&mut state.datasets[place])
}

pub(super) fn of_id<'a>(state: &'a State, id: &str) -> Option<&'a Dataset> {
    state.datasets.iter().find(|dataset| dataset.id == id)
}

/// The graph of a dataset; without access control, that of all of them.
fn graph_of(state: &State, id: &str) -> Option<Graph> {
    let dataset = of_id(state, id)?;
    if state.access_control {
        return Some(dataset.graph.clone());
    }
    let mut graph = Graph::default();
    state.datasets.iter().for_each(|dataset| graph.absorb(&dataset.graph));
    Some(graph)
}

/// The same for what is not there and for what is not ours.
pub(super) fn denied(permission: &str) -> Reply {
    detail(
        403,
        &format!(
            "Request owner does not have necessary permission: [{permission}] for all datasets requested. [PermissionDeniedError]"
        ),
    )
}

pub(super) fn detail(status: u16, text: &str) -> Reply {
    (status, json!({"detail": text}))
}

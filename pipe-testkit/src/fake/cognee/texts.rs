//! Texts, and the runs that make a graph of them.

use serde_json::{Value, json};

use super::super::http::Call;
use super::super::token_review::random_id;
use super::graph::distance_of;
use super::routes::{Reply, denied, detail, for_writing, of_id};
use super::{Document, Run, State, form};

const LONGEST_NAME: usize = 240;

/// Files alone: a fake reads none of its own.
pub(super) fn add(state: &mut State, call: &Call, body: &[u8]) -> Reply {
    let content_type = call.header("content-type").unwrap_or_default();
    let Some(form) = form::uploads(content_type, body) else { return no_form() };
    let field = |name: &str| form.fields.get(name).map(String::as_str);
    // The name is that of a file of the server's, with something behind it.
    if form.files.iter().any(|(name, _)| name.len() > LONGEST_NAME) {
        let detail = "[Errno 36] File name too long";
        return (500, json!({"error": "Internal server error", "detail": detail}));
    }
    let dataset = match for_writing(state, field("datasetId"), field("datasetName")) {
        Ok(dataset) => dataset,
        Err(refused) => return refused,
    };
    // Two of the same name in one form are not compared with each other: both are stored.
    let before = dataset.documents.len();
    for (name, content) in form.files {
        let stem = stem(&name).to_owned();
        let of_name = dataset.documents.iter().enumerate().filter(|(_, known)| known.stem == stem);
        let mut of_name = of_name.filter(|(i, known)| *i < before || known.content == content);
        match of_name.next().map(|(_, known)| known) {
            Some(known) if known.content == content => {}
            Some(_) => {
                let error = "Document already exists; use the update endpoint";
                let detail = "POST /api/v1/add does not update documents.";
                return (409, json!({"error": error, "detail": detail}));
            }
            None => {
                let id = random_id();
                dataset.documents.push(Document { id, stem, content, chunk: None });
            }
        }
    }
    (200, json!({"status": "PipelineRunCompleted", "dataset_id": dataset.id, "payload": null}))
}

/// A text with a graph is changed in place, or not at all; one without is stored first.
pub(super) fn update(state: &mut State, call: &Call, body: &[u8]) -> Reply {
    let content_type = call.header("content-type").unwrap_or_default();
    let Some(form) = form::uploads(content_type, body) else { return no_form() };
    let [(_, content)] = &form.files[..] else {
        return detail(415, "update() replaces exactly one document. [IngestionError]");
    };
    let (id, dataset) = (parameter(call, "data_id"), parameter(call, "dataset_id"));
    let model_fails = state.model_fails;
    let dataset = match for_writing(state, Some(dataset), None) {
        Ok(dataset) => dataset,
        Err(refused) => return refused,
    };
    let Some(document) = dataset.documents.iter_mut().find(|document| document.id == id) else {
        return detail(404, "No document found to update. [UpdateTargetNotFoundError]");
    };
    let status = match &document.chunk {
        Some(_) if document.content == *content => "unchanged",
        Some(_) => "incremental",
        None => "full_rebuild",
    };
    if status == "full_rebuild" || !model_fails {
        document.content.clone_from(content);
    }
    let needs_model = status != "unchanged";
    if needs_model && !model_fails {
        document.chunk = Some(random_id());
    }
    state.chat_calls += usize::from(needs_model);
    if needs_model && model_fails {
        return no_model();
    }
    (200, json!({"status": status, "data_id": id, "fallback": null, "error": null}))
}

/// A page of the texts: a hundred unless it is said otherwise.
pub(super) fn list(state: &State, call: &Call, id: &str) -> Reply {
    let Some(dataset) = of_id(state, id) else { return denied("read") };
    let number = |name, usual| parameter(call, name).parse().unwrap_or(usual);
    let (limit, offset) = (number("limit", 100).min(1000), number("offset", 0));
    let row = |document: &Document| json!({"id": document.id, "name": document.stem, "extension": "txt", "externalMetadata": {}});
    (200, dataset.documents.iter().skip(offset).take(limit).map(row).collect())
}

/// A run of the dataset that goes on ends first, as if the caller had waited for it.
pub(super) fn cognify(state: &mut State, body: &[u8]) -> Reply {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = body["dataset_ids"][0].as_str().unwrap_or_default().to_owned();
    match of_id(state, &id) {
        Some(dataset) if dataset.writable => {}
        Some(_) => {
            let text = format!("Dataset {id} not accessible. [UnauthorizedDataAccessError]");
            return detail(401, &text);
        }
        None => return denied("write"),
    }
    for i in 0..state.runs.len() {
        if state.runs[i].dataset == id {
            end(state, i);
        }
    }
    let run = Run { id: random_id(), dataset: id.clone(), asked: 0, ended: None };
    let started =
        json!({"status": "PipelineRunStarted", "pipeline_run_id": run.id, "dataset_id": id});
    state.runs.push(run);
    (200, json!({ id: started }))
}

/// A row for each state that a run was in, the newest first.
pub(super) fn runs(state: &mut State, call: &Call) -> Reply {
    let dataset = parameter(call, "dataset_id");
    if of_id(state, dataset).is_none() {
        return denied("read");
    }
    let mut rows = Vec::new();
    for i in (0..state.runs.len()).rev() {
        if state.runs[i].dataset != dataset {
            continue;
        }
        state.runs[i].asked += 1;
        if state.runs[i].asked > 1 {
            end(state, i);
        }
        let run = &state.runs[i];
        let row = |status: &str,
                   outcome: Option<&str>,
                   class: Option<&str>,
                   tokens: Option<u64>| {
            json!({
                "kind": "pipeline", "pipeline_run_id": run.id, "status": status, "outcome": outcome,
                "error_class": class, "tokens_in": tokens, "tokens_out": tokens, "embedding_tokens": tokens,
            })
        };
        match run.ended {
            Some(true) => {
                rows.push(row("DATASET_PROCESSING_COMPLETED", Some("succeeded"), None, Some(4)));
            }
            Some(false) => {
                let class = Some("AuthenticationError");
                rows.push(row("DATASET_PROCESSING_ERRORED", Some("failed"), class, Some(0)));
            }
            None => {}
        }
        rows.push(row("DATASET_PROCESSING_STARTED", None, None, None));
    }
    (200, rows.into())
}

/// There is progress once a run was asked about, and as long as it goes on.
pub(super) fn progress(state: &State, call: &Call) -> Reply {
    let id = parameter(call, "dataset");
    let Some(dataset) = of_id(state, id) else { return denied("read") };
    let Some(run) = state.runs.iter().rfind(|run| run.dataset == id) else {
        return (200, json!({}));
    };
    let (status, progress) = match run.ended {
        Some(true) => ("DATASET_PROCESSING_COMPLETED", Value::Null),
        Some(false) => ("DATASET_PROCESSING_ERRORED", Value::Null),
        None if run.asked == 0 => ("DATASET_PROCESSING_STARTED", Value::Null),
        None => {
            let total = dataset.documents.len();
            let progress =
                json!({"completed_items": 1, "total_items": total, "current_stage": "a_stage"});
            ("DATASET_PROCESSING_STARTED", progress)
        }
    };
    (200, json!({ id: {"status": status, "progress": progress} }))
}

/// Pieces of texts, or what the language model makes of them.
pub(super) fn recall(state: &mut State, body: &[u8]) -> Reply {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    state.sessions.push(body["session_id"].as_str().unwrap_or_default().to_owned());
    let id = body["dataset_ids"][0].as_str().unwrap_or_default().to_owned();
    let Some(dataset) = of_id(state, &id) else { return denied("read") };
    let name = dataset.name.clone();
    // Without access control, all datasets are one.
    let of_all = !state.access_control;
    let searched = state.datasets.iter().filter(|dataset| of_all || dataset.id == id);
    let query = body["query"].as_str().unwrap_or_default();
    let mut rows: Vec<_> = searched
        .flat_map(|dataset| &dataset.documents)
        .filter_map(|document| row(document, document.chunk.as_deref()?, query, (&id, &name)))
        .collect();
    if rows.is_empty() {
        return detail(404, "No searchable memory in dataset: run cognify. [NoDataError]");
    }
    rows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let top_k = body["top_k"].as_u64().and_then(|top_k| usize::try_from(top_k).ok());
    let rows = rows.into_iter().take(top_k.unwrap_or(15)).map(|(_, row)| row);
    let evidence = |row: &Value| json!({"kind": "segment", "chunk_id": row["raw"]["id"]});
    match body["search_type"].as_str() {
        Some("CHUNKS") => (200, rows.collect()),
        Some("RAG_COMPLETION") => {
            let is_wanted = body["include_references"] == true;
            let evidence: Vec<_> = rows.filter(|_| is_wanted).map(|row| evidence(&row)).collect();
            state.chat_calls += 1;
            if state.model_fails {
                return no_model();
            }
            let answer = json!({
                "kind": "rag_completion", "text": "an answer", "score": null,
                "metadata": {"evidence": evidence}, "raw": {"value": "an answer"}, "source": "graph",
            });
            (200, json!([answer]))
        }
        _ => (409, json!({"error": "An error occurred during recall."})),
    }
}

fn row(
    document: &Document,
    chunk: &str,
    query: &str,
    (id, name): (&str, &str),
) -> Option<(f64, Value)> {
    let text = std::str::from_utf8(&document.content).ok()?;
    let distance = distance_of(query, text);
    let raw = json!({
        "id": chunk, "text": text, "document_id": document.id, "document_name": document.stem,
        "chunk_index": 0, "external_metadata": "{}", "score": distance,
    });
    let row = json!({
        "kind": "chunk", "search_type": "CHUNKS", "text": text, "score": distance,
        "dataset_id": id, "dataset_name": name, "raw": raw, "source": "graph",
        "metadata": {"data_id": document.id, "chunk_id": chunk, "chunk_index": 0},
    });
    Some((distance, row))
}

fn end(state: &mut State, run: usize) {
    if state.runs[run].ended.is_some() {
        return;
    }
    state.runs[run].ended = Some(!state.model_fails);
    let id = &state.runs[run].dataset;
    let Some(dataset) = state.datasets.iter_mut().find(|dataset| dataset.id == *id) else { return };
    let waiting = dataset.documents.iter_mut().filter(|document| document.chunk.is_none());
    for document in waiting {
        state.chat_calls += 1;
        if !state.model_fails {
            document.chunk = Some(random_id());
        }
    }
}

fn stem(name: &str) -> &str {
    // The end of the name is dropped.
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn parameter<'a>(call: &'a Call, name: &str) -> &'a str {
    let pairs = call.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn no_form() -> Reply {
    let missing = json!({"type": "missing", "loc": ["body", "data"], "msg": "Field required"});
    (400, json!({"detail": [missing], "body": null}))
}

fn no_model() -> Reply {
    let detail = "litellm.AuthenticationError: AuthenticationError: OpenAIException - refused";
    (500, json!({"error": "Internal server error", "detail": detail}))
}

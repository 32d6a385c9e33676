//! Lists: selectors, pages at one state of the server, and states that are gone.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::object::Object;
use super::request::ApiRequest;
use super::state::State;
use super::status::{self, Cause, Reply, bad_request, invalid};

/// Which objects are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// Empty is all.
    namespace: String,
    fields: Vec<(String, String)>,
    labels: Vec<(String, Option<String>)>,
}

impl Selection {
    pub(super) fn of(request: &ApiRequest<'_>, namespace: &str) -> Result<Self, Reply> {
        let mut selection = Self { namespace: namespace.to_owned(), ..Self::default() };
        let pairs = |name| request.parameter(name).unwrap_or_default();
        for pair in pairs("fieldSelector").split(',').filter(|pair| !pair.is_empty()) {
            let (field, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !matches!(field, "metadata.name" | "metadata.namespace" | "type") {
                return Err(bad_request(&format!("field label not supported: {field}")));
            }
            let value = value.strip_prefix('=').unwrap_or(value);
            selection.fields.push((field.to_owned(), value.to_owned()));
        }
        for pair in pairs("labelSelector").split(',').filter(|pair| !pair.is_empty()) {
            if pair.contains([' ', '!', '(']) {
                let text = "unable to parse requirement: found something, expected: in, notin, =, ==, !=, gt, lt";
                return Err(bad_request(text));
            }
            let (label, value) = match pair.split_once('=') {
                Some((label, value)) => {
                    (label, Some(value.strip_prefix('=').unwrap_or(value).to_owned()))
                }
                None => (pair, None),
            };
            selection.labels.push((label.to_owned(), value));
        }
        Ok(selection)
    }

    /// The one name that is meant: RBAC looks at it.
    pub(super) fn name(&self) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == "metadata.name");
        found.map(|(_, name)| name.as_str())
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let field = |(field, value): &(String, String)| match field.as_str() {
            "metadata.name" => object.name == *value,
            "metadata.namespace" => object.namespace == *value,
            _ => object.content.secret_type.as_deref().unwrap_or("Opaque") == value,
        };
        let label = |(label, value): &(String, Option<String>)| {
            object
                .content
                .labels
                .get(label)
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        (self.namespace.is_empty() || self.namespace == object.namespace)
            && self.fields.iter().all(field)
            && self.labels.iter().all(label)
    }

    /// Where an object stands in a list: lists are in the order of these.
    fn place(&self, object: &Object) -> String {
        match self.namespace.as_str() {
            "" => format!("{}/{}", object.namespace, object.name),
            _ => object.name.clone(),
        }
    }
}

impl State {
    /// A list, or a page of one. A namespace that is not there has no objects.
    pub(super) fn page(
        &mut self,
        request: &ApiRequest<'_>,
        selection: &Selection,
    ) -> Result<Reply, Reply> {
        self.check_list_revision(request)?;
        let limit = request.parameter("limit").and_then(|limit| limit.parse::<usize>().ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let (revision, after, objects) = match request.parameter("continue") {
            None => {
                let objects: Vec<_> = self.objects.values().cloned().collect();
                (self.revision, String::new(), objects)
            }
            Some(token) => self.continued(&token)?,
        };
        let mut page: Vec<_> = objects
            .iter()
            .filter(|object| selection.matches(object) && selection.place(object) > after)
            .cloned()
            .collect();
        page.sort_by_key(|object| selection.place(object));
        let more = page.len() > limit;
        page.truncate(limit);
        let metadata_only = request.metadata_only();
        let items: Vec<Value> = page
            .iter()
            .map(|object| if metadata_only { object.json(true) } else { object.item() })
            .collect();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let (true, Some(last)) = (more, page.last()) {
            if revision == self.revision {
                self.keep_snapshot(&objects);
            }
            let token =
                json!({"v": "meta.k8s.io/v1", "rv": revision, "start": selection.place(last)});
            metadata["continue"] = BASE64_URL_SAFE_NO_PAD.encode(token.to_string()).into();
        }
        let (kind, version) = match metadata_only {
            true => ("PartialObjectMetadataList", "meta.k8s.io/v1"),
            false => ("SecretList", "v1"),
        };
        Ok(Reply::json(
            200,
            &json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}),
        ))
    }

    fn continued(&self, token: &str) -> Result<(u64, String, Vec<Arc<Object>>), Reply> {
        let garbage =
            || bad_request("invalid continue token: continue key is not valid: invalid character");
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| garbage())?;
        let decoded = serde_json::from_slice::<Value>(&decoded).map_err(|_| garbage())?;
        let start = decoded["start"].as_str().ok_or_else(garbage)?.to_owned();
        // The token that comes with a 410 reads on at the state of now.
        if decoded["rv"] == -1 {
            return Ok((self.revision, start, self.objects.values().cloned().collect()));
        }
        let revision = decoded["rv"].as_u64().ok_or_else(garbage)?;
        let snapshot = self.snapshots.iter().find(|(kept, _)| *kept == revision);
        let Some((_, objects)) = snapshot else {
            let inconsistent = json!({"v": "meta.k8s.io/v1", "rv": -1, "start": start});
            let message = "The provided continue parameter is too old to display a consistent list result. You can \
                           start a new list without the continue parameter.";
            let body = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {"continue": BASE64_URL_SAFE_NO_PAD.encode(inconsistent.to_string())},
                "status": "Failure",
                "message": message,
                "reason": "Expired",
                "code": 410,
            });
            return Err(Reply::json(410, &body));
        };
        Ok((revision, start, objects.clone()))
    }

    fn check_list_revision(&self, request: &ApiRequest<'_>) -> Result<(), Reply> {
        let matching = request.parameter("resourceVersionMatch");
        let Some(text) = request.parameter("resourceVersion") else {
            return match matching {
                Some(_) => {
                    let message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
                    Err(invalid(
                        "ListOptions.meta.k8s.io",
                        "",
                        &[Cause {
                            reason: "FieldValueForbidden",
                            field: "resourceVersionMatch".to_owned(),
                            message: message.to_owned(),
                        }],
                    ))
                }
                None => Ok(()),
            };
        };
        let Ok(revision) = text.parse::<u64>() else {
            return Err(bad_request(&format!(
                "invalid resource version: resourceVersion: Invalid value: {text:?}"
            )));
        };
        if revision > self.revision {
            let message = format!(
                "Timeout: Too large resource version: {revision}, current: {}",
                self.revision
            );
            let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
            let details = json!({"causes": [cause], "retryAfterSeconds": 1});
            return Err(status::status(504, "Timeout", &message, details).with("retry-after", "1"));
        }
        if matching.as_deref() == Some("Exact") && revision < self.compacted && revision > 0 {
            let message = "The resourceVersion for the provided list is too old.";
            return Err(status::status(410, "Expired", message, Value::Null));
        }
        Ok(())
    }
}

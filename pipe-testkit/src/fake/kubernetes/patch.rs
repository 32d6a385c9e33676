//! Patches of Secrets: apply, merge, strategic merge and JSON patch.

use serde_json::{Map, Value, json};

use super::object::{Content, Object, Sent, Unreadable};
use super::request::ApiRequest;
use super::secrets::{Target, body, check_place, check_uid, wish};
use super::state::State;
use super::status::{self, Cause, Reply, bad_request, invalid};
use super::{ownership, validate};

/// A list that a strategic merge adds to, and what such a patch calls its removals.
const MERGED_LIST: &str = "finalizers";
const REMOVALS: &str = "$deleteFromPrimitiveList/finalizers";

/// What a server shows of a patch that cannot be read.
enum Shows {
    /// The whole patched object, its other values included.
    Object,
    /// What was sent, as 1.20 does.
    Patch,
}

impl State {
    pub(super) fn patch(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        self.authorize(target.user, &wish("patch", target))?;
        match request.content_type() {
            "application/apply-patch+yaml" => self.apply(request, target),
            "application/merge-patch+json" => {
                self.modify(request, target, Shows::Object, |object, patch| {
                    merge(object, patch);
                    Ok(())
                })
            }
            "application/strategic-merge-patch+json" => {
                self.modify(request, target, Shows::Patch, |object, patch| {
                    merge_strategically(object, patch);
                    Ok(())
                })
            }
            "application/json-patch+json" => {
                self.modify(request, target, Shows::Object, modify_by_steps)
            }
            _ => {
                let message = "415: Unsupported Media Type";
                Err(status::status(415, "UnsupportedMediaType", message, json!({})))
            }
        }
    }

    fn apply(&mut self, request: &ApiRequest<'_>, target: &Target<'_>) -> Result<Reply, Reply> {
        let Target { namespace, name, .. } = *target;
        let manager = request.parameter("fieldManager").unwrap_or_default();
        let field = |reason, message: &str| {
            let cause =
                Cause { reason, field: "fieldManager".to_owned(), message: message.to_owned() };
            Err(invalid("PatchOptions.meta.k8s.io", "", &[cause]))
        };
        if manager.is_empty() {
            return field("FieldValueRequired", "Required value: is required for apply patch");
        }
        if manager.len() > 128 {
            return field("FieldValueTooLong", "Too long: may not be more than 128 bytes");
        }
        let force = request.parameter("force").as_deref() == Some("true");
        let body = body(request)?;
        let sent = Sent::of(&body).map_err(|fault| unreadable_applied(&fault, name))?;
        if let Some(field) = sent.unknown.first() {
            let text = format!(".{field}: field not declared in schema");
            return Err(unreadable_applied(&Unreadable::Field(text), name));
        }
        request.check_options("PatchOptions")?;
        check_place(&sent, target, false)?;
        let now = self.now();
        let Some(before) = self.find(namespace, name).cloned() else {
            self.authorize(target.user, &wish("create", target))?;
            self.check_namespace(target)?;
            // A resourceVersion is not looked at here; a uid is.
            if let Some(uid) = &sent.uid {
                let message = format!(
                    "Operation cannot be fulfilled on secrets {name:?}: uid mismatch: the provided object \
                     specified uid {uid}, and no existing object was found"
                );
                return Err(status::conflict("secrets", name, &message));
            }
            let empty = Content::default();
            let (content, managed) =
                ownership::apply(&empty, &[], &sent.content, &manager, force, now)?;
            validate::check(name, &content, None)?;
            let object = self.new_object(target, content, managed);
            return Ok(self.store(request, 201, object));
        };
        let (content, managed) = ownership::apply(
            &before.content,
            &before.managed,
            &sent.content,
            &manager,
            force,
            now,
        )?;
        let content = content.complete();
        self.check_revision(&sent, &before)?;
        check_uid(&sent, &before)?;
        validate::check(name, &content, Some(&before))?;
        if content == before.content && managed == before.managed {
            return Ok(Reply::json(200, &before.json(request.metadata_only())));
        }
        Ok(self.store(request, 200, Object { content, managed, ..Object::clone(&before) }))
    }

    /// Patches what is there, with a patch of whatever form.
    fn modify(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
        shows: Shows,
        patch: impl FnOnce(&mut Value, &Value) -> Result<(), Reply>,
    ) -> Result<Reply, Reply> {
        if request.parameter("force").is_some() {
            let message = "Forbidden: may not be specified for non-apply patch".to_owned();
            let cause = Cause { reason: "FieldValueForbidden", field: "force".to_owned(), message };
            return Err(invalid("PatchOptions.meta.k8s.io", "", &[cause]));
        }
        request.check_options("PatchOptions")?;
        let body = body(request)?;
        let before = self.find(target.namespace, target.name).cloned();
        let before = before.ok_or_else(|| status::not_found("secrets", target.name))?;
        let mut patched = before.json(false);
        patched["metadata"]["managedFields"] = Value::Null;
        patch(&mut patched, &body)?;
        let refuse = |fault| match shows {
            Shows::Object => unreadable(&patched, fault),
            Shows::Patch => unreadable(&body, fault),
        };
        let sent = Sent::of(&patched).map_err(|_| refuse("illegal base64 data at input byte 0"))?;
        if let Some(field) = sent.unknown.first()
            && request.parameter("fieldValidation").as_deref() == Some("Strict")
        {
            return Err(refuse(&format!("strict decoding error: unknown field {field:?}")));
        }
        let sent = sent.plain();
        self.check_revision(&sent, &before)?;
        check_uid(&sent, &before)?;
        self.replace_content(request, &before, sent.content)
    }
}

fn unreadable_applied(fault: &Unreadable, name: &str) -> Reply {
    let message = match fault {
        Unreadable::NotASecret => return bad_request("invalid object type: /, Kind="),
        Unreadable::ManagedFields => return bad_request("metadata.managedFields must be nil"),
        Unreadable::Field(text) => {
            format!("failed to create typed patch object (/{name}; /v1, Kind=Secret): {text}")
        }
        Unreadable::Base64 => format!(
            "failed to convert new object (/{name}; /v1, Kind=Secret) to proper version: unable to convert \
             unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 0"
        ),
    };
    status::status(500, "", &message, Value::Null)
}

/// What cannot be read is shown in the refusal.
fn unreadable(shown: &Value, fault: &str) -> Reply {
    let message = format!("Invalid value: {:?}: {fault}", shown.to_string());
    let cause = Cause { reason: "FieldValueInvalid", field: "patch".to_owned(), message };
    invalid("", "", &[cause])
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    let target = map(target);
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// A merge in which lists are merged too, and that knows directives.
fn merge_strategically(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let kept = patch.iter().filter(|(key, _)| *key != "$patch");
            *target = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            return;
        }
        Some("delete") => {
            *target = Value::Null;
            return;
        }
        _ => {}
    }
    let target = map(target);
    for (key, value) in patch {
        match key.as_str() {
            _ if value.is_null() => {
                target.remove(key);
            }
            REMOVALS => {
                if let Some(present) = target.get_mut(MERGED_LIST).and_then(Value::as_array_mut) {
                    let removed = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    present.retain(|item| !removed.contains(item));
                }
            }
            MERGED_LIST => {
                let mut merged = value.as_array().cloned().unwrap_or_default();
                let present = target.get(MERGED_LIST).and_then(Value::as_array);
                let others = present.into_iter().flatten().filter(|item| !merged.contains(item));
                let others: Vec<_> = others.cloned().collect();
                merged.extend(others);
                target.insert(MERGED_LIST.to_owned(), merged.into());
            }
            // How a list is ordered is of no matter to Secrets.
            order if order.starts_with("$setElementOrder/") => {}
            _ => merge_strategically(target.entry(key).or_insert(Value::Null), value),
        }
    }
}

/// RFC 6902.
fn modify_by_steps(object: &mut Value, patch: &Value) -> Result<(), Reply> {
    let steps = serde_json::from_value::<json_patch::Patch>(patch.clone()).map_err(|_| {
        bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    })?;
    json_patch::patch(object, &steps).map_err(|_| status::rejected())
}

fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made one above"),
    }
}

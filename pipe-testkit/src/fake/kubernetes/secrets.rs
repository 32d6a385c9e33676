//! The verbs of core/v1 Secrets.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::super::token_review::random_id;
use super::access::{User, Wish};
use super::listing::Selection;
use super::object::{Content, Object, Sent, Unreadable};
use super::request::ApiRequest;
use super::state::State;
use super::status::{self, Cause, Reply, bad_request, invalid};
use super::{ownership, validate};

/// The largest body of a request.
const MAX_BODY: usize = 3 << 20;

/// A write of one Secret, or of a new one.
pub(super) struct Target<'a> {
    pub(super) user: &'a User,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl State {
    pub(super) fn get(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        self.authorize(target.user, &wish("get", target))?;
        let object = self.find(target.namespace, target.name);
        let object = object.ok_or_else(|| status::not_found("secrets", target.name))?;
        Ok(Reply::json(200, &object.json(request.metadata_only())))
    }

    pub(super) fn list(
        &mut self,
        request: &ApiRequest<'_>,
        user: &User,
        namespace: &str,
    ) -> Result<Reply, Reply> {
        let selection = Selection::of(request)?;
        let wish = Wish {
            verb: "list",
            resource: "secrets",
            group: "",
            namespace,
            name: selection.name().unwrap_or_default(),
        };
        self.authorize(user, &wish)?;
        self.page(request, namespace, &selection)
    }

    pub(super) fn create(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        // A name in the body is none that RBAC sees.
        self.authorize(target.user, &wish("create", &Target { name: "", ..*target }))?;
        self.check_namespace(target)?;
        let body = body(request)?;
        let sent = Sent::of(&body).map_err(|fault| unreadable_plain(&fault, &body))?;
        check_place(&sent, target, false)?;
        let name = sent.name.clone().unwrap_or_default();
        if self.find(target.namespace, &name).is_some() {
            let message = format!("secrets {name:?} already exists");
            let details = json!({"name": name, "kind": "secrets"});
            return Err(status::status(409, "AlreadyExists", &message, details));
        }
        let manager = request.manager();
        let now = self.now();
        let managed = ownership::update(&Content::default(), &[], &sent.content, &manager, now);
        self.add(request, target.namespace, &name, sent.content, managed)
    }

    pub(super) fn replace(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        self.authorize(target.user, &wish("update", target))?;
        let body = body(request)?;
        let sent = Sent::of(&body).map_err(|fault| unreadable_plain(&fault, &body))?;
        check_place(&sent, target, true)?;
        let before = self.find(target.namespace, target.name).cloned();
        let before = before.ok_or_else(|| status::not_found("secrets", target.name))?;
        self.check_revision(&sent, &before)?;
        if sent.uid.as_ref().is_some_and(|uid| *uid != before.uid) {
            let message = format!(
                "Operation cannot be fulfilled on secrets {:?}: StorageError: invalid object, Code: 4, \
                 AdditionalErrorMsg: Precondition failed: UID in precondition",
                target.name
            );
            return Err(status::conflict("secrets", target.name, &message));
        }
        self.replace_content(request, &before, sent.content)
    }

    pub(super) fn patch(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        self.authorize(target.user, &wish("patch", target))?;
        match request.content_type() {
            "application/apply-patch+yaml" => self.apply(request, target),
            "application/merge-patch+json" => self.merge(request, target),
            _ => {
                let message = "the body of the request was in an unknown format - accepted media types include: \
                               application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
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
            return self.add(request, namespace, name, content, managed);
        };
        let (content, managed) = ownership::apply(
            &before.content,
            &before.managed,
            &sent.content,
            &manager,
            force,
            now,
        )?;
        self.check_revision(&sent, &before)?;
        check_uid(&sent, &before)?;
        validate::check(name, &content, Some(&before))?;
        if content == before.content && managed == before.managed {
            return Ok(Reply::json(200, &before.json(request.metadata_only())));
        }
        Ok(self.store(request, 200, Object { content, managed, ..Object::clone(&before) }))
    }

    fn merge(&mut self, request: &ApiRequest<'_>, target: &Target<'_>) -> Result<Reply, Reply> {
        if request.parameter("force").is_some() {
            let message = "Forbidden: may not be specified for non-apply patch".to_owned();
            let cause = Cause { reason: "FieldValueForbidden", field: "force".to_owned(), message };
            return Err(invalid("PatchOptions.meta.k8s.io", "", &[cause]));
        }
        let patch = body(request)?;
        let before = self.find(target.namespace, target.name).cloned();
        let before = before.ok_or_else(|| status::not_found("secrets", target.name))?;
        let mut merged = before.json(false);
        merged["metadata"]["managedFields"] = Value::Null;
        merge(&mut merged, &patch);
        // What cannot be read is answered with the whole object, its other values included.
        let sent = Sent::of(&merged).map_err(|_| {
            let message = format!(
                "Invalid value: {:?}: illegal base64 data at input byte 0",
                merged.to_string()
            );
            invalid(
                "",
                "",
                &[Cause { reason: "FieldValueInvalid", field: "patch".to_owned(), message }],
            )
        })?;
        self.check_revision(&sent, &before)?;
        check_uid(&sent, &before)?;
        self.replace_content(request, &before, sent.content)
    }

    pub(super) fn delete(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        let Target { namespace, name, .. } = *target;
        self.authorize(target.user, &wish("delete", target))?;
        let before = self.find(namespace, name).cloned();
        let before = before.ok_or_else(|| status::not_found("secrets", name))?;
        let options = match request.call.body.as_deref() {
            None | Some([]) => Value::Null,
            Some(_) => body(request)?,
        };
        let conditions = &options["preconditions"];
        for (field, what, record) in [
            ("uid", "UID", before.uid.clone()),
            ("resourceVersion", "ResourceVersion", before.revision.to_string()),
        ] {
            if let Some(wanted) = conditions[field].as_str().filter(|wanted| *wanted != record) {
                let message = format!(
                    "Operation cannot be fulfilled on Secret {name:?}: the {what} in the precondition ({wanted}) does \
                     not match the {what} in record ({record}). The object might have been modified"
                );
                return Err(status::conflict("Secret", name, &message));
            }
        }
        if !before.content.finalizers.is_empty() {
            let deleted = before.deleted.or(Some(self.now()));
            return Ok(self.store(request, 200, Object { deleted, ..Object::clone(&before) }));
        }
        self.remove(namespace, name);
        Ok(Reply::json(
            200,
            &json!({
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {"name": name, "kind": "secrets", "uid": before.uid},
            }),
        ))
    }

    fn replace_content(
        &mut self,
        request: &ApiRequest<'_>,
        before: &Arc<Object>,
        content: Content,
    ) -> Result<Reply, Reply> {
        validate::check(&before.name, &content, Some(before))?;
        let now = self.now();
        let managed =
            ownership::update(&before.content, &before.managed, &content, &request.manager(), now);
        if content == before.content {
            return Ok(Reply::json(200, &before.json(request.metadata_only())));
        }
        if before.deleted.is_some() && content.finalizers.is_empty() {
            self.remove(&before.namespace, &before.name);
            return Ok(Reply::json(200, &before.json(request.metadata_only())));
        }
        Ok(self.store(request, 200, Object { content, managed, ..Object::clone(before) }))
    }

    fn add(
        &mut self,
        request: &ApiRequest<'_>,
        namespace: &str,
        name: &str,
        content: Content,
        managed: Vec<super::object::Managed>,
    ) -> Result<Reply, Reply> {
        validate::check(name, &content, None)?;
        let object = Object {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: random_id(),
            revision: 0,
            created: self.now(),
            deleted: None,
            content,
            managed,
        };
        Ok(self.store(request, 201, object))
    }

    fn store(&mut self, request: &ApiRequest<'_>, code: u16, object: Object) -> Reply {
        let object =
            if request.parameter("dryRun").is_some() { Arc::new(object) } else { self.put(object) };
        Reply::json(code, &object.json(request.metadata_only()))
    }

    fn check_namespace(&self, target: &Target<'_>) -> Result<(), Reply> {
        let Target { namespace, name, .. } = *target;
        let Some(found) = self.namespaces.get(namespace) else {
            return Err(status::not_found("namespaces", namespace));
        };
        let details = json!({"name": name, "kind": "secrets"});
        if found.terminating {
            let message = format!(
                "secrets {name:?} is forbidden: unable to create new content in namespace {namespace} because it is \
                 being terminated"
            );
            let mut details = details;
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
            return Err(status::status(403, "Forbidden", &message, details));
        }
        let used = self.objects.keys().filter(|(at, _)| at == namespace).count();
        match found.quota {
            Some(quota) if used >= quota => {
                let message = format!(
                    "secrets {name:?} is forbidden: exceeded quota: q, requested: count/secrets=1, used: \
                     count/secrets={used}, limited: count/secrets={quota}"
                );
                Err(status::status(403, "Forbidden", &message, details))
            }
            _ => Ok(()),
        }
    }

    fn check_revision(&self, sent: &Sent, before: &Object) -> Result<(), Reply> {
        let Some(revision) = &sent.revision else { return Ok(()) };
        match revision.parse::<u64>() {
            Ok(revision) if revision == before.revision || revision == 0 => Ok(()),
            Ok(_) => Err(status::stale(&before.name)),
            Err(_) => {
                let message = format!("strconv.ParseUint: parsing {revision:?}: invalid syntax");
                Err(status::status(500, "", &message, Value::Null))
            }
        }
    }
}

fn check_uid(sent: &Sent, before: &Object) -> Result<(), Reply> {
    match &sent.uid {
        Some(uid) if *uid != before.uid => {
            let cause = || Cause {
                reason: "FieldValueInvalid",
                field: "metadata.uid".to_owned(),
                message: format!("Invalid value: {uid:?}: field is immutable"),
            };
            // The server lists it twice.
            Err(invalid("Secret", &before.name, &[cause(), cause()]))
        }
        _ => Ok(()),
    }
}

fn wish<'a>(verb: &'a str, target: &Target<'a>) -> Wish<'a> {
    Wish { verb, resource: "secrets", group: "", namespace: target.namespace, name: target.name }
}

pub(super) fn body(request: &ApiRequest<'_>) -> Result<Value, Reply> {
    let too_large = || {
        let message = format!("Request entity too large: limit is {MAX_BODY}");
        status::status(413, "RequestEntityTooLarge", &message, Value::Null)
    };
    let body = request.call.body.as_deref().filter(|body| body.len() <= MAX_BODY);
    let body = body.ok_or_else(too_large)?;
    serde_json::from_slice(body).map_err(|_| {
        // The server shows where it stopped, with what stands there.
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        bad_request(&format!(
            "couldn't get version/kind; json parse error: invalid character near {shown}"
        ))
    })
}

fn check_place(sent: &Sent, target: &Target<'_>, needs_name: bool) -> Result<(), Reply> {
    match &sent.name {
        Some(name) if !target.name.is_empty() && name != target.name => {
            return Err(bad_request(&format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                target.name
            )));
        }
        None if needs_name => {
            return Err(bad_request("name must be provided"));
        }
        _ => {}
    }
    if sent.namespace.as_ref().is_some_and(|namespace| namespace != target.namespace) {
        return Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn unreadable_plain(fault: &Unreadable, body: &Value) -> Reply {
    match fault {
        Unreadable::NotASecret => bad_request("the object provided is unrecognized"),
        // 1.20 shows a piece of what was sent, and what stands around it.
        _ => bad_request(&format!(
            "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data, bigger context ...|{body}|..."
        )),
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

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(target) = target.as_object_mut() {
                target.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

impl Target<'_> {
    /// Which verb of HTTP does what to one object.
    pub(super) fn answer(
        &self,
        state: &mut State,
        request: &ApiRequest<'_>,
    ) -> Result<Reply, Reply> {
        match request.call.method {
            Method::GET => state.get(request, self),
            Method::PUT => state.replace(request, self),
            Method::PATCH => state.patch(request, self),
            Method::DELETE => state.delete(request, self),
            _ => Err(super::routes::not_allowed()),
        }
    }
}

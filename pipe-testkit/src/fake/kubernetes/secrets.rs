//! The verbs of core/v1 Secrets.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::super::token_review::random_id;
use super::access::{User, Wish};
use super::listing::Selection;
use super::object::{Content, Managed, Object, Sent, Unreadable};
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
        let selection = Selection::of(request, namespace)?;
        let name = selection.name().unwrap_or_default();
        self.authorize(user, &wish("list", &Target { user, namespace, name }))?;
        self.page(request, &selection)
    }

    /// Deletes whatever a selector selects.
    pub(super) fn delete_all(
        &mut self,
        request: &ApiRequest<'_>,
        user: &User,
        namespace: &str,
    ) -> Result<Reply, Reply> {
        let selection = Selection::of(request, namespace)?;
        let name = selection.name().unwrap_or_default();
        self.authorize(user, &wish("deletecollection", &Target { user, namespace, name }))?;
        request.check_options("DeleteOptions")?;
        let selected: Vec<_> =
            self.objects.values().filter(|object| selection.matches(object)).cloned().collect();
        if request.parameter("dryRun").is_none() {
            for object in &selected {
                self.take_away(object);
            }
        }
        let items: Vec<_> = selected.iter().map(|object| object.item()).collect();
        let metadata = json!({"resourceVersion": self.revision.to_string()});
        let list =
            json!({"kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": items});
        Ok(Reply::json(200, &list))
    }

    pub(super) fn create(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        // A name in the body is none that RBAC sees.
        self.authorize(target.user, &wish("create", &Target { name: "", ..*target }))?;
        let (sent, warnings) = written(request)?;
        request.check_options("CreateOptions")?;
        check_place(&sent, target, false)?;
        let name = match (&sent.name, &sent.content.generate_name) {
            (Some(name), _) => name.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", suffix()),
            (None, None) => String::new(),
        };
        self.check_namespace(&Target { name: &name, ..*target })?;
        validate::check(&name, &sent.content, None)?;
        if self.find(target.namespace, &name).is_some() {
            let message = format!("secrets {name:?} already exists");
            let details = json!({"name": name, "kind": "secrets"});
            return Err(status::status(409, "AlreadyExists", &message, details));
        }
        let now = self.now();
        let manager = request.manager();
        let managed = ownership::update(&Content::default(), &[], &sent.content, &manager, now);
        let target = Target { name: &name, ..*target };
        let object = self.new_object(&target, sent.content, managed);
        Ok(self.store(request, 201, object).with_all(warnings))
    }

    pub(super) fn replace(
        &mut self,
        request: &ApiRequest<'_>,
        target: &Target<'_>,
    ) -> Result<Reply, Reply> {
        self.authorize(target.user, &wish("update", target))?;
        let (sent, warnings) = written(request)?;
        request.check_options("UpdateOptions")?;
        check_place(&sent, target, true)?;
        let before = self.find(target.namespace, target.name).cloned();
        let before = before.ok_or_else(|| status::not_found("secrets", target.name))?;
        self.check_revision(&sent, &before)?;
        if sent.uid.as_ref().is_some_and(|uid| *uid != before.uid) {
            let message = format!(
                "Operation cannot be fulfilled on secrets {0:?}: StorageError: invalid object, Code: 4, Key: \
                 /registry/secrets/{1}/{0}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
                 precondition: {2}, UID in object meta: {3}",
                target.name,
                target.namespace,
                sent.uid.as_deref().unwrap_or_default(),
                before.uid
            );
            return Err(status::conflict("secrets", target.name, &message));
        }
        Ok(self.replace_content(request, &before, sent.content)?.with_all(warnings))
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
        request.check_options("DeleteOptions")?;
        let conditions = &options["preconditions"];
        for (field, what, record) in [
            ("uid", "UID", before.uid.clone()),
            ("resourceVersion", "ResourceVersion", before.revision.to_string()),
        ] {
            if let Some(wanted) = conditions[field].as_str().filter(|wanted| *wanted != record) {
                let guess = match field {
                    "uid" => "deleted and then recreated",
                    _ => "modified",
                };
                let message = format!(
                    "Operation cannot be fulfilled on Secret {name:?}: the {what} in the precondition ({wanted}) does \
                     not match the {what} in record ({record}). The object might have been {guess}"
                );
                return Err(status::conflict("Secret", name, &message));
            }
        }
        if request.parameter("dryRun").is_none()
            && let Some(kept) = self.take_away(&before)
        {
            return Ok(Reply::json(200, &kept.json(request.metadata_only())));
        }
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

    pub(super) fn replace_content(
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
            let last = Object { content, managed, ..Object::clone(before) };
            return Ok(Reply::json(200, &last.json(request.metadata_only())));
        }
        Ok(self.store(request, 200, Object { content, managed, ..Object::clone(before) }))
    }

    pub(super) fn new_object(
        &self,
        target: &Target<'_>,
        content: Content,
        managed: Vec<Managed>,
    ) -> Object {
        Object {
            namespace: target.namespace.to_owned(),
            name: target.name.to_owned(),
            uid: random_id(),
            revision: 0,
            created: self.now(),
            deleted: None,
            content: content.complete(),
            managed,
        }
    }

    /// Deletes an object, or marks it as deleted as long as it has finalizers, and returns that.
    fn take_away(&mut self, object: &Object) -> Option<Arc<Object>> {
        if object.content.finalizers.is_empty() {
            self.remove(&object.namespace, &object.name);
            return None;
        }
        let deleted = object.deleted.or(Some(self.now()));
        Some(self.put(Object { deleted, ..object.clone() }))
    }

    pub(super) fn store(&mut self, request: &ApiRequest<'_>, code: u16, object: Object) -> Reply {
        let object =
            if request.parameter("dryRun").is_some() { Arc::new(object) } else { self.put(object) };
        Reply::json(code, &object.json(request.metadata_only()))
    }

    pub(super) fn check_namespace(&self, target: &Target<'_>) -> Result<(), Reply> {
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

    pub(super) fn check_revision(&self, sent: &Sent, before: &Object) -> Result<(), Reply> {
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

pub(super) fn check_uid(sent: &Sent, before: &Object) -> Result<(), Reply> {
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

pub(super) fn wish<'a>(verb: &'a str, target: &Target<'a>) -> Wish<'a> {
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
            "the object provided is unrecognized (must be of type Secret): couldn't get version/kind; json parse error: \
             invalid character ({shown})"
        ))
    })
}

pub(super) fn check_place(sent: &Sent, target: &Target<'_>, needs_name: bool) -> Result<(), Reply> {
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

/// What a `POST` or `PUT` says, and what to warn of.
fn written(request: &ApiRequest<'_>) -> Result<(Sent, Vec<String>), Reply> {
    let known = ["", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    if !known.contains(&request.content_type()) {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json, application/yaml, application/vnd.kubernetes.protobuf";
        return Err(status::status(415, "UnsupportedMediaType", message, Value::Null));
    }
    let body = body(request)?;
    let sent = Sent::of(&body).map_err(|fault| unreadable_plain(&fault, &body))?.plain();
    let unknown: Vec<_> =
        sent.unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    let validation = request.parameter("fieldValidation");
    match validation.as_deref() {
        Some("Strict") if !unknown.is_empty() => Err(bad_request(&format!(
            "Secret in version \"v1\" cannot be handled as a Secret: strict decoding error: {}",
            unknown.join(", ")
        ))),
        Some("Ignore") => Ok((sent, Vec::new())),
        _ => Ok((sent, unknown)),
    }
}

fn unreadable_plain(fault: &Unreadable, body: &Value) -> Reply {
    let reason = match fault {
        Unreadable::NotASecret => {
            let kind = body["kind"].as_str().unwrap_or_default();
            format!("converting (v1.{kind}) to (core.Secret): unknown conversion")
        }
        // 1.20 shows a piece of what was sent, and what stands around it.
        _ => format!("illegal base64 data, bigger context ...|{body}|..."),
    };
    bad_request(&format!("Secret in version \"v1\" cannot be handled as a Secret: {reason}"))
}

/// The end of a generated name.
fn suffix() -> String {
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(letters[fastrand::usize(..letters.len())])).collect()
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

//! What is asked and not stored: access reviews, token reviews, token requests.

use serde_json::{Value, json};

use super::super::token_review::{
    API_SERVER_AUDIENCE, ServiceAccount, mint, random_id, uid, unix_time,
};
use super::access::{User, Wish};
use super::object::time;
use super::request::ApiRequest;
use super::secrets::body;
use super::state::State;
use super::status::{self, Cause, Reply, bad_request, invalid};

impl State {
    /// Whether the one who asks may do something.
    pub(super) fn access_review(
        &self,
        request: &ApiRequest<'_>,
        user: &User,
    ) -> Result<Reply, Reply> {
        let wish = Wish::create("selfsubjectaccessreviews", "authorization.k8s.io");
        self.authorize(user, &wish)?;
        let review = body(request)?;
        let attributes = &review["spec"]["resourceAttributes"];
        if !attributes.is_object() {
            let message = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let cause = Cause {
                reason: "FieldValueInvalid",
                field: "spec.resourceAttributes".to_owned(),
                message: message.to_owned(),
            };
            return Err(invalid(".authorization.k8s.io", "", &[cause]));
        }
        let text = |name: &str| attributes[name].as_str().unwrap_or_default();
        let asked = Wish {
            verb: text("verb"),
            resource: text("resource"),
            group: text("group"),
            namespace: text("namespace"),
            name: text("name"),
        };
        let mut status = json!({"allowed": self.may(user, &asked)});
        if let Some(rule) = self.rule(user, &asked) {
            let subject = &rule.subject;
            status["reason"] =
                format!("RBAC: allowed by RoleBinding of Role to User {subject:?}").into();
        }
        Ok(Reply::json(
            201,
            &json!({
                "kind": "SelfSubjectAccessReview",
                "apiVersion": "authorization.k8s.io/v1",
                "metadata": {},
                "spec": review["spec"],
                "status": status,
            }),
        ))
    }

    /// Whose a token is. A refusal is a success without `authenticated`.
    pub(super) fn token_review(
        &self,
        request: &ApiRequest<'_>,
        user: &User,
    ) -> Result<Reply, Reply> {
        let wish = Wish::create("tokenreviews", "authentication.k8s.io");
        self.authorize(user, &wish)?;
        let review = body(request)?;
        let spec = &review["spec"];
        let Some(token) = spec["token"].as_str().filter(|token| !token.is_empty()) else {
            return Err(bad_request("token is required for TokenReview in authentication"));
        };
        let status = self
            .review(token, &spec["audiences"])
            .unwrap_or_else(|error| json!({"user": {}, "error": error}));
        Ok(Reply::json(
            201,
            &json!({
                "kind": "TokenReview",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {},
                "spec": spec,
                "status": status,
            }),
        ))
    }

    /// A token of a service account.
    pub(super) fn token_request(
        &self,
        request: &ApiRequest<'_>,
        user: &User,
        namespace: &str,
        name: &str,
    ) -> Result<Reply, Reply> {
        let wish =
            Wish { verb: "create", resource: "serviceaccounts/token", group: "", namespace, name };
        self.authorize(user, &wish)?;
        if !self.accounts.contains(&(namespace.to_owned(), name.to_owned())) {
            return Err(status::not_found("serviceaccounts", name));
        }
        let body = body(request)?;
        let spec = &body["spec"];
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(3600);
        let out_of_bounds = match seconds {
            ..600 => Some("may not specify a duration less than 10 minutes"),
            4_294_967_297.. => Some("may not specify a duration larger than 2^32 seconds"),
            _ => None,
        };
        if let Some(rule) = out_of_bounds {
            let cause = Cause {
                reason: "FieldValueInvalid",
                field: "spec.expirationSeconds".to_owned(),
                message: format!("Invalid value: {seconds}: {rule}"),
            };
            return Err(invalid("TokenRequest.authentication.k8s.io", "", &[cause]));
        }
        let bound_secret = self.bound(namespace, &spec["boundObjectRef"])?;
        let asked = spec["audiences"].as_array().into_iter().flatten();
        let mut audiences: Vec<_> = asked.filter_map(Value::as_str).map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences.push(API_SERVER_AUDIENCE.to_owned());
        }
        let now = unix_time();
        let expiry = now + seconds.unsigned_abs();
        let token = mint(&ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid(namespace, name),
            audience: audiences[0].clone(),
            audiences: audiences.clone(),
            not_before: now,
            expiry,
            id: random_id(),
            bound_secret,
        });
        let expires = std::time::UNIX_EPOCH + std::time::Duration::from_secs(expiry);
        Ok(Reply::json(
            201,
            &json!({
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "audiences": audiences,
                    "expirationSeconds": seconds,
                    "boundObjectRef": spec["boundObjectRef"],
                },
                "status": {"token": token, "expirationTimestamp": time(expires)},
            }),
        ))
    }

    /// Only Secrets are known here; on a real server also Pods and Nodes.
    fn bound(&self, namespace: &str, reference: &Value) -> Result<Option<(String, String)>, Reply> {
        if reference.is_null() {
            return Ok(None);
        }
        let kind = reference["kind"].as_str().unwrap_or_default();
        let name = reference["name"].as_str().unwrap_or_default();
        match kind {
            "Secret" => {}
            "Pod" => return Err(status::not_found("pods", name)),
            other => {
                let message = format!("cannot bind token to object of type /v1, Kind={other}");
                return Err(bad_request(&message));
            }
        }
        let secret = self.find(namespace, name);
        let secret = secret.ok_or_else(|| status::not_found("secrets", name))?;
        match reference["uid"].as_str() {
            Some(uid) if uid != secret.uid => {
                let message = format!(
                    "Operation cannot be fulfilled on Secret {name:?}: the UID in the bound object reference ({uid}) \
                     does not match the UID in record. The object might have been deleted and then recreated"
                );
                Err(status::conflict("Secret", name, &message))
            }
            _ => Ok(Some((name.to_owned(), secret.uid.clone()))),
        }
    }
}

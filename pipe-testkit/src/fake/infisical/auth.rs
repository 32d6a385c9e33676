//! Logins, and giving tokens back.

use std::time::Duration;

use serde_json::{Value, json};

use super::reply::{Refusal, Reply, not_found, refuse};
use super::state::{InfisicalRelease, State};

/// After three wrong client secrets nobody may try for five minutes.
const TRIES: u32 = 3;
const LOCKOUT: Duration = Duration::from_secs(300);

impl State {
    pub(super) fn universal_login(&mut self, body: &Value) -> Result<Reply, Refusal> {
        let (Some(id), Some(secret)) = (text(body, "clientId"), text(body, "clientSecret")) else {
            return Err(self.invalid("clientId"));
        };
        let (now, release) = (self.now(), self.release);
        let Some(identity) = self.identities.get_mut(id) else {
            return Err(match release {
                InfisicalRelease::Current => denied("Invalid credentials"),
                _ => not_found("No identity with specified client ID was found"),
            });
        };
        if identity.locked_until.is_some_and(|until| now < until) {
            let text = "This identity auth method is temporarily locked, please try again later";
            return Err(denied(text));
        }
        if identity.credential != secret {
            identity.failures += 1;
            if release == InfisicalRelease::Current && identity.failures >= TRIES {
                identity.locked_until = Some(now + LOCKOUT);
                identity.failures = 0;
            }
            return Err(denied("Invalid credentials"));
        }
        identity.failures = 0;
        match &mut identity.settings.secret_uses {
            Some(0) => {
                let text = "Access denied due to client secret usage limit reached";
                return Err(denied(text));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.grant(id)
    }

    /// `kubernetes-auth`, `oidc-auth` and `jwt-auth` take the same.
    pub(super) fn jwt_login(&mut self, method: &str, body: &Value) -> Result<Reply, Refusal> {
        let (Some(id), Some(jwt)) = (text(body, "identityId"), text(body, "jwt")) else {
            return Err(self.invalid("identityId"));
        };
        let kubernetes = method == "kubernetes-auth";
        let Some(identity) = self.identities.get(id) else {
            let name = if kubernetes { "Kubernetes" } else { "OIDC" };
            let text = format!(
                "{name} auth method not found for identity, did you configure {name} auth?"
            );
            return Err(not_found(&text));
        };
        if identity.credential != jwt {
            return Err(match kubernetes {
                true => refuse(401, "KubernetesTokenReviewError", "invalid bearer token"),
                false => denied("Access denied: OIDC audience not allowed."),
            });
        }
        self.grant(id)
    }

    /// Renewing destroys a token whose life would then be longer than its longest.
    pub(super) fn renew(&mut self, body: &Value) -> Result<Reply, Refusal> {
        let token = text(body, "accessToken").unwrap_or_default();
        if self.tokens.remove(token).is_none() {
            return Err(denied("No identity access token found"));
        }
        Err(denied("Failed to renew MI access token past its Max TTL expiration"))
    }

    pub(super) fn revoke(&mut self, body: &Value) -> Result<Reply, Refusal> {
        let token = text(body, "accessToken").unwrap_or_default();
        match self.tokens.remove(token) {
            Some(_) => Ok(Reply::ok(&json!({"message": "Successfully revoked access token"}))),
            None => Err(denied("No identity access token found")),
        }
    }

    fn grant(&mut self, id: &str) -> Result<Reply, Refusal> {
        let Some((token, life)) = self.issue(id) else { return Err(denied("Invalid credentials")) };
        Ok(Reply::ok(&json!({
            "accessToken": token,
            "expiresIn": life.as_secs(),
            "accessTokenMaxTTL": life.as_secs(),
            "tokenType": "Bearer",
        })))
    }

    /// What is missing in a request: a 401 on old servers.
    pub(super) fn invalid(&self, field: &str) -> Refusal {
        let issue = json!([{
            "code": "invalid_type",
            "expected": "string",
            "received": "undefined",
            "path": [field],
            "message": "Required",
        }]);
        refuse(if self.release.is_old() { 401 } else { 422 }, "ValidationFailure", issue)
    }
}

fn denied(message: &str) -> Refusal {
    refuse(401, "UnauthorizedError", message)
}

pub(super) fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body[field].as_str().filter(|text| !text.is_empty())
}

//! What tokens say.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::state::{API_CLIENT, DOMAIN, Opaque, PROJECT, State, random};
use crate::fake::token_review::random_id;
use crate::issuer::TokenBuilder;

pub(super) const LIFETIME: u64 = 43_199;
const PROJECTS: &str = "urn:zitadel:iam:org:project:id:";
const ROLES: &str = "urn:zitadel:iam:org:projects:roles";

impl State {
    /// A token for a user, and the scopes that were granted: what is not known is dropped.
    pub(super) fn issue(&mut self, now: u64, id: &str, scopes: &[String]) -> (String, Vec<String>) {
        let organization = self.users.get(id).map(|user| user.organization.clone());
        let granted: Vec<_> = scopes
            .iter()
            .filter(|scope| is_known(scope, organization.as_deref().unwrap_or_default()))
            .cloned()
            .collect();
        let token_id = random();
        let is_jwt = self.users.get(id).is_some_and(|user| user.jwt);
        if is_jwt {
            let claims = self.claims(now, id, &granted, &token_id);
            let token = self.keys.last().map(|key| TokenBuilder::new(key, "JWT", claims).sign());
            let token = token.unwrap_or_default();
            let known = self.opaque_of(now, id, &granted, token_id);
            self.opaque.insert(token.clone(), known);
            return (token, granted);
        }
        let token = encrypted();
        let known = self.opaque_of(now, id, &granted, token_id);
        self.opaque.insert(token.clone(), known);
        (token, granted)
    }

    fn opaque_of(&self, now: u64, id: &str, scopes: &[String], token_id: String) -> Opaque {
        Opaque {
            user: id.to_owned(),
            scopes: scopes.to_vec(),
            issued: now,
            expires: now + LIFETIME,
            id: token_id,
            personal: false,
        }
    }

    /// The claims of a JWT.
    pub(super) fn claims(
        &mut self,
        now: u64,
        id: &str,
        scopes: &[String],
        token_id: &str,
    ) -> Map<String, Value> {
        let projects = projects(scopes);
        let mut claims = json!({
            "iss": self.url,
            "sub": id,
            "aud": projects.iter().cloned().chain([format!("{id}@client")]).collect::<Vec<_>>(),
            "exp": now + LIFETIME,
            "nbf": now,
            "iat": now,
            "jti": format!("V2_{}-at_{token_id}", random()),
            "client_id": self.users.get(id).map(|user| user.username.clone()),
        });
        if scopes.iter().any(|scope| scope == ROLES) {
            for project in &projects {
                self.add_roles(&mut claims, id, project, project == PROJECT);
            }
        }
        self.add_rest(&mut claims, id, scopes);
        members(claims)
    }

    /// What introspection by the API client says.
    pub(super) fn introspect(&mut self, now: u64, token: &str) -> Value {
        // What else is in it was seen on real ones.
        let inactive = json!({"active": false, "exp": 0});
        let Some(known) = self.opaque.get(token).cloned() else { return inactive };
        let audiences = projects(&known.scopes);
        let is_meant =
            known.personal || audiences.iter().any(|one| one == PROJECT || one == API_CLIENT);
        if now >= known.expires || self.revoked.contains(token) || !is_meant {
            return inactive;
        }
        let username = self.users.get(&known.user).map(|user| user.username.clone());
        let audiences = if known.personal { [PROJECT.to_owned()].into() } else { audiences };
        let mut answer = json!({
            "active": true,
            "scope": known.scopes.join(" "),
            "client_id": username,
            "token_type": "Bearer",
            "exp": known.expires,
            "iat": known.issued,
            "nbf": known.issued,
            "sub": known.user,
            "aud": audiences,
            "iss": self.url,
            "jti": format!("V2_{}-at_{}", random(), known.id),
            "username": username,
        });
        // Whatever was asked for, and of the client's own project alone.
        self.add_roles(&mut answer, &known.user, PROJECT, true);
        self.add_rest(&mut answer, &known.user, &known.scopes);
        answer
    }

    fn add_roles(&self, claims: &mut Value, user: &str, project: &str, is_current: bool) {
        let mut roles = json!({});
        let grants = self.grants.iter();
        for grant in grants.filter(|g| g.active && g.user == user && g.project == project) {
            for role in &grant.roles {
                roles[role][&grant.organization] = DOMAIN.into();
            }
        }
        // None at all where there are none.
        if roles.as_object().is_some_and(Map::is_empty) {
            return;
        }
        if is_current {
            claims["urn:zitadel:iam:org:project:roles"] = roles.clone();
        }
        claims[format!("urn:zitadel:iam:org:project:{project}:roles")] = roles;
    }

    fn add_rest(&self, claims: &mut Value, id: &str, scopes: &[String]) {
        let Some(user) = self.users.get(id) else { return };
        let asked = |name: &str| scopes.iter().any(|scope| scope == name);
        if asked("urn:zitadel:iam:user:resourceowner") {
            claims["urn:zitadel:iam:user:resourceowner:id"] = user.organization.as_str().into();
            claims["urn:zitadel:iam:user:resourceowner:name"] = "ACME".into();
            claims["urn:zitadel:iam:user:resourceowner:primary_domain"] = DOMAIN.into();
        }
        if asked("urn:zitadel:iam:user:metadata") && !user.metadata.is_empty() {
            let encoded = user
                .metadata
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(URL_SAFE_NO_PAD.encode(value))));
            claims["urn:zitadel:iam:user:metadata"] = Value::Object(encoded.collect());
        }
        for (name, value) in &user.claims {
            claims[name] = value.clone();
        }
    }
}

/// Whether a scope is granted: an organisation that is not the user's own is none.
fn is_known(scope: &str, organization: &str) -> bool {
    if let Some(other) = scope.strip_prefix("urn:zitadel:iam:org:id:") {
        return other == organization;
    }
    matches!(scope, "openid" | "profile" | "email" | "phone" | "address" | "offline_access")
        || scope.starts_with("urn:zitadel:iam:")
}

fn projects(scopes: &[String]) -> BTreeSet<String> {
    let named =
        scopes.iter().filter_map(|scope| scope.strip_prefix(PROJECTS)?.strip_suffix(":aud"));
    named.map(str::to_owned).collect()
}

/// An opaque token: a JWE that only the server reads.
fn encrypted() -> String {
    let header = json!({
        "alg": "A256GCMKW",
        "enc": "A256GCM",
        "iv": URL_SAFE_NO_PAD.encode(&random_id()[..12]),
        "kid": random(),
        "tag": URL_SAFE_NO_PAD.encode(&random_id()[..16]),
    });
    let part = || URL_SAFE_NO_PAD.encode(random_id());
    format!(
        "{}.{}.{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        part(),
        part(),
        part(),
        part()
    )
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

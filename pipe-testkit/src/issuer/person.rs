//! People who log in.

use serde_json::{Map, Value, json};

/// Somebody with an account at a [`TestIssuer`](super::TestIssuer), and what its tokens say of them.
///
/// ```
/// use pipe_testkit::issuer::Person;
///
/// let alice = Person::new("alice").groups(["platform-admins"]).tenant("bni").acr("mfa");
/// assert_eq!(alice.subject(), "alice");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Person {
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) tenant: String,
    pub(super) acr: Option<String>,
    pub(super) auth_time: Option<u64>,
    pub(super) claims: Map<String, Value>,
}

impl Person {
    /// Somebody of this subject and name, with an address at `corp.test`, without groups and roles, of
    /// the tenant `none`.
    pub fn new(subject: impl Into<String>) -> Self {
        let subject = subject.into();
        Self {
            name: subject.clone(),
            email: format!("{subject}@corp.test"),
            subject,
            groups: Vec::new(),
            roles: Vec::new(),
            tenant: "none".to_owned(),
            acr: None,
            auth_time: None,
            claims: Map::new(),
        }
    }

    /// The `sub` of their tokens, which is also what they type as their login.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Called so (`name`, with the scope `profile`).
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// With this address (`email`, with the scope of that name).
    pub fn email(self, email: impl Into<String>) -> Self {
        Self { email: email.into(), ..self }
    }

    /// In these groups (`groups`, with the scope of that name).
    pub fn groups<T: Into<String>>(self, groups: impl IntoIterator<Item = T>) -> Self {
        Self { groups: groups.into_iter().map(Into::into).collect(), ..self }
    }

    /// With these roles (`roles`, with the scope `groups`).
    pub fn roles<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        Self { roles: roles.into_iter().map(Into::into).collect(), ..self }
    }

    /// Of this tenant (`tenant`, with the scope `groups`).
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), ..self }
    }

    /// Who logs in with this strength, which an `id_token` says when `acr_values` were asked for.
    pub fn acr(self, acr: impl Into<String>) -> Self {
        Self { acr: Some(acr.into()), ..self }
    }

    /// Who logged in at this time, in seconds since 1970, whenever they do it.
    pub fn auth_time(self, seconds: u64) -> Self {
        Self { auth_time: Some(seconds), ..self }
    }

    /// With this claim, in `id_token` and userinfo, at the scope `openid`; it takes the place of another
    /// of its name that a scope gives.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// What `id_token` and userinfo say of them at these scopes.
    pub(super) fn released(&self, scopes: &[String]) -> Map<String, Value> {
        let mut claims = Map::new();
        for scope in scopes {
            let more = match scope.as_str() {
                "openid" => json!({"sub": self.subject}),
                "email" => json!({"email": self.email, "email_verified": true}),
                "profile" => json!({"name": self.name}),
                "groups" => {
                    json!({"groups": self.groups, "roles": self.roles, "tenant": self.tenant})
                }
                _ => continue,
            };
            claims.extend(super::members(more));
        }
        if claims.contains_key("sub") {
            claims.extend(self.claims.clone());
        }
        claims
    }

    /// What access tokens say of them.
    pub(super) fn access_claims(&self) -> Map<String, Value> {
        super::members(json!({
            "namespace": self.tenant,
            "roles": self.roles,
            "groups": self.groups,
        }))
    }
}

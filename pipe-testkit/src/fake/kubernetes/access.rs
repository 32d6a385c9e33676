//! Who asks, and whether they may: tokens, impersonation and RBAC.

use serde_json::{Value, json};

use super::super::http::Call;
use super::super::token_review::{API_SERVER_AUDIENCE, ServiceAccount, judge};
use super::state::State;
use super::status::{self, Reply};

/// What RBAC grants to a user, in one namespace or everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Who: a user's name, or a group's.
    pub subject: String,
    /// Where; everywhere when `None`.
    pub namespace: Option<String>,
    /// Which verbs; `*` is all.
    pub verbs: Vec<String>,
    /// Which resource: `secrets`, `serviceaccounts/token`, `tokenreviews`, `users`, `groups`; `*` is
    /// all.
    pub resource: String,
    /// Which objects; all when empty.
    pub names: Vec<String>,
}

impl Rule {
    /// These verbs on Secrets of a namespace.
    #[must_use]
    pub fn secrets(subject: &str, namespace: &str, verbs: &[&str]) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..Self::everywhere(subject, "secrets", verbs)
        }
    }

    /// These verbs on a resource of every namespace, or of none.
    #[must_use]
    pub fn everywhere(subject: &str, resource: &str, verbs: &[&str]) -> Self {
        Self {
            subject: subject.to_owned(),
            namespace: None,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            resource: resource.to_owned(),
            names: Vec::new(),
        }
    }

    /// Only objects of these names.
    #[must_use]
    pub fn only(self, names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }

    fn allows(&self, user: &User, wish: &Wish<'_>) -> bool {
        let all = |rule: &str, wanted: &str| rule == "*" || rule == wanted;
        (self.subject == user.name || user.groups.contains(&self.subject))
            && self.namespace.as_deref().is_none_or(|namespace| namespace == wish.namespace)
            && self.verbs.iter().any(|verb| all(verb, wish.verb))
            && all(&self.resource, wish.resource)
            // A rule for names allows nothing that names no object.
            && (self.names.is_empty() || self.names.iter().any(|name| name == wish.name))
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) verb: &'a str,
    /// With the subresource.
    pub(super) resource: &'a str,
    pub(super) group: &'a str,
    /// Empty at the cluster scope.
    pub(super) namespace: &'a str,
    /// Empty when no object is named.
    pub(super) name: &'a str,
}

impl<'a> Wish<'a> {
    /// To create something that no namespace has.
    pub(super) fn create(resource: &'a str, group: &'a str) -> Self {
        Self { verb: "create", resource, group, namespace: "", name: "" }
    }
}

impl State {
    /// Who sent it, after impersonation.
    pub(super) fn authenticate(&self, call: &Call) -> Result<User, Reply> {
        let user = self.bearer(call)?;
        let Some(name) = call.header("impersonate-user") else { return Ok(user) };
        let groups: Vec<_> = call.headers.get_all("impersonate-group").iter().collect();
        let groups = groups.iter().filter_map(|group| group.to_str().ok());
        let groups: Vec<_> = groups.map(str::to_owned).collect();
        let users = [("users", name)].into_iter();
        for (resource, name) in users.chain(groups.iter().map(|group| ("groups", group.as_str()))) {
            let wish = Wish { verb: "impersonate", resource, group: "", namespace: "", name };
            self.authorize(&user, &wish)?;
        }
        let authenticated = "system:authenticated".to_owned();
        Ok(User {
            name: name.to_owned(),
            groups: groups.into_iter().chain([authenticated]).collect(),
        })
    }

    fn bearer(&self, call: &Call) -> Result<User, Reply> {
        let Some(header) = call.header("authorization") else {
            let groups = vec!["system:unauthenticated".to_owned()];
            return Ok(User { name: "system:anonymous".to_owned(), groups });
        };
        let token = header.strip_prefix("Bearer ").ok_or_else(status::unauthorized)?;
        if token == self.admin_token {
            let groups = vec!["system:masters".to_owned(), "system:authenticated".to_owned()];
            return Ok(User { name: "admin".to_owned(), groups });
        }
        if let Some(user) = self.users.get(token) {
            return Ok(user.clone());
        }
        let verdict = self.review(token, &Value::Null).map_err(|_| status::unauthorized())?;
        let user = &verdict["user"];
        let groups = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(User {
            name: user["username"].as_str().unwrap_or_default().to_owned(),
            groups: groups.map(str::to_owned).collect(),
        })
    }

    /// What a review says of a token of any kind.
    pub(super) fn review(&self, token: &str, audiences: &Value) -> Result<Value, String> {
        let own = || {
            let asked = audiences.as_array().filter(|asked| !asked.is_empty());
            let own = Value::from(API_SERVER_AUDIENCE);
            asked.is_none_or(|asked| asked.contains(&own)).then(|| json!([own]))
        };
        let known = match self.users.get(token) {
            Some(user) => Some(user.clone()),
            None if token == self.admin_token => Some(User {
                name: "admin".to_owned(),
                groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            }),
            None => None,
        };
        if let Some(user) = known {
            let audiences = own().ok_or("invalid bearer token")?;
            return Ok(json!({
                "authenticated": true,
                "user": {"username": user.name, "uid": format!("uid-{}", user.name), "groups": user.groups},
                "audiences": audiences,
            }));
        }
        let verdict = judge(token, audiences)?;
        let account = ServiceAccount::of(token).ok_or("invalid bearer token")?;
        let invalidated = "[invalid bearer token, service account token has been invalidated]";
        let bound = |(name, uid): &(String, String)| {
            self.find(&account.namespace, name).is_some_and(|secret| secret.uid == *uid)
        };
        let key = (account.namespace.clone(), account.name.clone());
        if !self.accounts.contains(&key) || !account.bound_secret.as_ref().is_none_or(bound) {
            return Err(invalidated.to_owned());
        }
        Ok(verdict)
    }

    pub(super) fn may(&self, user: &User, wish: &Wish<'_>) -> bool {
        let is_master = user.groups.iter().any(|group| group == "system:masters");
        // Everybody who is known may ask about themselves.
        let own = wish.resource == "selfsubjectaccessreviews"
            && user.groups.iter().any(|group| group == "system:authenticated");
        is_master || own || self.rule(user, wish).is_some()
    }

    /// The rule that allows it, where one does.
    pub(super) fn rule(&self, user: &User, wish: &Wish<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.allows(user, wish))
    }

    pub(super) fn authorize(&self, user: &User, wish: &Wish<'_>) -> Result<(), Reply> {
        if self.may(user, wish) { Ok(()) } else { Err(forbidden(user, wish)) }
    }
}

fn forbidden(user: &User, wish: &Wish<'_>) -> Reply {
    let Wish { verb, resource, group, namespace, name } = *wish;
    let plain = resource.split('/').next().unwrap_or_default();
    let full = if group.is_empty() { plain.to_owned() } else { format!("{plain}.{group}") };
    let what = if name.is_empty() { full } else { format!("{full} {name:?}") };
    let place = match namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let message = format!(
        "{what} is forbidden: User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}",
        user.name
    );
    let mut details = json!({"kind": plain});
    if !name.is_empty() {
        details["name"] = name.into();
    }
    if !group.is_empty() {
        details["group"] = group.into();
    }
    status::status(403, "Forbidden", &message, details)
}

//! What a role may do (REQ 001-32 to 001-36).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Group, Role, SecurityContext};
use crate::name::{check_segment, parsed_name};
use crate::{Error, ErrorKind, Result, TokenFault};

parsed_name! {
    /// What is to be done with what, as in `integrations:review`: a resource and an action, each
    /// up to 128 of `A-Z a-z 0-9 . _ -`. It is always one action on one resource.
    Permission, "permission", check_permission
}

impl Permission {
    /// What it is done with.
    #[must_use]
    pub fn resource(&self) -> &str {
        split(self.as_str()).0
    }

    /// What is done.
    #[must_use]
    pub fn action(&self) -> &str {
        split(self.as_str()).1
    }
}

parsed_name! {
    /// What a role is given: a [`Permission`], all actions on a resource (`bots:*`), or one action
    /// on all resources (`*:list`). There is no grant of everything.
    Grant, "grant", check_grant
}

impl Grant {
    /// Whether the grant includes this permission.
    #[must_use]
    pub fn covers(&self, permission: &Permission) -> bool {
        let (resource, action) = split(self.as_str());
        (resource == ANY || resource == permission.resource())
            && (action == ANY || action == permission.action())
    }

    /// Whether it only lets its holder look: `export`, `get`, `list`, `read`, `search`, `view` and
    /// `watch` do. Any other action may change something, and so may `*`.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        READING.contains(&split(self.as_str()).1)
    }
}

/// What each role may do. Whatever is not granted is denied.
///
/// ```
/// use pipe_core::identity::{Permission, RolePolicy};
///
/// # let document = r#"
/// { "roles": { "bot-operator": ["bots:*", "integrations:read"] } }
/// # "#;
/// # let policy: RolePolicy = serde_json::from_str(document).unwrap();
/// let restart = Permission::new("bots:restart")?;
/// assert_eq!(policy.roles_for(&restart).count(), 1);
/// assert!(Permission::new("bots:*").is_err());
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// It is a value: to reload it, read the document again and put the new one in its place. The role
/// `compliance-auditor` is read only in every policy (REQ 001-34): a grant by which it could change
/// something is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Document")]
pub struct RolePolicy(BTreeMap<Role, BTreeSet<Grant>>);

impl RolePolicy {
    /// Nobody may do anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The five roles of the governance of domains, integrations and bots: `domain-admin`,
    /// `integration-reviewer`, `compliance-auditor`, `bot-operator` and `governance-admin` (REQ
    /// 001-32 to 001-36). None of them can change the audit trail.
    #[must_use]
    pub fn governance() -> Self {
        Self(GOVERNANCE.iter().map(|(role, grants)| preset(role, grants)).collect())
    }

    /// Gives a role more grants.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the role and the grant, for one by which an auditor could change
    /// something.
    pub fn with_grants(
        mut self,
        role: Role,
        grants: impl IntoIterator<Item = Grant>,
    ) -> Result<Self> {
        let grants: BTreeSet<_> = grants.into_iter().collect();
        if let Some(grant) =
            grants.iter().find(|grant| is_read_only(&role) && !grant.is_read_only())
        {
            return Err(Error::new(ErrorKind::ConfigInvalid, "an auditor could change something")
                .with("role", role)
                .with("grant", grant)
                .hint("give the grant to another role"));
        }
        self.0.entry(role).or_default().extend(grants);
        Ok(self)
    }

    /// The roles, in order, each with what it was given.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = (&Role, &BTreeSet<Grant>)> {
        self.0.iter()
    }

    /// The roles that have this permission.
    pub fn roles_for(&self, permission: &Permission) -> impl Iterator<Item = &Role> {
        let has_it = |grants: &BTreeSet<Grant>| grants.iter().any(|grant| grant.covers(permission));
        self.0.iter().filter(move |(_, grants)| has_it(grants)).map(|(role, _)| role)
    }

    /// Whether the caller may do this now. Nobody may with a context that has expired.
    #[must_use]
    pub fn allows(&self, caller: &SecurityContext, permission: &Permission) -> bool {
        self.allows_at(caller, permission, SystemTime::now())
    }

    /// Whether the caller may do this at a given time.
    #[must_use]
    pub fn allows_at(
        &self,
        caller: &SecurityContext,
        permission: &Permission,
        now: SystemTime,
    ) -> bool {
        !caller.is_expired_at(now) && self.roles_for(permission).any(|role| caller.has_role(role))
    }

    /// Requires that the caller may do this now.
    ///
    /// # Errors
    /// `PermissionDenied`, with the roles that would do; `TokenRejected(Expired)`.
    pub fn require(&self, caller: &SecurityContext, permission: &Permission) -> Result<()> {
        self.require_at(caller, permission, SystemTime::now())
    }

    /// Requires that the caller may do this at a given time.
    ///
    /// # Errors
    /// As for [`require`](Self::require).
    pub fn require_at(
        &self,
        caller: &SecurityContext,
        permission: &Permission,
        now: SystemTime,
    ) -> Result<()> {
        if self.allows_at(caller, permission, now) {
            return Ok(());
        }
        if caller.is_expired_at(now) {
            let kind = ErrorKind::TokenRejected(TokenFault::Expired);
            return Err(Error::new(kind, "the caller's context has expired")
                .with("principal", &caller.principal.id));
        }
        let roles: Vec<_> = self.roles_for(permission).map(Role::as_str).collect();
        let hint = match roles.as_slice() {
            [] => "no role has this permission: add a grant to the policy".to_owned(),
            roles => format!("give the principal one of the roles: {}", roles.join(", ")),
        };
        Err(Error::new(ErrorKind::PermissionDenied, "the caller lacks the permission")
            .with("permission", permission)
            .with("principal", &caller.principal.id)
            .hint(hint))
    }
}

/// Finds the roles of a caller as they are now (REQ 004-75.3).
///
/// It is called for each request; one that is slow keeps its answers itself, for as long as a
/// role that was taken away may still count. The roles it finds are the only ones: a decision does
/// not add those of the token.
///
/// ```
/// # use pipe_core::identity::{Permission, RolePolicy, RoleResolver};
/// # use pipe_core::{Result, SecurityContext};
/// async fn review(
///     caller: SecurityContext,
///     resolver: &dyn RoleResolver,
///     policy: &RolePolicy,
/// ) -> Result<()> {
///     let roles = resolver.resolve(&caller).await?;
///     policy.require(&caller.with_roles(roles), &Permission::new("integrations:review")?)
/// }
/// ```
#[async_trait]
pub trait RoleResolver: fmt::Debug + Send + Sync + 'static {
    /// The roles of this caller now; empty when they have none.
    ///
    /// # Errors
    /// When it could not be found out, which is never an empty or an older answer.
    async fn resolve(&self, caller: &SecurityContext) -> Result<BTreeSet<Role>>;

    /// The groups of this caller now, as tokens would name them; empty when they are in none. It is
    /// asked about callers whose token says that it does not name their groups, because they are
    /// too many, where groups give more than roles.
    ///
    /// # Errors
    /// `Unsupported` unless the resolver can tell; and as for [`resolve`](Self::resolve).
    async fn resolve_groups(&self, caller: &SecurityContext) -> Result<BTreeSet<Group>> {
        let _ = caller;
        Err(Error::new(ErrorKind::Unsupported, "the role resolver knows roles, and no groups"))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: RoleResolver + ?Sized> RoleResolver for Arc<R> {
    async fn resolve(&self, caller: &SecurityContext) -> Result<BTreeSet<Role>> {
        (**self).resolve(caller).await
    }

    async fn resolve_groups(&self, caller: &SecurityContext) -> Result<BTreeSet<Group>> {
        (**self).resolve_groups(caller).await
    }
}

const ANY: &str = "*";
const READING: [&str; 7] = ["export", "get", "list", "read", "search", "view", "watch"];
const COMPLIANCE_AUDITOR: &str = "compliance-auditor";

const GOVERNANCE: [(&str, &[&str]); 5] = [
    (
        "bot-operator",
        &["bots:*", "domains:list", "domains:read", "integrations:list", "integrations:read"],
    ),
    (
        // One by one, so that what is added later (`secrets:read`) is not theirs by accident.
        COMPLIANCE_AUDITOR,
        &[
            "audit:export",
            "audit:list",
            "audit:read",
            "audit:search",
            "bots:list",
            "bots:read",
            "domains:list",
            "domains:read",
            "integrations:list",
            "integrations:read",
            "policies:list",
            "policies:read",
            "reviews:list",
            "reviews:read",
            "roles:list",
            "roles:read",
        ],
    ),
    (
        "domain-admin",
        &[
            "bots:list",
            "bots:read",
            "domains:*",
            "integrations:list",
            "integrations:propose",
            "integrations:read",
            "integrations:update",
            "reviews:list",
            "reviews:read",
        ],
    ),
    (
        "governance-admin",
        &[
            "audit:list",
            "audit:read",
            "bots:list",
            "bots:read",
            "domains:*",
            "integrations:*",
            "policies:*",
            "reviews:*",
            "roles:*",
        ],
    ),
    (
        "integration-reviewer",
        &[
            "domains:list",
            "domains:read",
            "integrations:approve",
            "integrations:list",
            "integrations:read",
            "integrations:reject",
            "integrations:review",
            "reviews:*",
        ],
    ),
];

/// The tests hold the preset to the rules of a document.
fn preset(role: &str, grants: &[&str]) -> (Role, BTreeSet<Grant>) {
    let role = Role::new(role).expect("the roles of the preset are identifiers");
    (role, grants.iter().map(|grant| Grant((*grant).into())).collect())
}

fn is_read_only(role: &Role) -> bool {
    role.as_str() == COMPLIANCE_AUDITOR
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, ""))
}

fn check_permission(what: &'static str, permission: &str) -> Result<()> {
    let (resource, action) = split(permission);
    check_segment("resource", resource).and_then(|()| check_segment("action", action)).map_err(
        |_| {
            Error::new(ErrorKind::InvalidArgument, "not a permission")
                .with(what, format_args!("{permission:?}"))
                .hint("write it as resource:action, without a wildcard")
        },
    )
}

fn check_grant(what: &'static str, grant: &str) -> Result<()> {
    let is_grant = match split(grant) {
        (ANY, action) => check_segment(what, action).is_ok(),
        (resource, ANY) => check_segment(what, resource).is_ok(),
        _ => check_permission(what, grant).is_ok(),
    };
    if is_grant {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "not a grant")
        .with(what, format_args!("{grant:?}"))
        .hint("write it as resource:action, resource:* or *:action"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    roles: Roles,
}

/// A map in which no role stands twice: the second would silently replace the first.
struct Roles(Vec<(Role, BTreeSet<Grant>)>);

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> de::Visitor<'de> for Map {
            type Value = Roles;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from role to grants")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Roles, A::Error> {
                let mut roles: Vec<(Role, BTreeSet<Grant>)> = Vec::new();
                while let Some((role, grants)) = map.next_entry::<Role, _>()? {
                    if roles.iter().any(|(known, _)| *known == role) {
                        return Err(de::Error::custom(format_args!(
                            "the role {role} stands twice"
                        )));
                    }
                    roles.push((role, grants));
                }
                Ok(Roles(roles))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl TryFrom<Document> for RolePolicy {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self> {
        let Roles(roles) = document.roles;
        roles
            .into_iter()
            .try_fold(Self::new(), |policy, (role, grants)| policy.with_grants(role, grants))
    }
}

#[cfg(test)]
mod tests;

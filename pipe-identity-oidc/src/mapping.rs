//! Which claims say who is calling, and what they may do.

use std::collections::BTreeSet;

use pipe_core::identity::{
    Group, Principal, PrincipalId, PrincipalKind, Role, RoleResolver, TenantId,
};
use pipe_core::rbac::{GroupGrant, GroupMapping, GroupRights, KubernetesNames};
use pipe_core::{
    ConfigFaults, Error, ErrorKind, Namespace, Result, SecretSource, SecretValue, SecurityContext,
    TokenFault,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{ClaimPointer, elsewhere};

/// How the claims of an issuer's tokens become a security context. What is not mapped grants
/// nothing: the empty mapping knows who is calling, and gives no role.
///
/// ```
/// # let document = r#"
/// {
///   "tenant": { "claim": "/tenant" },
///   "roles": ["/realm_access/roles"],
///   "groups": ["/groups"],
///   "grants": [{ "group": "bni-editors", "tenant": "bni", "roles": ["editor"] }]
/// }
/// # "#;
/// # let mapping: pipe_identity_oidc::ClaimMapping = serde_json::from_str(document).unwrap();
/// # assert_eq!(mapping.grants.len(), 1);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ClaimMapping {
    /// The claims that together are the principal's id, joined by `:`; `/sub`. They must name the
    /// principal for ever, which names and email addresses do not.
    pub id: Vec<ClaimPointer>,
    /// The claim that is a person's id instead, where tokens of people have one of their own, as
    /// Okta's have `uid`; `id` counts where it is absent. None.
    pub user_id: Option<ClaimPointer>,
    /// Makes a pseudonym of the id, with this key of at least 32 bytes; for issuers whose only id
    /// is an email address.
    pub pseudonym_key: Option<SecretSource>,
    /// Whether programs or people are calling; found out from the token when absent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<KindName>"))]
    pub kind: Option<PrincipalKind>,
    /// Which tenant they belong to; none when absent.
    pub tenant: Option<TenantSource>,
    /// The claims that name namespaces, each a text or a list of texts.
    pub namespaces: Vec<ClaimPointer>,
    /// The claims whose values are roles, each a text or a list of texts.
    pub roles: Vec<ClaimPointer>,
    /// The claims that name groups, each a text or a list of texts. A group gives only what
    /// `grants` says.
    pub groups: Vec<ClaimPointer>,
    /// What groups give.
    pub grants: Vec<GroupGrant>,
    /// What callers and their groups are called in Kubernetes, where `grants` gives them something
    /// there.
    pub kubernetes: KubernetesNames,
    /// Claims that name scopes, besides `scope` and `scp`.
    pub scopes: Vec<ClaimPointer>,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            id: vec![ClaimPointer::claim("sub")],
            user_id: None,
            pseudonym_key: None,
            kind: None,
            tenant: None,
            namespaces: Vec::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            grants: Vec::new(),
            kubernetes: KubernetesNames::new(),
            scopes: Vec::new(),
        }
    }
}

/// How `kind` is written in a document.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
enum KindName {
    Service,
    User,
}

impl ClaimMapping {
    /// Who is calling, and nothing that they may do.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The claims that together are the principal's id.
    #[must_use]
    pub fn with_id(self, id: impl IntoIterator<Item = ClaimPointer>) -> Self {
        Self { id: id.into_iter().collect(), ..self }
    }

    /// The claim that is a person's id, where it is there.
    #[must_use]
    pub fn with_user_id(self, claim: ClaimPointer) -> Self {
        Self { user_id: Some(claim), ..self }
    }

    /// Makes a pseudonym of the id, with this key of at least 32 bytes.
    #[must_use]
    pub fn with_pseudonym_key(self, key: impl Into<SecretSource>) -> Self {
        Self { pseudonym_key: Some(key.into()), ..self }
    }

    /// Whether programs or people are calling.
    #[must_use]
    pub fn with_kind(self, kind: PrincipalKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Which tenant they belong to.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantSource) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// A claim that names namespaces; may be repeated.
    #[must_use]
    pub fn with_namespaces(mut self, claim: ClaimPointer) -> Self {
        self.namespaces.push(claim);
        self
    }

    /// A claim whose values are roles; may be repeated.
    #[must_use]
    pub fn with_roles(mut self, claim: ClaimPointer) -> Self {
        self.roles.push(claim);
        self
    }

    /// A claim that names groups; may be repeated.
    #[must_use]
    pub fn with_groups(mut self, claim: ClaimPointer) -> Self {
        self.groups.push(claim);
        self
    }

    /// What a group gives; may be repeated.
    #[must_use]
    pub fn with_grant(mut self, grant: GroupGrant) -> Self {
        self.grants.push(grant);
        self
    }

    /// What callers and their groups are called in Kubernetes.
    #[must_use]
    pub fn with_kubernetes(self, kubernetes: KubernetesNames) -> Self {
        Self { kubernetes, ..self }
    }

    /// What groups give, without the claims: for the manifests of a cluster, which are made of the
    /// same document as the callers' contexts.
    #[must_use]
    pub fn group_mapping(&self) -> GroupMapping {
        let mapping = GroupMapping::new().with_kubernetes(self.kubernetes.clone());
        self.grants.iter().cloned().fold(mapping, GroupMapping::with_grant)
    }

    /// A claim that names scopes; may be repeated.
    #[must_use]
    pub fn with_scopes(mut self, claim: ClaimPointer) -> Self {
        self.scopes.push(claim);
        self
    }
}

/// Which tenant the callers of an issuer belong to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TenantSource {
    /// The one that this claim names; none when it is absent.
    Claim(ClaimPointer),
    /// This one, all of them.
    Fixed(#[cfg_attr(feature = "schema", schemars(with = "String"))] TenantId),
}

/// What the claims say about the caller.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) namespaces: BTreeSet<Namespace>,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) groups: BTreeSet<Group>,
    /// Whether a resolver has to say which groups they are in: the token does not.
    pub(crate) groups_elsewhere: bool,
    pub(crate) scopes: BTreeSet<String>,
}

/// A mapping that is ready for use.
#[derive(Debug)]
pub(crate) struct Mapper {
    mapping: ClaimMapping,
    rights: GroupRights,
    pseudonym_key: Option<SecretValue>,
    /// Whose tokens are taken; everybody's when empty.
    tenants: BTreeSet<TenantId>,
    /// Whether a resolver says which roles somebody has.
    resolves_roles: bool,
}

/// More roles or groups than anybody can mean.
const MOST_VALUES: usize = 1_000;

impl Mapper {
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong, as they are called below `claims`.
    pub(crate) fn new(mapping: ClaimMapping, tenants: BTreeSet<TenantId>) -> Result<Self> {
        let mut faults = ConfigFaults::new();
        let fault = "names no claim; name those that identify the principal, such as `/sub`";
        faults.require(!mapping.id.is_empty(), "id", fault);
        let pseudonym_key = mapping.pseudonym_key.as_ref().and_then(|key| {
            let key = faults.keep("pseudonym_key", key.read_once())?;
            faults.keep("pseudonym_key", PrincipalId::pseudonym(&key, "").map(|_| key))
        });
        let rights = GroupRights::new(mapping.group_mapping());
        if let Err(error) = &rights {
            error.contexts().for_each(|(setting, fault)| faults.add(setting.to_owned(), fault));
        }
        faults.into_result()?;
        Ok(Self { mapping, rights: rights?, pseudonym_key, tenants, resolves_roles: false })
    }

    /// Whether a resolver says which roles somebody has.
    pub(crate) fn resolving_roles(self, resolves_roles: bool) -> Self {
        Self { resolves_roles, ..self }
    }

    /// What groups give.
    pub(crate) fn rights(&self) -> &GroupRights {
        &self.rights
    }

    /// What a verified token says about its bearer; `scopes` are those of `scope` and `scp`.
    pub(crate) fn caller(
        &self,
        claims: &Map<String, Value>,
        mut scopes: BTreeSet<String>,
    ) -> Result<Caller> {
        let tenant = self.tenant(claims)?;
        if !self.tenants.is_empty() && tenant.as_ref().is_none_or(|one| !self.tenants.contains(one))
        {
            return Err(refused(TokenFault::TenantMismatch, "the tenant is not one of `tenants`"));
        }
        let groups_elsewhere =
            elsewhere::has_groups(claims, &self.mapping, &self.rights, self.resolves_roles)?;
        let mut namespaces = parsed(claims, &self.mapping.namespaces, Namespace::new)?;
        let mut roles = parsed(claims, &self.mapping.roles, Role::new)?;
        let granted = self.rights.granted(tenant.as_ref(), texts(claims, &self.mapping.groups)?);
        roles.extend(granted.roles);
        namespaces.extend(granted.namespaces);
        let groups = granted.groups;
        scopes.extend(texts(claims, &self.mapping.scopes)?.map(str::to_owned));
        let principal = self.principal(claims)?;
        Ok(Caller { principal, tenant, namespaces, roles, groups, groups_elsewhere, scopes })
    }

    /// Asks for the groups of somebody whose token does not name them, and gives what they give
    /// besides roles.
    ///
    /// # Errors
    /// `TokenRejected(Unsupported)` when the resolver knows no groups; and as it fails.
    pub(crate) async fn resolve_groups(
        &self,
        context: &mut SecurityContext,
        resolver: &dyn RoleResolver,
    ) -> Result<BTreeSet<Group>> {
        let groups = resolver.resolve_groups(context).await;
        let groups = groups.map_err(|error| match error.kind() {
            ErrorKind::Unsupported => elsewhere::unknown().with("issuer", &context.issuer),
            _ => error,
        })?;
        let names = groups.iter().map(Group::as_str);
        let granted = self.rights.granted(context.tenant.as_ref(), names);
        context.namespaces.extend(granted.namespaces);
        context.groups.extend(granted.groups);
        Ok(groups)
    }

    /// The groups that a token names.
    pub(crate) fn groups(&self, claims: &Map<String, Value>) -> Result<BTreeSet<String>> {
        Ok(texts(claims, &self.mapping.groups)?.map(str::to_owned).collect())
    }

    fn tenant(&self, claims: &Map<String, Value>) -> Result<Option<TenantId>> {
        match &self.mapping.tenant {
            None => Ok(None),
            Some(TenantSource::Fixed(tenant)) => Ok(Some(tenant.clone())),
            Some(TenantSource::Claim(pointer)) => match pointer.find(claims) {
                None => Ok(None),
                Some(value) => {
                    let tenant = value.as_str().ok_or_else(|| malformed(pointer))?;
                    TenantId::new(tenant).map(Some).map_err(|_| malformed(pointer))
                }
            },
        }
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal> {
        let mut id = String::new();
        let own = self.mapping.user_id.as_slice();
        let pointers = match own.iter().any(|pointer| pointer.find(claims).is_some()) {
            true => own,
            false => &self.mapping.id,
        };
        for (i, pointer) in pointers.iter().enumerate() {
            let part = pointer.find(claims).ok_or_else(|| {
                refused(TokenFault::MissingClaim, "a claim of the id is absent")
                    .with("claim", pointer)
            })?;
            let part = part.as_str().filter(|part| !part.is_empty());
            id.push_str(if i == 0 { "" } else { ":" });
            id.push_str(part.ok_or_else(|| malformed(pointer))?);
        }
        let id = match &self.pseudonym_key {
            Some(key) => PrincipalId::pseudonym(key, &id)?,
            None => PrincipalId::new(&id).map_err(|_| {
                refused(TokenFault::Malformed, "the id cannot be used, or is an email address")
                    .hint("map another claim to `claims.id`, or set `claims.pseudonym_key`")
            })?,
        };
        let kind = self.mapping.kind.unwrap_or_else(|| kind_of(claims));
        Ok(match kind {
            PrincipalKind::Service => Principal::service(id),
            _ => Principal::user(id),
        })
    }
}

/// A client that speaks for itself is its own subject (RFC 9068 2.2); Okta has its name in `cid`.
/// Entra ID says so in `idtyp`, Auth0 in `gty`, and Kubernetes' workloads have names of their own.
fn kind_of(claims: &Map<String, Value>) -> PrincipalKind {
    let text = |claim| claims.get(claim).and_then(Value::as_str);
    let subject = text("sub");
    let speaks_for_itself =
        subject.is_some() && ["client_id", "azp", "cid"].iter().any(|name| text(name) == subject);
    let is_service = speaks_for_itself
        || text("idtyp") == Some("app")
        || text("gty") == Some("client-credentials")
        || subject.is_some_and(|subject| subject.starts_with("system:serviceaccount:"));
    if is_service { PrincipalKind::Service } else { PrincipalKind::User }
}

fn parsed<'a, T: Ord>(
    claims: &'a Map<String, Value>,
    pointers: &[ClaimPointer],
    parse: fn(&'a str) -> Result<T>,
) -> Result<BTreeSet<T>> {
    let mut all = BTreeSet::new();
    for pointer in pointers {
        for text in values(claims, pointer)? {
            all.insert(parse(text).map_err(|_| malformed(pointer))?);
        }
    }
    Ok(all)
}

fn texts<'a>(
    claims: &'a Map<String, Value>,
    pointers: &[ClaimPointer],
) -> Result<impl Iterator<Item = &'a str>> {
    let all: Result<Vec<_>> = pointers.iter().map(|pointer| values(claims, pointer)).collect();
    Ok(all?.into_iter().flatten())
}

/// The texts that a claim holds. Anything but text would be somebody's guess at what it means.
fn values<'a>(claims: &'a Map<String, Value>, pointer: &ClaimPointer) -> Result<Vec<&'a str>> {
    let legal = |text: &&str| !text.contains('\0');
    let found = match pointer.find(claims) {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text.as_str()]).filter(|one| legal(&one[0])),
        Some(Value::Array(items)) if items.len() <= MOST_VALUES => {
            items.iter().map(|item| item.as_str().filter(legal)).collect()
        }
        Some(_) => None,
    };
    found.ok_or_else(|| malformed(pointer))
}

fn malformed(claim: &ClaimPointer) -> Error {
    refused(TokenFault::Malformed, "a mapped claim has the wrong form").with("claim", claim)
}

fn refused(fault: TokenFault, message: &'static str) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), message)
}

#[cfg(test)]
mod tests;

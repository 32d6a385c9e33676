//! A mapping that was checked.

use std::collections::BTreeSet;

use super::grant::GroupGrant;
use super::mapping::{GroupMapping, is_visible};
use super::user::{KubernetesUser, is_reserved};
use crate::identity::{Group, Role, TenantId};
use crate::{ConfigFaults, Error, ErrorKind, Namespace, Result, SecurityContext, TokenFault};

/// A [`GroupMapping`] that was checked, and what follows from it. Everything it says is a pure
/// function of the mapping and the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRights {
    pub(super) mapping: GroupMapping,
    issuer: Option<String>,
}

impl GroupRights {
    /// Checks a mapping.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong: `grants[2].kubernetes.groups`.
    pub fn new(mapping: GroupMapping) -> Result<Self> {
        let mut faults = ConfigFaults::new();
        mapping.check(&mut faults);
        faults.into_result()?;
        Ok(Self { mapping, issuer: None })
    }

    /// Callers for whom another issuer vouches are nobody in Kubernetes by this mapping: their ids
    /// and groups may be called the same and be others. For services that get contexts of several.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The document.
    #[must_use]
    pub fn mapping(&self) -> &GroupMapping {
        &self.mapping
    }

    /// What a member of these groups is given in this tenant. A group counts as it is, byte by byte.
    #[must_use]
    pub fn granted<'a>(
        &self,
        tenant: Option<&TenantId>,
        groups: impl IntoIterator<Item = &'a str>,
    ) -> Granted {
        let mut granted = Granted::default();
        for grant in self.matching(tenant, &groups.into_iter().collect()) {
            granted.roles.extend(grant.roles.iter().cloned());
            granted.namespaces.extend(grant.namespaces.iter().cloned());
            if grant.kubernetes.is_some() {
                granted.groups.extend(Group::new(&grant.group).ok());
            }
        }
        granted
    }

    /// Whether any group gives more than roles: without knowing a caller's groups, a resolver of roles
    /// alone does not make up for them.
    #[must_use]
    pub fn gives_more_than_roles(&self) -> bool {
        let more = |grant: &GroupGrant| !grant.namespaces.is_empty() || grant.kubernetes.is_some();
        self.mapping.grants.iter().any(more)
    }

    /// Whether any group gives anything in Kubernetes.
    #[must_use]
    pub fn reaches_kubernetes(&self) -> bool {
        self.mapping.grants.iter().any(|grant| grant.kubernetes.is_some())
    }

    /// Who this caller is in Kubernetes: the principal's id and the groups that their groups give
    /// them in their tenant, all with their prefixes. Somebody without groups is a user without
    /// groups, to whom the cluster grants what it grants to everybody it knows.
    ///
    /// # Errors
    /// `TokenRejected(WrongIssuer)` for a caller of another issuer than was
    /// [named](Self::with_issuer); `PermissionDenied` when no grant of the mapping gives anybody
    /// anything in Kubernetes;
    /// `ConfigInvalid`, naming `kubernetes.user_prefix`, when the name would be one of Kubernetes'
    /// own (`system:…`); `InvalidArgument` when the id cannot be sent in a header.
    pub fn kubernetes_user(&self, caller: &SecurityContext) -> Result<KubernetesUser> {
        if !self.reaches_kubernetes() {
            let fault = "no group of this issuer gives anything in Kubernetes";
            return Err(Error::new(ErrorKind::PermissionDenied, fault)
                .hint("set `kubernetes` of a grant in `grants`"));
        }
        if self.issuer.as_ref().is_some_and(|issuer| *issuer != caller.issuer) {
            let kind = ErrorKind::TokenRejected(TokenFault::WrongIssuer);
            return Err(Error::new(kind, "the caller is another issuer's")
                .hint("use the mapping of the caller's issuer"));
        }
        let names = &self.mapping.kubernetes;
        let name = format!("{}{}", names.user_prefix, caller.principal.id);
        // No id is repeated: it is the caller's.
        if is_reserved(&name) {
            let reason = Error::new(
                ErrorKind::ConfigInvalid,
                "with the caller's id begins with `system:`, which is Kubernetes' own",
            );
            let prefix = "kubernetes.user_prefix";
            return Err(ConfigFaults::about(prefix, reason.hint("set a prefix such as `oidc:`")));
        }
        if !is_visible(&name) {
            let fault = "the principal's id cannot be the name of a user of Kubernetes";
            return Err(Error::new(ErrorKind::InvalidArgument, fault).hint(
                "map claims to the id whose values are visible ASCII (`claims.id`), or use a \
                 pseudonym (`claims.pseudonym_key`)",
            ));
        }
        let held = caller.groups.iter().map(Group::as_str).collect();
        let granted = self.matching(caller.tenant.as_ref(), &held);
        let groups = granted.filter_map(|grant| grant.kubernetes.as_ref());
        let groups = groups.flat_map(|grant| &grant.groups);
        let groups = groups.filter_map(|group| names.group(group).ok()).collect();
        Ok(KubernetesUser::new(name, groups, caller.expires_at))
    }

    /// Whether one cluster can have the callers of both mappings, as where a service trusts two
    /// issuers: nobody of one may be taken for somebody of the other, and no group may mean two
    /// things.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the settings of this one that have to differ.
    pub fn check_beside(&self, other: &Self) -> Result<()> {
        if !self.reaches_kubernetes() || !other.reaches_kubernetes() {
            return Ok(());
        }
        let mut faults = ConfigFaults::new();
        let (own, others) =
            (&self.mapping.kubernetes.user_prefix, &other.mapping.kubernetes.user_prefix);
        // `a:` and `a:b:` do not tell `b:x` of the one from `x` of the other.
        let is_apart = !own.starts_with(others.as_str()) && !others.starts_with(own.as_str());
        faults.require(
            is_apart,
            "kubernetes.user_prefix",
            "begins as another issuer's does: the same id would be the same user of the cluster",
        );
        for (place, grant) in self.mapping.grants.iter().enumerate() {
            let Some(kubernetes) = &grant.kubernetes else { continue };
            let meets = |group: &String| {
                let name = self.mapping.kubernetes.group(group).ok();
                other.binding_otherwise(name.as_deref(), kubernetes.places())
            };
            if kubernetes.groups.iter().any(meets) {
                faults.add(
                    format!("grants[{place}].kubernetes.groups"),
                    "names a group to which another issuer's grants bind other roles",
                );
            }
        }
        faults.into_result()
    }

    fn binding_otherwise(
        &self,
        group: Option<&str>,
        places: BTreeSet<super::grant::Place<'_>>,
    ) -> bool {
        let grants = self.mapping.grants.iter().filter_map(|grant| grant.kubernetes.as_ref());
        let mut of_group = grants.filter(|grant| {
            let mut names = grant.groups.iter();
            names.any(|name| self.mapping.kubernetes.group(name).ok().as_deref() == group)
        });
        of_group.any(|grant| grant.places() != places)
    }

    fn matching<'a>(
        &'a self,
        tenant: Option<&'a TenantId>,
        groups: &BTreeSet<&str>,
    ) -> impl Iterator<Item = &'a GroupGrant> {
        self.mapping.grants.iter().filter(move |grant| {
            groups.contains(grant.group.as_str())
                && grant.tenant.as_ref().is_none_or(|only| tenant == Some(only))
        })
    }
}

/// What somebody's groups give them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Granted {
    /// The roles.
    pub roles: BTreeSet<Role>,
    /// The namespaces.
    pub namespaces: BTreeSet<Namespace>,
    /// Those of the groups that give something in Kubernetes, for
    /// [`SecurityContext::groups`].
    pub groups: BTreeSet<Group>,
}

#[cfg(test)]
mod tests;

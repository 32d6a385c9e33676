//! Whether somebody may do something, by the roles that Zitadel gives them.

use std::collections::BTreeMap;

use pipe_core::identity::{Permission, RolePolicy};
use pipe_core::{Error, ErrorKind, Result};

use crate::{Zitadel, ZitadelToken};

/// Where something is to be done: in a project, and for an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermissionScope {
    /// The id of the project; the plugin's own when `None`.
    pub project: Option<String>,
    /// Which organisation.
    organization: Organization,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Organization {
    #[default]
    Unsaid,
    Id(String),
    Domain(String),
}

impl PermissionScope {
    /// The plugin's own project. An organisation has to be said too.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// In this project.
    #[must_use]
    pub fn in_project(self, id: impl Into<String>) -> Self {
        Self { project: Some(id.into()), ..self }
    }

    /// For this organisation, by its id.
    #[must_use]
    pub fn in_organization(self, id: impl Into<String>) -> Self {
        Self { organization: Organization::Id(id.into()), ..self }
    }

    /// For the organisation of this domain, such as `BNI`; `domains` of the settings has its id.
    #[must_use]
    pub fn in_domain(self, name: impl Into<String>) -> Self {
        Self { organization: Organization::Domain(name.into()), ..self }
    }

    pub(crate) fn names_no_organization(&self) -> bool {
        self.organization == Organization::Unsaid
    }

    /// The organisation's id, where one is named.
    pub(crate) fn organization<'a>(
        &'a self,
        domains: &'a BTreeMap<String, String>,
    ) -> Result<Option<&'a str>> {
        match &self.organization {
            Organization::Unsaid => Ok(None),
            Organization::Id(id) => Ok(Some(id)),
            Organization::Domain(name) => match domains.get(name) {
                Some(id) => Ok(Some(id)),
                None => Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    "the domain's organisation is not known",
                )
                .with("domain", name)
                .hint("add the domain and its organisation's id to `domains`")),
            },
        }
    }
}

impl Zitadel {
    /// Whether a user may do something in this scope, by the authorizations that Zitadel has now. Whatever is
    /// not granted is denied: a grant that is not active, of another project or for another organisation
    /// gives nothing.
    ///
    /// # Errors
    /// `InvalidArgument` for a scope without an organisation: it would be that of anybody. Else as for
    /// [`list_authorizations`](Self::list_authorizations). What could not be found out is never `true`.
    pub async fn check_permission(
        &self,
        user: &str,
        permission: &Permission,
        scope: &PermissionScope,
        policy: &RolePolicy,
    ) -> Result<bool> {
        let checked = async {
            self.check_scope(scope)?;
            let found = self.authorizations(user, scope).await?;
            Ok(policy
                .roles_for(permission)
                .any(|role| found.iter().any(|one| one.roles.contains(role.as_str()))))
        };
        checked.await.map_err(|error| self.locate(error, "check_permission"))
    }

    /// As [`check_permission`](Self::check_permission), and looks first at what the token says. Zitadel is asked
    /// only where that is not enough: a token may have been made before a role was granted.
    ///
    /// # Errors
    /// As for [`check_permission`](Self::check_permission).
    pub async fn check_token_permission(
        &self,
        token: &ZitadelToken,
        permission: &Permission,
        scope: &PermissionScope,
        policy: &RolePolicy,
    ) -> Result<bool> {
        let by_token = || {
            self.check_scope(scope)?;
            let organization = scope.organization(&self.0.domains)?;
            let project = scope.project.as_deref();
            Ok(policy
                .roles_for(permission)
                .any(|role| token.has_role(role.as_str(), project, organization)))
        };
        if by_token().map_err(|error: Error| self.locate(error, "check_permission"))? {
            return Ok(true);
        }
        let user = token.context.principal.id.as_str();
        self.check_permission(user, permission, scope, policy).await
    }

    fn check_scope(&self, scope: &PermissionScope) -> Result<()> {
        if !scope.names_no_organization() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the scope names no organisation")
            .hint("say for which organisation or domain the permission is meant"))
    }
}

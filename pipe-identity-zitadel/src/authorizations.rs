//! Who has which roles where, as Zitadel knows it now.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use pipe_core::identity::{Role, RoleResolver};
use pipe_core::{Error, ErrorKind, Result, SecurityContext};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{PermissionScope, Zitadel};

const SERVICE: &str = "zitadel.authorization.v2.AuthorizationService";
const PAGE: usize = 100;
/// Nobody has more authorizations than fit into so many pages.
const PAGES: usize = 100;
const ACTIVE: &str = "STATE_ACTIVE";

/// Roles of a user in a project and an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorization {
    /// Its id.
    pub id: String,
    /// The id of the user.
    pub user: String,
    /// The id of the project.
    pub project: String,
    /// The id of the organisation in which the roles are granted.
    pub organization: String,
    /// The keys of the roles.
    pub roles: BTreeSet<String>,
}

impl Zitadel {
    /// The active authorizations of a user in this scope, all of them.
    ///
    /// Our own are always visible. To see those of others, our service user needs `user.grant.read`:
    /// Zitadel leaves out in silence what one may not see.
    ///
    /// # Errors
    /// `Unauthenticated`, `PermissionDenied`, `Unavailable` and their kin when it cannot be found out;
    /// `Unsupported` without `service`.
    pub async fn list_authorizations(
        &self,
        user: &str,
        scope: &PermissionScope,
    ) -> Result<Vec<Authorization>> {
        let found = self.authorizations(user, scope).await;
        found.map_err(|error| self.locate(error, "list_authorizations"))
    }

    pub(crate) async fn authorizations(
        &self,
        user: &str,
        scope: &PermissionScope,
    ) -> Result<Vec<Authorization>> {
        let project = scope.project.as_deref().unwrap_or(&self.0.project);
        let organization = scope.organization(&self.0.domains)?;
        let mut filters = vec![
            json!({"inUserIds": {"ids": [user]}}),
            json!({"projectId": {"id": project}}),
            json!({"state": {"state": ACTIVE}}),
        ];
        if let Some(organization) = organization {
            filters.push(json!({"organizationId": {"id": organization}}));
        }
        let mut found = Vec::new();
        let mut offset = 0;
        for _ in 0..PAGES {
            let request = json!({
                "pagination": {"offset": offset.to_string(), "limit": PAGE, "asc": true},
                "filters": filters,
            });
            let page: Page = self.0.call(SERVICE, "ListAuthorizations", &request).await?;
            let total = page.pagination.total().ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "the list does not say how long it is")
                    .hint("check `issuer`, and the version of the server")
            })?;
            let count = page.authorizations.len();
            offset += count;
            // A server that does not know a filter would answer with the authorizations of others.
            let own = page.authorizations.into_iter().filter(|one| {
                one.state == ACTIVE
                    && one.user.id == user
                    && one.project.id == project
                    && organization.is_none_or(|id| one.organization.id == id)
            });
            found.extend(own.map(Authorization::from));
            if count == 0 || offset >= total {
                return Ok(found);
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "the list of authorizations does not end")
            .hint("check the server"))
    }

    /// Grants roles to a user in the scope's project and organisation. Returns the authorization's id.
    ///
    /// # Errors
    /// `Conflict` when the user has an authorization there already; else as for
    /// [`list_authorizations`](Self::list_authorizations).
    pub async fn grant_roles(
        &self,
        user: &str,
        scope: &PermissionScope,
        roles: &[&str],
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        let granted = async {
            let project = scope.project.as_deref().unwrap_or(&self.0.project);
            let organization = scope.organization(&self.0.domains)?.ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "roles are granted in an organisation")
                    .hint("say in the scope in which organisation or domain")
            })?;
            let request = json!({
                "userId": user,
                "projectId": project,
                "organizationId": organization,
                "roleKeys": roles,
            });
            self.0.call::<Created>(SERVICE, "CreateAuthorization", &request).await
        };
        let created = granted.await.map_err(|error| self.locate(error, "grant_roles"))?;
        Ok(created.id)
    }

    /// Finds the roles of callers in this scope, for whoever wants them as they are now. Wrap it into
    /// [`CachedRoles`](pipe_core::wrap::CachedRoles) so that Zitadel is not asked each time.
    #[must_use]
    pub fn role_resolver(&self, scope: PermissionScope) -> AuthorizationRoles {
        AuthorizationRoles { zitadel: self.clone(), scope }
    }
}

/// The roles that Zitadel's authorizations give a caller. Where the scope names no organisation, those in
/// the caller's own count, which is its tenant.
#[derive(Clone)]
pub struct AuthorizationRoles {
    zitadel: Zitadel,
    scope: PermissionScope,
}

#[async_trait]
impl RoleResolver for AuthorizationRoles {
    async fn resolve(&self, caller: &SecurityContext) -> Result<BTreeSet<Role>> {
        let mut scope = self.scope.clone();
        if scope.names_no_organization() {
            let Some(tenant) = &caller.tenant else { return Ok(BTreeSet::new()) };
            scope = scope.in_organization(tenant.as_str());
        }
        let user = caller.principal.id.as_str();
        let found = self.zitadel.list_authorizations(user, &scope).await?;
        let roles = found.iter().flat_map(|one| &one.roles);
        // A role whose name no policy can name gives nothing.
        Ok(roles.filter_map(|role| Role::new(role).ok()).collect())
    }
}

impl fmt::Debug for AuthorizationRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRoles").field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    pagination: Pagination,
    #[serde(default)]
    authorizations: Vec<Listed>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    /// A number as text; left out when it is zero.
    #[serde(default)]
    total_result: Option<Value>,
}

impl Pagination {
    fn total(&self) -> Option<usize> {
        match &self.total_result {
            None => Some(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_u64().and_then(|total| usize::try_from(total).ok()),
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    state: String,
    user: Named,
    project: Named,
    organization: Named,
    #[serde(default)]
    roles: Vec<ListedRole>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct ListedRole {
    key: String,
}

impl From<Listed> for Authorization {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.id,
            user: listed.user.id,
            project: listed.project.id,
            organization: listed.organization.id,
            roles: listed.roles.into_iter().map(|role| role.key).collect(),
        }
    }
}

//! The scopes that Zitadel reserves, by what they do.

use std::collections::BTreeSet;

const PROJECT: &str = "urn:zitadel:iam:org:project:id:";

/// The scopes to ask for. `openid` is always one of them.
///
/// ```
/// use pipe_identity_zitadel::ZitadelScopes;
///
/// let scopes = ZitadelScopes::new().with_project("223281986649719041").with_roles();
/// assert!(scopes.iter().any(|scope| scope == "urn:zitadel:iam:org:project:id:223281986649719041:aud"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZitadelScopes(BTreeSet<String>);

impl ZitadelScopes {
    /// `openid` alone.
    #[must_use]
    pub fn new() -> Self {
        Self(BTreeSet::from(["openid".to_owned()]))
    }

    /// The token is meant for this project too. Without it, introspection by the project's API
    /// client says "not active".
    #[must_use]
    pub fn with_project(self, id: &str) -> Self {
        self.with(format!("{PROJECT}{id}:aud"))
    }

    /// The token is meant for Zitadel's own APIs too.
    #[must_use]
    pub fn with_zitadel(self) -> Self {
        self.with_project("zitadel")
    }

    /// The roles in every project that the token is meant for.
    #[must_use]
    pub fn with_roles(self) -> Self {
        self.with("urn:zitadel:iam:org:projects:roles")
    }

    /// This role alone, when it is held.
    #[must_use]
    pub fn with_role(self, role: &str) -> Self {
        self.with(format!("urn:zitadel:iam:org:project:role:{role}"))
    }

    /// Only roles that are granted in this organisation; may be repeated.
    #[must_use]
    pub fn with_roles_of_organization(self, id: &str) -> Self {
        self.with(format!("urn:zitadel:iam:org:roles:id:{id}"))
    }

    /// Only as a member of this organisation. Zitadel drops the scope for a service user who is none,
    /// so that obtaining the token fails here.
    #[must_use]
    pub fn with_organization(self, id: &str) -> Self {
        self.with(format!("urn:zitadel:iam:org:id:{id}"))
    }

    /// The organisation that owns the user: the tenant.
    #[must_use]
    pub fn with_resource_owner(self) -> Self {
        self.with("urn:zitadel:iam:user:resourceowner")
    }

    /// The user's metadata.
    #[must_use]
    pub fn with_metadata(self) -> Self {
        self.with("urn:zitadel:iam:user:metadata")
    }

    /// Any other scope.
    #[must_use]
    pub fn with(mut self, scope: impl Into<String>) -> Self {
        self.0.insert(scope.into());
        self
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Default for ZitadelScopes {
    fn default() -> Self {
        Self::new()
    }
}

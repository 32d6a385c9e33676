//! What Zitadel's claims mean: roles by project and organisation, the tenant, metadata.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{PrincipalKind, Role};
use pipe_core::{Error, ErrorKind, Result, SecurityContext};
use pipe_identity_oidc::jwt::Claims;
use pipe_identity_oidc::{ClaimsReader, VerifiedToken};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The roles in the project of the client that asked, or that the token was made for.
const CURRENT: &str = "urn:zitadel:iam:org:project:roles";
const METADATA: &str = "urn:zitadel:iam:user:metadata";
/// The organisation that owns the user.
pub(crate) const RESOURCE_OWNER: &str = "urn:zitadel:iam:user:resourceowner:id";

/// In which organisations a role has to be granted for a context to have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoleOrganizations {
    /// In that of the user, which the token has to name (`with_resource_owner`).
    #[default]
    Own,
    /// In this one, by its id.
    Only(String),
    /// In any. Whoever looks at the roles has to know that they may be those of another tenant.
    Any,
}

/// A token that was found good, with what Zitadel says in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZitadelToken {
    /// Who its bearer is, with the roles in the plugin's own project.
    pub context: SecurityContext,
    /// All claims, those of actions too.
    pub claims: Claims,
    pub(crate) project: String,
}

impl ZitadelToken {
    pub(crate) fn new(verified: VerifiedToken, project: &str) -> Self {
        let VerifiedToken { context, claims, .. } = verified;
        Self { context, claims, project: project.to_owned() }
    }

    /// Whether a role is held in a project (the plugin's own when `None`) and an organisation (any
    /// when `None`).
    #[must_use]
    pub fn has_role(&self, role: &str, project: Option<&str>, organization: Option<&str>) -> bool {
        let roles = roles(self.claims.members(), project, &self.project);
        roles
            .get(role)
            .is_some_and(|organizations| organization.is_none_or(|one| organizations.contains(one)))
    }

    /// The roles in a project, each with the ids of the organisations in which it is granted.
    #[must_use]
    pub fn roles(&self, project: Option<&str>) -> BTreeMap<&str, BTreeSet<&str>> {
        roles(self.claims.members(), project, &self.project)
    }

    /// The id of the organisation that owns the user.
    #[must_use]
    pub fn resource_owner(&self) -> Option<&str> {
        self.claims.members().get(RESOURCE_OWNER).and_then(Value::as_str)
    }

    /// A piece of the user's metadata, which may be any bytes.
    ///
    /// # Errors
    /// `Unexpected` when it is not encoded as Zitadel encodes it.
    pub fn metadata(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.claims.members().get(METADATA).and_then(|all| all.get(key)) else {
            return Ok(None);
        };
        let bytes = value.as_str().map(|text| text.trim_end_matches('='));
        let bytes = bytes.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the metadata is not base64url").with("key", key)
        })
    }

    /// Any claim, such as one that an action adds.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.members().get(name)
    }
}

/// The roles in a project. The claim without a project's id is about the plugin's own.
fn roles<'a>(
    claims: &'a Map<String, Value>,
    project: Option<&str>,
    own: &str,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let id = project.unwrap_or(own);
    let mut found = BTreeMap::new();
    let named = format!("urn:zitadel:iam:org:project:{id}:roles");
    collect(claims.get(&named), &mut found);
    if id == own {
        collect(claims.get(CURRENT), &mut found);
    }
    found
}

/// An object of objects; the documentation shows lists of such objects as well.
fn collect<'a>(claim: Option<&'a Value>, found: &mut BTreeMap<&'a str, BTreeSet<&'a str>>) {
    match claim {
        Some(Value::Object(roles)) => {
            for (role, organizations) in roles {
                let Some(organizations) = organizations.as_object() else { continue };
                found.entry(role).or_default().extend(organizations.keys().map(String::as_str));
            }
        }
        Some(Value::Array(items)) => items.iter().for_each(|item| collect(Some(item), found)),
        _ => {}
    }
}

/// Makes contexts of what Zitadel says.
#[derive(Debug)]
pub(crate) struct ZitadelClaims {
    pub(crate) project: String,
    pub(crate) organizations: RoleOrganizations,
}

impl ClaimsReader for ZitadelClaims {
    fn read(&self, mut context: SecurityContext, claims: &Claims) -> Result<SecurityContext> {
        let members = claims.members();
        let own = members.get(RESOURCE_OWNER).and_then(Value::as_str);
        let counts = |organizations: &BTreeSet<&str>| match &self.organizations {
            RoleOrganizations::Any => true,
            RoleOrganizations::Only(only) => organizations.contains(only.as_str()),
            RoleOrganizations::Own => own.is_some_and(|own| organizations.contains(own)),
        };
        let held = roles(members, None, &self.project);
        let held = held.into_iter().filter(|(_, organizations)| counts(organizations));
        // A role whose name no policy can name gives nothing.
        context.roles.extend(held.filter_map(|(role, _)| Role::new(role).ok()));
        // A machine user's client id is its name.
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let client = text("client_id");
        if client.is_some() && (client == text("username") || client == text("sub")) {
            context.principal.kind = PrincipalKind::Service;
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn held(claims: Value, project: Option<&str>) -> Vec<String> {
        let claims = claims.as_object().unwrap().clone();
        let found = roles(&claims, project, "own");
        found.into_iter().map(|(role, at)| format!("{role}@{at:?}")).collect()
    }

    #[test]
    fn both_names_and_both_forms_are_read() {
        let object = json!({"admin": {"1": "a.example"}, "data reader": {"1": "a", "2": "b"}});
        let list = json!([{"admin": {"1": "a.example"}}, {"data reader": {"1": "a", "2": "b"}}]);
        for claim in [object, list] {
            for name in [CURRENT, "urn:zitadel:iam:org:project:own:roles"] {
                let found = held(json!({ name: claim }), None);
                assert_eq!(found, [r#"admin@{"1"}"#, r#"data reader@{"1", "2"}"#], "{name}");
            }
        }
    }

    #[test]
    fn the_roles_of_one_project_are_not_those_of_another() {
        let claims = json!({
            CURRENT: {"own-role": {"1": "a"}},
            "urn:zitadel:iam:org:project:other:roles": {"other-role": {"1": "a"}},
        });
        assert_eq!(held(claims.clone(), None), [r#"own-role@{"1"}"#]);
        assert_eq!(held(claims.clone(), Some("other")), [r#"other-role@{"1"}"#]);
        assert_eq!(held(claims, Some("third")), [""; 0]);
    }

    #[test]
    fn what_has_another_form_gives_no_role() {
        for claim in [json!("admin"), json!(["admin"]), json!({"admin": true}), json!(null)] {
            assert_eq!(held(json!({ CURRENT: claim }), None), [""; 0]);
        }
    }
}

//! What well-known providers do in their own way.

use pipe_core::TokenFault;
use pipe_core::identity::PrincipalKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{ClaimMapping, ClaimPointer, TenantSource, TokenTypes};

/// A provider whose ways are known. It sets defaults; settings that are given win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Any provider that follows RFC 9068: access tokens say `at+jwt`. No roles are mapped.
    #[default]
    Generic,
    /// Auth0. The issuer ends with a slash; access tokens are JWTs only when they are asked for
    /// with an audience. Values of `permissions` are scopes. Roles come in a claim that an Action
    /// adds, whose name is a URL: map it.
    Auth0,
    /// Microsoft Entra ID, version 2.0 tokens. The issuer is that of one tenant, or
    /// `https://login.microsoftonline.com/{tenantid}/v2.0` with the list of `tenants`. The
    /// principal is tenant and object id, the tenant is `tid`, roles are app roles. A token
    /// with too many groups to name them (`_claim_names`, `hasgroups`) is refused where groups are
    /// mapped, unless a role resolver knows what they would give.
    EntraId,
    /// Google Workspace. Both spellings of the issuer are taken, and `tenants` lists the hosted
    /// domains (`hd`) whose accounts may call. Google puts no groups into tokens, and its access
    /// tokens are opaque: callers present ID tokens. One that was issued along with an access token
    /// has `at_hash` in it, belongs to the client that obtained it, and is refused.
    GoogleWorkspace,
    /// Keycloak. Realm roles are roles. A token must be of the type `Bearer`, for refresh and ID
    /// tokens are signed with the same key.
    Keycloak,
    /// The API server of a Kubernetes cluster, for service-account tokens. The namespace is that
    /// of the service account. Outside of the cluster, and where discovery is not public, set
    /// `bearer` or give the keys.
    Kubernetes,
    /// Okta, with an authorization server of its own (`…/oauth2/default`): tokens of the
    /// organisation's server are meant for Okta alone. The id of a person is `uid`, because their
    /// `sub` is the name that they log in with. Groups come in the claim `groups`.
    Okta,
}

impl Preset {
    /// Which types of token are taken.
    pub(crate) fn types(self) -> TokenTypes {
        match self {
            Self::Generic => TokenTypes::Strict,
            _ => TokenTypes::Lenient,
        }
    }

    /// What the claims mean.
    pub(crate) fn mapping(self) -> ClaimMapping {
        let claim = |name: &str| ClaimPointer::claim(name);
        let nested = |path: [&str; 2]| ClaimPointer::path(path);
        let mapping = ClaimMapping::new();
        match self {
            Self::Generic => mapping,
            Self::Auth0 => mapping.with_scopes(claim("permissions")),
            Self::EntraId => mapping
                .with_id([claim("tid"), claim("oid")])
                .with_tenant(TenantSource::Claim(claim("tid")))
                .with_roles(claim("roles"))
                .with_groups(claim("groups")),
            Self::GoogleWorkspace => {
                mapping.with_tenant(TenantSource::Claim(claim("hd"))).with_kind(PrincipalKind::User)
            }
            Self::Keycloak => {
                mapping.with_roles(nested(["realm_access", "roles"])).with_groups(claim("groups"))
            }
            Self::Kubernetes => mapping
                .with_kind(PrincipalKind::Service)
                .with_namespaces(nested(["kubernetes.io", "namespace"])),
            Self::Okta => mapping.with_user_id(claim("uid")).with_groups(claim("groups")),
        }
    }

    /// How else the provider spells its issuer.
    pub(crate) fn spellings(self, issuer: &str) -> Vec<String> {
        match self {
            Self::GoogleWorkspace if issuer == GOOGLE => vec!["accounts.google.com".to_owned()],
            _ => Vec::new(),
        }
    }

    /// Where discovery is, when it is not below the issuer.
    pub(crate) fn discovery(self, issuer: &str) -> Option<String> {
        // Work and school accounts of every tenant; which ones are ours, `tenants` says.
        (self == Self::EntraId && issuer.contains(crate::TENANT_PLACE)).then(|| {
            let issuer = issuer.replace(crate::TENANT_PLACE, "organizations");
            format!("{issuer}/.well-known/openid-configuration")
        })
    }

    /// What is wrong with the settings of such a provider.
    pub(crate) fn faults(self, issuer: &str, has_tenants: bool) -> Option<(&'static str, &str)> {
        match self {
            Self::Auth0 if !issuer.ends_with('/') => {
                Some(("issuer", "ends with a slash at Auth0: https://example.eu.auth0.com/"))
            }
            Self::EntraId if issuer.contains("/common") || issuer.contains("/organizations") => {
                Some((
                    "issuer",
                    "is that of one tenant, or has {tenantid} in it with the list of `tenants`",
                ))
            }
            Self::EntraId if !issuer.ends_with("/v2.0") => {
                Some(("issuer", "ends with /v2.0: register the API for version 2 tokens"))
            }
            Self::GoogleWorkspace if issuer != GOOGLE => {
                Some(("issuer", "is https://accounts.google.com at Google"))
            }
            Self::GoogleWorkspace if !has_tenants => Some((
                "tenants",
                "must list the hosted domains; without them, everybody with a Google account may call",
            )),
            Self::Okta if !issuer.contains("/oauth2/") => Some((
                "issuer",
                "must be an authorization server such as …/oauth2/default: access tokens of the \
                 organisation's own server are not for you",
            )),
            _ => None,
        }
    }

    /// Why a token of this provider is refused although it is sound, and what to do about it.
    pub(crate) fn refuses(self, claims: &Map<String, Value>) -> Option<(TokenFault, &'static str)> {
        match self {
            Self::Keycloak if !claims.get("typ").is_none_or(is_bearer) => {
                Some((TokenFault::WrongType, "present the access token, not another one"))
            }
            _ => None,
        }
    }
}

const GOOGLE: &str = "https://accounts.google.com";

fn is_bearer(typ: &Value) -> bool {
    matches!(typ.as_str(), Some("Bearer" | "DPoP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// REQ 002-17 to 002-20
    #[test]
    fn issuers_that_cannot_be_are_refused_with_the_right_form() {
        for (preset, issuer, tenants, wrong) in [
            (Preset::Auth0, "https://x.eu.auth0.com", false, Some("issuer")),
            (Preset::Auth0, "https://x.eu.auth0.com/", false, None),
            (
                Preset::EntraId,
                "https://login.microsoftonline.com/common/v2.0",
                true,
                Some("issuer"),
            ),
            (Preset::EntraId, "https://sts.windows.net/1/", true, Some("issuer")),
            (Preset::EntraId, "https://login.microsoftonline.com/1/v2.0", false, None),
            (Preset::EntraId, "https://login.microsoftonline.com/{tenantid}/v2.0", true, None),
            (Preset::GoogleWorkspace, "https://google.com", true, Some("issuer")),
            (Preset::GoogleWorkspace, "https://accounts.google.com", false, Some("tenants")),
            (Preset::GoogleWorkspace, "https://accounts.google.com", true, None),
            (Preset::Okta, "https://x.okta.com", false, Some("issuer")),
            (Preset::Okta, "https://x.okta.com/oauth2/default", false, None),
            (Preset::Generic, "https://idp.example", false, None),
        ] {
            let fault = preset.faults(issuer, tenants).map(|(setting, _)| setting);
            assert_eq!(fault, wrong, "{preset:?} {issuer}");
        }
    }

    #[test]
    fn only_the_access_tokens_of_keycloak_are_taken() {
        for (typ, taken) in [("Bearer", true), ("DPoP", true), ("ID", false), ("Refresh", false)] {
            let claims = json!({ "typ": typ });
            let refused = Preset::Keycloak.refuses(claims.as_object().unwrap());
            assert_eq!(refused.is_none(), taken, "{typ}");
        }
    }

    #[test]
    fn the_keys_of_all_entra_tenants_are_where_microsoft_puts_them() {
        let all = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let expected =
            "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration";
        assert_eq!(Preset::EntraId.discovery(all).as_deref(), Some(expected));
        assert_eq!(Preset::EntraId.discovery("https://login.microsoftonline.com/1/v2.0"), None);
    }
}

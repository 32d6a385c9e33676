//! Claims that a token says are elsewhere (OpenID Connect Core 5.6.2), as Entra ID does with more
//! groups than it puts into a token. They are never fetched: the address would be the token's choice.

use pipe_core::rbac::GroupRights;
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};

use crate::{ClaimMapping, ClaimPointer};

/// Whether the groups of a token's bearer have to be resolved.
///
/// # Errors
/// `TokenRejected(Unsupported)` when a mapped claim is elsewhere, and nothing says what is in it: it is
/// not as if it were empty.
pub(crate) fn has_groups(
    claims: &Map<String, Value>,
    mapping: &ClaimMapping,
    rights: &GroupRights,
    resolves_roles: bool,
) -> Result<bool> {
    let are_away = |pointers: &[ClaimPointer]| pointers.iter().any(|one| is_away(claims, one));
    if are_away(&mapping.namespaces) {
        return Err(refused("the namespaces of the token's bearer are not in the token")
            .hint("have the provider put the claims of `claims.namespaces` into the token"));
    }
    if are_away(&mapping.roles) && !resolves_roles {
        return Err(refused("the roles of the token's bearer are not in the token").hint(
            "have the provider put the claims of `claims.roles` into the token, or set a role \
             resolver (`OidcConfig::with_roles`)",
        ));
    }
    let says_so = || claims.get("hasgroups").is_some_and(|has| *has != Value::Bool(false));
    if mapping.groups.is_empty() || !(says_so() || are_away(&mapping.groups)) {
        return Ok(false);
    }
    match resolves_roles {
        // Roles are resolved in any case, and count alone.
        true => Ok(rights.gives_more_than_roles()),
        false => Err(unknown()),
    }
}

/// The refusal of a token whose bearer is in groups that nobody knows.
pub(crate) fn unknown() -> Error {
    refused("the groups of the token's bearer are not in the token, because they are too many").hint(
        "assign app roles and map them (`claims.roles`), limit the claim of `claims.groups` to groups \
         that are assigned to the application, or set a role resolver that knows groups \
         (`OidcConfig::with_roles`, `RoleResolver::resolve_groups`)",
    )
}

/// What cannot be read may name any claim.
fn is_away(claims: &Map<String, Value>, pointer: &ClaimPointer) -> bool {
    match (claims.get("_claim_names"), claims.get("_claim_sources")) {
        (None, None) => false,
        (Some(Value::Object(names)), _) => names.contains_key(pointer.first()),
        // Sources without names, or names that are no object.
        _ => pointer.find(claims).is_none(),
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::TokenRejected(TokenFault::Unsupported), message)
}

#[cfg(test)]
mod tests;

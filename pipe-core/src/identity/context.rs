//! Who is calling (REQ 004-74.3, 004-75).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use crate::hex::hex;
use crate::name::{check_identifier, is_unprintable, parsed_name};
use crate::{Error, ErrorKind, Namespace, Result, SecretValue, TokenFault};

parsed_name! {
    /// A role, as the issuer or the role mapping calls it: 1 to 256 bytes, no control or
    /// format characters, and more than white space.
    Role, "role", check_identifier
}

parsed_name! {
    /// A tenant, who must never see another one's data. It follows the rule of [`Role`].
    TenantId, "tenant", check_identifier
}

parsed_name! {
    /// A group, as the identity provider calls it: 1 to 1024 bytes, which a distinguished name may
    /// need, no control or format characters, and more than white space.
    Group, "group", check_group
}

parsed_name! {
    /// The opaque id of a principal, as the issuer chose it (`system:serviceaccount:sales:bot`). It
    /// follows the rule of [`Role`], and contains no email address (REQ 004-75.5). The ids of
    /// workloads, which contain `://` (SPIFFE) or begin with `repo:` (GitHub), name no person.
    PrincipalId, "principal", check_principal
}

fn check_group(_: &'static str, group: &str) -> Result<()> {
    if group.trim().is_empty() || group.len() > 1024 || group.contains(is_unprintable) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not the name of a group")
            .hint("use 1 to 1024 bytes without control and format characters, not only blanks"));
    }
    Ok(())
}

fn check_principal(what: &'static str, id: &str) -> Result<()> {
    check_identifier(what, id)?;
    if looks_like_email(id) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the id is an email address")
            .hint("map another claim to the id, or use a pseudonym of this one"));
    }
    Ok(())
}

impl PrincipalId {
    /// A keyed hash (HMAC-SHA256) of a subject that must not be known downstream. The same key
    /// and subject always give the same id; without the key the subject cannot be guessed.
    ///
    /// # Errors
    /// `ConfigInvalid` when the key is shorter than 32 bytes.
    pub fn pseudonym(key: &SecretValue, subject: &str) -> Result<Self> {
        let weak = || {
            Error::new(ErrorKind::ConfigInvalid, "the pseudonym key is shorter than 32 bytes")
                .hint("use 32 random bytes or more")
        };
        if key.len() < 32 {
            return Err(weak());
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| weak())?;
        mac.update(subject.as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        Ok(Self(hex(&digest).into()))
    }
}

/// `x@clients`, as Auth0 names services, is none: a mail domain has a dot.
fn looks_like_email(id: &str) -> bool {
    if id.contains("://") || id.starts_with("repo:") {
        return false;
    }
    id.match_indices('@').any(|(at, _)| at > 0 && starts_with_domain(&id[at + 1..]))
}

fn starts_with_domain(text: &str) -> bool {
    let is_delimiter = |c: char| !c.is_alphanumeric() && c != '-' && c != '.';
    let domain = text.split(is_delimiter).next().unwrap_or_default().trim_end_matches('.');
    let Some((rest, last)) = domain.rsplit_once('.') else { return false };
    let is_top_level = last.chars().all(char::is_alphabetic) || last.starts_with("xn--");
    is_top_level && !last.is_empty() && rest.split('.').all(|label| !label.is_empty())
}

/// What kind of principal is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PrincipalKind {
    /// A program.
    Service,
    /// A person.
    User,
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Principal {
    /// What kind of principal.
    pub kind: PrincipalKind,
    /// Its opaque id.
    pub id: PrincipalId,
}

impl Principal {
    /// A program.
    #[must_use]
    pub fn service(id: PrincipalId) -> Self {
        Self { kind: PrincipalKind::Service, id }
    }

    /// A person.
    #[must_use]
    pub fn user(id: PrincipalId) -> Self {
        Self { kind: PrincipalKind::User, id }
    }
}

/// Who is calling and what is known about them. No token, no raw claims, no email address.
///
/// It can be written out, for logs, and not read back: only a plugin may say who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecurityContext {
    /// Who is calling.
    pub principal: Principal,
    /// The tenant they belong to (REQ 004-75.2).
    pub tenant: Option<TenantId>,
    /// The namespaces they may act in.
    pub namespaces: BTreeSet<Namespace>,
    /// Their roles.
    pub roles: BTreeSet<Role>,
    /// Those of their groups to which a mapping gives rights in Kubernetes; what they mean there,
    /// [`GroupRights::kubernetes_user`](crate::rbac::GroupRights::kubernetes_user) says.
    pub groups: BTreeSet<Group>,
    /// The scopes that were granted to the token.
    pub scopes: BTreeSet<String>,
    /// Who vouches for all this.
    pub issuer: String,
    /// The token's own name (`jti`), for audit lines.
    pub token_id: Option<String>,
    /// When they proved who they are.
    pub authenticated_at: SystemTime,
    /// When this context stops being true.
    pub expires_at: SystemTime,
}

impl SecurityContext {
    /// A context without roles: nobody may do anything yet.
    pub fn new(
        principal: Principal,
        issuer: impl Into<String>,
        authenticated_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            principal,
            tenant: None,
            namespaces: BTreeSet::new(),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            scopes: BTreeSet::new(),
            issuer: issuer.into(),
            token_id: None,
            authenticated_at,
            expires_at,
        }
    }

    /// The tenant they belong to.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// The namespaces they may act in.
    #[must_use]
    pub fn with_namespaces(self, namespaces: impl IntoIterator<Item = Namespace>) -> Self {
        Self { namespaces: namespaces.into_iter().collect(), ..self }
    }

    /// Their roles.
    #[must_use]
    pub fn with_roles(self, roles: impl IntoIterator<Item = Role>) -> Self {
        Self { roles: roles.into_iter().collect(), ..self }
    }

    /// Those of their groups that mean something in Kubernetes.
    #[must_use]
    pub fn with_groups(self, groups: impl IntoIterator<Item = Group>) -> Self {
        Self { groups: groups.into_iter().collect(), ..self }
    }

    /// The scopes that were granted.
    #[must_use]
    pub fn with_scopes(self, scopes: impl IntoIterator<Item = String>) -> Self {
        Self { scopes: scopes.into_iter().collect(), ..self }
    }

    /// The token's own name.
    #[must_use]
    pub fn with_token_id(self, id: impl Into<String>) -> Self {
        Self { token_id: Some(id.into()), ..self }
    }

    /// Whether they have this role.
    #[must_use]
    pub fn has_role(&self, role: &Role) -> bool {
        self.roles.contains(role)
    }

    /// Whether the context has stopped being true. Equality counts as expired.
    #[must_use]
    pub fn is_expired_at(&self, now: SystemTime) -> bool {
        now >= self.expires_at
    }

    /// Refuses a context of another tenant (REQ 004-75.2). A context without a tenant belongs to
    /// none, and is refused too.
    ///
    /// # Errors
    /// `TokenRejected(TenantMismatch)`.
    pub fn require_tenant(&self, tenant: &TenantId) -> Result<()> {
        if self.tenant.as_ref() == Some(tenant) {
            return Ok(());
        }
        let kind = ErrorKind::TokenRejected(TokenFault::TenantMismatch);
        Err(Error::new(kind, "the caller belongs to another tenant").with("expected", tenant))
    }

    /// The context as a flat map, for policy engines and log fields (REQ 004-75.1). Times are
    /// seconds since 1970.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, Value> {
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let kind = match self.principal.kind {
            PrincipalKind::Service => "service",
            PrincipalKind::User => "user",
        };
        let roles: Vec<_> = self.roles.iter().map(Role::as_str).collect();
        let namespaces: Vec<_> = self.namespaces.iter().map(Namespace::as_str).collect();
        let scopes: Vec<_> = self.scopes.iter().map(String::as_str).collect();
        let mut map = BTreeMap::from([
            ("principal_kind".to_owned(), kind.into()),
            ("principal_id".to_owned(), self.principal.id.as_str().into()),
            ("roles".to_owned(), roles.into()),
            ("namespaces".to_owned(), namespaces.into()),
            ("scopes".to_owned(), scopes.into()),
            ("issuer".to_owned(), self.issuer.as_str().into()),
            ("authenticated_at".to_owned(), seconds(self.authenticated_at).into()),
            ("expires_at".to_owned(), seconds(self.expires_at).into()),
        ]);
        if !self.groups.is_empty() {
            let groups: Vec<_> = self.groups.iter().map(Group::as_str).collect();
            map.insert("groups".to_owned(), groups.into());
        }
        if let Some(tenant) = &self.tenant {
            map.insert("tenant".to_owned(), tenant.as_str().into());
        }
        if let Some(token_id) = &self.token_id {
            map.insert("token_id".to_owned(), token_id.as_str().into());
        }
        map
    }
}

/// Asks for the caller's context as it is *now*.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextRequest {
    /// What was known when the token was checked.
    pub context: SecurityContext,
    /// The tenant on whose behalf the decision is made; any other is refused.
    pub tenant: Option<TenantId>,
}

impl ContextRequest {
    /// The roles of this caller, resolved now.
    #[must_use]
    pub fn new(context: SecurityContext) -> Self {
        Self { context, tenant: None }
    }

    /// The tenant on whose behalf the decision is made.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn context() -> SecurityContext {
        let id = PrincipalId::new("service-account:floe-job-runner").unwrap();
        let start = UNIX_EPOCH + Duration::from_secs(1_000);
        SecurityContext::new(
            Principal::service(id),
            "issuer",
            start,
            start + Duration::from_secs(60),
        )
        .with_roles([Role::new("data_reader").unwrap()])
        .with_namespaces([Namespace::new("sales").unwrap()])
    }

    /// REQ 004-75.5
    #[test]
    fn an_email_address_is_no_id_and_its_pseudonym_is() {
        for id in ["bot@example.org", "", " ", "a\nb", "a\u{202e}b", &"x".repeat(257)] {
            assert!(PrincipalId::new(id).is_err(), "{id:?}");
        }
        let key = SecretValue::from(vec![7; 32]);
        let id = PrincipalId::pseudonym(&key, "bot@example.org").unwrap();
        assert_eq!(id, PrincipalId::pseudonym(&key, "bot@example.org").unwrap());
        assert_ne!(id, PrincipalId::pseudonym(&vec![8; 32].into(), "bot@example.org").unwrap());
        assert!(id.as_str().len() == 64 && !id.as_str().contains('@'));
        assert!(PrincipalId::pseudonym(&"short".into(), "x").is_err());
    }

    /// RFC 4231, test case 2, with its key padded with zeros as HMAC itself does.
    #[test]
    fn a_pseudonym_is_an_hmac_sha256() {
        let mut key = b"Jefe".to_vec();
        key.resize(64, 0);
        let id = PrincipalId::pseudonym(&key.into(), "what do ya want for nothing?").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(id.as_str(), expected);
    }

    /// REQ 004-75.1
    #[test]
    fn the_map_holds_identity_roles_and_namespaces() {
        let map = context().to_map();
        assert_eq!(map["principal_id"], "service-account:floe-job-runner");
        assert_eq!(map["principal_kind"], "service");
        assert_eq!(map["roles"], serde_json::json!(["data_reader"]));
        assert_eq!(map["namespaces"], serde_json::json!(["sales"]));
        assert_eq!(map["expires_at"], 1_060);
        assert!(!map.contains_key("tenant"));
    }

    /// REQ 004-75.2
    #[test]
    fn another_tenant_or_none_at_all_is_refused() {
        let ours = TenantId::new("bni").unwrap();
        let in_ours = context().with_tenant(ours.clone());
        assert!(in_ours.require_tenant(&ours).is_ok());
        for context in [context(), context().with_tenant(TenantId::new("bnp").unwrap())] {
            let error = context.require_tenant(&ours).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::TenantMismatch));
        }
    }

    #[test]
    fn a_context_ends_exactly_when_it_says() {
        let context = context();
        assert!(!context.is_expired_at(context.expires_at - Duration::from_nanos(1)));
        assert!(context.is_expired_at(context.expires_at));
    }

    /// REQ 004-75.5
    #[test]
    fn an_email_address_is_found_wherever_it_stands() {
        for id in [
            "email|bot@example.org",
            "bot@example.org@clients",
            "bot@example.org|saml",
            "bot@example.org.",
            "<bot@mail.example.org>",
            "bot@müller.example",
            "bot@example.xn--p1ai",
        ] {
            assert!(PrincipalId::new(id).is_err(), "{id}");
        }
    }

    #[test]
    fn the_id_of_a_service_or_a_workload_is_no_email_address() {
        for id in [
            "auth0|123",
            "abc@clients",
            "@example.org",
            "svc@1.2.3",
            "a@b..c",
            "system:serviceaccount:sales:bot",
            "spiffe://example.org/ns/sales@v1.example.org",
            "repo:org/app:ref:refs/tags/pkg@v1.example",
        ] {
            assert!(PrincipalId::new(id).is_ok(), "{id}");
        }
    }
}

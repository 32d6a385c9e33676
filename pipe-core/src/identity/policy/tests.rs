use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::identity::{Principal, PrincipalId};

const START: SystemTime = UNIX_EPOCH;

fn caller(roles: &[&str]) -> SecurityContext {
    let principal = Principal::user(PrincipalId::new("u-1").unwrap());
    SecurityContext::new(principal, "issuer", START, START + Duration::from_secs(60))
        .with_roles(roles.iter().map(|role| Role::new(role).unwrap()))
}

fn permission(text: &str) -> Permission {
    Permission::new(text).unwrap()
}

fn parse(document: &str) -> Result<RolePolicy, serde_json::Error> {
    serde_json::from_str(document)
}

fn governance_allows(role: &str, text: &str) -> bool {
    RolePolicy::governance().allows_at(&caller(&[role]), &permission(text), START)
}

#[test]
fn a_permission_is_one_action_on_one_resource() {
    let review = permission("integrations:review");
    assert_eq!((review.resource(), review.action()), ("integrations", "review"));
    for text in ["", ":", "a", "a:", ":b", "a:b:c", "*:b", "a:*", "*:*", "a b:c", "a/b:c", "..:b"] {
        let error = Permission::new(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text:?}");
    }
}

#[test]
fn a_grant_has_one_wildcard_at_most_and_only_a_whole_one() {
    for text in ["*:*", "*", "a*:b", "a:b*", "**:b", "a:**", "*:", ":*", "a:*:b", ""] {
        assert!(Grant::new(text).is_err(), "{text:?}");
    }
    let covers = |grant, text| Grant::new(grant).unwrap().covers(&permission(text));
    assert!(covers("bots:read", "bots:read") && !covers("bots:read", "bots:restart"));
    assert!(covers("bots:*", "bots:restart") && !covers("bots:*", "bots-old:restart"));
    assert!(covers("*:read", "bots:read") && !covers("*:read", "bots:reread"));
    assert!(!covers("bots:read", "BOTS:read"));
}

#[test]
fn whatever_is_not_granted_is_denied() {
    let policy = parse(r#"{"roles":{"reader":["bots:read"],"idle":[]}}"#).unwrap();
    let allows = |roles: &[&str], text| policy.allows_at(&caller(roles), &permission(text), START);
    assert!(allows(&["reader"], "bots:read") && allows(&["idle", "reader"], "bots:read"));
    assert!(!allows(&["reader"], "bots:write") && !allows(&["idle"], "bots:read"));
    assert!(!allows(&[], "bots:read") && !allows(&["Reader"], "bots:read"));
    assert!(!RolePolicy::new().allows_at(&caller(&["reader"]), &permission("bots:read"), START));
}

#[test]
fn an_expired_context_may_do_nothing() {
    let policy = RolePolicy::governance();
    let (caller, read) = (caller(&["bot-operator"]), permission("bots:read"));
    assert!(policy.allows_at(&caller, &read, caller.expires_at - Duration::from_nanos(1)));
    assert!(!policy.allows_at(&caller, &read, caller.expires_at));
    assert!(!policy.allows(&caller, &read), "it expired in 1970");
    let error = policy.require(&caller, &read).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Expired));
}

#[test]
fn a_denial_names_the_permission_and_the_roles_that_would_do() {
    let policy = RolePolicy::governance();
    let require = |text| policy.require_at(&caller(&["bot-operator"]), &permission(text), START);
    assert!(require("bots:restart").is_ok());
    let error = require("integrations:review").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the caller lacks the permission (PermissionDenied, permission=integrations:review, \
         principal=u-1); try: give the principal one of the roles: governance-admin, \
         integration-reviewer"
    );
    assert!(require("moon:land").unwrap_err().hint_text().contains("no role has"));
}

/// REQ 001-32, 001-33, 001-35, 001-36
#[test]
fn each_governance_role_does_its_own_work() {
    for (role, may, may_not) in [
        ("domain-admin", "domains:create", "integrations:approve"),
        ("integration-reviewer", "integrations:approve", "domains:create"),
        ("compliance-auditor", "audit:export", "integrations:approve"),
        ("bot-operator", "bots:restart", "integrations:approve"),
        ("governance-admin", "policies:update", "bots:restart"),
    ] {
        assert!(governance_allows(role, may), "{role} {may}");
        assert!(!governance_allows(role, may_not), "{role} {may_not}");
        assert!(!governance_allows(role, "audit:delete"), "{role}");
        assert!(!governance_allows(role, "secrets:read"), "{role}");
    }
    assert_eq!(RolePolicy::governance().roles().len(), 5);
}

#[test]
fn the_governance_preset_keeps_the_rules_of_a_document() {
    let policy = GOVERNANCE.iter().try_fold(RolePolicy::new(), |policy, (role, grants)| {
        let grants = grants.iter().map(Grant::new).collect::<Result<Vec<_>>>()?;
        policy.with_grants(Role::new(role)?, grants)
    });
    assert_eq!(policy.unwrap(), RolePolicy::governance());
}

/// REQ 001-34
#[test]
fn an_auditor_changes_nothing() {
    let auditor = Role::new("compliance-auditor").unwrap();
    let policy = RolePolicy::governance();
    let (_, grants) = policy.roles().find(|(role, _)| **role == auditor).unwrap();
    assert!(grants.iter().all(Grant::is_read_only));
    // Every action that the preset, or any other grant of it, knows of, on every resource.
    let all: BTreeSet<_> = policy.roles().flat_map(|(_, grants)| grants).collect();
    let part = |of: fn(&str) -> (&str, &str), first: bool| -> BTreeSet<_> {
        let parts = all.iter().map(|grant| of(grant.as_str()));
        parts.map(|(resource, action)| if first { resource } else { action }).collect()
    };
    let own = ["approve", "create", "delete", "write", "update", "restart", "rotate", "admin"];
    for resource in part(split, true) {
        for action in part(split, false).into_iter().chain(own).filter(|action| *action != ANY) {
            let wanted = permission(&format!("{resource}:{action}"));
            let allowed = policy.allows_at(&caller(&[auditor.as_str()]), &wanted, START);
            assert!(!allowed || READING.contains(&action), "{wanted}");
        }
    }
}

/// REQ 001-34
#[test]
fn no_policy_lets_an_auditor_change_something() {
    for grant in ["bots:restart", "bots:*", "*:write", "bots:Read"] {
        let document = format!(r#"{{"roles":{{"compliance-auditor":["bots:read","{grant}"]}}}}"#);
        assert!(parse(&document).unwrap_err().to_string().contains(grant), "{grant}");
    }
    assert!(parse(r#"{"roles":{"compliance-auditor":["*:read","bots:list"]}}"#).is_ok());
    let auditor = Role::new("compliance-auditor").unwrap();
    let grant = [Grant::new("audit:delete").unwrap()];
    let error = RolePolicy::governance().with_grants(auditor, grant).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn a_faulty_document_is_refused() {
    for document in [
        "{}",
        r#"{"roles":{"a":["b:c"]},"default":"allow"}"#,
        r#"{"roles":{"a":["b:c"],"a":["d:e"]}}"#,
        r#"{"roles":{"":["b:c"]}}"#,
        r#"{"roles":{"a":["*:*"]}}"#,
        r#"{"roles":{"a":"b:c"}}"#,
        r#"{"roles":[]}"#,
    ] {
        assert!(parse(document).is_err(), "{document}");
    }
}

/// Says each time something else.
#[derive(Debug, Default)]
struct Alternating(std::sync::atomic::AtomicBool);

#[async_trait]
impl RoleResolver for Alternating {
    async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
        let first = !self.0.fetch_xor(true, std::sync::atomic::Ordering::Relaxed);
        Ok(first.then(|| Role::new("bot-operator").unwrap()).into_iter().collect())
    }
}

/// REQ 004-75.3
#[tokio::test]
async fn a_role_that_was_taken_away_does_not_count_at_the_next_request() {
    let resolver: Arc<dyn RoleResolver> = Arc::new(Alternating::default());
    let (policy, restart) = (RolePolicy::governance(), permission("bots:restart"));
    let mut allowed = Vec::new();
    for _ in 0..2 {
        let caller = caller(&["bot-operator"]);
        let roles = resolver.resolve(&caller).await.unwrap();
        allowed.push(policy.allows_at(&caller.with_roles(roles), &restart, START));
    }
    assert_eq!(allowed, [true, false]);
}

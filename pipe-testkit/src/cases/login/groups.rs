use std::collections::BTreeSet;

use pipe_core::identity::PrincipalKind;

use super::alice;
use crate::issuer::Person;
use crate::{LoginStage, LoginTrust};

fn roles(session: &pipe_core::identity::UserSession) -> BTreeSet<&str> {
    session.context.roles.iter().map(|role| role.as_str()).collect()
}

/// REQ 002-28: what is mapped, and nothing else.
pub async fn a_session_tells_who_it_is(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let looked_up = stage.session(&logged_in.id).await;
    for session in [logged_in.session, looked_up] {
        let context = &session.context;
        assert_eq!(context.principal.id.as_str(), "alice");
        assert_eq!(context.principal.kind, PrincipalKind::User);
        assert_eq!(context.issuer, stage.issuer.url());
        assert_eq!(context.tenant.as_ref().map(ToString::to_string).as_deref(), Some("bni"));
        assert_eq!(roles(&session), ["domain-admin"].into());
        let groups = ["bni-editors", "platform-admins"].map(str::to_owned);
        assert_eq!(session.groups, groups.into());
        assert_eq!(session.profile.name.as_deref(), Some("Alice Liddell"));
        assert_eq!(session.profile.email.as_deref(), Some("alice.liddell@corp.test"));
        assert!(session.profile.email_verified, "the provider made sure of it");
    }
}

/// REQ 002-30: byte by byte, never a part of it.
pub async fn a_group_gives_its_role_to_its_members_alone(stage: LoginStage) {
    let group = LoginTrust::AUDITORS;
    let auditor = Person::new("auditor").groups([group, "readers"]).roles(["viewer"]);
    let session = stage.log_in(&auditor).await.session;
    assert_eq!(roles(&session), [LoginTrust::AUDITOR, "viewer"].into());
    let alike = [
        format!("{group}-of-another-team"),
        format!("not-{group}"),
        group.to_ascii_uppercase(),
        format!("/{group}"),
        format!("{group} "),
        group[1..].to_owned(),
        "*".to_owned(),
    ];
    for (n, other) in alike.into_iter().enumerate() {
        let person = Person::new(format!("person-{n}")).groups([other.as_str()]);
        let session = stage.log_in(&person).await.session;
        assert_eq!(roles(&session), BTreeSet::new(), "the group {other:?} gives a role");
    }
}

/// Who belongs to nothing may do nothing.
pub async fn a_person_without_groups_and_roles_may_do_nothing(stage: LoginStage) {
    let session = stage.log_in(&Person::new("nobody")).await.session;
    assert_eq!(roles(&session), BTreeSet::new());
    assert_eq!(session.groups, BTreeSet::new());
}

/// REQ 002-28: an address is no name for what somebody may do, for it may be somebody else's tomorrow.
pub async fn an_email_address_decides_nothing(stage: LoginStage) {
    let first = Person::new("first").email("shared@corp.test").roles(["viewer"]).tenant("a");
    let second = Person::new("second").email("shared@corp.test").groups(["readers"]).tenant("b");
    let first = stage.log_in(&first).await;
    let second = stage.log_in(&second).await;
    assert_ne!(first.session.context.principal.id, second.session.context.principal.id);
    assert_eq!(roles(&second.session), BTreeSet::new());
    assert_eq!(roles(&stage.session(&first.id).await), ["viewer"].into());
}

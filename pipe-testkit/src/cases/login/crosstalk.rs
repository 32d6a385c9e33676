use futures_util::future::join_all;
use pipe_core::identity::{LoginRequest, Role};

use crate::LoginStage;
use crate::issuer::Person;
use crate::login::{Attempt, TOKEN_LIFE};

/// Person number `n`, who shares nothing with any other.
fn person(n: usize) -> Person {
    Person::new(format!("person-{n}"))
        .groups([format!("group-{n}")])
        .roles([format!("role-{n}")])
        .tenant(format!("tenant-{n}"))
}

/// Many log in at once, each in a browser of their own.
async fn all_log_in(stage: &LoginStage, count: usize) -> Vec<pipe_core::identity::LoggedIn> {
    let request = LoginRequest::new();
    let starts = join_all((0..count).map(|_| stage.plugin.begin_login(&request))).await;
    let attempts: Vec<_> = starts
        .into_iter()
        .enumerate()
        .map(|(n, start)| {
            let start = start.expect("a login begins");
            let callback = stage.issuer.authorize(&start.location, &person(n));
            Attempt::new(start, &callback)
        })
        .collect();
    let finished = join_all(attempts.iter().map(|attempt| stage.finish(attempt))).await;
    let each = finished.into_iter().map(|finished| finished.expect("a good login"));
    each.collect()
}

/// So many logins at once: everybody has a session of their own.
pub async fn logins_at_once(stage: &LoginStage, count: usize) {
    let logged_in = all_log_in(stage, count).await;
    let sessions = join_all(logged_in.iter().map(|it| stage.session(&it.id))).await;
    for (n, (logged_in, session)) in logged_in.iter().zip(sessions).enumerate() {
        let (subject, role) = (format!("person-{n}"), format!("role-{n}"));
        for context in [&logged_in.session.context, &session.context] {
            assert_eq!(context.principal.id.as_str(), subject);
            let roles: Vec<_> = context.roles.iter().map(Role::as_str).collect();
            assert_eq!(roles, [role.as_str()], "the roles of {subject}");
            let tenant = context.tenant.as_ref().map(ToString::to_string);
            assert_eq!(tenant, Some(format!("tenant-{n}")), "the tenant of {subject}");
        }
        assert_eq!(session.groups, [format!("group-{n}")].into());
    }
    let ids: std::collections::BTreeSet<_> = logged_in.iter().map(|it| it.id.expose()).collect();
    assert_eq!(ids.len(), count, "two have the same session");
}

/// So many calls at once on so many sessions, in two periods: each session is renewed once in each,
/// none is lost, and everybody gets a token of their own.
pub async fn calls_at_once(stage: &LoginStage, sessions: usize, calls: usize) {
    let logged_in = all_log_in(stage, sessions).await;
    for period in 1..=2 {
        stage.wait(TOKEN_LIFE).await;
        let asking = (0..calls).map(|n| stage.plugin.access_token(&logged_in[n % sessions].id));
        let answers = join_all(asking).await;
        let mut tokens = vec![None; sessions];
        for (n, answer) in answers.into_iter().enumerate() {
            let Ok(Some(token)) = answer else { panic!("call {n}: no token, but {answer:?}") };
            let first = tokens[n % sessions].get_or_insert_with(|| token.clone());
            assert!(first.token == token.token, "call {n}: not the token that others got");
        }
        for (n, token) in tokens.into_iter().enumerate() {
            let subject = format!("person-{n}");
            let token = token.expect("each session was asked about");
            assert_eq!(stage.subject_of(&token).await, subject, "another's token");
            let renewals = (stage.issuer.refreshes(&subject), stage.issuer.reuses(&subject));
            assert_eq!(renewals, (period, 0), "the renewals of {subject}");
        }
    }
    for (n, logged_in) in logged_in.iter().enumerate() {
        let id = stage.session(&logged_in.id).await.context.principal.id;
        assert_eq!(id.as_str(), format!("person-{n}"));
    }
}

/// Twenty at once.
pub async fn people_who_log_in_at_once_are_told_apart(stage: LoginStage) {
    logins_at_once(&stage, 20).await;
}

/// Eighty calls on eight sessions.
pub async fn sessions_that_are_renewed_at_once_are_told_apart(stage: LoginStage) {
    calls_at_once(&stage, 8, 80).await;
}

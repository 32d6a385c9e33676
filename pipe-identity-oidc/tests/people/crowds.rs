//! Many people at once.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::*;

/// G7: 500 logins at once, and 5,000 requests of 100 sessions whose tokens have expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_logs_in_and_each_session_is_renewed_once_in_a_period() {
    let issuer = provider().await;
    let period = Duration::from_secs(600);
    issuer.set_access_token_lifetime(period);
    let store = store();
    let processes: Vec<_> =
        (0..4).map(|_| login(config(&issuer).with_sessions(Arc::clone(&store)))).collect();
    let people: Vec<_> = (0..500).map(|number| Person::new(format!("person-{number}"))).collect();
    let logins = people.iter().zip(processes.iter().cycle());
    let sessions = join_all(logins.map(|(person, process)| log_in(process, &issuer, person))).await;
    for (session, person) in sessions.iter().zip(&people) {
        assert_eq!(session.session.context.principal.id.as_str(), person.subject());
    }
    let crowd: Vec<_> = sessions.iter().zip(&people).take(100).collect();
    for periods in 1..=3 {
        issuer.clock().forward(period);
        let asked = (0..50).flat_map(|turn| {
            let process = &processes[turn % processes.len()];
            crowd.iter().map(move |(session, _)| process.access_token(&session.id))
        });
        let tokens = try_join_all(asked).await.unwrap();
        let tokens: Vec<_> =
            tokens.into_iter().map(|token| token.expect("no session is lost")).collect();
        for turn in tokens.chunks(crowd.len()) {
            assert!(turn.iter().eq(&tokens[..crowd.len()]), "all see the same tokens");
        }
        for (session, person) in &crowd {
            assert_eq!(issuer.refreshes(person.subject()), periods);
            assert_eq!(issuer.reuses(person.subject()), 0);
            for process in &processes {
                let seen = process.session(&session.id).await.unwrap().expect("no session is lost");
                assert_eq!(seen.context.principal.id.as_str(), person.subject());
            }
        }
    }
}

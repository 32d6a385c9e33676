//! People whose sessions are in Redis.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use pipe_core::SecretSource;
use pipe_core::identity::{LoggedIn, LoginCallback, LoginRequest, UserLogin as _};
use pipe_identity_oidc::{
    ClientAuthentication, IssuerConfig, LoginClient, RedisSessions, RelyingParty,
    RelyingPartyConfig,
};
use pipe_testkit::issuer::{Client, Person, TestIssuer};

use crate::server::{Server, shared};

const REDIRECT_URI: &str = "https://shop.example/auth/callback";
const LIFETIME: Duration = Duration::from_secs(600);

async fn provider() -> TestIssuer {
    let issuer = TestIssuer::start().await;
    issuer.add_client(Client::confidential("shop", "secret").redirect_uri(REDIRECT_URI));
    issuer.set_access_token_lifetime(LIFETIME);
    issuer
}

/// One process of the application.
fn process(server: &Server, issuer: &TestIssuer) -> RelyingParty {
    instance(server.store(), issuer)
}

fn instance(store: RedisSessions, issuer: &TestIssuer) -> RelyingParty {
    let secret = ClientAuthentication::client_secret_basic(SecretSource::Value("secret".into()));
    let client = LoginClient::new("shop", secret);
    let config = RelyingPartyConfig::new(IssuerConfig::new(issuer.url()), client, REDIRECT_URI)
        .with_scope("offline_access")
        .with_sessions(Arc::new(store))
        .with_clock(issuer.clock().shared());
    RelyingParty::new(config).unwrap()
}

async fn log_in(login: &RelyingParty, issuer: &TestIssuer, person: &Person) -> LoggedIn {
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let callback = issuer.authorize(&start.location, person);
    let query = callback.split_once('?').unwrap().1;
    let callback = LoginCallback::new(query).with_browser(start.browser);
    login.finish_login(&callback).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// REQ 002-10, G7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_renewed_once_by_all_processes_together() {
    let Some(server) = shared() else { return };
    let issuer = provider().await;
    let processes: Vec<_> = (0..6).map(|_| process(server, &issuer)).collect();
    let people: Vec<_> = (0..10).map(|number| Person::new(format!("person-{number}"))).collect();
    let logins = people.iter().map(|person| log_in(&processes[0], &issuer, person));
    let sessions = join_all(logins).await;
    for period in 1..=2 {
        issuer.clock().forward(LIFETIME);
        let asked = sessions.iter().flat_map(|session| {
            processes.iter().map(|process| async {
                let session_of = process.session(&session.id).await?.expect("a session");
                let token = process.access_token(&session.id).await?.expect("a token");
                Ok::<_, pipe_core::Error>((session_of, token))
            })
        });
        let answers = try_join_all(asked).await.unwrap();
        for (answers, person) in answers.chunks(processes.len()).zip(&people) {
            assert!(answers.iter().all(|(_, token)| *token == answers[0].1));
            let is_own = |id: &str| id == person.subject();
            assert!(answers.iter().all(|(of, _)| is_own(of.context.principal.id.as_str())));
            assert_eq!(issuer.refreshes(person.subject()), period);
            assert_eq!(issuer.reuses(person.subject()), 0);
        }
    }
}

/// G7: 500 logins at once, and 5,000 requests at once of 100 sessions whose tokens have expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_logs_in_and_each_session_is_renewed_once_in_a_period() {
    let Some(server) = shared() else { return };
    let issuer = provider().await;
    let store = server.store();
    let instances: Vec<_> = (0..4).map(|_| instance(store.clone(), &issuer)).collect();
    let people: Vec<_> = (0..500).map(|number| Person::new(format!("person-{number}"))).collect();
    let logins = people.iter().zip(instances.iter().cycle());
    let sessions = join_all(logins.map(|(person, login)| log_in(login, &issuer, person))).await;
    for (session, person) in sessions.iter().zip(&people) {
        assert_eq!(session.session.context.principal.id.as_str(), person.subject());
    }
    let crowd: Vec<_> = sessions.iter().zip(&people).take(100).collect();
    for periods in 1..=2 {
        issuer.clock().forward(LIFETIME);
        let asked = (0..50).flat_map(|turn| {
            let login = &instances[turn % instances.len()];
            crowd.iter().map(move |(session, _)| login.access_token(&session.id))
        });
        let tokens = try_join_all(asked).await.unwrap_or_else(|error| panic!("{error:#}"));
        let tokens: Vec<_> =
            tokens.into_iter().map(|token| token.expect("no session is lost")).collect();
        for turn in tokens.chunks(crowd.len()) {
            assert!(turn.iter().eq(&tokens[..crowd.len()]), "all see the same tokens");
        }
        let each: BTreeSet<_> = tokens.iter().map(|token| token.token.expose()).collect();
        assert_eq!(each.len(), crowd.len(), "each has a token of their own");
        for (_, person) in &crowd {
            assert_eq!(issuer.refreshes(person.subject()), periods);
            assert_eq!(issuer.reuses(person.subject()), 0);
        }
        let looks = instances.iter().flat_map(|login| {
            crowd.iter().map(|(session, person)| async {
                (login.session(&session.id).await, person.subject())
            })
        });
        for (seen, subject) in join_all(looks).await {
            let seen = seen.unwrap().expect("no session is lost");
            assert_eq!(seen.context.principal.id.as_str(), subject);
        }
    }
}

/// A copy of the store is of no use.
#[tokio::test]
async fn nothing_of_a_session_can_be_read_in_the_store() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = provider().await;
    let login = process(&server, &issuer);
    let alice = Person::new("alice-do-not-print").email("alice@do-not-print.test");
    let done = log_in(&login, &issuer, &alice).await;
    let token = login.access_token(&done.id).await.unwrap().unwrap().token;
    let token = String::from_utf8(token.expose().to_vec()).unwrap();
    let kept = server.ask("EVAL \"local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key .. redis.call('DUMP', key) end return table.concat(all)\" 0");
    assert!(kept.contains("session/"), "{kept}");
    for secret in ["do-not-print", done.id.expose(), &token] {
        assert!(!kept.contains(secret));
    }
}

/// Whoever forgets everything lets nobody in.
#[tokio::test]
async fn a_server_that_forgot_its_sessions_lets_people_log_in_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let issuer = provider().await;
    let login = process(&server, &issuer);
    let done = log_in(&login, &issuer, &Person::new("alice")).await;
    server.kill();
    assert!(login.session(&done.id).await.unwrap_err().is_retryable());
    server.start_again();
    assert_eq!(login.session(&done.id).await.unwrap(), None);
    let again = log_in(&login, &issuer, &Person::new("alice")).await;
    assert!(login.session(&again.id).await.unwrap().is_some());
}

//! Every way to log in, and a server that asks nobody and so answers in another shape.

use pipe_core::memory::{DataPoint, Domain, GovernanceMemory, MemoryKey, SearchQuery};
use pipe_core::{ErrorKind, Plugin as _, SecretSource};
use pipe_memory_cognee::{Auth, Cognee};

use crate::patient::Patient;
use crate::server::{self, Posture, Server};

async fn works(memory: &Cognee) {
    let key = MemoryKey::new("payments").expect("legal");
    let domain = DataPoint::from(Domain::new(key).with_description("settlement of cards"));
    memory.add_datapoints(std::slice::from_ref(&domain), &[]).await.expect("the add");
    let hits = memory.search_integrations(&SearchQuery::new("cards")).await.expect("the search");
    assert_eq!(hits.into_iter().map(|hit| hit.point).collect::<Vec<_>>(), [domain]);
    let health = Patient(memory.clone()).health().await;
    assert!(health.is_serving(), "{health:?}");
}

#[tokio::test]
async fn a_password_and_a_token_log_in() {
    let Some(server) = server::shared().await else { return };
    works(&server.memory_as(server.login(), "pipe-live-login")).await;
    let token = SecretSource::Value(server.token().await.as_str().into());
    works(&server.memory_as(Auth::bearer(token), "pipe-live-bearer")).await;
}

#[tokio::test]
async fn what_the_server_does_not_take_is_told_as_such() {
    let Some(server) = server::shared().await else { return };
    let wrong = || SecretSource::Value("wrong".into());
    // An API key is no bearer token.
    let misplaced = Auth::bearer(server.api_key());
    let auths = [
        Auth::api_key(wrong()),
        Auth::bearer(wrong()),
        Auth::login("default_user@example.com", wrong()),
        Auth::None,
        misplaced,
    ];
    for auth in auths {
        let memory = server.memory_as(auth, "pipe-live-refused");
        let refused = memory.search_integrations(&SearchQuery::new("x")).await;
        let error = refused.expect_err("nobody let us in");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
    }
}

/// Who has an account may share what they like, under any name, and the server lists it first.
#[tokio::test]
async fn a_dataset_of_somebody_else_does_not_take_the_place_of_ours() {
    let Some(server) = server::shared().await else { return };
    let theirs = server.with_twin("pipe-live-twin").await;
    works(&server.memory_in("pipe-live-twin")).await;
    let hits = theirs.search_integrations(&SearchQuery::new("cards")).await.expect("the search");
    assert_eq!(hits, []);
}

#[tokio::test]
async fn a_server_without_access_control_answers_the_same() {
    let Some(server) = Server::start(Posture::Open).await else { return };
    works(&server.memory()).await;
}

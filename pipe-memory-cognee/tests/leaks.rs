//! Neither credentials nor what is stored are seen anywhere, not even when a hostile server repeats
//! them (REQ 004-82.4, 004-85.1, 004-85.2).

use std::time::Duration;

use pipe_core::memory::{DataPoint, Domain, GovernanceMemory, MemoryKey, SearchQuery};
use pipe_core::{Plugin as _, SecretSource};
use pipe_http::HttpConfig;
use pipe_memory_cognee::{Auth, Cognee, CogneeConfig, Document};
use pipe_testkit::fake::{self, CogneeFault};
use pipe_testkit::leak::Canary;

async fn drive(server: &fake::Cognee, canary: &Canary, auth: Auth, text: &str) {
    canary.look_at_debug("the auth", &auth);
    let http = HttpConfig::new().with_timeout(Duration::from_secs(5));
    let config = CogneeConfig::new(server.address(), auth)
        .with_http(http)
        .with_poll_interval(Duration::from_millis(1));
    canary.look_at_debug("the config", &config);
    let key = |text: &str| MemoryKey::new(text).expect("legal");
    let domain = DataPoint::from(Domain::new(key("payments")).with_description(text));
    let statuses = [400, 401, 402, 403, 404, 409, 415, 422, 429, 500, 503];
    let echoes = statuses.map(|status| Some(CogneeFault::EchoRequest(status)));
    let others = [None, Some(CogneeFault::WrongShape200), Some(CogneeFault::Reset)];
    for fault in others.into_iter().chain(echoes) {
        server.inject(CogneeFault::Reset, 0);
        // One of its own for each fault: a failed login is not repeated at once.
        let memory = Cognee::new(config.clone()).expect("the settings are sound");
        if let Some(fault) = fault {
            server.inject(fault, usize::MAX);
        }
        let added = memory.add_datapoints(std::slice::from_ref(&domain), &[]).await;
        canary.look_at_result("add_datapoints", &added);
        let found = memory.search_integrations(&SearchQuery::new(text)).await;
        canary.look_at_result("search_integrations", &found.map(|hits| hits.len()));
        let suggested = memory.suggest_integration_path(&key("a"), &key("b")).await;
        canary.look_at_result("suggest_integration_path", &suggested);
        let document = Document::new(key("minutes"), text);
        let added = memory.add_documents(std::slice::from_ref(&document)).await;
        canary.look_at_result("add_documents", &added);
        canary.look_at_result("replace_document", &memory.replace_document(&document).await);
        let found = memory.search_documents(text, 5).await;
        canary.look_at_result("search_documents", &found.map(|hits| hits.len()));
        let answer = memory.answer_with_language_model(text).await;
        canary.look_at_result("answer_with_language_model", &answer);
        let made = memory.cognify_governance_data().await;
        canary.look_at_result("cognify_governance_data", &made);
        canary.look_at_debug("health", &memory.health().await);
        canary.look_at_debug("the memory", &memory);
        canary.look_at_result("close", &memory.close().await);
    }
    canary.assert_unseen();
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(text.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_not_shown() {
    let server = fake::Cognee::start().await;
    let key = server.create_api_key();
    drive(&server, &Canary::of(&key), Auth::api_key(value(&key)), "cards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_shown() {
    let server = fake::Cognee::start().await;
    let (username, password) = server.credentials();
    let auth = Auth::login(username, value(&password));
    drive(&server, &Canary::of(&password), auth, "cards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_line_break_is_not_shown() {
    let canary = Canary::new();
    let token = format!("{0}\n{0}", canary.value());
    let server = fake::Cognee::start().await;
    drive(&server, &canary, Auth::bearer(value(&token)), "cards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_not_shown() {
    let server = fake::Cognee::start_open().await;
    let canary = Canary::new();
    let text = canary.value().to_owned();
    drive(&server, &canary, Auth::None, &text).await;
}

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::identity::BearerToken;
use pipe_core::{ErrorKind, IdentityPlugin, Result, SecurityContext};
use serde_json::Value;

use super::keys::{AGE, PAUSE};
use super::{expect_nobody, expect_outage};
use crate::Stage;
use crate::issuer::{DISCOVERY, Fault};
use crate::stage::expectation;

/// What a plugin that knows nothing yet says about a good token.
async fn first_answer(stage: &Stage) -> Result<SecurityContext> {
    let plugin = stage.another().await;
    answer(stage, &plugin).await
}

async fn answer(stage: &Stage, plugin: &Arc<dyn IdentityPlugin>) -> Result<SecurityContext> {
    let token = BearerToken::new(stage.token().sign());
    plugin.validate_token(&token, &expectation()).await
}

/// With this fault on the key set, a plugin that knows no key yet lets nobody in, and refuses nobody;
/// and it recovers.
async fn is_an_outage(stage: &Stage, path: &str, faults: impl IntoIterator<Item = Fault>) {
    stage.good().await;
    for fault in faults {
        stage.issuer.fail(path, fault.clone());
        let answer = first_answer(stage);
        let answer = match fault {
            Fault::Hang | Fault::Trickle(_) => stage.in_time(answer).await,
            _ => answer.await,
        };
        expect_outage(answer, &format!("{fault:?}"));
        stage.issuer.heal(path);
        // Whoever knew the keys goes on.
        stage.good().await;
    }
}

/// F1: a service starts when it starts.
pub async fn f1_a_plugin_starts_before_its_provider(stage: Stage) {
    stage.issuer.fail("*", Fault::Reset);
    let plugin = stage.another().await;
    expect_outage(answer(&stage, &plugin).await, "the provider is down");
    stage.issuer.heal("*");
    if stage.features.tokio_time {
        stage.wait(PAUSE).await;
        let checked = answer(&stage, &plugin).await;
        assert!(checked.is_ok(), "the provider is back: {checked:?}");
    }
}

/// F1
pub async fn f1_a_dead_provider_does_not_stop_known_keys(stage: Stage) {
    stage.good().await;
    stage.issuer.fail("*", Fault::Reset);
    for _ in 0..4 {
        stage.wait(AGE).await;
        stage.good().await;
    }
}

/// F1: an hour past their time, keys are not believed any more.
pub async fn f1_keys_past_all_bounds_let_nobody_in(stage: Stage) {
    stage.good().await;
    if stage.features.tokio_time {
        stage.issuer.fail("*", Fault::Reset);
        stage.wait(Duration::from_secs(3 * 3600)).await;
        let plugin = Arc::clone(&stage.plugin);
        expect_outage(answer(&stage, &plugin).await, "stale keys");
    }
}

/// F2
pub async fn f2_a_provider_that_hangs_is_given_up(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::Hang]).await;
}

/// F2
pub async fn f2_a_discovery_that_hangs_is_given_up(stage: Stage) {
    is_an_outage(&stage, DISCOVERY, [Fault::Hang]).await;
}

/// F2: each byte is in time, and the answer never ends.
pub async fn f2_an_answer_that_trickles_is_given_up(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::Trickle(Duration::from_secs(1))]).await;
}

/// F2
pub async fn f2_an_answer_that_breaks_off_is_no_key_set(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::ResetMidBody, Fault::Reset]).await;
}

/// F2: whose key is known waits for nobody.
pub async fn f2_known_keys_do_not_wait_for_a_refresh(stage: Stage) {
    stage.good().await;
    stage.issuer.fail("/jwks", Fault::Hang);
    stage.wait(PAUSE).await;
    let plugin = Arc::clone(&stage.plugin);
    let unknown = BearerToken::new(stage.token().header("kid", "unknown").sign());
    let waiting = tokio::spawn(async move {
        let _ = plugin.validate_token(&unknown, &expectation()).await;
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    // Generous: five seconds are what a refresh may take, and a known key takes microseconds.
    let known = tokio::time::timeout(Duration::from_secs(3), stage.good()).await;
    waiting.abort();
    assert!(known.is_ok(), "a known key waited for a refresh");
}

/// F2: also when it is time for a refresh.
pub async fn f2_known_keys_do_not_wait_when_they_are_old(stage: Stage) {
    stage.good().await;
    stage.issuer.fail("*", Fault::Hang);
    stage.wait(AGE).await;
    let known = tokio::time::timeout(Duration::from_secs(3), stage.good()).await;
    assert!(known.is_ok(), "a known key waited for a refresh");
}

/// F3
pub async fn f3_an_error_is_no_key_set(stage: Stage) {
    let status = |status| Fault::Status(status, stage.issuer.jwks().to_string());
    let faults = [Fault::Html500, status(500), status(404), status(403), status(503)];
    is_an_outage(&stage, "/jwks", faults).await;
}

/// F3
pub async fn f3_too_many_requests_are_no_key_set(stage: Stage) {
    let faults =
        [None, Some(2), Some(1 << 40)].map(|retry_after| Fault::RateLimited { retry_after });
    is_an_outage(&stage, "/jwks", faults).await;
}

/// F3: a login portal answers 200 to everything.
pub async fn f3_a_web_page_is_no_key_set(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::Html200]).await;
}

/// F3
pub async fn f3_a_web_page_is_no_discovery_document(stage: Stage) {
    is_an_outage(&stage, DISCOVERY, [Fault::Html200, Fault::Html500]).await;
}

/// F3
pub async fn f3_an_empty_answer_is_no_key_set(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::NoContent, Fault::Json(String::new())]).await;
}

/// F3
pub async fn f3_keys_of_another_content_type_are_no_key_set(stage: Stage) {
    let faults = ["text/html; charset=utf-8", "image/png"];
    let faults = faults.map(|content| Fault::ContentType(content.to_owned()));
    is_an_outage(&stage, "/jwks", faults).await;
}

/// F3: a key set is not read past its limit, which is 256 KiB.
pub async fn f3_a_huge_key_set_is_refused(stage: Stage) {
    let mut document = stage.issuer.jwks();
    document["x"] = "x".repeat(300 << 10).into();
    let faults = [Fault::Json(document.to_string()), Fault::Huge(8 << 20)];
    is_an_outage(&stage, "/jwks", faults).await;
}

/// F3
pub async fn f3_a_key_set_without_end_is_refused(stage: Stage) {
    is_an_outage(&stage, "/jwks", [Fault::Endless]).await;
}

/// F4
pub async fn f4_a_redirect_of_the_key_set_is_not_followed(stage: Stage) {
    let elsewhere = format!("{}/elsewhere", stage.issuer.url());
    stage.issuer.fail("/elsewhere", Fault::Json(stage.issuer.jwks().to_string()));
    is_an_outage(&stage, "/jwks", [elsewhere, "file:///etc/passwd".into()].map(Fault::Redirect))
        .await;
    assert_eq!(stage.issuer.hits("/elsewhere"), 0, "a redirect was followed");
}

/// F4
pub async fn f4_a_redirect_of_the_discovery_is_not_followed(stage: Stage) {
    let elsewhere = format!("{}/elsewhere", stage.issuer.url());
    stage.issuer.fail("/elsewhere", Fault::Json(stage.issuer.discovery().to_string()));
    is_an_outage(&stage, DISCOVERY, [Fault::Redirect(elsewhere)]).await;
    assert_eq!(stage.issuer.hits("/elsewhere"), 0, "a redirect was followed");
}

/// With this member in the discovery document, nobody is let in and no key set is fetched.
async fn is_not_discovered(stage: &Stage, member: &str, values: impl IntoIterator<Item = Value>) {
    stage.good().await;
    let right = stage.issuer.discovery()[member].clone();
    for value in values {
        stage.issuer.set_discovery(member, value.clone());
        let fetches = stage.issuer.hits("/jwks");
        expect_outage(first_answer(stage).await, &format!("{member} {value}"));
        assert_eq!(stage.issuer.hits("/jwks"), fetches, "{member} {value}: the keys were fetched");
    }
    stage.issuer.set_discovery(member, right);
    let checked = first_answer(stage).await;
    assert!(checked.is_ok(), "{checked:?}");
}

/// F5 (OpenID Connect Discovery 1.0, 4.3): what another issuer says about itself says nothing about ours.
pub async fn f5_the_discovery_of_another_issuer_is_refused(stage: Stage) {
    let url = stage.issuer.url();
    let others = [format!("{url}/"), url.replace("127.0.0.1", "localhost"), "https://x".into()];
    let others = others.into_iter().map(Value::from).chain([Value::Null, 42.into()]);
    is_not_discovered(&stage, "issuer", others).await;
}

/// F5
pub async fn f5_a_discovery_without_key_set_is_refused(stage: Stage) {
    let none = [Value::Null, 42.into(), "".into(), "/jwks".into(), "jwks".into()];
    is_not_discovered(&stage, "jwks_uri", none).await;
}

/// F5: the address of a cloud's credentials, in all its spellings, and what is no web address.
pub async fn f5_a_key_set_at_a_special_address_is_refused(stage: Stage) {
    let addresses = [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/jwks",
        "http://[fe80::1]/jwks",
        "http://[::ffff:169.254.169.254]/jwks",
        "http://2852039166/jwks",
        "http://0xa9fea9fe/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
    ];
    is_not_discovered(&stage, "jwks_uri", addresses.map(Value::from)).await;
}

/// F5: a name and a password in an address are somebody's trick.
pub async fn f5_a_key_set_address_with_credentials_is_refused(stage: Stage) {
    let address = stage.issuer.url().replace("http://", "http://user:password@");
    is_not_discovered(&stage, "jwks_uri", [Value::from(format!("{address}/jwks"))]).await;
}

/// The tokens of a thousand keys that nobody has.
fn unknown(stage: &Stage, count: usize) -> Vec<String> {
    let token = stage.token();
    let [_, payload, signature] = token.segments();
    let named = |n: usize| {
        let [header, ..] = token.clone().header("kid", format!("x{n}")).signature([]).segments();
        format!("{header}.{payload}.{signature}")
    };
    (0..count).map(named).collect()
}

/// F6: anybody can invent a `kid`.
pub async fn f6_a_flood_of_unknown_keys_is_no_flood_of_fetches(stage: Stage) {
    stage.good().await;
    stage.wait(PAUSE).await;
    let fetches = stage.issuer.hits("/jwks");
    for token in unknown(&stage, 1000) {
        stage.refused(&token, pipe_core::TokenFault::UnknownKey).await;
    }
    let fetched = stage.issuer.hits("/jwks") - fetches;
    assert!(fetched <= 1, "{fetched} fetches for one thousand unknown keys");
    stage.good().await;
}

/// F6: also when each fetch fails.
pub async fn f6_a_flood_against_a_dead_provider_is_no_flood_of_fetches(stage: Stage) {
    stage.good().await;
    stage.issuer.fail("/jwks", Fault::Html500);
    stage.wait(PAUSE).await;
    let fetches = stage.issuer.hits("/jwks");
    let flood = unknown(&stage, 200);
    let checks = join_all(flood.iter().map(|token| stage.validate(token)));
    for checked in checks.await {
        expect_nobody(checked, "an unknown key");
    }
    let fetched = stage.issuer.hits("/jwks") - fetches;
    assert!(fetched <= 4, "{fetched} fetches for two hundred unknown keys");
    stage.good().await;
}

/// F7: one question is enough for all who wait.
pub async fn f7_many_first_validations_share_one_fetch(stage: Stage) {
    let plugin = stage.another().await;
    let before = (stage.issuer.hits(DISCOVERY), stage.issuer.hits("/jwks"));
    let token = BearerToken::new(stage.token().sign());
    let expect = expectation();
    let checks = join_all((0..100).map(|_| plugin.validate_token(&token, &expect)));
    for checked in checks.await {
        assert!(checked.is_ok(), "{checked:?}");
    }
    let after = (stage.issuer.hits(DISCOVERY), stage.issuer.hits("/jwks"));
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "each waited for its own fetch");
}

/// F8: an error is not an answer that may be remembered.
pub async fn f8_a_failed_fetch_is_tried_again(stage: Stage) {
    if !stage.features.tokio_time {
        return;
    }
    stage.issuer.fail("/jwks", Fault::Html500);
    let plugin = stage.another().await;
    expect_outage(answer(&stage, &plugin).await, "the key set is broken");
    stage.issuer.heal("/jwks");
    stage.wait(PAUSE).await;
    let checked = answer(&stage, &plugin).await;
    assert!(checked.is_ok(), "the key set is back: {checked:?}");
}

/// F8
pub async fn f8_an_outage_is_no_refusal_of_the_token(stage: Stage) {
    stage.issuer.fail(DISCOVERY, Fault::Html500);
    let error = first_answer(&stage).await.expect_err("nobody is known");
    // 503, not 401: the caller has to come again, and not to log in again.
    let kinds = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited];
    assert!(kinds.contains(&error.kind()), "{error:#}");
}

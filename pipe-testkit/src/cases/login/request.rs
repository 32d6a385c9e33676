use std::collections::BTreeSet;
use std::time::Duration;

use pipe_core::LoginFault::{CodeRefused, InteractionRequired};
use pipe_core::identity::{LoginPrompt, LoginRequest};

use super::{alice, bob, expect_login};
use crate::LoginStage;
use crate::login::Attempt;

/// G3 (RFC 7636): S256, and no other way.
pub async fn g3_the_request_has_an_s256_challenge(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    assert_eq!(attempt.asked("response_type").as_deref(), Some("code"));
    assert_eq!(attempt.asked("code_challenge_method").as_deref(), Some("S256"));
    let challenge = attempt.asked("code_challenge").expect("a challenge");
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    assert!(challenge.len() == 43 && challenge.bytes().all(is_legal), "no hash of 256 bits");
}

/// G3
pub async fn g3_each_login_has_a_verifier_of_its_own(stage: LoginStage) {
    let mut challenges = BTreeSet::new();
    let mut browser = None;
    for _ in 0..4 {
        let mut request = LoginRequest::new();
        if let Some(browser) = browser.take() {
            request = request.with_browser(browser);
        }
        let attempt = stage.begin_as(&request, &alice()).await;
        let challenge = attempt.asked("code_challenge").expect("a challenge");
        assert!(challenges.insert(challenge), "the same verifier twice");
        browser = Some(attempt.start.browser);
    }
}

/// G3: who injects a code into somebody else's login meets its verifier.
pub async fn g3_the_code_of_another_login_is_refused(stage: LoginStage) {
    stage.good().await;
    let attempt = stage.begin(&alice()).await;
    let another = stage.begin(&bob()).await;
    let code = another.answered("code").expect("a code");
    expect_login(stage.finish(&attempt.with("code", &code)).await, CodeRefused, "another's code");
}

/// G2: a nonce that is known beforehand tells nothing.
pub async fn g2_each_login_has_a_nonce_of_its_own(stage: LoginStage) {
    let mut nonces = BTreeSet::new();
    for _ in 0..4 {
        let attempt = stage.begin(&alice()).await;
        let nonce = attempt.asked("nonce").expect("a nonce");
        assert!(nonce.len() >= 22, "a nonce of less than 128 bits: {} characters", nonce.len());
        assert_ne!(Some(&nonce), attempt.asked("state").as_ref(), "the nonce is the state");
        assert!(nonces.insert(nonce), "the same nonce twice");
    }
}

/// G5 (RFC 9700 2.1): byte by byte, both times. The issuer knows two, and takes no other.
pub async fn g5_the_redirect_uri_is_sent_as_it_is_registered(stage: LoginStage) {
    let start = stage.plugin.begin_login(&LoginRequest::new()).await.expect("a login begins");
    let attempt = Attempt { start, query: String::new() };
    assert_eq!(attempt.asked("redirect_uri"), Some(stage.trust().redirect_uri));
    stage.good().await;
}

/// OpenID Connect Core 3.1.2.1
pub async fn the_request_asks_for_what_is_configured(stage: LoginStage) {
    let trust = stage.trust();
    let attempt = stage.begin(&alice()).await;
    assert_eq!(attempt.asked("client_id"), Some(trust.client_id));
    let scope = attempt.asked("scope").expect("a scope");
    let asked: BTreeSet<_> = scope.split(' ').map(str::to_owned).collect();
    assert_eq!(asked, trust.scopes.into_iter().collect());
    let endpoint = stage.issuer.discovery()["authorization_endpoint"].as_str().map(str::to_owned);
    assert_eq!(attempt.start.location.split('?').next().map(str::to_owned), endpoint);
}

/// OpenID Connect Core 3.1.2.1
pub async fn the_request_asks_what_its_caller_asks(stage: LoginStage) {
    let request = LoginRequest::new()
        .with_prompt(LoginPrompt::Login)
        .with_max_age(Duration::from_secs(120))
        .with_login_hint("alice+1@corp.test & sons");
    let attempt = stage.begin_as(&request, &alice()).await;
    let prompt = attempt.asked("prompt").unwrap_or_default();
    assert!(prompt.split(' ').any(|word| word == "login"), "the prompt is {prompt:?}");
    assert_eq!(attempt.asked("max_age").as_deref(), Some("120"));
    assert_eq!(attempt.asked("login_hint").as_deref(), Some("alice+1@corp.test & sons"));
    stage.finished(&attempt).await;
}

/// OpenID Connect Core 3.1.2.6
pub async fn nobody_is_asked_when_the_caller_says_so(stage: LoginStage) {
    stage.good().await;
    let request = LoginRequest::new().with_prompt(LoginPrompt::None);
    let attempt = stage.begin_as(&request, &alice()).await;
    assert_eq!(attempt.asked("prompt").as_deref(), Some("none"));
    expect_login(stage.finish(&attempt).await, InteractionRequired, "nobody is logged in there");
}

/// RFC 9126: a browser sees the name of the request, and nothing of it.
pub async fn a_pushed_request_is_not_shown_to_the_browser(stage: LoginStage) {
    if !stage.features.pushed_requests {
        return;
    }
    let endpoint = format!("{}/request", stage.issuer.url());
    stage.issuer.set_discovery("pushed_authorization_request_endpoint", endpoint);
    stage.issuer.set_discovery("require_pushed_authorization_requests", true);
    let plugin = stage.another().await;
    let stage = stage.with_plugin(plugin);
    let attempt = stage.begin(&alice()).await;
    assert!(attempt.asked("request_uri").is_some(), "the request was not pushed");
    for name in ["state", "nonce", "code_challenge", "redirect_uri", "scope"] {
        assert_eq!(attempt.asked(name), None, "{name} is in the URL");
    }
    stage.finished(&attempt).await;
}

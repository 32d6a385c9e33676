use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::alice;
use crate::LoginStage;
use crate::login::Recorder;

/// A stage whose token endpoint is this one.
async fn recorded(stage: LoginStage, recorder: &Recorder) -> LoginStage {
    stage.issuer.set_discovery("token_endpoint", recorder.url());
    let plugin = stage.another().await;
    stage.with_plugin(plugin)
}

/// G3: what the token endpoint is sent, and the browser is not.
pub async fn g3_the_verifier_is_sent_to_the_token_endpoint_alone(stage: LoginStage) {
    let recorder = Recorder::start().await;
    let stage = recorded(stage, &recorder).await;
    let attempt = stage.begin(&alice()).await;
    assert!(stage.finish(&attempt).await.is_err(), "this endpoint takes no code");
    let sent = recorder.take();
    let (form, _) = sent.first().expect("a request");
    let field = |name: &str| form.get(name).cloned();
    let verifier = field("code_verifier").unwrap_or_default();
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    assert!((43..=128).contains(&verifier.len()) && verifier.bytes().all(is_legal));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    assert_eq!(attempt.asked("code_challenge"), Some(challenge));
    assert!(!attempt.start.location.contains(&verifier), "the verifier is in the URL");
    assert_eq!(field("grant_type").as_deref(), Some("authorization_code"));
    assert_eq!(field("code"), attempt.answered("code"));
}

/// H2
pub async fn h2_no_verifier_is_shown(stage: LoginStage) {
    let recorder = Recorder::start().await;
    let stage = recorded(stage, &recorder).await;
    let attempt = stage.begin(&alice()).await;
    let finished = stage.finish(&attempt).await;
    let sent = recorder.take();
    assert!(!sent.is_empty(), "no verifier was sent");
    for (_, canary) in &sent {
        canary.look_at_debug("the login's start", &attempt.start);
        canary.look_at_result("the login", &finished);
        canary.assert_unseen();
    }
}

use pipe_core::identity::{BrowserId, LoginRequest, UserProfile};
use serde_json::{Value, json};

use super::alice;
use crate::LoginStage;
use crate::issuer::{Fault, Person};
use crate::leak::Canary;
use crate::login::{SECRET, TOKEN_LIFE};

fn unseen(canaries: &[Canary]) {
    canaries.iter().for_each(Canary::assert_unseen);
}

/// H2: neither what the browser and the provider exchange, nor what the browser keeps.
pub async fn h2_no_secret_of_a_login_is_shown(stage: LoginStage) {
    let browser = BrowserId::generate().expect("random numbers");
    let own = Canary::of(browser.expose());
    let request = LoginRequest::new().with_browser(browser);
    let attempt = stage.begin_as(&request, &alice()).await;
    let asked = ["state", "nonce", "code_challenge"].map(|name| attempt.asked(name));
    let secrets = asked.into_iter().chain([attempt.answered("code")]).flatten();
    let mut canaries: Vec<_> = secrets.map(|secret| Canary::of(&secret)).collect();
    canaries.push(own);
    canaries.push(Canary::of(SECRET));
    let finished = stage.finish(&attempt).await;
    let replayed = stage.finish(&attempt).await;
    let another = stage.begin(&alice()).await;
    let code = another.answered("code").expect("a code");
    canaries.push(Canary::of(&code));
    let refused = stage.finish(&another.with("iss", "x")).await;
    let swapped = stage.begin(&alice()).await.with("code", &code);
    let swapped = stage.finish(&swapped).await;
    for canary in &canaries {
        canary.look_at_debug("the login's start", &attempt.start);
        canary.look_at_debug("the callback", &attempt.callback());
        for (place, result) in [
            ("the login", &finished),
            ("the second login", &replayed),
            ("a refused login", &refused),
            ("a swapped code", &swapped),
        ] {
            canary.look_at_result(place, result);
        }
    }
    unseen(&canaries);
}

/// H2: neither the session's id, nor its tokens, the refresh token included.
pub async fn h2_no_secret_of_a_session_is_shown(stage: LoginStage) {
    let attempt = stage.begin(&alice()).await;
    let (access, refresh) = (Canary::new(), Canary::new());
    let client = stage.trust().client_id;
    let id_token = stage.issuer.id_token(&client, &alice());
    let id_token = id_token.claim("nonce", attempt.asked("nonce").expect("a nonce"));
    let signature = Canary::of(&id_token.segments()[2]);
    let answer = json!({
        "access_token": access.value(),
        "refresh_token": refresh.value(),
        "id_token": id_token.sign(),
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFE.as_secs(),
    });
    stage.issuer.fail_times("/token", Fault::Json(answer.to_string()), 1);
    let finished = stage.finish(&attempt).await;
    let Ok(logged_in) = &finished else { panic!("a good login was refused: {finished:?}") };
    let canaries = [access, refresh, signature, Canary::of(logged_in.id.expose())];
    let session = stage.plugin.session(&logged_in.id).await;
    let token = stage.plugin.access_token(&logged_in.id).await;
    stage.issuer.fail("/token", Fault::Html500);
    stage.wait(TOKEN_LIFE).await;
    let outage = stage.plugin.access_token(&logged_in.id).await;
    // The provider knows no such refresh token.
    stage.issuer.heal("/token");
    stage.wait(crate::login::PAUSE).await;
    let refused = stage.plugin.access_token(&logged_in.id).await;
    let logged_out = stage.plugin.log_out(&logged_in.id).await;
    let health = stage.plugin.health().await;
    for canary in &canaries {
        canary.look_at_result("the login", &finished);
        canary.look_at_result("the session", &session);
        canary.look_at_result("the token", &token);
        canary.look_at_result("an outage", &outage);
        canary.look_at_result("a refusal", &refused);
        canary.look_at_result("the logout", &logged_out);
        canary.look_at_debug("health", &health);
    }
    unseen(&canaries);
}

/// H2: the end of a session that has tokens.
pub async fn h2_no_secret_is_shown_when_a_session_ends(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let token = stage.token(&logged_in.id).await;
    let text = token.token.expose_str().unwrap_or_default();
    let canaries = [Canary::of(text), Canary::of(logged_in.id.expose()), Canary::of(SECRET)];
    stage.issuer.fail("/token/revocation", Fault::Html500);
    let logged_out = stage.plugin.log_out(&logged_in.id).await;
    let location = logged_out.as_ref().ok().and_then(|it| it.location.clone());
    let hint = location.as_deref().and_then(|it| it.split_once('?'));
    let hint = hint.and_then(|(_, query)| crate::login::parameter(query, "id_token_hint"));
    let hint = Canary::of(&hint.expect("a hint"));
    hint.look_at_result("the logout", &logged_out);
    for canary in &canaries {
        canary.look_at_result("the logout", &logged_out);
        canary.look_at_result("the token", &stage.plugin.access_token(&logged_in.id).await);
    }
    unseen(&canaries);
    hint.assert_unseen();
}

/// H1: what is personal is for pages, and for nothing else.
pub async fn h1_nothing_personal_is_shown(stage: LoginStage) {
    let (name, email, phone) = (Canary::new(), Canary::new(), Canary::new());
    let person = Person::new("alice")
        .name(name.value())
        .email(format!("{}@corp.test", email.value()))
        .claim("phone_number", phone.value());
    let logged_in = stage.log_in(&person).await;
    let session = stage.session(&logged_in.id).await;
    stage.wait(TOKEN_LIFE).await;
    stage.token(&logged_in.id).await;
    for canary in [&name, &email, &phone] {
        canary.look_at_debug("the login", &logged_in);
        canary.look_at_debug("the session", &session);
        canary.look_at("the context", &format!("{:?}", session.context.to_map()));
        canary.assert_unseen();
    }
    assert_ne!(session.profile, UserProfile::default(), "it is for pages, after all");
}

/// H2: a claim's value is not shown, whatever is wrong with it.
pub async fn h2_no_claim_of_a_refused_id_token_is_shown(stage: LoginStage) {
    let canary = Canary::new();
    for name in ["iss", "aud", "sub", "exp", "iat", "nonce", "azp", "at_hash", "acr"] {
        let attempt = stage.begin(&alice()).await;
        let value = canary.value().to_owned();
        stage.issuer.spoil_id_token(move |token| {
            token.claim(name, value.as_str()).claim("exp", Value::from(1))
        });
        let finished = stage.finish(&attempt).await;
        assert!(finished.is_err(), "it has expired");
        canary.look_at_result(name, &finished);
    }
    canary.assert_unseen();
}

/// G8, H2: a provider, or whoever pretends to be one, may say anything.
pub async fn g8_what_the_other_side_says_is_not_repeated(stage: LoginStage) {
    stage.good().await;
    let canary = Canary::new();
    let hostile = format!("<script>{}</script>", canary.value());
    let attempt = stage.begin(&alice()).await;
    let answers = [
        attempt.refused(&hostile, "x"),
        attempt.refused("access_denied", &hostile),
        attempt.refused("invalid_request", "x").and("error_uri", &hostile),
        attempt.with("state", &hostile),
        attempt.with("iss", &hostile),
        attempt.with("code", &hostile),
        attempt.and(&format!("x{}", canary.value()), &hostile),
    ];
    for (n, answer) in answers.iter().enumerate() {
        // Each is the answer to a login of its own.
        let own = stage.begin(&alice()).await;
        let state = own.asked("state").expect("a state");
        let answer = if n == 3 { answer.clone() } else { answer.with("state", &state) };
        let callback = answer.callback_of_nobody().with_browser(own.start.browser);
        let finished = stage.plugin.finish_login(&callback).await;
        canary.look_at_result(&format!("answer {n}"), &finished);
    }
    let refusal = json!({"error": hostile, "error_description": hostile, "scope": hostile});
    for (status, body) in [
        (400, refusal.to_string()),
        (401, refusal.to_string()),
        (400, json!({"error": "invalid_grant", "error_description": hostile}).to_string()),
        (500, hostile.clone()),
        (200, hostile.clone()),
        (200, json!({"access_token": hostile, "token_type": hostile}).to_string()),
        (
            200,
            json!({"id_token": hostile, "access_token": "x", "token_type": "Bearer"}).to_string(),
        ),
    ] {
        let attempt = stage.begin(&alice()).await;
        stage.issuer.fail("/token", Fault::Status(status, body));
        canary.look_at_result(&format!("status {status}"), &stage.finish(&attempt).await);
        stage.issuer.heal("/token");
    }
    canary.assert_unseen();
}

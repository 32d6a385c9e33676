//! Faults at the endpoints of people, and what the provider says of itself.

use std::time::Duration;

use pipe_testkit::issuer::{DISCOVERY, Fault};
use serde_json::json;

use crate::wire::{OFFLINE, alice, code_form, get, issuer, logged_in, refresh, request, token};

#[tokio::test]
async fn each_endpoint_is_published_and_can_be_removed() {
    let issuer = issuer().await;
    let document = get(&issuer, DISCOVERY, "").await.json();
    for (member, path) in [
        ("authorization_endpoint", "/auth"),
        ("device_authorization_endpoint", "/device/auth"),
        ("end_session_endpoint", "/session/end"),
        ("pushed_authorization_request_endpoint", "/request"),
        ("revocation_endpoint", "/token/revocation"),
        ("token_endpoint", "/token"),
        ("userinfo_endpoint", "/me"),
    ] {
        assert_eq!(document[member], format!("{}{path}", issuer.url()), "{member}");
        issuer.set_discovery(member, ());
        assert_eq!(get(&issuer, DISCOVERY, "").await.json().get(member), None);
    }
    for (member, value) in [
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(true)),
        ("backchannel_logout_supported", json!(true)),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("response_types_supported", json!(["code"])),
    ] {
        assert_eq!(document[member], value, "{member}");
    }
}

#[tokio::test]
async fn the_new_paths_break_on_request() {
    let issuer = issuer().await;
    for path in ["/auth", "/me", "/request", "/device/auth", "/device", "/session/end"] {
        issuer.fail(path, Fault::Status(503, "{}".to_owned()));
        assert_eq!(get(&issuer, path, "").await.status(), 503, "{path}");
        issuer.heal(path);
        assert_ne!(get(&issuer, path, "").await.status(), 503, "{path}");
        assert_eq!(issuer.hits(path), 2);
    }
}

#[tokio::test]
async fn a_fault_can_be_met_a_number_of_times() {
    let issuer = issuer().await;
    issuer.fail_times("/me", Fault::Html500, 2);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(get(&issuer, "/me", "").await.status());
    }
    assert_eq!(statuses, [500, 500, 401]);
    issuer.fail_times("*", Fault::Html500, 1);
    assert_eq!(get(&issuer, "/jwks", "").await.status(), 500);
    assert_eq!(get(&issuer, "/jwks", "").await.status(), 200);
}

/// G6, G7
#[tokio::test]
async fn an_answer_that_is_lost_has_taken_effect() {
    let issuer = issuer().await;
    let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
    issuer.fail_times("/token", Fault::LostAnswer, 1);
    let lost = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!((lost.status(), issuer.refreshes("alice"), issuer.reuses("alice")), (0, 1, 0));
    let again = refresh(&issuer, &tokens.text("refresh_token")).await;
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    assert_eq!((issuer.refreshes("alice"), issuer.reuses("alice")), (1, 1));
    let form = code_form(&issuer.authorize(&request(&issuer, OFFLINE), &alice()));
    issuer.fail_times("/token", Fault::LostAnswer, 1);
    assert_eq!(token(&issuer, &form).await.status(), 0);
    assert_eq!(token(&issuer, &form).await.error(), (400, "invalid_grant".to_owned()));
}

/// G6
#[tokio::test]
async fn an_answer_that_is_held_comes_when_it_is_let_and_has_taken_effect_before() {
    for healed in ["/token", "*"] {
        let issuer = issuer().await;
        let tokens = logged_in(&issuer, &alice(), OFFLINE).await;
        issuer.fail_times("/token", Fault::Held, 1);
        let refresh_token = tokens.text("refresh_token");
        let held = refresh(&issuer, &refresh_token);
        let meanwhile = async {
            while issuer.refreshes("alice") == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Another path lets nothing go, and what comes later is answered at once.
            issuer.heal("/me");
            let later = refresh(&issuer, "made-up").await;
            issuer.heal(healed);
            later
        };
        let (held, later) = tokio::join!(held, meanwhile);
        assert_eq!((held.status(), later.status()), (200, 400));
    }
}

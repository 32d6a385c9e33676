use super::{alice, bob};
use crate::LoginStage;
use crate::issuer::Fault;
use crate::issuer::SigningAlgorithm;
use crate::issuer::requests::{claims, is_signed_by};
use crate::login::{Attempt, POST_LOGOUT};

/// A person who logs out is gone, and nobody else.
pub async fn a_session_that_is_logged_out_has_ended(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let second = stage.log_in(&alice()).await;
    let other = stage.log_in(&bob()).await;
    stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    stage.ended(&logged_in.id, "its person has logged out").await;
    stage.session(&second.id).await;
    stage.session(&other.id).await;
}

/// RFC 7009: what nobody needs any more is given back.
pub async fn a_logout_revokes_the_refresh_token(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.log_in(&bob()).await;
    assert!(!stage.issuer.was_revoked("alice"));
    stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    assert!(stage.issuer.was_revoked("alice"), "the refresh token is still good");
    assert!(!stage.issuer.was_revoked("bob"), "another's refresh token was revoked");
}

/// The same for one that was renewed: it is the newest that counts.
pub async fn a_logout_revokes_a_refresh_token_that_was_renewed(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(crate::login::TOKEN_LIFE).await;
    stage.token(&logged_in.id).await;
    stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    assert!(stage.issuer.was_revoked("alice"), "the refresh token is still good");
    assert_eq!(stage.issuer.reuses("alice"), 0);
}

/// OpenID Connect RP-Initiated Logout 2.
pub async fn a_logout_leads_to_the_provider_and_back(stage: LoginStage) {
    let mut browser = stage.issuer.browser(&alice());
    let request = pipe_core::identity::LoginRequest::new();
    let start = stage.plugin.begin_login(&request).await.expect("a login begins");
    let callback = browser.authorize(&start.location);
    let logged_in = stage.finished(&Attempt::new(start, &callback)).await;
    let logged_out = stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    let location = logged_out.location.expect("the provider offers it");
    let endpoint = format!("{}/session/end?", stage.issuer.url());
    assert!(location.starts_with(&endpoint), "it leads elsewhere");
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name| crate::login::parameter(query, name);
    assert_eq!(parameter("post_logout_redirect_uri").as_deref(), Some(POST_LOGOUT));
    let hint = parameter("id_token_hint").expect("a hint");
    assert!(is_signed_by(&hint, &stage.issuer.key(SigningAlgorithm::Rs256)), "no ID token");
    let subject = claims(&hint).and_then(|claims| claims.get("sub").cloned());
    assert_eq!(subject, Some("alice".into()));
    let back = browser.log_out(&location);
    assert_eq!(back.split('?').next(), Some(POST_LOGOUT));
    assert!(!browser.is_logged_in());
}

/// Where the provider does not offer it, it ends here alone.
pub async fn a_logout_leads_nowhere_where_the_provider_does_not_offer_it(stage: LoginStage) {
    stage.issuer.set_discovery("end_session_endpoint", ());
    let plugin = stage.another().await;
    let stage = stage.with_plugin(plugin);
    let logged_in = stage.log_in(&alice()).await;
    let logged_out = stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    assert!(logged_out.location.is_none(), "it leads somewhere");
    stage.ended(&logged_in.id, "its person has logged out").await;
}

/// People press buttons twice.
pub async fn a_second_logout_is_no_error(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.plugin.log_out(&logged_in.id).await.expect("a logout");
    let again = stage.plugin.log_out(&logged_in.id).await;
    assert!(again.is_ok_and(|it| it.location.is_none()), "the second time");
}

/// Who wants to go may go, whatever the provider says.
pub async fn a_logout_needs_no_provider(stage: LoginStage) {
    for fault in [Fault::Reset, Fault::Html500, Fault::Status(400, "{}".to_owned())] {
        let logged_in = stage.log_in(&alice()).await;
        stage.issuer.fail("*", fault);
        let logged_out = stage.plugin.log_out(&logged_in.id).await;
        assert!(logged_out.is_ok(), "{logged_out:?}");
        stage.ended(&logged_in.id, "its person has logged out").await;
        stage.issuer.heal("*");
    }
}

/// A provider that hangs does not hold anybody back.
pub async fn a_logout_waits_for_no_provider_for_ever(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.fail("/token/revocation", Fault::Hang);
    let logged_out = stage.in_time(stage.plugin.log_out(&logged_in.id)).await;
    assert!(logged_out.is_ok(), "{logged_out:?}");
    stage.ended(&logged_in.id, "its person has logged out").await;
}

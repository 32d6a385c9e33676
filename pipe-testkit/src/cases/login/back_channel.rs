use std::time::Duration;

use pipe_core::ErrorKind;
use pipe_core::TokenFault::Replayed;
use pipe_core::identity::BearerToken;

use super::{alice, bob, expect_outage, expect_token};
use crate::LoginStage;
use crate::issuer::{Fault, TokenBuilder};
use crate::login::{CLIENT, PAUSE};

/// A good logout token.
pub(super) fn logout(stage: &LoginStage, subject: &str, sid: &str) -> TokenBuilder {
    stage.issuer.logout_token(CLIENT, subject, sid)
}

/// What there is to end, or nothing where there is no back channel.
pub(super) fn offers(stage: &LoginStage) -> bool {
    stage.features.back_channel_logout
}

async fn ends(stage: &LoginStage, token: &TokenBuilder, count: u64) {
    match stage.told(&token.sign()).await {
        Ok(ended) => assert_eq!(ended, count, "so many sessions were ended"),
        Err(error) => panic!("a good logout token was refused: {error:#}"),
    }
}

/// A plugin without a back channel says so.
pub async fn g12_without_a_back_channel_it_is_unsupported(stage: LoginStage) {
    if offers(&stage) {
        return;
    }
    let logged_in = stage.log_in_within("sid-1", &alice()).await;
    let told = stage.told(&logout(&stage, "alice", "sid-1").sign()).await;
    assert_eq!(told.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    stage.session(&logged_in.id).await;
}

/// G12 (OpenID Connect Back-Channel Logout 2.7): by `sid`, the session that it names and no other.
pub async fn g12_a_logout_token_ends_the_session_that_it_names(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    let first = stage.log_in_within("sid-1", &alice()).await;
    let second = stage.log_in_within("sid-2", &alice()).await;
    let third = stage.log_in_within("sid-3", &bob()).await;
    ends(&stage, &logout(&stage, "alice", "sid-1"), 1).await;
    stage.ended(&first.id, "the provider ended it").await;
    ends(&stage, &logout(&stage, "bob", "sid-3").without("sub"), 1).await;
    stage.ended(&third.id, "the provider ended it").await;
    stage.session(&second.id).await;
}

/// G12: two logins within one session at the provider are one session there.
pub async fn g12_a_logout_token_ends_all_that_came_of_the_session(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    let first = stage.log_in_within("sid-1", &alice()).await;
    let second = stage.log_in_within("sid-1", &alice()).await;
    ends(&stage, &logout(&stage, "alice", "sid-1"), 2).await;
    stage.ended(&first.id, "the provider ended it").await;
    stage.ended(&second.id, "the provider ended it").await;
}

/// G12: by `sub` alone, all sessions of this person and no other's.
pub async fn g12_a_logout_token_about_a_person_ends_all_their_sessions(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    let first = stage.log_in_within("sid-1", &alice()).await;
    let second = stage.log_in_within("sid-2", &alice()).await;
    let other = stage.log_in_within("sid-3", &bob()).await;
    ends(&stage, &logout(&stage, "alice", "").without("sid"), 2).await;
    stage.ended(&first.id, "the person is logged out").await;
    stage.ended(&second.id, "the person is logged out").await;
    stage.session(&other.id).await;
}

/// G12: as the provider makes them itself.
pub async fn g12_the_providers_own_logout_tokens_are_taken(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    let logged_in = stage.log_in(&alice()).await;
    let other = stage.log_in(&bob()).await;
    // Nobody listens at the registered address: what was to be told is told here.
    let notices = stage.issuer.log_out(&alice()).await;
    assert_eq!(notices.len(), 1);
    let told = stage.told(&notices[0].token).await;
    assert!(matches!(told, Ok(1)), "{told:?}");
    stage.ended(&logged_in.id, "the provider ended it").await;
    stage.session(&other.id).await;
}

/// G12: the provider may know of sessions that have ended here.
pub async fn g12_a_logout_token_about_nobody_ends_nothing(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    let logged_in = stage.log_in_within("sid-1", &alice()).await;
    ends(&stage, &logout(&stage, "alice", "sid-of-nobody"), 0).await;
    ends(&stage, &logout(&stage, "nobody", "").without("sid"), 0).await;
    stage.session(&logged_in.id).await;
}

/// G12: once, or whoever keeps one can log people out at will.
pub async fn g12_a_logout_token_is_good_once(stage: LoginStage) {
    if !offers(&stage) {
        return;
    }
    stage.log_in_within("sid-1", &alice()).await;
    let token = logout(&stage, "alice", "").without("sid");
    ends(&stage, &token, 1).await;
    let again = stage.log_in_within("sid-2", &alice()).await;
    expect_token(stage.told(&token.sign()).await, &[Replayed], "the second time");
    stage.session(&again.id).await;
    // As long as it could be used.
    stage.wait(Duration::from_secs(119)).await;
    expect_token(stage.told(&token.sign()).await, &[Replayed], "two minutes later");
    ends(&stage, &logout(&stage, "alice", "").without("sid"), 1).await;
}

/// G12: what could not be checked has to be sent again, and counts then.
pub async fn g12_a_logout_token_that_cannot_be_checked_is_not_used_up(stage: LoginStage) {
    if !offers(&stage) || !stage.features.shared_sessions {
        return;
    }
    let logged_in = stage.log_in_within("sid-1", &alice()).await;
    stage.issuer.fail("/jwks", Fault::Html500);
    let another = stage.another().await;
    let token = BearerToken::new(logout(&stage, "alice", "sid-1").sign());
    expect_outage(another.back_channel_logout(&token).await, "the keys cannot be had");
    stage.issuer.heal("/jwks");
    stage.session(&logged_in.id).await;
    stage.wait(PAUSE).await;
    let told = another.back_channel_logout(&token).await;
    assert!(matches!(told, Ok(1)), "{told:?}");
    stage.ended(&logged_in.id, "the provider ended it").await;
}

use std::time::Duration;

use futures_util::future::join_all;
use pipe_core::Result;
use pipe_core::identity::{SessionId, UserToken};

use super::{alice, bob};
use crate::LoginStage;
use crate::issuer::{Fault, Spoil};
use crate::login::TOKEN_LIFE;

/// Less than any plugin waits for an answer, and more than anything else takes.
pub(super) const SLOW: Duration = Duration::from_secs(2);

/// As often as this, another period begins, and a token is there.
async fn renew(stage: &LoginStage, id: &SessionId, times: usize) {
    for _ in 0..times {
        stage.wait(TOKEN_LIFE).await;
        stage.token(id).await;
        stage.session(id).await;
    }
}

/// G7
pub async fn g7_a_token_that_expired_is_renewed(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let first = stage.token(&logged_in.id).await;
    stage.wait(TOKEN_LIFE).await;
    let token = stage.token(&logged_in.id).await;
    assert!(token.token != first.token, "the same token again");
    assert!(token.expires_at > stage.now(), "a token that has expired");
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (1, 0));
}

/// G7: nobody is asked for what is still good.
pub async fn g7_a_token_that_is_good_is_kept(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let asked = stage.issuer.hits("/token");
    let first = stage.token(&logged_in.id).await;
    for _ in 0..5 {
        stage.wait(TOKEN_LIFE / 10).await;
        assert!(stage.token(&logged_in.id).await.token == first.token, "another token");
    }
    assert_eq!(stage.issuer.hits("/token"), asked, "the provider was asked");
}

/// G7: each refresh token is good once, and the next one has to be used the next time.
pub async fn g7_a_new_refresh_token_takes_the_place_of_the_old_one(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    renew(&stage, &logged_in.id, 6).await;
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (6, 0));
}

/// G7 (RFC 6749 6): silence means that the old one stays.
pub async fn g7_an_answer_without_refresh_token_keeps_the_old_one(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.issuer.spoil(Spoil::NoRefreshToken);
    renew(&stage, &logged_in.id, 3).await;
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (3, 0));
}

/// G7: some providers give the same one again.
pub async fn g7_a_provider_may_keep_its_refresh_token(stage: LoginStage) {
    stage.issuer.set_refresh_token_rotation(false);
    let logged_in = stage.log_in(&alice()).await;
    renew(&stage, &logged_in.id, 2).await;
    assert_eq!(stage.issuer.refreshes("alice"), 2);
}

fn all_the_same(tokens: Vec<Result<Option<UserToken>>>) -> UserToken {
    let mut tokens = tokens.into_iter().map(|token| match token {
        Ok(Some(token)) => token,
        other => panic!("expected a token, got {other:?}"),
    });
    let first = tokens.next().expect("some asked");
    assert!(tokens.all(|token| token.token == first.token), "not everybody got the same token");
    first
}

/// G7: a second refresh would use a refresh token that was used.
pub async fn g7_all_who_ask_at_once_share_one_renewal(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let other = stage.log_in(&bob()).await;
    for period in 1..=2 {
        stage.wait(TOKEN_LIFE).await;
        let asking = (0..30).map(|_| stage.plugin.access_token(&logged_in.id));
        all_the_same(join_all(asking).await);
        assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (period, 0));
    }
    stage.token(&other.id).await;
}

/// G7: whoever looks at the session asks for the same renewal.
pub async fn g7_looking_at_a_session_renews_it_no_second_time(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    let looks = join_all((0..10).map(|_| stage.plugin.session(&logged_in.id)));
    let tokens = join_all((0..10).map(|_| stage.plugin.access_token(&logged_in.id)));
    let (sessions, tokens) = tokio::join!(looks, tokens);
    for session in sessions {
        assert!(matches!(session, Ok(Some(_))), "{session:?}");
    }
    all_the_same(tokens);
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (1, 0));
}

/// G7: also for those who share a store.
pub async fn g7_instances_that_share_a_store_share_one_renewal(stage: LoginStage) {
    if !stage.features.shared_sessions {
        return;
    }
    let another = stage.another().await;
    let logged_in = stage.log_in(&alice()).await;
    stage.wait(TOKEN_LIFE).await;
    let asking = (0..20).map(|n| {
        let plugin = if n % 2 == 0 { &stage.plugin } else { &another };
        plugin.access_token(&logged_in.id)
    });
    all_the_same(join_all(asking).await);
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (1, 0));
}

/// G7: a request that is cancelled takes nothing with it.
pub async fn g7_a_caller_that_goes_away_loses_nothing(stage: LoginStage) {
    let logged_in = stage.log_in(&alice()).await;
    let asked = stage.issuer.hits("/token");
    stage.wait(TOKEN_LIFE).await;
    stage.issuer.fail("/token", Fault::Slow(SLOW));
    {
        let token = stage.plugin.access_token(&logged_in.id);
        let arrived = async {
            while stage.issuer.hits("/token") == asked {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            token = token => panic!("an answer before it was given: {token:?}"),
            () = arrived => {}
        }
    }
    stage.issuer.heal("/token");
    stage.skip(SLOW).await;
    stage.token(&logged_in.id).await;
    stage.wait(TOKEN_LIFE).await;
    stage.token(&logged_in.id).await;
    assert_eq!((stage.issuer.refreshes("alice"), stage.issuer.reuses("alice")), (2, 0));
}

use std::time::{Duration, UNIX_EPOCH};

use pipe_core::TokenFault::{
    Expired, IssuedInFuture, LifetimeTooLong, Malformed, MissingClaim, NotYetValid,
};

use crate::Stage;

const LEEWAY: u64 = 30;
const DAY: u64 = 24 * 3600;

/// What is no moment in time.
const NO_TIMES: [&str; 6] = ["null", "\"99999999999\"", "true", "[1]", "{}", "\"\""];

/// D1
pub async fn d1_a_token_without_end_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("exp").sign(), MissingClaim).await;
}

/// D1
pub async fn d1_an_end_that_is_no_number_is_refused(stage: Stage) {
    stage.good().await;
    for json in NO_TIMES {
        let token = stage.token().without("exp").json_claim("exp", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}

/// D1
pub async fn d1_an_end_out_of_all_bounds_is_refused(stage: Stage) {
    stage.good().await;
    let faults = [Malformed, Expired, LifetimeTooLong];
    for json in
        ["-1", "0", "1e300", "18446744073709551615", "9223372036854775808", "1e18", "99999999999"]
    {
        let token = stage.token().without("exp").json_claim("exp", json);
        stage.refused_for(&token.sign(), &faults).await;
    }
}

/// D1 (RFC 7519 2): a fraction is allowed, and is no reason to live longer.
pub async fn d1_a_fraction_of_a_second_is_cut_off(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    let ending = |end: String| stage.token().without("exp").json_claim("exp", &end).sign();
    let context = stage.accepted(&ending(format!("{}.75", now + 60))).await;
    assert_eq!(context.expires_at, UNIX_EPOCH + Duration::from_secs(now + 60));
    stage.refused(&ending(format!("{}.75", now - LEEWAY)), Expired).await;
}

/// D2: `now >= exp + leeway`.
pub async fn d2_equality_with_exp_and_leeway_is_expired(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.good().await;
    for ago in [LEEWAY, LEEWAY + 1, 3000] {
        let token = stage.token().claim("iat", now - 3600).claim("exp", now - ago);
        stage.refused(&token.sign(), Expired).await;
    }
}

/// D2: the clocks of two machines differ.
pub async fn d2_a_token_within_the_leeway_is_accepted(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    let token = stage.token().claim("iat", now - 60).claim("exp", now + 1 - LEEWAY);
    stage.accepted(&token.sign()).await;
}

/// D2: what was remembered about a token ends with it.
pub async fn d2_a_token_that_was_accepted_expires(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    let token = stage.token().claim("exp", now + 10).sign();
    stage.accepted(&token).await;
    stage.wait(Duration::from_secs(10 + LEEWAY - 1)).await;
    stage.accepted(&token).await;
    // A cache without the clock may hold it a little longer.
    let last = if stage.features.clock_jumps { 1 } else { 120 };
    stage.wait(Duration::from_secs(last)).await;
    stage.refused(&token, Expired).await;
}

/// D3
pub async fn d3_a_token_before_its_time_is_refused(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.good().await;
    for later in [LEEWAY + 1, 1800] {
        stage.refused(&stage.token().claim("nbf", now + later).sign(), NotYetValid).await;
    }
}

/// D3: equality is in time.
pub async fn d3_a_token_at_its_time_is_accepted(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.accepted(&stage.token().claim("nbf", now + LEEWAY).sign()).await;
}

/// D3
pub async fn d3_a_beginning_that_is_no_number_is_refused(stage: Stage) {
    stage.good().await;
    for json in NO_TIMES {
        stage.refused(&stage.token().json_claim("nbf", json).sign(), Malformed).await;
    }
}

/// D4
pub async fn d4_a_token_from_the_future_is_refused(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.good().await;
    for later in [LEEWAY + 1, 1800] {
        stage.refused(&stage.token().claim("iat", now + later).sign(), IssuedInFuture).await;
    }
}

/// D4
pub async fn d4_a_clock_that_is_ahead_is_forgiven(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.accepted(&stage.token().claim("iat", now + LEEWAY).sign()).await;
}

/// D4 (RFC 9068 2.2)
pub async fn d4_a_token_without_issue_time_is_refused(stage: Stage) {
    stage.good().await;
    stage.refused(&stage.token().without("iat").sign(), MissingClaim).await;
}

/// D4
pub async fn d4_an_issue_time_that_is_no_number_is_refused(stage: Stage) {
    stage.good().await;
    for json in NO_TIMES {
        let token = stage.token().without("iat").json_claim("iat", json);
        stage.refused(&token.sign(), Malformed).await;
    }
}

/// D4
pub async fn d4_a_token_that_ends_before_it_began_is_refused(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.good().await;
    for (iat, exp) in [(now, now), (now + 5, now + 4), (now, now - 5)] {
        let token = stage.token().claim("iat", iat).claim("exp", exp).sign();
        stage.refused_for(&token, &[Malformed, Expired]).await;
    }
}

/// D4: a stolen token of a hundred years is good for a hundred years.
pub async fn d4_a_lifetime_past_a_day_is_refused(stage: Stage) {
    let now = stage.issuer.clock().seconds();
    stage.accepted(&stage.token().claim("exp", now + DAY).sign()).await;
    for lifetime in [DAY + 1, 100 * 365 * DAY] {
        let token = stage.token().claim("exp", now + lifetime);
        stage.refused(&token.sign(), LifetimeTooLong).await;
    }
    let young = stage.token().claim("iat", now - DAY).claim("exp", now + 60);
    stage.refused(&young.sign(), LifetimeTooLong).await;
}

/// F9: the time of day judges tokens, and nothing else.
pub async fn f9_a_clock_that_jumps_back_is_no_harm(stage: Stage) {
    let token = stage.token().sign();
    stage.accepted(&token).await;
    let fetches = stage.issuer.hits("/jwks");
    if !stage.features.clock_jumps {
        return;
    }
    stage.issuer.clock().forward(Duration::from_secs(7200));
    stage.refused(&token, Expired).await;
    stage.good().await;
    stage.issuer.clock().back(Duration::from_secs(7200));
    stage.accepted(&token).await;
    assert_eq!(stage.issuer.hits("/jwks"), fetches, "keys age by the time of day");
}

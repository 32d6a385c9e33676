//! Keys rotate under load, and providers die: what may be refused, and what a provider is asked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use pipe_core::identity::{BearerToken, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin as _, Plugin as _, Result, SecurityContext, TokenFault};
use pipe_identity_oidc::{IssuerConfig, KeyTimes, Oidc, OidcConfig};
use pipe_testkit::issuer::{
    AUDIENCE, DISCOVERY, Fault, OldKeys, SigningAlgorithm, SigningKey, TestIssuer,
};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MIN_REFRESH: Duration = Duration::from_secs(30);

fn config(issuer: &TestIssuer) -> OidcConfig {
    OidcConfig::new()
        .with_issuer(IssuerConfig::new(issuer.url()))
        .with_clock(issuer.clock().shared())
}

/// Remembers tokens, or verifies each.
fn plugins(issuer: &TestIssuer) -> [Oidc; 2] {
    let forgetful = config(issuer).with_cache_ttl(Duration::ZERO);
    [config(issuer), forgetful].map(|config| Oidc::new(config).unwrap())
}

fn forgetful(issuer: &TestIssuer) -> Oidc {
    let [_, forgetful] = plugins(issuer);
    forgetful
}

async fn validate(plugin: &Oidc, token: impl Into<String>) -> Result<SecurityContext> {
    let expect = TokenExpectation::audience(AUDIENCE);
    plugin.validate_token(&BearerToken::new(token.into()), &expect).await
}

/// A token of a key that the issuer does not have.
fn unknown(issuer: &TestIssuer, key: &SigningKey, number: usize) -> String {
    issuer.token().key(&key.clone().with_kid(format!("made-up-{number}"))).sign()
}

fn is_unknown(result: &Result<SecurityContext>) -> bool {
    let kind = result.as_ref().map_err(|error| error.kind());
    matches!(kind, Err(ErrorKind::TokenRejected(TokenFault::UnknownKey)))
}

/// E1: tokens of the old keys and of the new ones, remembered and not, while keys change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_validations_during_twenty_rotations_refuse_nobody() {
    const ROTATIONS: usize = 20;
    const VALIDATIONS: usize = 100_000;
    /// One of so many is verified, and not looked up.
    const UNREMEMBERED: usize = 8;
    const PAUSE: Duration = Duration::from_millis(1);
    let issuer = TestIssuer::start().await;
    let soon = KeyTimes::new().with_min_refresh(PAUSE);
    let trusted = IssuerConfig::new(issuer.url()).with_key_times(soon);
    let config = OidcConfig::new().with_issuer(trusted).with_clock(issuer.clock().shared());
    let plugins = [config.clone(), config.with_cache_ttl(Duration::ZERO)];
    let plugins = plugins.map(|config| Oidc::new(config).unwrap());

    let mint = || {
        let of = |algorithm| issuer.token().key(&issuer.key(algorithm)).sign();
        let algorithms =
            [SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];
        algorithms.map(of).map(BearerToken::new)
    };
    let tokens = Arc::new(RwLock::new(mint().to_vec()));
    let expect = TokenExpectation::audience(AUDIENCE);
    let (done, validated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (plugins, tokens) = (plugins.clone(), Arc::clone(&tokens));
        let (done, validated) = (Arc::clone(&done), Arc::clone(&validated));
        load.spawn(async move {
            let expect = TokenExpectation::audience(AUDIENCE);
            while !done.load(Ordering::Relaxed) {
                let number = validated.fetch_add(1, Ordering::Relaxed);
                let plugin = &plugins[usize::from(number % UNREMEMBERED == 0)];
                // Held while it is checked, so that no key is dropped whose token is under way.
                let tokens = tokens.read().await;
                let token = fastrand::choice(&*tokens).unwrap();
                let accepted = plugin.validate_token(token, &expect).await;
                assert!(accepted.is_ok(), "number {number}: {accepted:?}");
            }
        });
    }
    for rotation in 1..=ROTATIONS {
        while validated.load(Ordering::Relaxed) < rotation * VALIDATIONS / (ROTATIONS + 1) {
            if let Some(ended) = load.try_join_next() {
                ended.unwrap();
            }
            sleep(Duration::from_millis(2)).await;
        }
        if rotation % 5 == 0 {
            // The old keys are published until the last of their tokens has ended.
            let mut tokens = tokens.write().await;
            *tokens = mint().to_vec();
            issuer.drop_old();
        }
        // Several rotations can be due at once on a busy machine. A key that is published while its
        // keys are being fetched is not in the answer, and may be asked for after the pause.
        sleep(2 * PAUSE).await;
        issuer.rotate(OldKeys::Kept);
        let minted = mint();
        for plugin in &plugins {
            let accepted = plugin.validate_token(&minted[0], &expect).await;
            assert!(accepted.is_ok(), "rotation {rotation}: {accepted:?}");
        }
        tokens.write().await.extend(minted);
    }
    while validated.load(Ordering::Relaxed) < VALIDATIONS {
        if let Some(ended) = load.try_join_next() {
            ended.unwrap();
        }
        sleep(Duration::from_millis(2)).await;
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    // Each of both asked once for each set of keys.
    assert!(issuer.hits("/jwks") <= 2 * (ROTATIONS + 1), "{}", issuer.hits("/jwks"));
}

/// E2: without overlap a token may be of a key that is gone, and that is all that is wrong with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_replaced_during_a_thousand_validations_refuse_tokens_of_old_keys_alone() {
    let issuer = Arc::new(TestIssuer::start().await);
    let soon = KeyTimes::new().with_min_refresh(Duration::from_millis(1));
    let trusted = IssuerConfig::new(issuer.url()).with_key_times(soon);
    let config = OidcConfig::new().with_issuer(trusted).with_clock(issuer.clock().shared());
    let plugin = Oidc::new(config).unwrap();
    let tasks = (0..1000).map(|number| {
        let (issuer, plugin) = (Arc::clone(&issuer), plugin.clone());
        tokio::spawn(async move {
            if number % 100 == 50 {
                issuer.rotate(OldKeys::Dropped);
            }
            validate(&plugin, issuer.token().sign()).await
        })
    });
    for outcome in join_all(tasks).await {
        let outcome = outcome.unwrap();
        assert!(outcome.is_ok() || is_unknown(&outcome), "{outcome:?}");
    }
    sleep(Duration::from_millis(5)).await;
    validate(&plugin, issuer.token().sign()).await.unwrap();
}

/// F1: ten minutes fresh, an hour stale, and nobody to ask.
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_dead_for_the_whole_stale_bound_refuses_nobody_and_then_everybody() {
    const FRESH_AND_STALE: Duration = Duration::from_secs(600 + 3600);
    let mut issuer = TestIssuer::start().await;
    let plugins = plugins(&issuer);
    for plugin in &plugins {
        validate(plugin, issuer.token().sign()).await.unwrap();
    }
    let began = Instant::now();
    issuer.stop().await;
    let minute = 60 * SECOND;
    while began.elapsed() + minute < FRESH_AND_STALE {
        advance(minute).await;
        issuer.clock().forward(minute);
        let token = issuer.token().sign();
        for plugin in &plugins {
            // Twice, so that what is remembered is asked for too.
            for _ in 0..2 {
                let accepted = validate(plugin, &token).await;
                assert!(accepted.is_ok(), "after {:?}: {accepted:?}", began.elapsed());
            }
            assert!(plugin.health().await.is_serving());
        }
    }
    let last = issuer.token().sign();
    for plugin in &plugins {
        validate(plugin, &last).await.unwrap();
    }
    advance(minute).await;
    for plugin in &plugins {
        for token in [last.clone(), issuer.token().sign()] {
            let error = validate(plugin, token).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "fail closed, and say why: {error:#}");
        }
        assert!(!plugin.health().await.is_serving());
    }
    issuer.restart().await;
    advance(minute).await;
    for plugin in &plugins {
        validate(plugin, &last).await.unwrap();
        assert!(plugin.health().await.is_serving());
    }
}

/// F6
#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_ask_a_dead_provider_once_per_cooldown() {
    let issuer = TestIssuer::start().await;
    let plugin = forgetful(&issuer);
    let stranger = SigningKey::generate(SigningAlgorithm::Es256, "x");
    let known = issuer.token().sign();
    validate(&plugin, &known).await.unwrap();
    issuer.fail("*", Fault::Html500);
    advance(MIN_REFRESH + SECOND).await;

    let before = issuer.requests().len();
    let tokens: Vec<_> = (0..1000).map(|number| unknown(&issuer, &stranger, number)).collect();
    for answer in join_all(tokens.iter().map(|token| validate(&plugin, token))).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(issuer.requests().len(), before + 1);

    // A second, two, four, up to a minute, each shortened by a fifth at most.
    let mut pause = SECOND;
    let mut next = 1000;
    for _ in 0..8 {
        let before = issuer.requests().len();
        advance(pause * 4 / 5 - Duration::from_millis(1)).await;
        for _ in 0..100 {
            assert!(validate(&plugin, unknown(&issuer, &stranger, next)).await.is_err());
            next += 1;
        }
        assert_eq!(issuer.requests().len(), before, "within the pause of {pause:?}");
        advance(pause / 5 + Duration::from_millis(1)).await;
        for _ in 0..100 {
            assert!(validate(&plugin, unknown(&issuer, &stranger, next)).await.is_err());
            next += 1;
        }
        assert_eq!(issuer.requests().len(), before + 1, "after the pause of {pause:?}");
        pause = (pause * 2).min(60 * SECOND);
    }
    validate(&plugin, &known).await.unwrap();
}

/// F6: nor does a provider that answers suffer from those who make keys up.
#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_ask_a_living_provider_once_per_cooldown() {
    let issuer = TestIssuer::start().await;
    let plugin = forgetful(&issuer);
    let stranger = SigningKey::generate(SigningAlgorithm::EdDsa, "x");
    validate(&plugin, issuer.token().sign()).await.unwrap();
    for round in 1..4 {
        advance(MIN_REFRESH).await;
        let numbers = round * 1000..(round + 1) * 1000;
        let tokens: Vec<_> = numbers.map(|number| unknown(&issuer, &stranger, number)).collect();
        let answers = join_all(tokens.iter().map(|token| validate(&plugin, token))).await;
        assert!(answers.iter().all(is_unknown));
        assert_eq!(issuer.hits("/jwks"), 1 + round);
    }
    assert_eq!(issuer.hits(DISCOVERY), 1);
}

/// F1, F6, F7: nobody knows a key yet, and everybody asks.
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_dead_at_the_start_is_asked_once_per_cooldown() {
    let issuer = TestIssuer::start().await;
    issuer.fail("*", Fault::Reset);
    let plugin = forgetful(&issuer);
    let token = issuer.token().sign();
    for answer in join_all((0..1000).map(|_| validate(&plugin, &token))).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(issuer.requests().len(), 1);
    issuer.heal("*");
    advance(SECOND).await;
    validate(&plugin, &token).await.unwrap();
}

/// F2: not a single turn of waiting, whether keys are fresh, due or stale.
#[tokio::test(start_paused = true)]
async fn a_hung_key_set_delays_no_token_of_a_known_key() {
    let issuer = TestIssuer::start().await;
    let plugin = forgetful(&issuer);
    let stranger = SigningKey::generate(SigningAlgorithm::Es256, "x");
    let known = issuer.token().sign();
    validate(&plugin, &known).await.unwrap();
    issuer.fail("/jwks", Fault::Hang);
    let is_at_once = || {
        let answer = validate(&plugin, &known).now_or_never();
        answer.expect("it waited").unwrap();
    };
    for (number, pause) in [MIN_REFRESH, 570 * SECOND, 600 * SECOND].into_iter().enumerate() {
        sleep(pause).await;
        let began = Instant::now();
        let mut waiting = Box::pin(validate(&plugin, unknown(&issuer, &stranger, number)));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits for keys");
        (0..1000).for_each(|_| is_at_once());
        let error = waiting.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.context("cause_kind"), Some("timeout"), "{error:#}");
        assert!(began.elapsed() <= 6 * SECOND, "who waits is given up");
        is_at_once();
    }
    // One attempt for each wait: a hung one is not joined by others.
    assert_eq!(issuer.hits("/jwks"), 1 + 3);
}

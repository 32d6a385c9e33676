//! The claims of the cache, on a paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use super::Cached;
use crate::identity::{
    AuthMethod, BearerToken, Credential, DpopProof, ServiceAuthRequest, TokenExpectation,
};
use crate::secrets::SecretVersion;
use crate::wrap::CachePolicy;
use crate::wrap::scripted::{Scripted, at, failure, text, value};
use crate::{ErrorKind, IdentityPlugin, Plugin, SecretData, SecretsPlugin, SecurityContext};

const MINUTE: Duration = Duration::from_secs(60);

fn policy() -> CachePolicy {
    CachePolicy::new().with_ttl(MINUTE).with_refresh_ahead(100).with_stale_if_error(Duration::ZERO)
}

/// Every call has an answer of its own.
fn counting() -> Scripted {
    Scripted::new(|number| async move { value(number) })
}

async fn read<P: SecretsPlugin>(cache: &Cached<P>, name: &str) -> String {
    cache.get_secret(&at(name)).await.unwrap().as_ref().map(text).unwrap_or_default()
}

/// Lets what was spawned run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_concurrent_misses_are_one_call() {
    let plugin = Scripted::new(|number| async move {
        sleep(Duration::from_millis(10)).await;
        value(number)
    });
    let cache = Cached::new(plugin.clone(), policy());
    let reads = (0..1000).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { read(&cache, "a").await })
    });
    for read in join_all(reads).await {
        assert_eq!(read.unwrap(), "1");
    }
    assert_eq!(plugin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_cancel_the_others_call() {
    let plugin = Scripted::new(|number| async move {
        sleep(Duration::from_secs(1)).await;
        value(number)
    });
    let cache = Cached::new(plugin.clone(), policy());
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { read(&cache, "a").await }
    });
    settle().await;
    let second = tokio::spawn({
        let cache = cache.clone();
        async move { read(&cache, "a").await }
    });
    settle().await;
    first.abort();
    assert_eq!((second.await.unwrap().as_str(), plugin.calls()), ("1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_dropped_and_the_next_begins_anew() {
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let plugin = Scripted::new(move |number| {
        let ended = Arc::clone(&counter);
        async move {
            sleep(Duration::from_secs(1)).await;
            ended.fetch_add(1, Ordering::Relaxed);
            value(number)
        }
    });
    let cache = Cached::new(plugin.clone(), policy());
    assert!(tokio::time::timeout(Duration::from_millis(1), read(&cache, "a")).await.is_err());
    sleep(MINUTE).await;
    assert_eq!(ended.load(Ordering::Relaxed), 0);
    assert_eq!((read(&cache, "a").await.as_str(), plugin.calls()), ("2", 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_served_for_its_time_and_not_longer() {
    let cache = Cached::new(counting(), policy());
    assert_eq!(read(&cache, "a").await, "1");
    advance(MINUTE * 9 / 10 - Duration::from_millis(1)).await;
    assert_eq!(read(&cache, "a").await, "1");
    advance(MINUTE / 10 + Duration::from_millis(1)).await;
    assert_eq!(read(&cache, "a").await, "2");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_together_is_not_renewed_together() {
    let plugin = counting();
    let cache = Cached::new(plugin.clone(), policy());
    for number in 0..100 {
        read(&cache, &format!("s{number}")).await;
    }
    advance(MINUTE * 95 / 100).await;
    for number in 0..100 {
        read(&cache, &format!("s{number}")).await;
    }
    assert!((20..80).contains(&(plugin.calls() - 100)), "{}", plugin.calls());
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_briefly_and_errors_never() {
    let plugin = Scripted::new(|number| async move {
        if number == 1 { Ok(None) } else { failure(ErrorKind::Unexpected) }
    });
    let cache = Cached::new(plugin.clone(), policy());
    assert!(cache.get_secret(&at("a")).await.unwrap().is_none());
    advance(Duration::from_secs(4)).await;
    assert!(cache.get_secret(&at("a")).await.unwrap().is_none());
    advance(Duration::from_secs(1)).await;
    for calls in 2..5 {
        assert!(cache.get_secret(&at("a")).await.is_err());
        assert_eq!(plugin.calls(), calls);
    }
    let none = policy().with_absent_ttl(Duration::ZERO);
    let plugin = Scripted::new(|_| async { Ok(None) });
    let cache = Cached::new(plugin.clone(), none);
    for calls in 1..4 {
        assert!(cache.get_secret(&at("a")).await.unwrap().is_none());
        assert_eq!(plugin.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_renewed_in_the_background_before_its_time_is_over() {
    let plugin = Scripted::new(|number| async move {
        sleep(Duration::from_secs(1)).await;
        value(number)
    });
    let cache = Cached::new(plugin.clone(), policy().with_refresh_ahead(50));
    assert_eq!(read(&cache, "a").await, "1");
    advance(MINUTE / 2).await;
    for _ in 0..10 {
        assert_eq!(read(&cache, "a").now_or_never().as_deref(), Some("1"), "a hit waits");
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!((read(&cache, "a").await.as_str(), plugin.calls()), ("2", 2));
}

/// A service survives an outage without a failed read, and not for ever.
#[tokio::test(start_paused = true)]
async fn an_answer_outlives_an_outage_up_to_its_bound() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited] {
        let plugin = Scripted::new(move |number| async move {
            if number == 1 { value("kept") } else { failure(kind) }
        });
        let cache = Cached::new(plugin.clone(), policy().with_stale_if_error(MINUTE));
        assert_eq!(read(&cache, "a").await, "kept");
        advance(MINUTE).await;
        for _ in 0..1000 {
            assert_eq!(read(&cache, "a").await, "kept");
            settle().await;
        }
        assert_eq!(plugin.calls(), 2, "a backend that is down is asked again and again");
        advance(Duration::from_secs(2)).await;
        assert_eq!(read(&cache, "a").await, "kept");
        settle().await;
        assert_eq!(plugin.calls(), 3);
        advance(MINUTE).await;
        assert_eq!(cache.get_secret(&at("a")).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_with_the_next_answer() {
    let plugin = Scripted::new(|number| async move {
        if number == 2 { failure(ErrorKind::Unavailable) } else { value(number) }
    });
    let cache = Cached::new(plugin, policy().with_stale_if_error(MINUTE));
    assert_eq!(read(&cache, "a").await, "1");
    advance(MINUTE).await;
    assert_eq!(read(&cache, "a").await, "1");
    advance(Duration::from_secs(2)).await;
    assert_eq!(read(&cache, "a").await, "1");
    settle().await;
    assert_eq!(read(&cache, "a").await, "3");
}

/// A failed call must not make usable again what has ended.
#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_is_not_served_after_a_failed_call_either() {
    let failing = |kind| {
        let mut plugin = Scripted::new(move |number| async move {
            if number == 1 { value("bot") } else { failure(kind) }
        });
        plugin.lifetime = Duration::from_secs(10);
        Cached::new(plugin, policy().with_ttl(Duration::from_secs(10)))
    };
    let (token, expect) = (BearerToken::new("x"), TokenExpectation::audience("api"));
    let request = ServiceAuthRequest::new("bot", AuthMethod::OAuth2);
    let (tokens, secrets) = (failing(ErrorKind::Unavailable), failing(ErrorKind::Unavailable));
    let credentials = failing(ErrorKind::PermissionDenied);
    tokens.validate_token(&token, &expect).await.unwrap();
    secrets.get_secret(&at("a")).await.unwrap();
    credentials.authenticate_service(&request).await.unwrap();
    advance(Duration::from_secs(40)).await;
    for _ in 0..3 {
        assert!(tokens.validate_token(&token, &expect).await.is_err());
        assert!(secrets.get_secret(&at("a")).await.is_err());
        assert!(credentials.authenticate_service(&request).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_a_read_that_was_overtaken_counts() {
    let plugin = Scripted::new(|number| async move {
        match number {
            1 => value("x"),
            2 => {
                sleep(Duration::from_secs(1)).await;
                failure(ErrorKind::PermissionDenied)
            }
            _ => {
                sleep(Duration::from_secs(2)).await;
                failure(ErrorKind::Unavailable)
            }
        }
    });
    let cache = Cached::new(plugin, policy().with_stale_if_error(MINUTE * 60));
    assert_eq!(read(&cache, "a").await, "x");
    advance(MINUTE * 2).await;
    let overtaken = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_secret(&at("a")).await }
    });
    settle().await;
    assert!(cache.refresh(&at("a")).await.is_err());
    assert_eq!(overtaken.await.unwrap().unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(cache.get_secret(&at("a")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_a_watch_or_of_a_version_ends_an_answer_too() {
    let plugin = || {
        Scripted::new(|number| async move {
            if number == 1 { value("x") } else { failure(ErrorKind::PermissionDenied) }
        })
    };
    let cache = Cached::new(plugin(), policy());
    assert_eq!(read(&cache, "a").await, "x");
    assert!(cache.watch_secret(&at("a")).await.is_err());
    assert!(cache.get_secret(&at("a")).await.is_err());
    let cache = Cached::new(plugin(), policy());
    assert_eq!(read(&cache, "a").await, "x");
    assert!(cache.get_secret(&at("a").with_version(SecretVersion::new(1))).await.is_err());
    assert!(cache.get_secret(&at("a")).await.is_err());
}

/// Nothing falls back to "allow".
#[tokio::test(start_paused = true)]
async fn a_denial_ends_an_answer_at_once_even_in_the_background() {
    let plugin = Scripted::new(|number| async move {
        if number == 1 { value("kept") } else { failure(ErrorKind::PermissionDenied) }
    });
    let long = policy().with_stale_if_error(MINUTE * 60).with_refresh_ahead(50);
    let cache = Cached::new(plugin, long);
    assert_eq!(read(&cache, "a").await, "kept");
    advance(MINUTE / 2).await;
    assert_eq!(read(&cache, "a").await, "kept");
    settle().await;
    let error = cache.get_secret(&at("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_read_after_a_write_asks_the_backend() {
    let cache = Cached::new(counting(), policy());
    assert_eq!(read(&cache, "a").await, "1");
    cache.create_secret(&at("a"), SecretData::new()).await.unwrap();
    assert_eq!(read(&cache, "a").await, "3");
    cache.delete_secret(&at("a")).await.unwrap();
    assert_eq!(read(&cache, "a").await, "5");
}

/// What a read under way has seen may be from before the write.
#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_a_write_is_not_remembered_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let plugin = Scripted::new(move |number| {
        let gate = Arc::clone(&gate);
        async move {
            if number == 1 {
                gate.acquire().await.unwrap().forget();
            }
            value(number)
        }
    });
    let cache = Cached::new(plugin, policy());
    let slow = tokio::spawn({
        let cache = cache.clone();
        async move { read(&cache, "a").await }
    });
    settle().await;
    cache.create_secret(&at("a"), SecretData::new()).await.unwrap();
    opened.add_permits(1);
    assert_eq!(slow.await.unwrap(), "1");
    assert_eq!(read(&cache, "a").await, "3", "an answer from before the write is served");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_or_is_cancelled_forgets_too() {
    let plugin = Scripted::new(|number| async move {
        match number {
            2 => failure(ErrorKind::Timeout),
            4 => std::future::pending().await,
            _ => value(number),
        }
    });
    let cache = Cached::new(plugin, policy());
    assert_eq!(read(&cache, "a").await, "1");
    assert!(cache.create_secret(&at("a"), SecretData::new()).await.is_err());
    assert_eq!(read(&cache, "a").await, "3");
    let secret = at("a");
    let write = cache.create_secret(&secret, SecretData::new());
    assert!(tokio::time::timeout(Duration::from_millis(1), write).await.is_err());
    assert_eq!(read(&cache, "a").await, "5");
}

/// REQ 004-77.5
#[tokio::test(start_paused = true)]
async fn an_event_of_a_watch_forgets_the_answer() {
    let cache = Cached::new(counting(), policy());
    assert_eq!(read(&cache, "a").await, "1");
    let mut stream = cache.watch_secret(&at("a")).await.unwrap();
    assert_eq!(read(&cache, "a").await, "1");
    stream.next().await.unwrap().unwrap();
    assert_eq!(read(&cache, "a").await, "3");
}

/// REQ 004-77.5
#[tokio::test(start_paused = true)]
async fn a_refresh_asks_now_and_an_outage_leaves_what_was_remembered() {
    let plugin = Scripted::new(|number| async move {
        if number == 3 { failure(ErrorKind::Unavailable) } else { value(number) }
    });
    let cache = Cached::new(plugin, policy());
    assert_eq!(read(&cache, "a").await, "1");
    assert_eq!(cache.refresh(&at("a")).await.unwrap().as_ref().map(text).as_deref(), Some("2"));
    assert_eq!(read(&cache, "a").await, "2");
    assert!(cache.refresh(&at("a")).await.is_err());
    assert_eq!(read(&cache, "a").await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_version_is_read_from_the_backend_and_a_write_to_it_forgets_the_current_one() {
    let cache = Cached::new(counting(), policy());
    let old = at("a").with_version(SecretVersion::new(1));
    for expected in ["1", "2"] {
        let found = cache.get_secret(&old).await.unwrap();
        assert_eq!(found.as_ref().map(text).as_deref(), Some(expected));
    }
    assert_eq!(read(&cache, "a").await, "3");
    cache.delete_secret(&old).await.unwrap();
    assert_eq!(read(&cache, "a").await, "5");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_the_policy_allows() {
    let plugin = Scripted::new(|_| async { value("x".repeat(1024)) });
    let few = Cached::new(plugin.clone(), policy().with_max_entries(100));
    let small = Cached::new(plugin, policy().with_max_bytes(256 << 10));
    for number in 0..2000 {
        read(&few, &format!("s{number}")).await;
        read(&small, &format!("s{number}")).await;
    }
    let kept = few.0.secrets.len();
    assert!((50..=100).contains(&kept), "{kept}");
    let kept = small.0.secrets.len();
    assert!((80..=256).contains(&kept), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_any_more_does_not_stay_in_memory() {
    let cache = Cached::new(counting(), policy());
    for number in 0..100 {
        read(&cache, &format!("s{number}")).await;
    }
    advance(MINUTE * 2).await;
    read(&cache, "other").await;
    assert_eq!(cache.0.secrets.len(), 1);
    cache.close().await.unwrap();
    assert_eq!(cache.0.secrets.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_call_works_for_the_one_who_began_it() {
    let plugin = Scripted::new(|_| async {
        sleep(Duration::from_secs(1)).await;
        let caller = SecurityContext::current();
        value(caller.map_or_else(|| "nobody".to_owned(), |caller| caller.issuer.clone()))
    });
    let cache = Cached::new(plugin, policy());
    let as_caller = |issuer: &str| {
        let now = std::time::SystemTime::now();
        let id = crate::identity::PrincipalId::new("bot").unwrap();
        let principal = crate::identity::Principal::service(id);
        let context = SecurityContext::new(principal, issuer, now, now + MINUTE);
        let cache = cache.clone();
        tokio::spawn(SecurityContext::scope(context, async move { read(&cache, "a").await }))
    };
    let first = as_caller("first");
    settle().await;
    let second = as_caller("second");
    settle().await;
    // The second is the only one left to drive the call.
    first.abort();
    assert_eq!(second.await.unwrap(), "first");
}

async fn check(cache: &Cached<Scripted>, token: &str, expect: &TokenExpectation) -> String {
    let context = cache.validate_token(&BearerToken::new(token), expect).await.unwrap();
    context.principal.id.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_checked_token_is_remembered_for_what_was_expected_of_it_only() {
    let cache = Cached::new(counting(), policy());
    let expect = TokenExpectation::audience("a");
    assert_eq!(check(&cache, "t", &expect).await, "1");
    assert_eq!(check(&cache, "t", &expect).await, "1");
    let others = [
        TokenExpectation::audience("b"),
        TokenExpectation::audience("a").or_audience("b"),
        TokenExpectation::audience("ab"),
        TokenExpectation::audience("a").with_peer_certificate(vec![1]),
        TokenExpectation::audience("a").with_peer_certificate(Vec::new()),
    ];
    for (expect, expected) in others.iter().zip(["2", "3", "4", "5", "6"]) {
        assert_eq!(check(&cache, "t", expect).await, expected);
    }
    assert_eq!(check(&cache, "other", &expect).await, "7");
    let bound = expect.with_dpop(DpopProof::new("proof", "GET", "https://api"));
    assert_eq!(check(&cache, "t", &bound).await, "8");
    assert_eq!(check(&cache, "t", &bound).await, "9");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_accepted_past_its_end_or_in_an_outage() {
    let mut plugin = Scripted::new(|number| async move {
        if number == 1 { value("bot") } else { failure(ErrorKind::Unavailable) }
    });
    plugin.lifetime = Duration::from_secs(20);
    let cache = Cached::new(plugin, policy().with_stale_if_error(MINUTE));
    let (token, expect) = (BearerToken::new("t"), TokenExpectation::audience("a"));
    assert!(cache.validate_token(&token, &expect).await.is_ok());
    advance(Duration::from_secs(19)).await;
    assert!(cache.validate_token(&token, &expect).await.is_ok());
    advance(Duration::from_secs(1)).await;
    assert!(cache.validate_token(&token, &expect).await.is_err());
}

/// REQ 004-72.3: credentials renew themselves, and an outage is not felt while the old ones live.
#[tokio::test(start_paused = true)]
async fn credentials_are_renewed_before_they_end_and_served_until_then() {
    let mut plugin = Scripted::new(|number| async move {
        if number == 2 { failure(ErrorKind::Unauthenticated) } else { value(number) }
    });
    plugin.lifetime = Duration::from_secs(100);
    let cache = Cached::new(plugin, CachePolicy::new());
    let request = ServiceAuthRequest::new("bot", AuthMethod::OAuth2);
    let token = async || match cache.authenticate_service(&request).await.unwrap().credential {
        Credential::Bearer(token) => token.expose_str().unwrap().to_owned(),
        other => panic!("expected a token, got {other:?}"),
    };
    assert_eq!(token().await, "1");
    advance(Duration::from_secs(71)).await;
    assert_eq!(token().await, "1");
    advance(Duration::from_secs(10)).await;
    assert_eq!(token().await, "1", "a failed renewal is not felt");
    settle().await;
    assert_eq!(token().await, "1");
    advance(Duration::from_secs(2)).await;
    assert_eq!(token().await, "1");
    settle().await;
    assert_eq!(token().await, "3");
    cache.invalidate_credentials(&request);
    assert_eq!(token().await, "4");
}

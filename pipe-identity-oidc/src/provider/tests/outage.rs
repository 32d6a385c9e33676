//! A provider that is away, slow or stuck.

use super::*;

/// F1: known keys verify until the bound, then nothing does.
#[tokio::test(start_paused = true)]
async fn known_keys_serve_through_an_outage_up_to_the_bound_and_no_longer() {
    let script = Script::new();
    let provider = warm(&script).await;
    let generation = provider.generation();
    script.is_down();
    let bound = 10 * MINUTE + HOUR;
    for _ in 1..bound.as_secs() {
        pass(SECOND).await;
        assert!(knows(&provider, "a").await);
    }
    assert_eq!(provider.generation(), generation);
    let status = provider.status();
    assert_eq!(status.state, KeyState::Stale);
    assert!(status.last_error.is_some() && status.health().is_serving());
    // One attempt per pause, which is a minute in the end.
    assert!((50..110).contains(&script.fetches()), "{}", script.fetches());
    pass(SECOND).await;
    assert!(provider.current().is_none() && provider.generation().is_none());
    for kid in [Some("a"), Some("b"), None] {
        assert_eq!(provider.ring_for(kid).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let status = provider.status();
    assert_eq!((status.state, status.age), (KeyState::Expired, Some(bound)));
    assert!(!provider.status().health().is_serving());
    script.serve(Answer::keys(&["a"]));
    pass(MINUTE).await;
    assert!(knows(&provider, "a").await);
    assert_eq!(provider.status().state, KeyState::Fresh);
}

/// F2: a hung endpoint delays no known key, whatever else waits for it.
#[tokio::test(start_paused = true)]
async fn a_hung_endpoint_delays_no_known_key() {
    let script = Script::new();
    let provider = warm(&script).await;
    script.serve(Answer::Hangs);
    pass(9 * MINUTE).await;
    let unknown = tokio::spawn({
        let provider = provider.clone();
        async move { provider.ring_for(Some("b")).await.map(drop) }
    });
    settle().await;
    for _ in 0..1000 {
        let known = provider.ring_for(Some("a"));
        // Ready at its first poll.
        assert!(futures_util::FutureExt::now_or_never(known).unwrap().is_ok());
    }
    let begun = Instant::now();
    assert_eq!(unknown.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(begun.elapsed(), 5 * SECOND);
    assert_eq!(script.fetches(), 2);
}

/// F2
#[tokio::test(start_paused = true)]
async fn waiting_for_a_hung_provider_ends_with_the_timeout() {
    let script = Script::new();
    script.discover(Answer::Hangs);
    let provider = discovering(&script);
    let begun = Instant::now();
    let error = provider.ring_for(Some("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("cause_kind"), Some("timeout"));
    assert!(begun.elapsed() <= 5 * SECOND);
}

/// F6
#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_against_a_dead_provider_are_one_fetch_per_cooldown() {
    let script = Script::new();
    let provider = warm(&script).await;
    script.is_down();
    pass(MINUTE).await;
    for round in 0..5 {
        for number in 0..1000 {
            // Not the token's fault: it may be good.
            let kid = format!("{round}-{number}");
            assert_eq!(kind_for(&provider, &kid).await, ErrorKind::Unavailable);
            assert!(knows(&provider, "a").await);
        }
        assert_eq!(script.fetches(), 2 + round);
        let wait = provider.status().next_attempt_in.unwrap();
        pass(wait).await;
    }
}

/// F6, cold: also when there never were keys.
#[tokio::test(start_paused = true)]
async fn a_flood_against_a_provider_that_never_was_there_is_one_fetch_per_cooldown() {
    let script = Script::new();
    script.is_down();
    let provider = discovering(&script);
    let all = (0..1000).map(|number| {
        let provider = provider.clone();
        async move { provider.ring_for(Some(&number.to_string())).await.map(drop) }
    });
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!((script.discoveries(), script.fetches()), (1, 0));
}

/// F3
#[tokio::test(start_paused = true)]
async fn the_servers_wish_to_wait_is_heard_up_to_a_minute() {
    for (wish, pause) in [("7", 7), ("3600", 60)] {
        let script = Script::new();
        script.serve(Answer::status(429).with("retry-after", wish));
        let provider = provider(&script);
        let error = provider.ring_for(None).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(pause)));
        pass(Duration::from_secs(pause) - SECOND).await;
        assert!(provider.ring_for(None).await.is_err());
        assert_eq!(script.fetches(), 1);
        pass(SECOND).await;
        assert!(provider.ring_for(None).await.is_err());
        assert_eq!(script.fetches(), 2);
    }
}

/// A discovery that hangs when it is renewed does not keep keys from being renewed.
#[tokio::test(start_paused = true)]
async fn keys_are_renewed_with_the_last_good_document() {
    let script = Script::new();
    let provider = discovering(&script);
    assert!(knows(&provider, "a").await);
    script.discover(Answer::Hangs);
    for _ in 0..20 {
        pass(9 * MINUTE).await;
        assert!(knows(&provider, "a").await);
        settle().await;
        assert_eq!(provider.status().state, KeyState::Fresh);
    }
    assert!(script.discoveries() > 1);
    // It is not hidden either.
    assert!(provider.status().last_error.is_some());
}

/// F2
#[tokio::test(start_paused = true)]
async fn a_slow_provider_is_waited_for() {
    let script = Script::new();
    let slow = Duration::from_millis(1500);
    script.discover(Answer::Slow(slow, Box::new(Answer::ok(metadata()))));
    script.serve(Answer::Slow(slow, Box::new(Answer::keys(&["a"]))));
    let provider = discovering(&script);
    assert!(knows(&provider, "a").await);
}

/// A panic of a library is a failure like others, and not an endless one.
#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_a_pause() {
    struct Panics(Mutex<u32>);
    #[async_trait]
    impl Fetch for Panics {
        async fn get(&self, _: &str, _: Option<&HeaderValue>) -> Result<HttpResponse> {
            *self.0.lock().unwrap() += 1;
            std::panic::resume_unwind(Box::new(()))
        }
    }
    let settings = settings(KeySource::JwksUri(JWKS.to_owned()));
    let addresses = settings.check().unwrap();
    let endpoints = Endpoints::new(settings.http.clone(), Vec::new(), addresses.peers);
    let fetch = Arc::new(Panics(Mutex::default()));
    let provider =
        Provider::with(&settings, addresses, endpoints, Arc::clone(&fetch) as Arc<dyn Fetch>);
    let provider = provider.unwrap();
    for _ in 0..10 {
        assert_eq!(kind_for(&provider, "a").await, ErrorKind::Unavailable);
    }
    assert_eq!(*fetch.0.lock().unwrap(), 1);
}

//! Keys that come and go.

use super::*;

/// E1
#[tokio::test(start_paused = true)]
async fn a_new_key_is_known_after_one_fetch() {
    let script = Script::new();
    let provider = warm(&script).await;
    let before = provider.current().unwrap();
    script.serve(Answer::keys(&["a", "b"]));
    pass(30 * SECOND).await;
    assert!(knows(&provider, "b").await);
    assert!(knows(&provider, "a").await);
    assert_eq!(script.fetches(), 2);
    assert_ne!(provider.generation(), Some(before.generation()));
    // Who still has the ring goes on with it.
    assert!(before.keys().contains("a") && !before.keys().contains("b"));
}

/// E3
#[tokio::test(start_paused = true)]
async fn a_removed_key_is_gone_when_the_keys_are_renewed() {
    let script = Script::new();
    let provider = warm(&script).await;
    let generation = provider.generation();
    script.serve(Answer::keys(&["b"]));
    pass(8 * MINUTE).await;
    // The first after the due time is served from what is there, and has the rest renewed.
    assert!(knows(&provider, "a").await);
    settle().await;
    assert!(!knows(&provider, "a").await);
    assert_ne!(provider.generation(), generation);
    assert_eq!(script.fetches(), 2);
}

/// E2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_validations_during_rotations_get_a_ring_each() {
    let script = Script::new();
    let mut settings = settings(KeySource::JwksUri(JWKS.to_owned()));
    settings.min_refresh = Duration::from_micros(1);
    let provider = scripted(&settings, &script);
    let tasks = (0..1000).map(|number| {
        let (provider, script) = (provider.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            let kid = if number % 2 == 0 { "a" } else { "b" };
            if number % 50 == 0 {
                script.serve(Answer::keys(&[kid]));
            }
            provider.ring_for(Some(kid)).await.map(|ring| ring.keys().len())
        })
    });
    for ring in futures_util::future::join_all(tasks).await {
        assert_eq!(ring.unwrap().unwrap(), 1);
    }
}

/// F6
#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_keys_are_one_fetch_per_cooldown() {
    let script = Script::new();
    let provider = warm(&script).await;
    for round in 0..3 {
        pass(30 * SECOND).await;
        for number in 0..1000 {
            assert!(!knows(&provider, &format!("{round}-{number}")).await);
        }
        assert_eq!(script.fetches(), 2 + round);
    }
    assert!(provider.status().counters.unknown_kid_suppressed >= 2997);
}

#[tokio::test(start_paused = true)]
async fn one_unknown_key_is_looked_for_more_rarely_and_within_a_minute() {
    let script = Script::new();
    script.serve(Answer::keys(&["a"]).with("cache-control", "max-age=86400"));
    let provider = warm(&script).await;
    let mut at = Vec::new();
    for second in 0..300 {
        let before = script.fetches();
        assert!(!knows(&provider, "made-up").await);
        if script.fetches() > before {
            at.push(second);
        }
        pass(SECOND).await;
    }
    assert_eq!(at, [30, 60, 120, 180, 240]);
    // Another one is not kept waiting by that.
    script.serve(Answer::keys(&["a", "b"]));
    pass(30 * SECOND).await;
    assert!(knows(&provider, "b").await);
    // And what was not there is there at once when keys changed.
    script.serve(Answer::keys(&["a", "b", "made-up"]));
    pass(30 * SECOND).await;
    assert!(knows(&provider, "made-up").await);
}

#[tokio::test(start_paused = true)]
async fn an_endless_key_id_costs_as_much_as_a_short_one() {
    let script = Script::new();
    let provider = warm(&script).await;
    pass(30 * SECOND).await;
    let kid = "../\0".repeat(1 << 20);
    assert!(!knows(&provider, &kid).await);
    assert!(!knows(&provider, &kid).await);
    assert_eq!(script.fetches(), 2);
    assert_eq!(script.last().url, JWKS);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_is_the_same_generation_and_young_again() {
    let script = Script::new();
    let tagged = Answer::keys(&["a"]).with("etag", "\"v1\"");
    script.serve(tagged);
    let provider = warm(&script).await;
    let generation = provider.generation();
    script.serve(Answer::status(304));
    pass(9 * MINUTE).await;
    assert!(knows(&provider, "a").await);
    settle().await;
    assert_eq!(script.last().etag.as_deref(), Some("\"v1\""));
    assert_eq!(provider.status().age, Some(Duration::ZERO));
    assert_eq!(provider.generation(), generation);
    // Still with the tag, and without one the bytes are compared.
    script.serve(Answer::keys(&["a"]));
    pass(9 * MINUTE).await;
    assert!(knows(&provider, "a").await);
    settle().await;
    assert_eq!(script.last().etag.as_deref(), Some("\"v1\""));
    assert_eq!(provider.status().age, Some(Duration::ZERO));
    assert_eq!(provider.generation(), generation);
    assert_eq!(script.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn unchanged_is_no_answer_to_who_has_nothing() {
    let script = Script::new();
    script.serve(Answer::status(304));
    let provider = provider(&script);
    assert_eq!(kind_for(&provider, "a").await, ErrorKind::Unavailable);
    assert_eq!(script.last().etag, None);
}

#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_its_keys_are_fresh() {
    for (header, fresh) in
        [("max-age=120", 120), ("no-store", 60), ("max-age=999999999", 86_400), ("public", 600)]
    {
        let script = Script::new();
        script.serve(Answer::keys(&["a"]).with("cache-control", header));
        let provider = warm(&script).await;
        script.is_down();
        pass(Duration::from_secs(fresh - 1)).await;
        assert_eq!(provider.status().state, KeyState::Fresh, "{header}");
        pass(SECOND).await;
        assert_eq!(provider.status().state, KeyState::Stale, "{header}");
        pass(HOUR - SECOND).await;
        assert_eq!(provider.status().state, KeyState::Stale, "{header}");
        pass(SECOND).await;
        assert_eq!(provider.status().state, KeyState::Expired, "{header}");
    }
}

/// Nothing runs while nobody asks.
#[tokio::test(start_paused = true)]
async fn keys_that_nobody_uses_are_not_renewed() {
    let script = Script::new();
    let _provider = warm(&script).await;
    for _ in 0..100 {
        pass(MINUTE).await;
    }
    assert_eq!(script.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_in_use_are_renewed_before_their_time_is_over() {
    let script = Script::new();
    let provider = warm(&script).await;
    for _ in 0..600 {
        pass(6 * SECOND).await;
        assert!(knows(&provider, "a").await);
        settle().await;
        assert_eq!(provider.status().state, KeyState::Fresh);
    }
    assert!((6..=9).contains(&script.fetches()), "{}", script.fetches());
}

/// E8: a token without a key id has to do with the keys there are, and may ask for newer ones.
#[tokio::test(start_paused = true)]
async fn a_token_without_a_key_id_gets_the_keys_there_are() {
    let script = Script::new();
    let provider = warm(&script).await;
    script.serve(Answer::keys(&["b"]));
    pass(MINUTE).await;
    assert!(provider.ring_for(None).await.unwrap().keys().contains("a"));
    assert_eq!(script.fetches(), 1);
    for _ in 0..100 {
        assert!(provider.renewed().await.unwrap().keys().contains("b"));
    }
    assert_eq!(script.fetches(), 2);
}

/// The document is asked again where the keys are, when they are not where it said.
#[tokio::test(start_paused = true)]
async fn a_jwks_uri_that_moved_is_found_again() {
    let script = Script::new();
    script.serve(Answer::keys(&["a"]).with("etag", "\"v1\""));
    let provider = discovering(&script);
    assert!(knows(&provider, "a").await);
    script.serve(Answer::status(404));
    script.discover(Answer::ok(metadata().replace("/jwks", "/new-jwks")));
    pass(9 * MINUTE).await;
    for _ in 0..3 {
        assert!(knows(&provider, "a").await);
        settle().await;
        pass(5 * SECOND).await;
    }
    // The tag of one place means nothing in another.
    let moved = Call { url: "https://id.example/new-jwks".to_owned(), etag: None };
    assert_eq!(script.last(), moved);
    assert_eq!(script.discoveries(), 2);
}

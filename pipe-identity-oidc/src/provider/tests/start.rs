//! Before there are keys.

use super::*;

/// F1
#[tokio::test(start_paused = true)]
async fn a_provider_is_made_without_asking_anybody() {
    let script = Script::new();
    let provider = discovering(&script);
    settle().await;
    assert!(provider.current().is_none());
    assert_eq!(provider.status().state, KeyState::Cold);
    assert_eq!(script.discoveries() + script.fetches(), 0);
}

/// F7
#[tokio::test(start_paused = true)]
async fn a_hundred_cold_validations_are_one_fetch() {
    let script = Script::new();
    script.serve(Answer::Slow(SECOND, Box::new(Answer::keys(&["a"]))));
    let provider = discovering(&script);
    let all = (0..100).map(|_| provider.ring_for(Some("a")));
    for ring in futures_util::future::join_all(all).await {
        assert!(ring.unwrap().keys().contains("a"));
    }
    assert_eq!((script.discoveries(), script.fetches()), (1, 1));
}

/// F1
#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_at_the_start_is_found_when_it_is_back() {
    let script = Script::new();
    script.is_down();
    let provider = discovering(&script);
    let error = provider.ring_for(Some("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable() && error.retry_after().unwrap() <= SECOND, "{error}");
    for _ in 0..100 {
        assert_eq!(kind_for(&provider, "a").await, ErrorKind::Unavailable);
    }
    assert_eq!(script.discoveries(), 1);
    assert!(!provider.status().health().is_serving());
    script.discover(Answer::ok(metadata()));
    script.serve(Answer::keys(&["a"]));
    pass(SECOND).await;
    assert!(knows(&provider, "a").await);
    assert_eq!(provider.status().state, KeyState::Fresh);
    assert!(provider.status().last_error.is_none());
}

/// F8
#[tokio::test(start_paused = true)]
async fn the_pause_after_failures_doubles_to_a_minute() {
    let script = Script::new();
    script.is_down();
    let provider = provider(&script);
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        let before = script.fetches();
        let error = provider.ring_for(None).await.unwrap_err();
        assert_eq!(script.fetches(), before + 1);
        let pause = error.retry_after().unwrap();
        let longest = Duration::from_secs(expected);
        assert!(pause <= longest && pause >= longest.mul_f64(0.8), "{pause:?} {expected}");
        pass(pause - Duration::from_millis(1)).await;
        assert!(provider.ring_for(None).await.is_err());
        assert_eq!(script.fetches(), before + 1);
        pass(Duration::from_millis(2)).await;
    }
}

/// F8
#[tokio::test(start_paused = true)]
async fn a_failed_discovery_is_not_remembered_longer_than_its_pause() {
    let script = Script::new();
    script.discover(Answer::status(503));
    let provider = discovering(&script);
    assert_eq!(provider.metadata().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(provider.metadata().await.is_err());
    assert_eq!(script.discoveries(), 1);
    script.discover(Answer::ok(metadata()));
    pass(SECOND).await;
    let metadata = provider.metadata().await.unwrap();
    assert_eq!(metadata.endpoints.token_endpoint.as_deref(), Some("https://id.example/token"));
    assert_eq!(metadata.jwks_uri.as_deref(), Some(JWKS));
    // Keys and metadata share the document.
    assert!(knows(&provider, "a").await);
    assert_eq!(script.discoveries(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_cancel_the_fetch_of_the_others() {
    let script = Script::new();
    script.serve(Answer::Slow(SECOND, Box::new(Answer::keys(&["a"]))));
    let provider = provider(&script);
    let first = tokio::spawn({
        let provider = provider.clone();
        async move { provider.ring_for(Some("a")).await.map(drop) }
    });
    settle().await;
    let second = provider.ring_for(Some("a"));
    first.abort();
    assert!(second.await.unwrap().keys().contains("a"));
    assert_eq!(script.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_ends_with_its_provider() {
    struct Ends(Arc<Mutex<bool>>);
    impl Drop for Ends {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    struct Stuck(Arc<Mutex<bool>>);
    #[async_trait]
    impl Fetch for Stuck {
        async fn get(&self, _: &str, _: Option<&HeaderValue>) -> Result<HttpResponse> {
            let _ends = Ends(Arc::clone(&self.0));
            std::future::pending().await
        }
    }
    for source in [KeySource::Discovery, KeySource::JwksUri(JWKS.to_owned())] {
        let ended = Arc::default();
        let settings = settings(source);
        let addresses = settings.check().unwrap();
        let endpoints = Endpoints::new(settings.http.clone(), Vec::new(), addresses.peers);
        let fetch = Arc::new(Stuck(Arc::clone(&ended)));
        let provider = Provider::with(&settings, addresses, endpoints, fetch).unwrap();
        let waiting = tokio::time::timeout(SECOND, provider.ring_for(None));
        assert!(waiting.await.is_err());
        assert!(!*ended.lock().unwrap());
        drop(provider);
        settle().await;
        assert!(*ended.lock().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_falls_back_to_the_place_of_rfc_8414_when_there_is_none() {
    struct Only(&'static str, Script);
    #[async_trait]
    impl Fetch for Only {
        async fn get(&self, url: &str, etag: Option<&HeaderValue>) -> Result<HttpResponse> {
            let answer = self.1.get(url, etag).await;
            if url == self.0 { answer } else { Ok(HttpResponse::new(404, HeaderMap::new(), "")) }
        }
    }
    for (there, asked) in [(DISCOVERY, &[DISCOVERY][..]), (OAUTH, &[DISCOVERY, OAUTH])] {
        let script = Arc::into_inner(Script::new()).unwrap();
        let only = Arc::new(Only(there, script));
        let settings = settings(KeySource::Discovery);
        let addresses = settings.check().unwrap();
        let endpoints = Endpoints::new(settings.http.clone(), Vec::new(), addresses.peers);
        let fetch = Arc::clone(&only) as Arc<dyn Fetch>;
        let provider = Provider::with(&settings, addresses, endpoints, fetch).unwrap();
        assert_eq!(provider.metadata().await.unwrap().issuer, ISSUER);
        let calls = only.1.calls.lock().unwrap();
        assert_eq!(calls.iter().map(|call| &*call.url).collect::<Vec<_>>(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_misspelled_discovery_url_works_and_is_shown() {
    let script = Script::new();
    let mut settings = settings(KeySource::Discovery);
    settings.discovery_url = Some("https://id.example/.well-known/openid_configuration".to_owned());
    let provider = scripted(&settings, &script);
    assert!(knows(&provider, "a").await);
    assert_eq!(script.calls.lock().unwrap()[0].url, DISCOVERY);
    let health = provider.status().health();
    assert!(health.is_serving() && health.reason.contains("openid_configuration"), "{health:?}");
    assert!(health.hint.contains("keys.discovery"), "{health:?}");
}

//! Answers that are not taken.

use super::*;

/// E7, F3: what is refused leaves the keys as they were.
#[tokio::test(start_paused = true)]
async fn a_refused_key_set_leaves_the_keys_there_are() {
    let too_many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let too_many: Vec<_> = too_many.iter().map(|kid| &**kid).collect();
    let oct = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "b"}]}).to_string();
    for answer in [
        Answer::keys(&too_many),
        Answer::keys(&[]),
        Answer::ok("{}"),
        Answer::ok("[]"),
        Answer::ok("null"),
        Answer::ok("{\"keys\":{}}"),
        Answer::ok("{\"keys\":[{"),
        Answer::ok(oct),
        Answer::ok("<html>"),
        Answer::keys(&["b"]).with("content-type", "text/html"),
        Answer::keys(&["b"]).with("content-encoding", "gzip"),
        Answer::status(204),
        Answer::status(500),
        Answer::status(302).with("location", "http://169.254.169.254/"),
        Answer::Fails(Error::new(ErrorKind::Unexpected, "the body is longer than `max_body`")),
    ] {
        let script = Script::new();
        let provider = warm(&script).await;
        let generation = provider.generation();
        script.serve(answer);
        pass(9 * MINUTE).await;
        assert!(knows(&provider, "a").await);
        settle().await;
        assert_eq!(script.fetches(), 2);
        assert_eq!(kind_for(&provider, "b").await, ErrorKind::Unavailable);
        assert_eq!(provider.generation(), generation);
        let status = provider.status();
        assert!(status.last_error.is_some() && status.health().is_serving());
        pass(62 * MINUTE).await;
        assert_eq!(kind_for(&provider, "a").await, ErrorKind::Unavailable);
    }
}

/// E7
#[tokio::test(start_paused = true)]
async fn one_bad_key_of_three_leaves_two() {
    let script = Script::new();
    let keys = json!({"keys": [jwk("a"), {"kty": "oct", "k": "c2VjcmV0", "kid": "b"}, jwk("c")]});
    script.serve(Answer::ok(keys.to_string()));
    let provider = provider(&script);
    assert!(knows(&provider, "a").await && knows(&provider, "c").await);
    assert_eq!(provider.status().keys, 2);
}

/// E7: a hundred are not too many.
#[tokio::test(start_paused = true)]
async fn a_hundred_keys_are_taken() {
    let script = Script::new();
    let kids: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    script.serve(Answer::keys(&kids.iter().map(|kid| &**kid).collect::<Vec<_>>()));
    assert!(knows(&provider(&script), "99").await);
}

/// F5
#[tokio::test(start_paused = true)]
async fn a_discovery_document_without_keys_or_of_somebody_else_is_refused() {
    let missing = json!({"issuer": ISSUER}).to_string();
    for (document, hint) in
        [(missing, "jwks_uri"), (metadata().replace("id.example\"", "evil.example\""), "`issuer`")]
    {
        let script = Script::new();
        script.discover(Answer::ok(document));
        let provider = discovering(&script);
        let error = provider.ring_for(Some("a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.hint_text().contains(hint), "{error}");
        assert_eq!(script.fetches(), 0);
    }
}

/// H2: nothing that a server says is repeated.
#[tokio::test(start_paused = true)]
async fn no_error_repeats_an_answer() {
    for document in
        ["{\"canary\":", "{\"issuer\":\"canary\"}", "{\"issuer\":[\"canary\"]}", "canary"]
    {
        let script = Script::new();
        script.discover(Answer::ok(document));
        script.serve(Answer::ok(document));
        for provider in [discovering(&script), provider(&script)] {
            let error = provider.ring_for(Some("canary-kid")).await.unwrap_err();
            let status = provider.status();
            let shown = format!("{error:?} {status:?} {provider:?} {:?}", status.health());
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

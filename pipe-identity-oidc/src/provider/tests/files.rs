//! Keys without a network.

use super::*;

use std::path::PathBuf;

/// A file that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipe-oidc-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Waits for what a thread does, which no paused clock knows of.
async fn until_knows(provider: &Provider, kid: &str) {
    while !knows(provider, kid).await {
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_document_serve_for_ever_and_nobody_is_asked() {
    let script = Script::new();
    let provider = scripted(&settings(KeySource::Inline(jwks(&["a"]).into_bytes())), &script);
    pass(24 * HOUR).await;
    assert!(knows(&provider, "a").await);
    for _ in 0..100 {
        assert!(!knows(&provider, "b").await);
    }
    assert_eq!(provider.status().state, KeyState::Fresh);
    assert!(provider.renewed().await.is_ok());
    assert_eq!(provider.metadata().await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    assert!(script.calls.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_file_follow_the_file_and_outlive_its_faults() {
    let file = Scratch::new("follow", &jwks(&["a"]));
    let script = Script::new();
    let provider = scripted(&settings(KeySource::File(file.0.clone())), &script);
    assert!(knows(&provider, "a").await);
    let generation = provider.generation();
    // Read again, unchanged.
    pass(MINUTE).await;
    assert!(!knows(&provider, "bb").await);
    assert_eq!(provider.generation(), generation);
    file.write(&jwks(&["a", "bb"]));
    pass(MINUTE).await;
    until_knows(&provider, "bb").await;
    assert_ne!(provider.generation(), generation);
    file.write("garbage");
    pass(MINUTE).await;
    assert!(provider.renewed().await.is_err());
    pass(24 * HOUR).await;
    assert!(knows(&provider, "a").await);
    assert!(provider.status().last_error.is_some());
    assert!(script.calls.lock().unwrap().is_empty());
}

#[test]
fn a_static_set_without_a_usable_key_is_a_fault_of_the_settings() {
    let empty = Scratch::new("empty", "{\"keys\":[]}");
    let huge = Scratch::new("huge", &" ".repeat((256 << 10) + 1));
    for source in [
        KeySource::Inline(b"{\"keys\":[]}".to_vec()),
        KeySource::Inline(b"canary".to_vec()),
        KeySource::Inline(b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"canary\"}]}".to_vec()),
        KeySource::File(empty.0.clone()),
        KeySource::File(huge.0.clone()),
        KeySource::File("/nonexistent/jwks.json".into()),
        KeySource::File(std::env::temp_dir()),
    ] {
        let error = Provider::new(settings(source.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{source:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        let named = error.context("keys.inline").or(error.context("keys.file"));
        assert!(named.is_some(), "{error}");
    }
}

#[test]
fn faults_of_the_http_settings_show_before_anybody_is_asked() {
    for source in [KeySource::Discovery, KeySource::JwksUri(JWKS.to_owned())] {
        let mut settings = settings(source);
        settings.http = settings.http.with_timeout(Duration::ZERO);
        let error = Provider::new(settings).unwrap_err();
        assert!(error.context("http.timeout").is_some(), "{error}");
    }
}

//! What goes wrong between the plugin and the API server.

use std::time::Duration;

use pipe_core::secrets::Change;
use pipe_core::{ErrorKind, SecretRef, SecretsPlugin};
use pipe_http::HttpConfig;
use pipe_secrets_k8s::{Kubernetes, KubernetesConfig};
use pipe_testkit::fake::{self, ApiFault};

use crate::cases::data;
use crate::setup::{admin, config};

fn secret() -> SecretRef {
    SecretRef::new("apps/db").unwrap()
}

fn impatient(server: &fake::Kubernetes) -> Kubernetes {
    let config: KubernetesConfig = config(server, &server.admin_token());
    let http = HttpConfig::new().with_timeout(Duration::from_millis(500)).with_max_body(1 << 20);
    Kubernetes::new(config.with_http(http)).unwrap()
}

/// Each fault, what a read makes of it, and whether time alone may help.
#[tokio::test]
async fn each_fault_has_its_kind() {
    let server = fake::Kubernetes::start().await;
    let plugin = impatient(&server);
    plugin.create_secret(&secret(), data("x")).await.unwrap();
    for (fault, kind, retryable) in [
        (ApiFault::TooManyRequests, ErrorKind::RateLimited, true),
        (ApiFault::EtcdTimeout, ErrorKind::Timeout, true),
        (ApiFault::WebhookDown, ErrorKind::Unavailable, true),
        (ApiFault::PageNotFound, ErrorKind::Unsupported, false),
        (ApiFault::Unauthorized, ErrorKind::Unauthenticated, false),
        (ApiFault::Hang, ErrorKind::Timeout, true),
        (ApiFault::Reset, ErrorKind::Unavailable, true),
        (ApiFault::ResetMidBody, ErrorKind::Unavailable, true),
        (ApiFault::Redirect("https://evil.example/".to_owned()), ErrorKind::Unexpected, false),
        (ApiFault::Html(200), ErrorKind::Unexpected, false),
        (ApiFault::Html(404), ErrorKind::Unexpected, false),
        (ApiFault::Html(503), ErrorKind::Unavailable, true),
        (ApiFault::WrongShape200, ErrorKind::Unexpected, false),
        (ApiFault::HugeBody(2 << 20), ErrorKind::Unexpected, false),
        (ApiFault::Status(503, "ServiceUnavailable"), ErrorKind::Unavailable, true),
    ] {
        server.inject(fault.clone(), "", 1);
        let error = plugin.get_secret(&secret()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{fault:?} {error:#}");
    }
    server.inject(ApiFault::TooManyRequests, "", 1);
    let error = plugin.get_secret(&secret()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(plugin.get_secret(&secret()).await.unwrap().unwrap().data, data("x"));
}

/// A read is one request, and a refused token is not asked about for ever.
#[tokio::test]
async fn a_read_is_one_request_and_a_refusal_no_flood() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    assert_eq!(plugin.get_secret(&secret()).await.unwrap(), None);
    assert_eq!(server.requests(), 1);
    let nobody = Kubernetes::new(config(&server, "bogus")).unwrap();
    nobody.get_secret(&secret()).await.unwrap_err();
    assert_eq!(server.requests(), 2);
}

/// The answer to a write is lost, and the write happened: doing it again changes nothing.
#[tokio::test]
async fn a_write_whose_answer_was_lost_can_be_repeated() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    server.inject(ApiFault::ResetMidBody, "PATCH", 1);
    let error = plugin.create_secret(&secret(), data("x")).await.unwrap_err();
    assert!(error.is_retryable(), "{error:#}");
    let again = plugin.create_secret(&secret(), data("x")).await.unwrap();
    assert_eq!(again.change, Change::Unchanged);
}

/// The namespace is not there, is going away, or is full.
#[tokio::test]
async fn a_namespace_that_takes_nothing_says_why() {
    let server = fake::Kubernetes::start().await;
    let plugin = |namespace: &str| {
        let config = config(&server, &server.admin_token()).with_namespace(namespace);
        Kubernetes::new(config).unwrap()
    };
    for namespace in ["leaving", "full"] {
        server.create_namespace(namespace);
    }
    server.terminate_namespace("leaving");
    server.set_quota("full", 0);
    for (namespace, kind, says) in [
        ("absent", ErrorKind::NotFound, "namespace does not exist"),
        ("leaving", ErrorKind::Conflict, "being deleted"),
        ("full", ErrorKind::PermissionDenied, "quota"),
    ] {
        let plugin = plugin(namespace);
        let error = plugin.create_secret(&secret(), data("x")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(error.message().contains(says), "{error}");
        assert_eq!(plugin.get_secret(&secret()).await.unwrap(), None);
    }
}

/// Writers of other processes are met by trying again, and what they wrote is what is compared.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_get_exact_answers() {
    let server = fake::Kubernetes::start().await;
    let at = secret();
    let writers = (0..6).map(|_| {
        let (plugin, at) = (admin(&server), at.clone());
        tokio::spawn(async move {
            let outcome = plugin.create_secret(&at, data("same")).await.unwrap();
            (outcome.change, outcome.version)
        })
    });
    let mut outcomes = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        outcomes.push(writer.await.unwrap());
    }
    let count = |change| outcomes.iter().filter(|outcome| outcome.0 == change).count();
    assert_eq!((count(Change::Created), count(Change::Unchanged)), (1, 5), "{outcomes:?}");
    assert!(outcomes.windows(2).all(|pair| pair[0].1 == pair[1].1), "{outcomes:?}");
}

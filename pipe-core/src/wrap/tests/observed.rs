use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::identity::{BearerToken, Principal, PrincipalId, TokenExpectation};
use crate::wrap::scripted::{Scripted, at, failure, value};
use crate::wrap::{Answered, Call, Metrics, Observed, Observer, Outcome, Receipt};
use crate::{
    Error, ErrorKind, HealthStatus, IdentityPlugin, Plugin, SecretData, SecretsPlugin,
    SecurityContext, TraceContext, with_reason,
};

/// Writes down what it is told.
#[derive(Clone, Debug, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    refuses: Option<ErrorKind>,
    admits: Option<ErrorKind>,
}

impl Notes {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

fn receipt(refused: Option<ErrorKind>) -> Receipt {
    match refused {
        Some(kind) => Receipt::when(async move { Err(Error::new(kind, "not on record")) }),
        None => Receipt::done(),
    }
}

impl Observer for Notes {
    fn admit(&self) -> Receipt {
        receipt(self.admits)
    }

    fn finished(&self, call: &Call<'_>) -> Receipt {
        let subject = call.subject.map_or_else(String::new, |subject| subject.to_string());
        let requester = call.requester.map_or("-", |caller| caller.principal.id.as_str());
        let reason = call.reason.unwrap_or("-");
        let line = format!(
            "{} {} {subject} {requester} {reason} {}",
            call.plugin,
            call.operation,
            call.outcome.name()
        );
        self.lines.lock().unwrap().push(line);
        receipt(self.refuses)
    }

    fn fault(&self) -> Option<Error> {
        self.refuses.map(|kind| Error::new(kind, "not on record"))
    }
}

fn caller(id: &str) -> SecurityContext {
    let now = SystemTime::now();
    let principal = Principal::user(PrincipalId::new(id).unwrap());
    SecurityContext::new(principal, "issuer", now, now + Duration::from_secs(60))
}

/// REQ 004-85.4, 001-31: the real requester is on record.
#[tokio::test]
async fn a_record_names_who_asked_for_what_why_and_how_it_ended() {
    let notes = Notes::default();
    let plugin = Observed::new(Scripted::new(|_| async { Ok(None) }), notes.clone());
    let work = with_reason("ticket-7", async { plugin.get_secret(&at("apps/db")).await });
    SecurityContext::scope(caller("alice"), work).await.unwrap();
    plugin.create_secret(&at("a"), SecretData::new()).await.unwrap();
    assert_eq!(
        notes.lines(),
        [
            "scripted get_secret apps/db alice ticket-7 absent",
            "scripted create_secret a - - success"
        ]
    );
}

#[tokio::test]
async fn an_error_is_on_record_by_its_kind() {
    let notes = Notes::default();
    let denied = Scripted::new(|_| async { failure(ErrorKind::PermissionDenied) });
    let answer = Observed::new(denied, notes.clone()).get_secret(&at("a")).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(notes.lines(), ["scripted get_secret a - - permission_denied"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_on_record() {
    let notes = Notes::default();
    let plugin = Observed::new(Scripted::new(|_| std::future::pending()), notes.clone());
    let slow = tokio::time::timeout(Duration::from_secs(1), plugin.get_secret(&at("a"))).await;
    assert!(slow.is_err());
    assert_eq!(notes.lines(), ["scripted get_secret a - - cancelled"]);
    drop(plugin.get_secret(&at("b")));
    assert_eq!(notes.lines().len(), 1, "a call that was never made is on record");
}

#[tokio::test]
async fn an_answer_that_cannot_be_put_on_record_is_withheld() {
    let notes = Notes { refuses: Some(ErrorKind::Unavailable), ..Notes::default() };
    let script = Scripted::new(|_| async { value("x") });
    let plugin = Observed::new(script.clone(), notes);
    assert_eq!(plugin.get_secret(&at("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(plugin.health().await.status, HealthStatus::Degraded);
    let notes = Notes { admits: Some(ErrorKind::Unavailable), ..Notes::default() };
    let plugin = Observed::new(script.clone(), (notes.clone(), Metrics::new()));
    let before = script.calls();
    assert!(plugin.get_secret(&at("a")).await.is_err());
    assert_eq!((script.calls(), notes.lines().len()), (before, 0), "the call was made");
}

#[tokio::test]
async fn several_observers_are_all_told() {
    let (first, second) = (Notes::default(), Notes::default());
    let both: Vec<Arc<dyn Observer>> = vec![Arc::new(first.clone()), Arc::new(second.clone())];
    let plugin = Observed::new(Scripted::new(|_| async { value("x") }), both);
    plugin.get_secret(&at("a")).await.unwrap();
    assert_eq!((first.lines().len(), second.lines().len()), (1, 1));
}

/// REQ 001-83
#[tokio::test]
async fn the_inner_plugin_works_in_a_span_of_the_same_trace() {
    let seen = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&seen);
    let plugin = Scripted::new(move |_| {
        let seen = Arc::clone(&shared);
        async move {
            *seen.lock().unwrap() = TraceContext::current();
            value("x")
        }
    });
    let plugin = Observed::new(plugin, Notes::default());
    let trace = TraceContext::new();
    trace.clone().scope(plugin.get_secret(&at("a"))).await.unwrap();
    let inner = seen.lock().unwrap().take().unwrap();
    assert_eq!(inner.trace_id(), trace.trace_id());
    assert_ne!(inner.span_id(), trace.span_id());
    plugin.get_secret(&at("a")).await.unwrap();
    assert!(seen.lock().unwrap().is_none(), "a trace came out of nothing");
}

#[tokio::test]
async fn a_token_that_was_checked_tells_whose_it_was() {
    #[derive(Debug)]
    struct Who(Arc<Mutex<Option<String>>>);
    impl Observer for Who {
        fn finished(&self, call: &Call<'_>) -> Receipt {
            if let Outcome::Answered(Answered::Caller(context)) = call.outcome {
                *self.0.lock().unwrap() = Some(context.principal.id.to_string());
            }
            Receipt::done()
        }
    }
    let who = Arc::new(Mutex::new(None));
    let plugin = Observed::new(Scripted::new(|_| async { value("bot") }), Who(Arc::clone(&who)));
    let token = BearerToken::new("x");
    plugin.validate_token(&token, &TokenExpectation::audience("api")).await.unwrap();
    assert_eq!(who.lock().unwrap().as_deref(), Some("bot"));
}

/// REQ 002-60, 002-63
#[test]
fn metrics_count_and_time_calls_without_naming_users_or_paths() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(SecurityContext::scope(caller("alice"), async {
            let plugin = Observed::new(Scripted::new(|_| async { value("x") }), Metrics::new());
            plugin.get_secret(&at("apps/db")).await.unwrap();
            plugin.get_secret(&at("apps/other")).await.unwrap();
            let expect = TokenExpectation::audience("api");
            plugin.validate_token(&BearerToken::new("x"), &expect).await.unwrap();
        }));
    });
    let mut counters = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let text = format!("{} {}", key.key().name(), labels.join(" "));
        assert!(!text.contains("alice") && !text.contains("apps"), "{text}");
        if let (MetricKind::Counter, DebugValue::Counter(count)) = (key.kind(), &value) {
            counters.push(format!("{text} {count}"));
        } else {
            assert!(text.starts_with("pipe_call_duration_seconds"), "{text}");
        }
    }
    counters.sort();
    assert_eq!(
        counters,
        [
            "authentication_attempts_total provider=scripted outcome=success 1",
            "pipe_calls_total plugin=scripted operation=get_secret outcome=success 2",
            "pipe_calls_total plugin=scripted operation=validate_token outcome=success 1",
        ]
    );
}

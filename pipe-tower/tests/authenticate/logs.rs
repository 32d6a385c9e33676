//! The operator is told why a request was refused; the caller is not.

use std::fmt;
use std::sync::{Arc, Mutex};

use pipe_core::{ErrorKind, TokenFault, TraceContext};
use pipe_tower::AuthenticateLayer;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::{InMemoryIdentity, Scripted, ask, layer, request, role, token};

/// The events of this crate, each with its level and its fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("pipe_tower") {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push((*event.metadata().level(), text.0));
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

/// What one request with this token leaves in the log.
async fn logged(layer: &AuthenticateLayer, token: &str) -> (Level, String) {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    let trace = TraceContext::new();
    let authorization = format!("Bearer {token}");
    {
        let _guard = tracing::subscriber::set_default(subscriber);
        let headers = [("authorization", &*authorization), ("traceparent", &trace.to_string())];
        ask(layer, request(&headers)).await;
    }
    let mut events = std::mem::take(&mut *log.0.lock().unwrap());
    assert_eq!(events.len(), 1, "{events:?}");
    let (level, text) = events.remove(0);
    assert!(text.contains(&trace.trace_id()), "{text}");
    (level, text)
}

#[tokio::test]
async fn a_refused_token_is_logged_with_its_fault_where_nobody_can_flood_the_log() {
    let plugin = Scripted::fails_as(ErrorKind::TokenRejected(TokenFault::Expired));
    let (level, text) = logged(&layer(plugin), "x").await;
    assert!(level == Level::DEBUG && text.contains("Expired"), "{level} {text}");
}

#[tokio::test]
async fn an_outage_is_a_warning() {
    let (level, text) = logged(&layer(Scripted::fails_as(ErrorKind::Unavailable)), "x").await;
    assert!(level == Level::WARN && text.contains("Unavailable"), "{level} {text}");
}

#[tokio::test]
async fn a_missing_role_is_a_warning_that_names_the_role_and_the_caller() {
    let identity = InMemoryIdentity::new();
    let token = token(&identity, "bot").await;
    let layer = layer(identity).require_role(role("data_writer"));
    let (level, text) = logged(&layer, &token).await;
    let names = text.contains("role=data_writer") && text.contains("principal=bot");
    assert!(level == Level::WARN && names, "{level} {text}");
}

//! Finds secrets where they must not be: in logs, spans, `Debug` and `Display` output, errors and
//! manifests (REQ 004-72.7, 004-77.4, 004-85.1, 004-85.2).
//!
//! A [`Canary`] is a value that occurs nowhere else. Drive it through an operation, show every
//! output to [`Canary::look_at`], and ask [`Canary::assert_unseen`] in the end. Everything that
//! the process logs meanwhile, at every level and from every crate and thread, is looked at too.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A secret that occurs nowhere else, and remembers where it was seen.
pub struct Canary(Arc<Watched>);

struct Watched {
    value: String,
    forms: Vec<String>,
    seen: Mutex<Vec<String>>,
}

impl Canary {
    /// A new canary. From now on, all that the process logs is searched for it.
    ///
    /// # Panics
    /// When another tracing subscriber is installed for the process, since the logs could then
    /// not be seen.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a new canary is never the same")]
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        let value = bytes.iter().fold(String::from("canary"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self::of(&value)
    }

    /// A secret that somebody else made, such as a token. It has to be long enough not to occur
    /// by chance.
    ///
    /// # Panics
    /// As [`new`](Self::new), and when the secret is shorter than 12 bytes.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        assert!(secret.len() >= 12, "the secret is so short that it may occur by chance");
        let forms = forms(secret.as_bytes());
        let watched = Watched { value: secret.to_owned(), forms, seen: Mutex::default() };
        let watched = Arc::new(watched);
        listener().add(&watched);
        Self(watched)
    }

    /// The secret.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.0.value
    }

    /// Looks for the secret in a piece of output. `place` says where the output came from.
    pub fn look_at(&self, place: &str, output: &str) {
        self.0.look_at(place, output);
    }

    /// Looks at `{:?}` and `{:#?}`.
    pub fn look_at_debug(&self, place: &str, output: &impl fmt::Debug) {
        self.look_at(place, &format!("{output:?}"));
        self.look_at(place, &format!("{output:#?}"));
    }

    /// Looks at all an error can say, its chain of causes included.
    pub fn look_at_error(&self, place: &str, error: &pipe_core::Error) {
        self.look_at_debug(place, error);
        self.look_at(place, &format!("{error} {error:#}"));
        self.look_at(place, error.hint_text());
        self.look_at(place, error.public_message());
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            self.look_at(place, &format!("{error} {error:?}"));
            cause = error.source();
        }
    }

    /// Looks at a result's `Debug` output, and at its error.
    pub fn look_at_result<T: fmt::Debug>(&self, place: &str, result: &pipe_core::Result<T>) {
        match result {
            Ok(value) => self.look_at_debug(place, value),
            Err(error) => self.look_at_error(place, error),
        }
    }

    /// Fails when the secret was seen anywhere.
    ///
    /// # Panics
    /// Naming the places, when it was.
    pub fn assert_unseen(&self) {
        let seen = self.0.seen();
        assert!(seen.is_empty(), "a secret was seen in: {}", seen.join(", "));
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canary")
    }
}

impl Watched {
    fn look_at(&self, place: &str, output: &str) {
        let lower = output.to_ascii_lowercase();
        let found = self.forms.iter().any(|form| {
            output.contains(form.as_str()) || lower.contains(form.to_ascii_lowercase().as_str())
        });
        let mut seen = self.seen();
        if found && !seen.iter().any(|other| other == place) {
            seen.push(place.to_owned());
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret as it would look in text, hex, base64 at each of the three alignments, and as the
/// `Debug` output of a byte slice.
fn forms(secret: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(secret).into_owned();
    let hex = secret.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let bytes = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut forms = vec![text, hex, bytes];
    for skipped in 0..3 {
        // Whole groups of three bytes encode alike, wherever they stand in a longer text.
        let whole = secret.get(skipped..).unwrap_or_default();
        let whole = whole.get(..whole.len() / 3 * 3).unwrap_or_default();
        forms.push(STANDARD_NO_PAD.encode(whole));
        forms.push(URL_SAFE_NO_PAD.encode(whole));
    }
    forms
}

fn listener() -> &'static Listener {
    static LISTENER: OnceLock<Listener> = OnceLock::new();
    LISTENER.get_or_init(|| {
        let listener = Listener::default();
        tracing::subscriber::set_global_default(
            tracing_subscriber::registry().with(listener.clone()),
        )
        .expect("the leak scanner needs to be the process's only tracing subscriber");
        // Crates that use `log` are listened to as well; a logger that is there already wins.
        let _ = tracing_log::LogTracer::init();
        listener
    })
}

#[derive(Clone, Default)]
struct Listener(Arc<Canaries>);

#[derive(Default)]
struct Canaries {
    count: AtomicUsize,
    alive: Mutex<Vec<Weak<Watched>>>,
}

impl Listener {
    fn add(&self, canary: &Arc<Watched>) {
        let mut alive = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|other| other.strong_count() > 0);
        alive.push(Arc::downgrade(canary));
        self.0.count.store(alive.len(), Ordering::Release);
    }

    fn look_at(&self, metadata: &Metadata<'_>, output: &str) {
        let alive: Vec<_> = {
            let alive = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
            alive.iter().filter_map(Weak::upgrade).collect()
        };
        for canary in alive {
            let place = format!("log {} of {}", metadata.level(), metadata.target());
            canary.look_at(&place, output);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.count.load(Ordering::Acquire) > 0
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        self.look_at(attributes.metadata(), &text.0);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        if let Some(metadata) = context.metadata(id) {
            self.look_at(metadata, &text.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.look_at(event.metadata(), &text.0);
    }
}

/// All fields of a span or an event, as text.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {}={value}", field.name());
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let _ = write!(self.0, " {}={value:?} {}", field.name(), String::from_utf8_lossy(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_caught(leak: impl FnOnce(&Canary)) -> bool {
        let canary = Canary::new();
        leak(&canary);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| canary.assert_unseen())).is_err()
    }

    #[test]
    fn each_form_of_the_secret_is_found() {
        let encoded = |prefix: &'static str| {
            move |canary: &Canary| {
                let text = format!("{prefix}{}", canary.value());
                canary.look_at("here", &STANDARD_NO_PAD.encode(text));
            }
        };
        assert!(is_caught(|canary| canary.look_at("here", &format!("x{}y", canary.value()))));
        assert!(is_caught(|canary| canary.look_at("here", &canary.value().to_uppercase())));
        assert!(is_caught(|canary| canary.look_at_debug("here", &canary.value().as_bytes())));
        assert!(is_caught(encoded("")));
        assert!(is_caught(encoded("u")));
        assert!(is_caught(encoded("us")));
        assert!(is_caught(encoded("bot:")));
        assert!(!is_caught(|canary| canary.look_at("here", "[REDACTED]")));
    }

    #[test]
    fn a_secret_in_the_logs_is_found_at_every_level_and_on_every_thread() {
        assert!(is_caught(|canary| tracing::trace!("{}", canary.value())));
        assert!(is_caught(|canary| tracing::error!(token = canary.value(), "x")));
        assert!(is_caught(|canary| drop(tracing::trace_span!("x", token = canary.value()))));
        assert!(is_caught(|canary| {
            let span = tracing::info_span!("x", token = tracing::field::Empty);
            span.record("token", canary.value());
        }));
        assert!(is_caught(|canary| {
            let value = canary.value().to_owned();
            std::thread::spawn(move || tracing::debug!(?value)).join().unwrap();
        }));
        assert!(!is_caught(|_| tracing::error!("harmless")));
    }

    #[test]
    fn a_secret_in_a_chain_of_causes_is_found() {
        assert!(is_caught(|canary| {
            let error = pipe_core::Error::new(pipe_core::ErrorKind::Unexpected, "x")
                .because(canary.value().to_owned());
            canary.look_at_error("here", &error);
        }));
    }
}

//! Finds secrets where they must not be: in logs, spans, `Debug` and `Display` output, errors and
//! manifests (REQ 004-72.7, 004-77.4, 004-85.1, 004-85.2).
//!
//! A [`Canary`] is a value that occurs nowhere else. Drive it through an operation, show every
//! output to [`Canary::look_at`], and ask [`Canary::assert_unseen`] in the end. Everything that
//! the process logs meanwhile, at every level and from every crate and thread, is looked at too.

use std::collections::BTreeSet;
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
    /// In lower case, as they would be printed.
    forms: Vec<String>,
    /// The same without anything that may separate their parts.
    squeezed: Vec<String>,
    seen: Mutex<Vec<String>>,
}

impl Canary {
    /// A new canary. From now on, all that the process logs is searched for it.
    ///
    /// # Panics
    /// When another tracing subscriber or another logger of the crate `log` is installed for the
    /// process, since the logs could then not be seen.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a new canary is never the same")]
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        let random = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        // Half of it is too much, and still random enough not to occur by chance.
        let (first, second) = random.split_at(random.len() / 2);
        Self::watch(format!("canary{random}"), &[first, second])
    }

    /// A secret that somebody else made, such as a token. It has to be long enough not to occur
    /// by chance.
    ///
    /// # Panics
    /// As [`new`](Self::new), and when the secret is shorter than 12 bytes.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        assert!(secret.len() >= 12, "the secret is so short that it may occur by chance");
        Self::watch(secret.to_owned(), &[secret])
    }

    /// Looks for any of these parts of the value.
    fn watch(value: String, parts: &[&str]) -> Self {
        let forms: Vec<_> = parts.iter().flat_map(|part| forms(part.as_bytes())).collect();
        let squeezed = forms.iter().map(|form| squeezed(form)).filter(|form| is_telling(form));
        let squeezed = squeezed.collect();
        let watched = Arc::new(Watched { value, forms, squeezed, seen: Mutex::default() });
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
        let plain = self.forms.iter().any(|form| lower.contains(form.as_str()));
        let found = plain || {
            let bare = squeezed(&lower);
            self.squeezed.iter().any(|form| bare.contains(form.as_str()))
        };
        let mut seen = self.seen();
        if found && !seen.iter().any(|other| other == place) {
            seen.push(place.to_owned());
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret as it would look in text, escaped text, hex, base64 at each of the three alignments,
/// and as the `Debug` output of bytes and characters; in lower case.
fn forms(secret: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(secret);
    let join = |separator: &str, form: fn(&u8) -> String| {
        secret.iter().map(form).collect::<Vec<_>>().join(separator)
    };
    let mut forms = vec![
        join("", |byte| format!("{byte:02x}")),
        join("", |byte| format!("%{byte:02x}")),
        join(", ", u8::to_string),
        join(", ", |byte| format!("{byte:x}")),
        join(", ", |byte| format!("{byte:02x}")),
        join(", ", |byte| format!("{byte:#x}")),
        percent_encoded(secret),
        text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
        text.escape_unicode().to_string(),
        text.escape_debug().to_string(),
        serde_json::Value::from(text.as_ref()).to_string().trim_matches('"').to_owned(),
        format!("{:?}", text.chars().collect::<Vec<_>>()).trim_matches(['[', ']']).to_owned(),
        text.into_owned(),
    ];
    for skipped in 0..3 {
        // Whole groups of three bytes encode alike, wherever they stand in a longer text.
        let whole = secret.get(skipped..).unwrap_or_default();
        let whole = whole.get(..whole.len() / 3 * 3).unwrap_or_default();
        forms.push(STANDARD_NO_PAD.encode(whole));
        forms.push(URL_SAFE_NO_PAD.encode(whole));
    }
    forms.iter_mut().for_each(|form| form.make_ascii_lowercase());
    forms.sort();
    forms.dedup();
    forms
}

fn percent_encoded(secret: &[u8]) -> String {
    secret.iter().fold(String::new(), |mut text, byte| {
        let _ = match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                write!(text, "{}", char::from(*byte))
            }
            _ => write!(text, "%{byte:02x}"),
        };
        text
    })
}

/// Without separators, line breaks, brackets and quotes.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(*c)).collect()
}

/// Whether a squeezed form is found by chance in no prose and in no table of numbers: words run
/// together are not, nor are repetitions.
fn is_telling(form: &str) -> bool {
    let different = form.bytes().collect::<BTreeSet<_>>().len();
    form.len() >= 16 && different >= 6 && form.contains(|c: char| c.is_ascii_digit())
}

fn listener() -> &'static Listener {
    static LISTENER: OnceLock<Result<Listener, &'static str>> = OnceLock::new();
    match LISTENER.get_or_init(listen) {
        Ok(listener) => listener,
        Err(message) => panic!("{message}"),
    }
}

fn listen() -> Result<Listener, &'static str> {
    let listener = Listener::default();
    let subscriber = tracing_subscriber::registry().with(listener.clone());
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| "the leak scanner needs to be the process's only tracing subscriber")?;
    listen_to_log()?;
    Ok(listener)
}

/// Crates that use `log` are listened to as well.
fn listen_to_log() -> Result<(), &'static str> {
    tracing_log::LogTracer::init()
        .map_err(|_| "the leak scanner needs to be the process's only logger of the crate `log`")
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
    fn escapes_and_lists_of_the_secret_are_found() {
        let leaks: [fn(&str) -> String; 12] = [
            |value| format!("{:x?}", value.as_bytes()),
            |value| format!("{:02X?}", value.as_bytes()),
            |value| format!("{:#x?}", value.as_bytes()),
            |value| format!("{:#?}", value.as_bytes()),
            |value| format!("{:?}", value.chars().collect::<Vec<_>>()),
            |value| format!("{:#?}", value.chars().collect::<Vec<_>>()),
            |value| value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            |value| value.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect(),
            |value| value.escape_unicode().to_string(),
            |value| value.bytes().map(|byte| format!("{byte:02X}:")).collect(),
            |value| value.split_at(20).0.to_owned() + "\r\n " + value.split_at(20).1,
            |value| format!("user={} password={}", &value[..30], &value[30..]),
        ];
        for (number, leak) in leaks.into_iter().enumerate() {
            let caught = is_caught(|canary| canary.look_at("here", &leak(canary.value())));
            assert!(caught, "number {number}");
        }
    }

    #[test]
    fn a_wrapped_encoding_is_found() {
        assert!(is_caught(|canary| {
            let encoded = STANDARD_NO_PAD.encode(format!("bot:{}", canary.value()));
            let (first, second) = encoded.split_at(30);
            canary.look_at("here", &format!("{first}\n{second}"));
        }));
    }

    #[test]
    fn half_of_a_canary_is_found() {
        assert!(is_caught(|canary| canary.look_at("here", &canary.value()[..22])));
        assert!(is_caught(|canary| canary.look_at("here", &canary.value()[22..])));
        assert!(!is_caught(|canary| canary.look_at("here", &canary.value()[..8])));
    }

    #[test]
    fn text_that_has_to_be_escaped_is_found() {
        let secret = "pa\"ss\nwörd 1+2/3";
        for output in [
            format!("{secret:?}"),
            serde_json::json!([secret]).to_string(),
            "x=pa%22ss%0Aw%C3%B6rd%201%2B2%2F3".to_owned(),
        ] {
            let canary = Canary::of(secret);
            canary.look_at("here", &output);
            assert!(!canary.0.seen().is_empty(), "{output}");
        }
    }

    #[test]
    fn prose_and_tables_are_no_leak() {
        for (secret, output) in [
            ("clientsecretinvalid", "the client secret, invalid"),
            ("............", "done"),
            ("000000000000", "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
            ("111111111111", "1111 1111 1111"),
        ] {
            let canary = Canary::of(secret);
            canary.look_at("here", output);
            canary.assert_unseen();
        }
    }

    #[test]
    fn another_logger_is_not_ignored() {
        drop(Canary::new());
        let message = listen_to_log().expect_err("a logger is installed");
        assert!(message.contains("only logger"), "{message}");
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

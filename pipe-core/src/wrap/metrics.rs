//! Numbers for whoever collects them.

use super::{Call, Observer, Receipt};

/// Counts and times calls through the facade of the crate `metrics` (REQ 001-79, 002-60, 002-63).
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `pipe_calls_total` | counter | `plugin`, `operation`, `outcome` |
/// | `pipe_call_duration_seconds` | histogram | `plugin`, `operation`, `outcome` |
/// | `authentication_attempts_total` | counter | `provider`, `outcome` |
///
/// `outcome` is `success`, `absent`, `cancelled`, or the kind of the error: a few dozen series for
/// each plugin. No label names a user or a path. `authentication_attempts_total` counts tokens that were checked,
/// credentials that were asked for, and logins of people that were finished. Where the numbers go is the matter of the recorder that the
/// program installs; without one, counting costs next to nothing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Metrics;

impl Metrics {
    /// Counts with the recorder of the process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Observer for Metrics {
    fn finished(&self, call: &Call<'_>) -> Receipt {
        let outcome = call.outcome.name();
        let labels = || {
            [
                metrics::Label::new("plugin", call.plugin.to_owned()),
                metrics::Label::from_static_parts("operation", call.operation),
                metrics::Label::from_static_parts("outcome", outcome),
            ]
            .to_vec()
        };
        metrics::counter!("pipe_calls_total", labels()).increment(1);
        metrics::histogram!("pipe_call_duration_seconds", labels()).record(call.took);
        if matches!(call.operation, "validate_token" | "authenticate_service" | "finish_login") {
            let provider = call.plugin.to_owned();
            metrics::counter!(
                "authentication_attempts_total", "provider" => provider, "outcome" => outcome
            )
            .increment(1);
        }
        Receipt::done()
    }
}

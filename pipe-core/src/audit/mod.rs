//! Who did what, with which outcome: on record (REQ 001-81, 001-85, 004-85.4).
//!
//! [`Audit`] is an [`Observer`]: around a plugin, it makes an [`AuditEvent`] of every call and gives it to
//! an [`AuditSink`]. A program records its own events ([`Audit::record`]): approvals, integration
//! requests, changes of network policies (REQ 001-87, 001-88, 001-89).
//!
//! ```
//! use pipe_core::audit::{self, Audit, JsonLines, JsonLinesConfig, OnFault};
//! use pipe_core::wrap::Observed;
//! # use pipe_core::SecretsPlugin;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("pipe-audit-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("audit.jsonl");
//! let lines = JsonLines::open(JsonLinesConfig::new(&path))?;
//! let audit = Audit::new(lines, OnFault::Refuse);
//! # fn around(backend: impl SecretsPlugin, audit: Audit) -> impl SecretsPlugin {
//! let secrets = Observed::new(backend, audit);
//! # secrets }
//!
//! let verified = audit::verify(&path, None)?;
//! assert_eq!(verified.lines, 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(()) }
//! ```

mod chain;
mod event;
mod json_lines;
mod sink;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use self::chain::Checkpoint;
pub use self::event::{AuditEvent, Requester};
pub use self::json_lines::{Fsync, JsonLines, JsonLinesConfig};
pub use self::sink::{AuditSink, TracingSink};
pub use self::verify::{Tampered, Tampering, Verified, verify, verify_from};

use std::sync::Arc;

use crate::wrap::{Call, Observer, Receipt};
use crate::{Error, Result};

/// What becomes of a call that cannot be put on record. There is no default: it is a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFault {
    /// The answer is withheld, and while the fault lasts no further call is made: nothing is
    /// accessed without a record, and a full disk stops the service. A write that was under way
    /// when the fault began has happened.
    Refuse,
    /// Calls go on. The fault is logged, counted, and makes the plugin's health `Degraded`; the
    /// next line that can be written says how many are missing.
    Continue,
}

/// Puts calls on record.
///
/// Counts `audit_events_created_total` by `outcome`, through the facade of the crate `metrics`
/// (REQ 002-64).
#[derive(Clone, Debug)]
pub struct Audit {
    sink: Arc<dyn AuditSink>,
    on_fault: OnFault,
}

impl Audit {
    /// Records to this sink.
    #[must_use]
    pub fn new(sink: impl AuditSink, on_fault: OnFault) -> Self {
        Self { sink: Arc::new(sink), on_fault }
    }

    /// Puts an event of the program's own on record.
    ///
    /// # Errors
    /// When it is not on record, and [`OnFault::Refuse`] says that this matters.
    pub async fn record(&self, event: AuditEvent) -> Result<()> {
        self.keep(event).wait().await
    }

    fn keep(&self, event: AuditEvent) -> Receipt {
        metrics::counter!("audit_events_created_total", "outcome" => event.outcome).increment(1);
        let receipt = self.sink.record(event);
        match self.on_fault {
            OnFault::Refuse => receipt,
            // The sink itself reports what it loses.
            OnFault::Continue => Receipt::done(),
        }
    }
}

impl Observer for Audit {
    fn admit(&self) -> Receipt {
        match self.on_fault {
            OnFault::Refuse if self.sink.fault().is_some() => self.sink.probe(),
            _ => Receipt::done(),
        }
    }

    fn finished(&self, call: &Call<'_>) -> Receipt {
        self.keep(AuditEvent::of(call))
    }

    fn fault(&self) -> Option<Error> {
        self.sink.fault()
    }
}

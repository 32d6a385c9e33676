//! Where events go.

use std::fmt;

use super::AuditEvent;
use crate::Error;
use crate::wrap::Receipt;

/// Keeps events, and says so when it cannot.
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Keeps an event. It never blocks: what takes time goes into the receipt. What is lost although
    /// nobody waits for the receipt is reported by the sink.
    fn record(&self, event: AuditEvent) -> Receipt;

    /// Why events are lost just now.
    fn fault(&self) -> Option<Error> {
        None
    }

    /// Tries whether the fault has gone, without an event.
    fn probe(&self) -> Receipt {
        self.fault().map_or_else(Receipt::done, Receipt::failed)
    }
}

/// Logs events at the level `INFO` with the target `pipe::audit`, one field for each member.
///
/// It is as good as the subscriber that the program installs: whether a line is kept is not known
/// here.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TracingSink;

impl TracingSink {
    /// Logs with the subscriber of the process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl AuditSink for TracingSink {
    fn record(&self, event: AuditEvent) -> Receipt {
        let event = event.bounded();
        let requester = event.requester.as_ref();
        tracing::info!(
            target: "pipe::audit",
            time = %humantime::format_rfc3339_micros(event.time),
            plugin = event.plugin,
            action = %event.action,
            subject = event.subject,
            requester.kind = requester.map(|requester| tracing::field::debug(requester.kind)),
            requester.id = requester.map(|requester| requester.id.as_str()),
            requester.tenant =
                requester.and_then(|requester| requester.tenant.as_ref().map(|t| t.as_str())),
            requester.issuer = requester.map(|requester| requester.issuer.as_str()),
            requester.token_id = requester.and_then(|requester| requester.token_id.as_deref()),
            reason = event.reason,
            outcome = event.outcome,
            detail = event.detail,
            trace_id = event.trace_id,
            span_id = event.span_id,
            took_us = event.took_us,
            "audit"
        );
        Receipt::done()
    }
}

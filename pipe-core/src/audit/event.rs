//! What is put on record.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::ambient::Ambient;
use crate::error::one_line;
use crate::identity::{PrincipalId, PrincipalKind, TenantId};
use crate::secrets::Change;
use crate::wrap::{Answered, Call, Outcome};
use crate::{ErrorKind, SecurityContext, TraceContext};

/// One event. Names, numbers and times; nothing secret has a way in.
///
/// Written out, it is a flat JSON object, whose members are left out when there is nothing to say:
///
/// ```json
/// {"time":"2026-11-24T20:27:53.000123Z","plugin":"openbao","action":"get_secret","subject":"apps/db",
///  "requester":{"kind":"user","id":"7f3a","tenant":"sales","issuer":"https://id.example"},
///  "reason":"ticket-7","outcome":"success","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","took_us":812}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The plugin's instance name, or the part of the program that speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What was done: a plugin's method, or a name of the program's own.
    pub action: Cow<'static, str>,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// On whose behalf; the service itself when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<Requester>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it ended: `success`, `absent`, `cancelled`, the kind of an error, or a word of the
    /// program's own such as `approved`.
    pub outcome: &'static str,
    /// More about the outcome: what a write did, why a token was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
    /// The trace that it was a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Its span in that trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// How long it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How many events are missing here, or how many bytes were dropped: for the sink's own events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// On whose behalf something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Requester {
    /// What kind of principal.
    pub kind: PrincipalKind,
    /// Its opaque id.
    pub id: PrincipalId,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Who vouches for it.
    pub issuer: String,
    /// The name of the token it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
}

impl From<&SecurityContext> for Requester {
    fn from(context: &SecurityContext) -> Self {
        Self {
            kind: context.principal.kind,
            id: context.principal.id.clone(),
            tenant: context.tenant.clone(),
            issuer: short(&context.issuer),
            token_id: context.token_id.as_deref().map(short),
        }
    }
}

impl AuditEvent {
    /// An event of the program's own, of now, with the requester, the reason and the trace of the
    /// current task.
    #[must_use]
    pub fn new(action: impl Into<Cow<'static, str>>, outcome: &'static str) -> Self {
        let Ambient { caller, reason, trace } = Ambient::current();
        Self {
            time: SystemTime::now(),
            plugin: None,
            action: one_line(action.into()),
            subject: None,
            requester: caller.as_deref().map(Requester::from),
            reason: reason.as_deref().map(short),
            outcome,
            detail: None,
            trace_id: trace.as_ref().map(TraceContext::trace_id),
            span_id: trace.as_ref().map(TraceContext::span_id),
            took_us: None,
            count: None,
        }
    }

    /// What it was done to: a name, never a secret. At most 512 characters of it are kept.
    #[must_use]
    pub fn with_subject(self, subject: impl AsRef<str>) -> Self {
        Self { subject: Some(short(subject.as_ref())), ..self }
    }

    /// The part of the program that speaks.
    #[must_use]
    pub fn with_plugin(self, plugin: impl AsRef<str>) -> Self {
        Self { plugin: Some(short(plugin.as_ref())), ..self }
    }

    /// More about the outcome.
    #[must_use]
    pub fn with_detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// As a line of bounded length can hold it, whatever the fields were set to.
    pub(super) fn bounded(mut self) -> Self {
        let epoch = SystemTime::UNIX_EPOCH;
        self.time = self.time.clamp(epoch, epoch + LAST_SECOND);
        self.action = one_line(self.action);
        let Self { plugin, subject, reason, trace_id, span_id, requester, .. } = &mut self;
        let of_requester = requester.as_mut().map(|requester| {
            bound(&mut requester.issuer);
            &mut requester.token_id
        });
        let texts = [plugin, subject, reason, trace_id, span_id].into_iter().chain(of_requester);
        texts.flatten().for_each(bound);
        self
    }

    pub(super) fn with_count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// The event that a call is.
    #[must_use]
    pub fn of(call: &Call<'_>) -> Self {
        let subject = match call.outcome {
            // Who was let in, which nobody knew before.
            Outcome::Answered(Answered::Caller(caller)) => Some(caller.principal.id.to_string()),
            _ => call.subject.map(|subject| subject.to_string()),
        };
        Self {
            time: SystemTime::now().checked_sub(call.took).unwrap_or(SystemTime::UNIX_EPOCH),
            plugin: Some(short(call.plugin)),
            action: call.operation.into(),
            subject: subject.as_deref().map(short),
            requester: call.requester.map(Requester::from),
            reason: call.reason.map(short),
            outcome: call.outcome.name(),
            detail: detail(&call.outcome),
            trace_id: call.trace.map(TraceContext::trace_id),
            span_id: call.trace.map(TraceContext::span_id),
            took_us: Some(microseconds(call.took)),
            count: None,
        }
    }
}

fn detail(outcome: &Outcome<'_>) -> Option<&'static str> {
    match outcome {
        Outcome::Answered(Answered::Written(Change::Created)) => Some("created"),
        Outcome::Answered(Answered::Written(Change::Updated)) => Some("updated"),
        Outcome::Answered(Answered::Written(Change::Unchanged)) => Some("unchanged"),
        Outcome::Failed(error) => match error.kind() {
            ErrorKind::LoginRefused(fault) => Some(fault.code()),
            ErrorKind::TokenRejected(fault) => Some(fault.code()),
            _ => None,
        },
        _ => None,
    }
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn bound(text: &mut String) {
    *text = one_line(std::mem::take(text).into()).into_owned();
}

/// So that no line is longer than a reader can hold.
fn short(text: &str) -> String {
    one_line(text.to_owned().into()).into_owned()
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_micros(*time))
}

/// The last second of the year 9999: later ones cannot be written down.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

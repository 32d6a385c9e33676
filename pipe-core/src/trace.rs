//! The trace that a call belongs to, as W3C's Trace Context carries it from service to service.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

/// A place in a distributed trace: the content of the headers [`traceparent`][w3c] and
/// `tracestate` (REQ 001-83).
///
/// [w3c]: https://www.w3.org/TR/trace-context/#traceparent-header
///
/// ```
/// use pipe_core::TraceContext;
///
/// let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = incoming.parse()?;
/// assert_eq!(trace.to_string(), incoming);
/// let outgoing = trace.child();
/// assert_eq!(outgoing.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_ne!(outgoing.span_id(), trace.span_id());
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<Arc<str>>,
}

/// What is recorded of the trace by whoever is asked to: the only flag of version 00.
const SAMPLED: u8 = 1;

/// Longer ones may be dropped by anybody on the way (W3C Trace Context 3.3.1.5).
const STATE_LIMIT: usize = 512;

impl TraceContext {
    /// The beginning of a new trace that is to be recorded.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "two of them are never equal")]
    pub fn new() -> Self {
        let trace_id = fastrand::u128(1..);
        Self { trace_id, span_id: fastrand::u64(1..), flags: SAMPLED, state: None }
    }

    /// The next span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: fastrand::u64(1..), ..self.clone() }
    }

    /// With the content of the header `tracestate`. One that is longer than 512 bytes or not
    /// printable ASCII is left out, as the standard allows.
    #[must_use]
    pub fn with_state(self, state: &str) -> Self {
        let state = state.trim();
        let usable = (1..=STATE_LIMIT).contains(&state.len())
            && state.bytes().all(|b| matches!(b, b' '..=b'~'));
        Self { state: usable.then(|| state.into()), ..self }
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span's id: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The content of the header `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Whether the sender records this trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The content of the header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags & SAMPLED)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

/// From the header `traceparent`, of version 00 or a later one.
impl FromStr for TraceContext {
    type Err = Error;

    fn from_str(header: &str) -> Result<Self> {
        parse(header).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "not a `traceparent`").hint(
                "send 00-<32 hexadecimal digits>-<16 hexadecimal digits>-<2 hexadecimal digits>",
            )
        })
    }
}

fn parse(header: &str) -> Option<TraceContext> {
    let mut parts = header.splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    // A later version may have more parts; version 00 has not, and ff is none.
    let is_known = version != 0xff && (version != 0 || parts.next().is_none());
    (is_known && trace_id != 0 && span_id != 0).then_some(TraceContext {
        trace_id,
        span_id,
        flags,
        state: None,
    })
}

/// `from_str_radix` alone would take a sign and capital letters.
fn hex(digits: &str, length: usize) -> Option<u128> {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let legal = digits.len() == length && digits.bytes().all(is_hex);
    legal.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_is_printed_is_read_back() {
        for _ in 0..100 {
            let trace = TraceContext::new();
            assert_eq!(trace.to_string().parse::<TraceContext>().unwrap(), trace);
        }
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        for header in [
            "".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert!(header.parse::<TraceContext>().is_err(), "{header}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later: TraceContext = format!("01-{TRACE}-{SPAN}-ff-more-parts").parse().unwrap();
        assert_eq!(later.to_string(), format!("00-{TRACE}-{SPAN}-01"));
    }

    #[test]
    fn a_state_that_could_break_a_header_is_left_out() {
        let state = |state: &str| TraceContext::new().with_state(state).state().map(str::to_owned);
        assert_eq!(state(" a=1,b=2 ").as_deref(), Some("a=1,b=2"));
        for bad in ["", "a=1\r\nx: y", "ä=1", &"x".repeat(513)] {
            assert_eq!(state(bad), None, "{bad:?}");
        }
        assert!(TraceContext::new().with_state("a=1").child().state().is_some());
    }
}

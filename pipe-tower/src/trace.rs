//! The trace that a request belongs to (REQ 001-83).

use http::HeaderMap;
use pipe_core::TraceContext;

/// A span of our own in the trace that the request names; else in the one that we are in, when a
/// layer outside has begun it; else in a new one.
pub(crate) fn of_request(headers: &HeaderMap) -> TraceContext {
    let parent = incoming(headers).or_else(TraceContext::current);
    parent.map_or_else(TraceContext::new, |parent| parent.child())
}

/// A `traceparent` that occurs twice or is malformed is ignored together with its `tracestate`
/// (W3C Trace Context 4.3).
fn incoming(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent: TraceContext = parents.next()?.to_str().ok()?.parse().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let states = headers.get_all("tracestate").iter().map(|state| state.to_str());
    let states: Vec<_> = states.collect::<Result<_, _>>().unwrap_or_default();
    Some(parent.with_state(&states.join(",")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |&(name, value)| (name, HeaderValue::from_static(value));
        headers.iter().map(value).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn a_request_is_a_new_span_of_the_senders_trace() {
        let trace = of_request(&headers(&[("traceparent", PARENT), ("tracestate", "a=1")]));
        assert_eq!((trace.trace_id().as_str(), trace.state()), (TRACE, Some("a=1")));
        assert_ne!(trace.span_id(), "00f067aa0ba902b7");
    }

    #[test]
    fn a_state_in_several_headers_is_one_list() {
        let parts = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(of_request(&headers(&parts)).state(), Some("a=1,b=2"));
    }

    #[test]
    fn a_malformed_or_repeated_parent_begins_a_new_trace() {
        for bad in [
            headers(&[("traceparent", "00-xyz"), ("tracestate", "a=1")]),
            headers(&[("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")]),
            headers(&[("tracestate", "a=1")]),
        ] {
            let trace = of_request(&bad);
            assert!(trace.trace_id() != TRACE && trace.state().is_none(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_trace_that_a_layer_outside_began_goes_on() {
        let outer = TraceContext::new();
        let inner = outer.clone().scope(async { of_request(&HeaderMap::new()) }).await;
        assert_eq!(inner.trace_id(), outer.trace_id());
    }
}

//! When the server wants to be asked again (RFC 9110 10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// No server keeps us away longer than this, whatever it says.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long the server asks to wait, from either form of `Retry-After`, one hour at most.
///
/// A date that has passed is zero; what is neither a number nor a date is `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // All digits and yet no number: larger than any.
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(delay.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date RFC 9110 uses.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn wait(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, now()).map(|delay| delay.as_secs())
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 7 "), Some(7));
    }

    #[test]
    fn an_absurd_wait_is_an_hour() {
        assert_eq!(wait("3601"), Some(3600));
        assert_eq!(wait("18446744073709551616"), Some(3600));
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600));
    }

    #[test]
    fn a_date_is_the_time_until_then_in_each_form() {
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:07 GMT"), Some(30));
        assert_eq!(wait("Sun Nov  6 08:50:07 1994"), Some(30));
    }

    #[test]
    fn a_date_that_has_passed_is_now() {
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
    }

    #[test]
    fn what_is_no_number_and_no_date_is_nothing() {
        for value in ["", "soon", "-1", "+5", "1.5", "0x10", "1e3", "5s"] {
            assert_eq!(wait(value), None, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now()), None);
    }
}

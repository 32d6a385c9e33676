//! What an HTTP status means to a caller.

use pipe_core::ErrorKind;

/// The kind of error a status stands for; `None` for success.
///
/// A kind is retryable only where the server is likely to recover without a person. A backend
/// whose protocol gives a status another meaning decides for itself before it asks here.
#[must_use]
pub const fn status_kind(status: u16) -> Option<ErrorKind> {
    Some(match status {
        200..=299 => return None,
        400 | 413 | 414 | 415 | 422 | 431 => ErrorKind::InvalidArgument,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        // The server knows the path and does not offer this on it; no later call will find it.
        405 | 501 => ErrorKind::Unsupported,
        // Somebody gave up waiting, and the work may have been done nevertheless.
        408 | 504 => ErrorKind::Timeout,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        // A gateway without its server, or a server that says that it cannot serve now.
        502 | 503 => ErrorKind::Unavailable,
        // A redirect is never followed: it would carry the token to a host nobody configured.
        // A 500 is a fault in the server, and tends to stay until a person looks at it.
        _ => ErrorKind::Unexpected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_kind() {
        use ErrorKind::*;
        let table = [
            (0, Some(Unexpected)),
            (100, Some(Unexpected)),
            (101, Some(Unexpected)),
            (199, Some(Unexpected)),
            (200, None),
            (201, None),
            (204, None),
            (299, None),
            (300, Some(Unexpected)),
            (301, Some(Unexpected)),
            (304, Some(Unexpected)),
            (307, Some(Unexpected)),
            (308, Some(Unexpected)),
            (400, Some(InvalidArgument)),
            (401, Some(Unauthenticated)),
            (402, Some(Unexpected)),
            (403, Some(PermissionDenied)),
            (404, Some(NotFound)),
            (405, Some(Unsupported)),
            (407, Some(Unexpected)),
            (408, Some(Timeout)),
            (409, Some(Conflict)),
            (410, Some(NotFound)),
            (412, Some(Conflict)),
            (413, Some(InvalidArgument)),
            (414, Some(InvalidArgument)),
            (415, Some(InvalidArgument)),
            (418, Some(Unexpected)),
            (422, Some(InvalidArgument)),
            (429, Some(RateLimited)),
            (431, Some(InvalidArgument)),
            (499, Some(Unexpected)),
            (500, Some(Unexpected)),
            (501, Some(Unsupported)),
            (502, Some(Unavailable)),
            (503, Some(Unavailable)),
            (504, Some(Timeout)),
            (505, Some(Unexpected)),
            (599, Some(Unexpected)),
            (999, Some(Unexpected)),
        ];
        for (status, kind) in table {
            assert_eq!(status_kind(status), kind, "{status}");
        }
    }

    #[test]
    fn only_what_recovers_by_itself_is_retryable() {
        let retryable: Vec<u16> = (0..=999)
            .filter(|status| status_kind(*status).is_some_and(ErrorKind::is_retryable))
            .collect();
        assert_eq!(retryable, [408, 429, 502, 503, 504]);
    }
}

use http::HeaderMap;
use pipe_core::ErrorKind as K;

use super::*;

const GET: Asked<'_> =
    Asked { verbs: &["get"], resource: Resource::Secrets, namespace: "bots", name: "db" };
const TOKEN: Asked<'_> = Asked {
    verbs: &["create"],
    resource: Resource::ServiceAccountTokens,
    namespace: "bots",
    name: "app",
};

fn status(code: u16, reason: &str, message: &str, details: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}","details":{details},"code":{code}}}"#
    )
}

fn answer(code: u16, body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse::new(code, HeaderMap::new(), body)
}

/// What kube-apiserver 1.36 and 1.20 answer.
#[test]
fn each_refusal_means_one_thing() {
    let secrets = r#"{"name":"db","kind":"secrets"}"#;
    let uid = r#"{"name":"db","kind":"Secret","causes":[{"reason":"FieldValueInvalid","message":"x","field":"metadata.uid"}]}"#;
    let cause = |reason: &str, field: &str| {
        format!(
            r#"{{"name":"db","kind":"Secret","causes":[{{"reason":"{reason}","message":"x","field":"{field}"}}]}}"#
        )
    };
    let table: Vec<(u16, String, Asked<'_>, Fault, K)> = vec![
        (404, status(404, "NotFound", "x", secrets), GET, Fault::Absent, K::NotFound),
        (
            404,
            status(404, "NotFound", "x", r#"{"name":"bots","kind":"namespaces"}"#),
            GET,
            Fault::NamespaceAbsent,
            K::NotFound,
        ),
        (404, status(404, "NotFound", "x", "{}"), GET, Fault::ApiAbsent, K::Unsupported),
        (404, "404 page not found\n".to_owned(), GET, Fault::ApiAbsent, K::Unsupported),
        (404, "<html>default backend</html>".to_owned(), GET, Fault::Foreign, K::Unexpected),
        (404, r#"{"errors":[]}"#.to_owned(), GET, Fault::Foreign, K::Unexpected),
        (404, String::new(), GET, Fault::Foreign, K::Unexpected),
        (
            404,
            status(404, "NotFound", "x", r#"{"name":"app","kind":"serviceaccounts"}"#),
            TOKEN,
            Fault::OtherAbsent,
            K::NotFound,
        ),
        (404, status(404, "NotFound", "x", secrets), TOKEN, Fault::OtherAbsent, K::NotFound),
        (
            401,
            status(401, "Unauthorized", "Unauthorized", "{}"),
            GET,
            Fault::BadToken,
            K::Unauthenticated,
        ),
        (403, status(403, "Forbidden", "x", secrets), GET, Fault::Denied, K::PermissionDenied),
        (
            403,
            status(403, "Forbidden", "secrets is forbidden: exceeded quota: q", secrets),
            GET,
            Fault::OverQuota,
            K::PermissionDenied,
        ),
        (
            403,
            status(403, "Forbidden", "x", &cause("NamespaceTerminating", "metadata.namespace")),
            GET,
            Fault::NamespaceTerminating,
            K::Conflict,
        ),
        (409, status(409, "AlreadyExists", "x", secrets), GET, Fault::AlreadyExists, K::Conflict),
        (409, status(409, "Conflict", "x", secrets), GET, Fault::Stale, K::Conflict),
        (
            409,
            status(
                409,
                "Conflict",
                "x",
                r#"{"causes":[{"reason":"FieldManagerConflict","field":".data.k"}]}"#,
            ),
            GET,
            Fault::FieldOwned,
            K::Conflict,
        ),
        (422, status(422, "Invalid", "x", uid), GET, Fault::Stale, K::Conflict),
        (
            422,
            status(422, "Invalid", "x", &cause("FieldValueForbidden", "data")),
            GET,
            Fault::Immutable,
            K::Conflict,
        ),
        (
            422,
            status(422, "Invalid", "x", &cause("FieldValueForbidden", "immutable")),
            GET,
            Fault::Immutable,
            K::Conflict,
        ),
        (
            422,
            status(422, "Invalid", "x", &cause("FieldValueTooLong", "data")),
            GET,
            Fault::TooLarge,
            K::InvalidArgument,
        ),
        (
            422,
            status(422, "Invalid", "x", &cause("FieldValueInvalid", "metadata.labels")),
            GET,
            Fault::Invalid,
            K::InvalidArgument,
        ),
        (
            422,
            status(422, "Invalid", "x", r#"{"causes":[{"message":"policy"}]}"#),
            GET,
            Fault::AdmissionRefused,
            K::PermissionDenied,
        ),
        (
            413,
            status(413, "RequestEntityTooLarge", "x", "{}"),
            GET,
            Fault::TooLarge,
            K::InvalidArgument,
        ),
        (410, status(410, "Expired", "x", "{}"), GET, Fault::Expired, K::Unavailable),
        (
            429,
            "Too many requests, please try again later.\n".to_owned(),
            GET,
            Fault::TooMany,
            K::RateLimited,
        ),
        (429, status(429, "TooManyRequests", "x", "{}"), GET, Fault::TooMany, K::RateLimited),
        (
            504,
            r#"{"metadata":{},"status":"Failure","message":"x","reason":"Timeout","details":{},"code":504}"#.to_owned(),
            GET,
            Fault::TimedOut,
            K::Timeout,
        ),
        (
            504,
            status(
                504,
                "Timeout",
                "x",
                r#"{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1}"#,
            ),
            GET,
            Fault::Behind,
            K::Unavailable,
        ),
        (406, status(406, "NotAcceptable", "x", "{}"), GET, Fault::NotAcceptable, K::Unsupported),
        (
            415,
            status(415, "UnsupportedMediaType", "x", "{}"),
            GET,
            Fault::NotAcceptable,
            K::Unsupported,
        ),
        (400, status(400, "BadRequest", "x", "{}"), GET, Fault::BadRequest, K::InvalidArgument),
        (
            500,
            status(
                500,
                "InternalError",
                "Internal error occurred: failed calling webhook",
                r#"{"causes":[{}]}"#,
            ),
            GET,
            Fault::WebhookDown,
            K::Unavailable,
        ),
        (
            500,
            status(500, "", "failed to create typed patch object (/s; /v1, Kind=Secret)", "{}"),
            GET,
            Fault::ApplyRefused,
            K::InvalidArgument,
        ),
        (
            500,
            status(500, "", "failed to convert new object (/s; /v1, Kind=Secret)", "{}"),
            GET,
            Fault::ApplyRefused,
            K::InvalidArgument,
        ),
        (500, status(500, "", "strconv.ParseUint", "{}"), GET, Fault::Other, K::Unexpected),
        (503, status(503, "ServiceUnavailable", "x", "{}"), GET, Fault::Other, K::Unavailable),
        (503, "<html>".to_owned(), GET, Fault::Foreign, K::Unavailable),
        (403, "<html>blocked</html>".to_owned(), GET, Fault::Foreign, K::Unexpected),
        (307, String::new(), GET, Fault::Redirected, K::Unexpected),
    ];
    let mut seen = std::collections::HashSet::new();
    for (code, body, asked, fault, kind) in table {
        let answer = answer(code, body.clone());
        assert_eq!(Fault::of(&answer, &asked), fault, "{code} {body}");
        let error = refusal(&answer, &asked);
        assert_eq!(error.kind(), kind, "{code} {body}");
        assert!(!error.hint_text().is_empty());
        seen.insert(fault);
    }
    assert_eq!(seen.len(), 26, "a row of the table has no test: {seen:?}");
}

#[test]
fn a_denial_names_the_rule_that_would_allow_it() {
    let body = status(403, "Forbidden", "User \\\"x\\\" cannot", r#"{"kind":"secrets"}"#);
    let error = refusal(&answer(403, body.clone()), &GET);
    assert_eq!(
        error.hint_text(),
        "grant {apiGroups: [\"\"], resources: [\"secrets\"], verbs: [\"get\"], resourceNames: [\"db\"]} in a \
         Role of namespace bots"
    );
    assert_eq!(error.context("verbs"), Some("get"));
    let review =
        Asked { verbs: &["create"], resource: Resource::TokenReviews, namespace: "", name: "" };
    let error = refusal(&answer(403, body), &review);
    assert!(error.hint_text().contains("authentication.k8s.io"), "{error}");
    assert!(error.hint_text().ends_with("in a ClusterRole"), "{error}");
}

#[test]
fn the_servers_wait_is_kept_and_has_a_floor() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "0".parse().unwrap());
    let error = refusal(&HttpResponse::new(429, headers, "Too many"), &GET);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    let body = status(504, "Timeout", "x", r#"{"retryAfterSeconds":3}"#);
    assert_eq!(refusal(&answer(504, body), &GET).retry_after(), Some(Duration::from_secs(3)));
}

/// A failed merge patch is answered with the whole object, in the message and in the cause.
#[test]
fn nothing_of_the_servers_text_is_in_an_error() {
    let leak = "hunter2";
    for code in [400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503, 504] {
        for reason in ["Invalid", "Conflict", "Forbidden", "NotFound", leak] {
            let details = format!(
                r#"{{"name":"{leak}","kind":"{leak}","causes":[{{"reason":"FieldManagerConflict","message":"{leak}","field":"{leak}"}},{{"reason":"{leak}","field":"x {leak}"}}]}}"#
            );
            let error = refusal(&answer(code, status(code, reason, leak, &details)), &GET);
            assert!(!format!("{error:?} {error:#}").contains(leak), "{code} {reason}: {error:?}");
        }
    }
}

#[test]
fn a_conflict_names_the_fields() {
    let details = r#"{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"x\"","field":".data.password"}]}"#;
    let error = refusal(&answer(409, status(409, "Conflict", "x", details)), &GET);
    assert_eq!(error.context("field"), Some(".data.password"));
}

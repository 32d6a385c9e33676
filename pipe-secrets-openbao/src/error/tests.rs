use http::HeaderMap;
use pipe_core::ErrorKind as K;

use super::*;

mod engines;

const KUBERNETES: Asked = Asked::Login("kubernetes");
const APPROLE: Asked = Asked::Login("approle");
const CERT: Asked = Asked::Login("cert");
const UNWRAP: Asked = Asked::Login("unwrap");
const JWT: Asked = Asked::Login("jwt");
const USERPASS: Asked = Asked::Login("userpass");
const WORK: Asked = Asked::Work;
const PKI: Asked = Asked::Engine("pki");
const LEASES: Asked = Asked::Engine("leases");

/// What OpenBao 2.7.2 answers, word for word.
const TABLE: &[(u16, &str, Asked, Fault, K)] = &[
    (
        400,
        r#"{"errors":["no chain matching all constraints could be found for this login certificate"]}"#,
        CERT,
        Fault::LoginCertificateRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["no client certificate found"]}"#,
        CERT,
        Fault::LoginCertificateRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["invalid certificate or no client certificate supplied"]}"#,
        CERT,
        Fault::LoginCertificateRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["wrapping token is not valid or does not exist"]}"#,
        UNWRAP,
        Fault::Unwrapped,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["could not load configuration"]}"#,
        JWT,
        Fault::LoginNotConfigured,
        K::ConfigInvalid,
    ),
    (
        400,
        r#"{"errors":["role \"nosuch\" could not be found"]}"#,
        JWT,
        Fault::LoginRoleUnknown,
        K::Unauthenticated,
    ),
    (400, r#"{"errors":["missing role"]}"#, JWT, Fault::LoginRoleUnknown, K::Unauthenticated),
    (400, r#"{"errors":["missing token"]}"#, JWT, Fault::LoginJwtRefused, K::Unauthenticated),
    (
        400,
        r#"{"errors":["error validating token: error verifying token signature: no known key successfully validated the token signature"]}"#,
        JWT,
        Fault::LoginJwtRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["error validating token: invalid audience (aud) claim: audience claim does not match any expected audience"]}"#,
        JWT,
        Fault::LoginJwtRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["error validating token: invalid issuer (iss) claim"]}"#,
        JWT,
        Fault::LoginJwtRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["error validating claims: claim \"team\" does not match any associated bound claim values"]}"#,
        JWT,
        Fault::LoginJwtRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["claim \"sub\" not found in token"]}"#,
        JWT,
        Fault::LoginJwtRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["error validating token: invalid expiration time (exp) claim: token is expired"]}"#,
        JWT,
        Fault::LoginJwtExpired,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["error validating token: invalid not before (nbf) claim: token not yet valid"]}"#,
        JWT,
        Fault::LoginJwtExpired,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["permission denied"]}"#,
        JWT,
        Fault::LoginDenied("jwt"),
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["invalid username or password"]}"#,
        USERPASS,
        Fault::LoginPasswordRefused,
        K::Unauthenticated,
    ),
    (
        500,
        r#"{"errors":["missing password"]}"#,
        USERPASS,
        Fault::LoginPasswordRefused,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["permission denied"]}"#,
        USERPASS,
        Fault::LoginDenied("userpass"),
        K::Unauthenticated,
    ),
    (404, r#"{"errors":[]}"#, WORK, Fault::Absent, K::NotFound),
    (404, r#"{"errors":["Not Found"]}"#, WORK, Fault::Foreign, K::Unexpected),
    (404, "", WORK, Fault::Foreign, K::Unexpected),
    (404, "<html>default backend - 404</html>", WORK, Fault::Foreign, K::Unexpected),
    (404, r#"{"kind":"Status","code":404}"#, WORK, Fault::Foreign, K::Unexpected),
    (403, "<html>blocked</html>", WORK, Fault::Foreign, K::Unexpected),
    (429, "<html>slow down</html>", WORK, Fault::Foreign, K::RateLimited),
    (
        404,
        r#"{"request_id":"x","data":{"data":null,"metadata":{"version":1}},"warnings":null}"#,
        WORK,
        Fault::Absent,
        K::NotFound,
    ),
    (
        400,
        r#"{"errors":["batch tokens cannot be revoked"]}"#,
        WORK,
        Fault::Irrevocable,
        K::Unsupported,
    ),
    (
        404,
        r#"{"errors":["no handler for route \"nomount/data/foo\". route entry not found."]}"#,
        WORK,
        Fault::MountMissing,
        K::NotFound,
    ),
    (404, r#"{"errors":["namespace not found"]}"#, WORK, Fault::NamespaceMissing, K::NotFound),
    (
        404,
        r#"{"errors":["namespace not found"]}"#,
        KUBERNETES,
        Fault::NamespaceMissing,
        K::NotFound,
    ),
    (
        404,
        r#"{"request_id":"x","data":null,"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs"]}"#,
        WORK,
        Fault::NotKv2,
        K::ConfigInvalid,
    ),
    (
        405,
        r#"{"errors":["1 error occurred:\n\t* unsupported operation\n\n"]}"#,
        WORK,
        Fault::PathUnsupported,
        K::Unsupported,
    ),
    (
        404,
        r#"{"errors":["1 error occurred:\n\t* unsupported path\n\n"]}"#,
        WORK,
        Fault::PathUnsupported,
        K::Unsupported,
    ),
    (403, r#"{"errors":["permission denied"]}"#, WORK, Fault::BadToken, K::Unauthenticated),
    (403, r#"{"errors":["bad token"]}"#, WORK, Fault::BadToken, K::Unauthenticated),
    (
        403,
        r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
        WORK,
        Fault::Denied,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["check-and-set parameter did not match the current version"]}"#,
        WORK,
        Fault::CasMismatch,
        K::Conflict,
    ),
    (
        400,
        r#"{"errors":["check-and-set parameter required for this call"]}"#,
        WORK,
        Fault::CasRequired,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["refused JSON input due to high complexity: exceeded maximum number of strings"]}"#,
        WORK,
        Fault::TooComplex,
        K::InvalidArgument,
    ),
    (
        413,
        r#"{"errors":["http: request body too large"]}"#,
        WORK,
        Fault::TooLarge,
        K::InvalidArgument,
    ),
    (400, r#"{"errors":["no data provided"]}"#, WORK, Fault::BadRequest, K::InvalidArgument),
    (
        400,
        r#"{"errors":["Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period"]}"#,
        WORK,
        Fault::Upgrading,
        K::Unavailable,
    ),
    (
        500,
        r#"{"errors":["local node not active but active cluster node not found"]}"#,
        WORK,
        Fault::NoActiveNode,
        K::Unavailable,
    ),
    (503, r#"{"errors":["Vault is sealed"]}"#, WORK, Fault::Sealed, K::Unavailable),
    (503, r#"{"errors":["Vault is sealed"]}"#, KUBERNETES, Fault::Sealed, K::Unavailable),
    (503, r#"{"errors":["namespace is sealed"]}"#, WORK, Fault::NamespaceSealed, K::Unavailable),
    (
        503,
        r#"{"errors":["API access to this namespace has been locked by an administrator - \"team1/\" must be unlocked to gain access."]}"#,
        WORK,
        Fault::NamespaceLocked,
        K::PermissionDenied,
    ),
    (
        429,
        r#"{"errors":["request path \"secret/data/a\": rate limit quota exceeded"]}"#,
        WORK,
        Fault::RateLimited,
        K::RateLimited,
    ),
    (429, r#"{"errors":[]}"#, WORK, Fault::ReplicaBehind, K::Unavailable),
    (
        307,
        "<a href=\"/v1/secret/data/x\">Temporary Redirect</a>.\n\n",
        WORK,
        Fault::Redirected,
        K::Unavailable,
    ),
    (
        400,
        r#"{"errors":["invalid role name \"nosuch\""]}"#,
        KUBERNETES,
        Fault::LoginRoleUnknown,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["namespace not authorized"]}"#,
        KUBERNETES,
        Fault::ServiceAccountNotBound,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["service account name not authorized"]}"#,
        KUBERNETES,
        Fault::ServiceAccountNotBound,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["invalid expiration time (exp) claim: token is expired"]}"#,
        KUBERNETES,
        Fault::ServiceAccountTokenExpired,
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["invalid audience (aud) claim: audience claim does not match any expected audience"]}"#,
        KUBERNETES,
        Fault::ServiceAccountTokenRefused,
        K::Unauthenticated,
    ),
    (
        500,
        r#"{"errors":["could not load backend configuration"]}"#,
        KUBERNETES,
        Fault::LoginNotConfigured,
        K::ConfigInvalid,
    ),
    (
        403,
        r#"{"errors":["permission denied"]}"#,
        KUBERNETES,
        Fault::LoginDenied("kubernetes"),
        K::Unauthenticated,
    ),
    (
        403,
        r#"{"errors":["permission denied"]}"#,
        APPROLE,
        Fault::LoginDenied("approle"),
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["invalid role or secret ID"]}"#,
        APPROLE,
        Fault::LoginSecretRefused,
        K::Unauthenticated,
    ),
    (
        400,
        r#"{"errors":["missing secret_id"]}"#,
        APPROLE,
        Fault::LoginSecretIncomplete,
        K::ConfigInvalid,
    ),
    (
        500,
        r#"{"errors":["missing role_id"]}"#,
        APPROLE,
        Fault::LoginSecretIncomplete,
        K::ConfigInvalid,
    ),
    (
        400,
        r#"{"errors":["source address \"127.0.0.1\" unauthorized by CIDR restrictions on the role: %!w(<nil>)"]}"#,
        APPROLE,
        Fault::LoginAddressRefused,
        K::Unauthenticated,
    ),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* leadership lost while committing log\n\n"]}"#,
        WORK,
        Fault::LeadershipLost,
        K::Unavailable,
    ),
    (400, r#"{"errors":["unknown role: nosuch"]}"#, PKI, Fault::RoleUnknown, K::NotFound),
    (
        400,
        r#"{"errors":["common name a.evil not allowed by this role"]}"#,
        PKI,
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["subject alternate name x.evil not allowed by this role"]}"#,
        PKI,
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["URI Subject Alternative Names were provided via the API which are not valid for this role"]}"#,
        PKI,
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["IP Subject Alternative Names are not allowed in this role, but was provided via the API"]}"#,
        PKI,
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["the IP address \"11.0.0.1\" is not allowed in this role"]}"#,
        PKI,
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (
        400,
        r#"{"errors":["the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false"]}"#,
        PKI,
        Fault::CommonNameMissing,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["role key type \"any\" not allowed for issuing certificates without providing key_type and/or key_bits request parameters"]}"#,
        PKI,
        Fault::KeyTypeRefused,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["role requires keys of type ec"]}"#,
        PKI,
        Fault::KeyTypeRefused,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["Either ttl or not_after should be provided. Both should not be provided in the same request."]}"#,
        PKI,
        Fault::EndIsFixed,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["cannot satisfy request, as TTL would result in notAfter of 2026-11-28T09:42:26.45814798Z that is beyond the expiration of the CA certificate at 2026-11-28T08:43:25Z"]}"#,
        PKI,
        Fault::AuthorityEndsSooner,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["The certificate's Not Before (2026-11-28T08:45:20.161150811Z) is later than the certificate's Not After (2026-11-28T08:43:25Z)"]}"#,
        PKI,
        Fault::AuthorityEndsSooner,
        K::InvalidArgument,
    ),
    (
        400,
        r#"{"errors":["no default issuer currently configured"]}"#,
        PKI,
        Fault::AuthorityMissing,
        K::ConfigInvalid,
    ),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* could not fetch the CA certificate (was one set?): no default issuer currently configured\n\n"]}"#,
        PKI,
        Fault::AuthorityMissing,
        K::ConfigInvalid,
    ),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* could not fetch the CA certificate (was one set?): unable to find PKI issuer for reference: nosuch\n\n"]}"#,
        PKI,
        Fault::AuthorityMissing,
        K::ConfigInvalid,
    ),
    (
        400,
        r#"{"errors":["certificate with serial 00:11:22 not found."]}"#,
        PKI,
        Fault::CertificateUnknown,
        K::NotFound,
    ),
    (404, r#"{"errors":["unsupported path"]}"#, PKI, Fault::PathUnsupported, K::Unsupported),
    (400, r#"{"errors":["csr contains no data"]}"#, PKI, Fault::BadRequest, K::InvalidArgument),
    (
        403,
        r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
        PKI,
        Fault::Denied,
        K::PermissionDenied,
    ),
    (400, r#"{"errors":["unknown role: nosuch"]}"#, LEASES, Fault::RoleUnknown, K::NotFound),
    (400, r#"{"errors":["lease not found"]}"#, LEASES, Fault::LeaseGone, K::NotFound),
    (400, r#"{"errors":["invalid lease"]}"#, LEASES, Fault::LeaseGone, K::NotFound),
    (400, r#"{"errors":["lease is not renewable"]}"#, LEASES, Fault::NotRenewable, K::Unsupported),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* unable to start transaction: failed to connect to `user=postgres database=postgres`: 127.0.0.1:18433 (127.0.0.1): dial error: dial tcp 127.0.0.1:18433: connect: connection refused\n\n"]}"#,
        LEASES,
        Fault::DatabaseDown,
        K::Unavailable,
    ),
    (
        400,
        r#"{"errors":["failed to renew entry: resp: (*logical.Response)(nil) err: 1 error occurred:\n\t* failed to connect to `user=postgres database=postgres`: 127.0.0.1:18433 (127.0.0.1): dial error: dial tcp 127.0.0.1:18433: connect: connection refused\n\n"]}"#,
        LEASES,
        Fault::DatabaseDown,
        K::Unavailable,
    ),
    (
        400,
        r#"{"errors":["failed to revoke entry: resp: (*logical.Response)(nil) err: failed to connect to `user=postgres database=postgres`: 127.0.0.1:18433 (127.0.0.1): dial error: dial tcp 127.0.0.1:18433: connect: connection refused"]}"#,
        LEASES,
        Fault::DatabaseDown,
        K::Unavailable,
    ),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* \"notallowed\" is not an allowed role\n\n"]}"#,
        LEASES,
        Fault::RoleNotAllowed,
        K::PermissionDenied,
    ),
    (
        500,
        r#"{"errors":["1 error occurred:\n\t* failed to find entry for connection with name: \"nodb\"\n\n"]}"#,
        LEASES,
        Fault::DatabaseUnknown,
        K::ConfigInvalid,
    ),
    (
        400,
        r#"{"errors":["lease_id must be specified"]}"#,
        LEASES,
        Fault::BadRequest,
        K::InvalidArgument,
    ),
    (
        500,
        r#"{"errors":["requests with inline authentication cannot generate leases"]}"#,
        WORK,
        Fault::InlineLease,
        K::Unsupported,
    ),
    (502, "<html>bad gateway</html>", WORK, Fault::Foreign, K::Unavailable),
    (500, r#"{"errors":["internal error"]}"#, WORK, Fault::Other, K::Unexpected),
    (504, "", WORK, Fault::Foreign, K::Timeout),
    (418, "", WORK, Fault::Foreign, K::Unexpected),
];

fn answer(status: u16, body: &str) -> HttpResponse {
    HttpResponse::new(status, HeaderMap::new(), body)
}

#[test]
fn every_known_refusal_has_its_meaning() {
    for &(status, body, asked, fault, kind) in TABLE {
        let answer = answer(status, body);
        assert_eq!(Fault::of(&answer, asked), fault, "{status} {body}");
        assert_eq!(fault.error(&answer).kind(), kind, "{status} {body}");
    }
}

/// REQ 004-82.3
#[test]
fn every_meaning_has_a_hint_of_its_own() {
    let faults: std::collections::HashSet<_> = TABLE.iter().map(|row| row.3).collect();
    for fault in faults {
        let error = fault.error(&answer(400, ""));
        assert_ne!(error.hint_text(), Error::new(error.kind(), "x").hint_text(), "{fault:?}");
    }
}

/// REQ 004-82.4
#[test]
fn nothing_that_the_server_says_is_repeated() {
    for status in [400, 403, 404, 429, 500, 503] {
        for asked in [WORK, KUBERNETES, APPROLE, PKI, LEASES, Asked::Engine("transit")] {
            let body = r#"{"errors":["hunter2 permission denied hunter2"],"warnings":["hunter2"]}"#;
            let error = refusal(&answer(status, body), asked);
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
    }
}

/// Servers send `Retry-After: 0`, and at once is never late enough.
#[test]
fn a_wait_has_a_floor() {
    let mut limited = answer(429, r#"{"errors":["rate limit quota exceeded"]}"#);
    limited.headers.insert("retry-after", "0".parse().unwrap());
    let error = refusal(&limited, WORK);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn a_body_that_is_no_json_or_endless_is_no_crash() {
    for body in ["[", "null", "[]", r#"{"errors":null}"#, r#"{"errors":[1]}"#, &"x".repeat(1 << 20)]
    {
        assert_eq!(Fault::of(&answer(403, body), WORK), Fault::Foreign, "{}", &body[..1]);
    }
}

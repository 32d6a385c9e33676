//! The engines besides KV.

use super::*;

/// What OpenBao 2.7.2 answers for its engines besides KV: the text of the only error.
const ENGINES: &[(u16, &str, &str, Fault, K)] = &[
    (400, "transit", "encryption key not found", Fault::KeyUnknown, K::NotFound),
    (400, "transit", "signing key not found", Fault::KeyUnknown, K::NotFound),
    (400, "transit", "key not found", Fault::KeyUnknown, K::NotFound),
    (
        400,
        "transit",
        "key type aes256-gcm96 does not support signing",
        Fault::KeyUnsuitable,
        K::Unsupported,
    ),
    (
        400,
        "transit",
        "message encryption not supported for key type ed25519",
        Fault::KeyUnsuitable,
        K::Unsupported,
    ),
    (
        400,
        "transit",
        "missing 'context' for key derivation; the key was created using a derived key",
        Fault::ContextMissing,
        K::InvalidArgument,
    ),
    (
        400,
        "transit",
        "cipher: message authentication failed",
        Fault::CiphertextRefused,
        K::InvalidArgument,
    ),
    (400, "transit", "invalid ciphertext: no prefix", Fault::CiphertextRefused, K::InvalidArgument),
    (400, "transit", "invalid signature: no prefix", Fault::CiphertextRefused, K::InvalidArgument),
    (
        400,
        "transit",
        "cannot verify HMAC: version is too old (disallowed by policy)",
        Fault::CiphertextRefused,
        K::InvalidArgument,
    ),
    (
        400,
        "wrapping",
        "wrapping token is not valid or does not exist",
        Fault::WrapGone,
        K::NotFound,
    ),
    (
        400,
        "wrapping",
        "endpoint requires response wrapping to be used",
        Fault::BadRequest,
        K::InvalidArgument,
    ),
    (400, "database", "unknown role: nosuch", Fault::RoleUnknown, K::NotFound),
    (
        400,
        "pki",
        "URI Subject Alternative Names are not allowed in this role, but were provided via the API",
        Fault::NameNotAllowed,
        K::PermissionDenied,
    ),
    (403, "transit", "permission denied", Fault::BadToken, K::Unauthenticated),
    (503, "pki", "Vault is sealed", Fault::Sealed, K::Unavailable),
];

#[test]
fn every_known_refusal_of_an_engine_has_its_meaning() {
    for &(status, engine, text, fault, kind) in ENGINES {
        let answer = answer(status, &serde_json::json!({ "errors": [text] }).to_string());
        assert_eq!(Fault::of(&answer, Asked::Engine(engine)), fault, "{status} {text}");
        assert_eq!(fault.error(&answer).kind(), kind, "{status} {text}");
        assert_ne!(fault.alone().hint_text(), Error::new(kind, "x").hint_text(), "{fault:?}");
    }
}

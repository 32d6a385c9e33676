mod claims;

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::TokenFault::{self, *};
use serde_json::json;

use super::*;
use crate::jwt::policy::TokenPolicyBuilder;
use crate::jwt::{Algorithm, Limits, TrustedIssuer};

const SECRET: &[u8] = b"a shared secret of 32 bytes, min";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;
const DAY: u64 = 24 * 3600;

fn builder() -> TokenPolicyBuilder {
    TokenPolicy::builder(TrustedIssuer::exact(ISSUER)).algorithms([Algorithm::Hs256])
}

fn strict() -> TokenPolicy {
    builder().build().unwrap()
}

fn lenient() -> TokenPolicy {
    builder().token_type(TokenType::Lenient).build().unwrap()
}

fn keys() -> KeySet {
    KeySet::hmac(SECRET, Algorithm::Hs256).unwrap()
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "at+jwt", "kid": "k" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 300, "iat": NOW - 10,
        "jti": "t-1", "client_id": "svc", "scope": "read write",
    })
}

/// What is there, with these members instead; `null` removes one.
fn with(mut object: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

fn sign(header: &str, payload: &str) -> String {
    sign_bytes(header.as_bytes(), payload.as_bytes())
}

fn sign_bytes(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    mac(&input)
}

fn mac(input: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn verify(policy: &TokenPolicy, token: &str) -> Result<Claims, TokenFault> {
    let jwt = Jwt::parse(token.as_bytes(), policy.limits())?;
    policy.verify(&jwt, &keys(), &[AUDIENCE], at(NOW))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The fault of a token with these members, under the lenient policy.
fn fault_of(header_changes: Value, claim_changes: Value) -> Option<TokenFault> {
    let token = sign(
        &with(header(), header_changes).to_string(),
        &with(claims(), claim_changes).to_string(),
    );
    verify(&lenient(), &token).err()
}

fn claim_fault(changes: Value) -> Option<TokenFault> {
    fault_of(json!({}), changes)
}

fn header_fault(changes: Value) -> Option<TokenFault> {
    fault_of(changes, json!({}))
}

/// The fault of a token in which this text of the payload is replaced, for what `json!` cannot say.
fn raw_fault(from: &str, to: &str) -> Option<TokenFault> {
    let payload = claims().to_string();
    assert!(payload.contains(from), "{from}");
    verify(&lenient(), &sign(&header().to_string(), &payload.replacen(from, to, 1))).err()
}

/// The same for the header.
fn raw_header_fault(text: &str) -> Option<TokenFault> {
    verify(&lenient(), &sign(text, &claims().to_string())).err()
}

fn exp(value: &str) -> Option<TokenFault> {
    raw_fault(&format!("\"exp\":{}", NOW + 300), &format!("\"exp\":{value}"))
}

fn extra(member: &str) -> Option<TokenFault> {
    raw_fault("{", &format!("{{{member},"))
}

/// REQ 004-74.1
#[test]
fn a_sound_token_is_accepted_by_both_policies() {
    let token = sign(&header().to_string(), &claims().to_string());
    for policy in [strict(), lenient()] {
        let claims = verify(&policy, &token).unwrap();
        assert_eq!(claims.issuer(), ISSUER);
        assert_eq!(claims.subject(), "alice");
        assert_eq!(claims.audiences().collect::<Vec<_>>(), [AUDIENCE]);
        assert_eq!((claims.expires_at(), claims.issued_at()), (NOW + 300, Some(NOW - 10)));
        assert_eq!(claims.not_before(), None);
        assert_eq!((claims.token_id(), claims.client_id()), (Some("t-1"), Some("svc")));
        assert_eq!(claims.scopes().collect::<Vec<_>>(), ["read", "write"]);
        assert!(claims.confirmation().is_none());
    }
}

/// The table of differences between libraries, row by row: what each of them accepts, and we refuse.
#[test]
fn what_other_libraries_accept_is_refused() {
    let rows = [
        ("crit unknown", header_fault(json!({ "crit": ["x"] })), Unsupported),
        ("b64 false", header_fault(json!({ "b64": false })), Unsupported),
        ("crit []", header_fault(json!({ "crit": [] })), Unsupported),
        ("typ logout+jwt", header_fault(json!({ "typ": "logout+jwt" })), WrongType),
        ("iss missing", claim_fault(json!({ "iss": null })), MissingClaim),
        ("iss null", raw_fault(&format!("\"{ISSUER}\""), "null"), Malformed),
        ("iss 42", claim_fault(json!({ "iss": 42 })), Malformed),
        ("iss {}", claim_fault(json!({ "iss": {} })), Malformed),
        ("iss array with ours", claim_fault(json!({ "iss": [ISSUER] })), Malformed),
        ("aud missing", claim_fault(json!({ "aud": null })), MissingClaim),
        ("aud number", claim_fault(json!({ "aud": 1 })), Malformed),
        ("aud [a,1]", claim_fault(json!({ "aud": [AUDIENCE, 1] })), Malformed),
        ("sub number", claim_fault(json!({ "sub": 1 })), Malformed),
        ("exp string", claim_fault(json!({ "exp": (NOW + 300).to_string() })), Malformed),
        ("exp 1e300", exp("1e300"), Malformed),
        ("exp u64::MAX", exp("18446744073709551615"), LifetimeTooLong),
        ("exp 1e18", exp("1e18"), LifetimeTooLong),
        ("exp in 100 years", claim_fault(json!({ "exp": NOW + 36_525 * DAY })), LifetimeTooLong),
        (
            "exp == now-leeway",
            claim_fault(json!({ "exp": NOW - LEEWAY, "iat": NOW - 99 })),
            Expired,
        ),
        ("nbf +1 h", claim_fault(json!({ "nbf": NOW + 3600 })), NotYetValid),
        (
            "iat +1 day",
            claim_fault(json!({ "iat": NOW + DAY, "exp": NOW + DAY + 9 })),
            IssuedInFuture,
        ),
        ("iat string", claim_fault(json!({ "iat": "1" })), Malformed),
        ("exp<iat", claim_fault(json!({ "exp": NOW + 5, "iat": NOW + 10 })), Malformed),
        ("duplicate exp", extra(r#""exp":1"#), Malformed),
        ("duplicate iss", extra(r#""iss":"x""#), Malformed),
        ("duplicate alg", raw_header_fault(r#"{"alg":"HS256","alg":"HS256"}"#), Malformed),
        ("duplicate kid", raw_header_fault(r#"{"alg":"HS256","kid":"a","kid":"a"}"#), Malformed),
        ("duplicate roles", extra(r#""roles":[],"roles":[]"#), Malformed),
        (
            "payload array",
            verify(&lenient(), &sign(&header().to_string(), "[1800000300,0,\"a\",\"b\",\"c\"]"))
                .err(),
            Malformed,
        ),
        ("payload BOM", raw_fault("{", "\u{feff}{"), Malformed),
        ("depth 200", extra(&format!("\"a\":{}{}", "[".repeat(200), "]".repeat(200))), Malformed),
        ("zip", header_fault(json!({ "zip": "DEF" })), Unsupported),
        ("enc", header_fault(json!({ "enc": "A256GCM" })), Unsupported),
        ("kid number", header_fault(json!({ "kid": 1 })), Malformed),
        ("jti object", claim_fault(json!({ "jti": {} })), Malformed),
        ("NUL in sub", claim_fault(json!({ "sub": "a\0b" })), Malformed),
    ];
    for (case, fault, expected) in rows {
        assert_eq!(fault, Some(expected), "{case}");
    }
    // jku and an embedded jwk are ignored.
    assert_eq!(header_fault(json!({ "jku": "https://evil.example", "jwk": {}, "x5c": [] })), None);
}

#[test]
fn key_headers_are_refused_when_the_policy_says_so() {
    let policy = builder().key_headers(KeyHeaders::Reject).build().unwrap();
    for name in ["jku", "x5u", "jwk", "x5c"] {
        let header = with(header(), json!({ name: "x" })).to_string();
        let fault = verify(&policy, &sign(&header, &claims().to_string())).err();
        assert_eq!(fault, Some(Unsupported), "{name}");
    }
}

/// A1
#[test]
fn an_algorithm_that_is_not_allowed_is_refused_whatever_it_is() {
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("hs256"),
        json!("HS256 "),
        json!("HS384"),
        json!("RS256"),
        json!(""),
        json!(1),
        json!(["HS256"]),
        Value::Null,
    ] {
        assert_eq!(header_fault(json!({ "alg": alg })), Some(AlgorithmRefused), "{alg}");
    }
    assert_eq!(raw_header_fault(r#"{"alg":null}"#), Some(AlgorithmRefused));
}

/// A4
#[test]
fn a_signature_that_is_not_the_tokens_is_refused() {
    let token = sign(&header().to_string(), &claims().to_string());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let other = sign("{}", "{}");
    let other = other.rsplit_once('.').unwrap().1;
    let flipped =
        format!("{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    for signature in [other, &flipped, &signature[..40], &format!("{signature}AAAA"), "AAAA"] {
        let fault = verify(&lenient(), &format!("{input}.{signature}")).err();
        assert_eq!(fault, Some(BadSignature), "{signature}");
    }
    assert_eq!(verify(&lenient(), &format!("{input}.")).err(), Some(Malformed));
}

/// B3, B6, B8
#[test]
fn a_header_that_asks_for_more_is_unsupported() {
    for text in [
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
        r#"{"alg":"HS256","crit":["exp","exp"],"exp":1}"#,
        r#"{"alg":"HS256","b64":true}"#,
        r#"{"alg":"HS256","zip":null}"#,
        r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648}"#,
        r#"{"alg":"HS256","cty":"JWT"}"#,
        r#"{"alg":"HS256","cty":"application/jwt"}"#,
    ] {
        assert_eq!(raw_header_fault(text), Some(Unsupported), "{text}");
    }
    assert_eq!(raw_header_fault(r#"{"alg":"HS256","cty":"json"}"#), None);
}

/// B5
#[test]
fn a_kid_is_compared_byte_by_byte() {
    let key = || VerifyingKey::from_secret(SECRET, Algorithm::Hs256).unwrap().with_kid("k");
    let keys = KeySet::from_keys([key()]).unwrap();
    let fault = |kid: Value| {
        let token = sign(&with(header(), json!({ "kid": kid })).to_string(), &claims().to_string());
        let jwt = Jwt::parse(token.as_bytes(), &Limits::new())?;
        lenient().verify(&jwt, &keys, &[AUDIENCE], at(NOW)).map(|_| ())
    };
    assert_eq!(fault(json!("k")), Ok(()));
    assert_eq!(fault(Value::Null), Ok(()));
    for kid in ["", "K", "k ", "k\0", "../../dev/null", "' or 1=1 --", "k\r\n", "\u{43a}"] {
        assert_eq!(fault(json!(kid)), Err(UnknownKey), "{kid:?}");
    }
    assert_eq!(fault(json!("k".repeat(10 * 1024))), Err(Malformed));
    assert_eq!(fault(json!(["k"])), Err(Malformed));
}

/// B7
#[test]
fn the_type_decides_under_each_policy() {
    let fault = |policy: &TokenPolicy, typ: &str| {
        let header = format!(r#"{{"alg":"HS256"{typ}}}"#);
        verify(policy, &sign(&header, &claims().to_string())).err()
    };
    for typ in [r#","typ":"at+jwt""#, r#","typ":"AT+JWT""#, r#","typ":"Application/at+jwt""#] {
        assert_eq!(fault(&strict(), typ), None, "{typ}");
        assert_eq!(fault(&lenient(), typ), None, "{typ}");
    }
    for typ in ["", r#","typ":"JWT""#, r#","typ":"jwt""#] {
        assert_eq!(fault(&strict(), typ), Some(WrongType), "{typ}");
        assert_eq!(fault(&lenient(), typ), None, "{typ}");
    }
    for typ in [
        r#","typ":null"#,
        r#","typ":1"#,
        r#","typ":"""#,
        r#","typ":"application/jwt""#,
        r#","typ":"dpop+jwt""#,
        r#","typ":"logout+jwt""#,
        r#","typ":"at+jwt;x=1""#,
        r#","typ":" at+jwt""#,
        r#","typ":"x/at+jwt""#,
        r#","typ":"id_token""#,
    ] {
        assert_eq!(fault(&strict(), typ), Some(WrongType), "{typ}");
        assert_eq!(fault(&lenient(), typ), Some(WrongType), "{typ}");
    }
    let logout = builder().token_type(TokenType::Exactly("logout+jwt".into())).build().unwrap();
    assert_eq!(fault(&logout, r#","typ":"logout+jwt""#), None);
    assert_eq!(fault(&logout, r#","typ":"at+jwt""#), Some(WrongType));
    let id_token = builder().token_type(TokenType::Untyped).build().unwrap();
    assert_eq!(fault(&id_token, ""), None);
    assert_eq!(fault(&id_token, r#","typ":"at+jwt""#), Some(WrongType));
}

/// D8
#[test]
fn another_kind_of_token_is_refused_even_when_it_has_no_type() {
    for name in ["at_hash", "c_hash", "events"] {
        let changes = json!({ name: "x" });
        assert_eq!(fault_of(json!({ "typ": null }), changes.clone()), Some(WrongType), "{name}");
        assert_eq!(fault_of(json!({ "typ": "JWT" }), changes), Some(WrongType), "{name}");
    }
    assert_eq!(fault_of(json!({ "typ": null }), json!({ "nonce": "x" })), None);
}

/// C1, C2
#[test]
fn a_form_that_is_not_exactly_the_compact_one_is_refused() {
    let token = sign(&header().to_string(), &claims().to_string());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}.a.b.c"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}."),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.?{payload}.{signature}"),
        format!("{header}.{payload}.+{}", &signature[1..]),
        format!("{header}.{payload}./{}", &signature[1..]),
        format!("{header}.{payload}.A"),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
    ];
    for case in cases {
        assert_eq!(verify(&lenient(), &case).err(), Some(Malformed), "{case}");
    }
    // The last character of 32 bytes carries two bits that must be zero.
    let last = signature.chars().last().unwrap();
    for other in ('A'..='z').filter(|c| c.is_ascii_alphanumeric() && *c != last) {
        let case = format!("{}{other}", &token[..token.len() - 1]);
        assert!(matches!(verify(&lenient(), &case), Err(Malformed | BadSignature)), "{other}");
    }
}

/// B6
#[test]
fn an_encrypted_token_is_unsupported() {
    for token in ["a.b.c.d.e", "a..c.d.e", "...."] {
        assert_eq!(verify(&lenient(), token).err(), Some(Unsupported), "{token}");
    }
}

/// C1, C4
#[test]
fn a_part_that_is_not_an_object_is_malformed() {
    let payload = claims().to_string();
    for text in ["", "1", "null", "\"a\"", "[]", "{}x", "{", "\u{feff}{}"] {
        assert_eq!(verify(&lenient(), &sign(text, &payload)).err(), Some(Malformed), "{text}");
        let token = sign(&header().to_string(), text);
        assert_eq!(verify(&lenient(), &token).err(), Some(Malformed), "{text}");
    }
    let token = sign_bytes(header().to_string().as_bytes(), b"{\"a\":\"\xff\"}");
    assert_eq!(verify(&lenient(), &token).err(), Some(Malformed));
}

/// C6
#[test]
fn the_caps_are_exact() {
    let parse = |token: &str, limits: Limits| Jwt::parse(token.as_bytes(), &limits).err();
    let token = sign(&header().to_string(), &claims().to_string());
    let exact = Limits::new().with_token_bytes(token.len());
    assert_eq!(parse(&token, exact), None);
    assert_eq!(parse(&token, exact.with_token_bytes(token.len() - 1)), Some(Malformed));
    let header_bytes = token.find('.').unwrap();
    assert_eq!(parse(&token, Limits::new().with_header_bytes(header_bytes)), None);
    let less = Limits::new().with_header_bytes(header_bytes - 1);
    assert_eq!(parse(&token, less), Some(Malformed));
    assert_eq!(parse(&"a.".repeat(5_000_000), Limits::new()), Some(Malformed));
}

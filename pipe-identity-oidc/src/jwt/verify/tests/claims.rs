//! What claims must be, one after another.

use super::*;

/// D1
#[test]
fn an_end_that_is_not_a_number_of_seconds_is_refused() {
    assert_eq!(claim_fault(json!({ "exp": null })), Some(MissingClaim));
    for value in ["null", "\"1800000300\"", "true", "-1", "-0.5", "[]", "{}", "1e300", "1e999"] {
        assert_eq!(exp(value), Some(Malformed), "{value}");
    }
    for value in ["9223372036854775808", "18446744073709551615"] {
        assert_eq!(exp(value), Some(LifetimeTooLong), "{value}");
    }
    assert_eq!(exp("18446744073709551616"), Some(Malformed));
    let without_iat = |exp: f64| claim_fault(json!({ "iat": null, "exp": exp }));
    assert_eq!(without_iat(0.0), Some(Expired));
    assert_eq!(without_iat(1_800_000_300.9), None);
    assert_eq!(without_iat(1_799_999_970.9), Some(Expired));
    assert_eq!(without_iat(1_799_999_971.0), None);
}

/// D2
#[test]
fn a_token_is_accepted_until_the_second_before_its_end_and_the_leeway() {
    let exp = |exp: u64| claim_fault(json!({ "iat": NOW - 100, "exp": exp }));
    assert_eq!(exp(NOW - LEEWAY - 1), Some(Expired));
    assert_eq!(exp(NOW - LEEWAY), Some(Expired));
    assert_eq!(exp(NOW - LEEWAY + 1), None);
}

/// D3, D4
#[test]
fn a_token_is_accepted_from_its_beginning_less_the_leeway() {
    assert_eq!(claim_fault(json!({ "nbf": NOW + LEEWAY })), None);
    assert_eq!(claim_fault(json!({ "nbf": NOW + LEEWAY + 1 })), Some(NotYetValid));
    assert_eq!(claim_fault(json!({ "iat": NOW + LEEWAY })), None);
    assert_eq!(claim_fault(json!({ "iat": NOW + LEEWAY + 1 })), Some(IssuedInFuture));
    for name in ["nbf", "iat"] {
        for value in [json!("1"), json!(true), json!(-1), json!(1e300), json!([]), json!({})] {
            assert_eq!(claim_fault(json!({ name: value })), Some(Malformed), "{name} {value}");
        }
        if name == "nbf" {
            assert_eq!(extra("\"nbf\":null"), Some(Malformed));
        }
    }
}

/// D4
#[test]
fn a_life_of_a_day_is_accepted_and_a_second_more_is_not() {
    let iat = NOW - 10;
    assert_eq!(claim_fault(json!({ "iat": iat, "exp": iat + DAY })), None);
    assert_eq!(claim_fault(json!({ "iat": iat, "exp": iat + DAY + 1 })), Some(LifetimeTooLong));
    assert_eq!(claim_fault(json!({ "iat": null, "exp": NOW + DAY })), None);
    assert_eq!(claim_fault(json!({ "iat": null, "exp": NOW + DAY + 1 })), Some(LifetimeTooLong));
    assert_eq!(claim_fault(json!({ "exp": iat })), Some(Malformed));
}

/// D5
#[test]
fn an_issuer_that_is_not_the_same_bytes_is_another() {
    for issuer in [
        "https://issuer.example/",
        "https://issuer.example.evil.example",
        "https://issuer.exampl",
        "https://Issuer.example",
        "https://issuer.example:443",
        "http://issuer.example",
        "issuer.example",
        "https://issuer.ex\u{430}mple",
        "https://issuer.example\0",
        " https://issuer.example",
        "",
    ] {
        assert_eq!(claim_fault(json!({ "iss": issuer })), Some(WrongIssuer), "{issuer:?}");
    }
}

#[test]
fn an_issuer_may_have_several_spellings() {
    let issuer = TrustedIssuer::exact("https://accounts.example").or("accounts.example");
    let policy = TokenPolicy::builder(issuer).algorithms([Algorithm::Hs256]).build().unwrap();
    for (issuer, fault) in [
        ("https://accounts.example", None),
        ("accounts.example", None),
        ("http://accounts.example", Some(WrongIssuer)),
    ] {
        let claims = with(claims(), json!({ "iss": issuer })).to_string();
        assert_eq!(verify(&policy, &sign(&header().to_string(), &claims)).err(), fault);
    }
}

/// D5, D9
#[test]
fn a_tenant_template_is_bound_to_tid_and_to_the_list() {
    let issuer = TrustedIssuer::template("https://login.example/{tenantid}/v2.0", ["t1", "t2"]);
    let policy = TokenPolicy::builder(issuer).algorithms([Algorithm::Hs256]).build().unwrap();
    let fault = |iss: &str, tid: Value| {
        let claims = with(claims(), json!({ "iss": iss, "tid": tid })).to_string();
        verify(&policy, &sign(&header().to_string(), &claims)).err()
    };
    assert_eq!(fault("https://login.example/t1/v2.0", json!("t1")), None);
    assert_eq!(fault("https://login.example/t2/v2.0", json!("t2")), None);
    assert_eq!(fault("https://login.example/t1/v2.0", json!("t2")), Some(WrongIssuer));
    assert_eq!(fault("https://login.example/t3/v2.0", json!("t3")), Some(TenantMismatch));
    assert_eq!(fault("https://login.example/t1/v2.0", Value::Null), Some(MissingClaim));
    assert_eq!(fault("https://login.example/t1/v2.0", json!(1)), Some(Malformed));
    for iss in [
        "https://login.example/{tenantid}/v2.0",
        "https://login.example//v2.0",
        "https://login.example/v2.0",
        "https://login.example/t1/v2.0/",
        "https://evil.example/t1/v2.0",
    ] {
        assert_eq!(fault(iss, json!("t1")), Some(WrongIssuer), "{iss}");
    }
}

/// D6
#[test]
fn an_audience_must_be_ours_byte_for_byte() {
    for (aud, fault) in [
        (json!(AUDIENCE), None),
        (json!([AUDIENCE]), None),
        (json!(["other", AUDIENCE]), None),
        (json!("other"), Some(WrongAudience)),
        (json!(["other"]), Some(WrongAudience)),
        (json!("https://API.example"), Some(WrongAudience)),
        (json!("https://api.example/"), Some(WrongAudience)),
        (json!([]), Some(Malformed)),
        (json!(""), Some(Malformed)),
        (json!([[AUDIENCE]]), Some(Malformed)),
        (json!({ "a": AUDIENCE }), Some(Malformed)),
        (json!([AUDIENCE, null]), Some(Malformed)),
        (json!(true), Some(Malformed)),
    ] {
        assert_eq!(claim_fault(json!({ "aud": aud })), fault, "{aud}");
    }
}

#[test]
fn nobody_expected_means_nobody_is_accepted() {
    let token = sign(&header().to_string(), &claims().to_string());
    let jwt = Jwt::parse(token.as_bytes(), &Limits::new()).unwrap();
    let nobody: [&str; 0] = [];
    let refused = strict().verify(&jwt, &keys(), &nobody, at(NOW));
    assert_eq!(refused.unwrap_err(), WrongAudience);
}

/// D7
#[test]
fn a_subject_is_a_text_of_1_to_255_bytes() {
    assert_eq!(claim_fault(json!({ "sub": null })), Some(MissingClaim));
    assert_eq!(claim_fault(json!({ "sub": "ä".repeat(127) })), None);
    assert_eq!(claim_fault(json!({ "sub": "x".repeat(255) })), None);
    for sub in [json!("x".repeat(256)), json!("ä".repeat(128)), json!(""), json!(["a"]), json!({})]
    {
        assert_eq!(claim_fault(json!({ "sub": sub })), Some(Malformed), "{sub}");
    }
    assert_eq!(raw_fault("\"alice\"", "null"), Some(Malformed));
}

#[test]
fn a_claim_of_the_wrong_type_is_malformed() {
    for (name, values) in [
        ("jti", [json!(1), json!({}), json!("a\0"), json!("")]),
        ("client_id", [json!(1), json!([]), json!("a\0"), json!("")]),
        ("scope", [json!(1), json!({}), json!("a\0"), json!(["a"])]),
        ("scp", [json!(1), json!({}), json!("a\0"), json!(["a", 1])]),
        ("auth_time", [json!("1"), json!([]), json!(-1), json!(true)]),
        ("cnf", [json!(1), json!("x"), json!([]), json!({ "jkt": 1 })]),
        ("cnf", [json!({ "x5t#S256": null }), json!({ "x5t#S256": {} }), json!(true), json!(0)]),
    ] {
        for value in values {
            assert_eq!(claim_fault(json!({ name: value })), Some(Malformed), "{name} {value}");
        }
    }
    for name in ["cnf", "scp", "nbf", "auth_time"] {
        assert_eq!(extra(&format!("\"{name}\":null")), Some(Malformed), "{name}");
    }
}

/// RFC 9068 2.2
#[test]
fn the_strict_policy_requires_what_the_profile_does() {
    for name in ["iat", "jti", "client_id", "sub"] {
        let claims = with(claims(), json!({ name: null })).to_string();
        let token = sign(&header().to_string(), &claims);
        assert_eq!(verify(&strict(), &token).err(), Some(MissingClaim), "{name}");
        let expected = (name == "sub").then_some(MissingClaim);
        assert_eq!(verify(&lenient(), &token).err(), expected, "{name}");
    }
}

#[test]
fn a_claim_that_is_required_must_be_there_and_not_null() {
    let policy = builder().require_claim("roles").build().unwrap();
    let fault = |text: &str| {
        let payload = claims().to_string().replacen('{', text, 1);
        verify(&policy, &sign(&header().to_string(), &payload)).err()
    };
    assert_eq!(fault("{"), Some(MissingClaim));
    assert_eq!(fault("{\"roles\":null,"), Some(Malformed));
    assert_eq!(fault("{\"roles\":[],"), None);
}

#[test]
fn the_first_fault_is_told_in_the_order_form_algorithm_key_signature_claims() {
    let mut claims =
        with(claims(), json!({ "iss": "x", "aud": "x", "exp": 1, "iat": null, "sub": 1 }));
    let mut header = json!({ "alg": "RS256", "typ": "x", "kid": "unknown" });
    let named = VerifyingKey::from_secret(SECRET, Algorithm::Hs256).unwrap().with_kid("k");
    let keys = KeySet::from_keys([named]).unwrap();
    let fault = |header: &Value, claims: &Value, signature: Option<&str>| {
        let token = sign(&header.to_string(), &claims.to_string());
        let (input, own) = token.rsplit_once('.').unwrap();
        let token = format!("{input}.{}", signature.unwrap_or(own));
        let jwt = Jwt::parse(token.as_bytes(), &Limits::new())?;
        strict().verify(&jwt, &keys, &[AUDIENCE], at(NOW)).map(|_| ())
    };
    assert_eq!(fault(&header, &json!([]), Some("AAAA")), Err(Malformed));
    assert_eq!(fault(&header, &claims, Some("AAAA")), Err(AlgorithmRefused));
    header["alg"] = "HS256".into();
    assert_eq!(fault(&header, &claims, Some("AAAA")), Err(UnknownKey));
    header["kid"] = "k".into();
    assert_eq!(fault(&header, &claims, Some("AAAA")), Err(BadSignature));
    assert_eq!(fault(&header, &claims, None), Err(WrongIssuer));
    claims["iss"] = ISSUER.into();
    assert_eq!(fault(&header, &claims, None), Err(WrongAudience));
    claims["aud"] = AUDIENCE.into();
    assert_eq!(fault(&header, &claims, None), Err(MissingClaim));
    claims["iat"] = 0.into();
    assert_eq!(fault(&header, &claims, None), Err(Expired));
    claims["iat"] = NOW.into();
    claims["exp"] = (NOW + 1).into();
    assert_eq!(fault(&header, &claims, None), Err(WrongType));
    header["typ"] = "at+jwt".into();
    assert_eq!(fault(&header, &claims, None), Err(Malformed));
    claims["sub"] = "alice".into();
    assert_eq!(fault(&header, &claims, None), Ok(()));
}

#[test]
fn a_key_of_one_issuer_verifies_no_other() {
    let set = |issuer: &str| {
        let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "issuer": issuer });
        jwk
    };
    let fault = |keys: Vec<Value>| {
        let keys = KeySet::parse_local(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let claims = with(claims(), json!({ "tid": "t1" })).to_string();
        let token = sign(&with(header(), json!({ "kid": null })).to_string(), &claims);
        let jwt = Jwt::parse(token.as_bytes(), &Limits::new()).unwrap();
        strict().verify(&jwt, &keys, &[AUDIENCE], at(NOW)).err()
    };
    assert_eq!(fault(vec![set(ISSUER)]), None);
    assert_eq!(fault(vec![set("https://other.example")]), Some(WrongIssuer));
    assert_eq!(fault(vec![set("https://other.example"), set(ISSUER)]), None);
    assert_eq!(fault(vec![set("https://{tenantid}.example")]), Some(WrongIssuer));
    assert_eq!(fault(vec![set("")]), Some(WrongIssuer));
}

/// H5, F9
#[test]
fn verified_claims_are_checked_again_for_another_audience_and_another_time() {
    let token = sign(&header().to_string(), &claims().to_string());
    let claims = verify(&strict(), &token).unwrap();
    assert_eq!(claims.check_audience(&[AUDIENCE]), Ok(()));
    assert_eq!(claims.check_audience(&["https://other.example"]), Err(WrongAudience));
    let nobody: [&str; 0] = [];
    assert_eq!(claims.check_audience(&nobody), Err(WrongAudience));
    let policy = strict();
    assert_eq!(policy.check_time(&claims, at(NOW + 300 + LEEWAY - 1)), Ok(()));
    assert_eq!(policy.check_time(&claims, at(NOW + 300 + LEEWAY)), Err(Expired));
    assert_eq!(policy.check_time(&claims, at(NOW - 10 - LEEWAY - 1)), Err(IssuedInFuture));
    assert_eq!(
        policy.check_time(&claims, UNIX_EPOCH - Duration::from_secs(1)),
        Err(IssuedInFuture)
    );
}

#[test]
fn scopes_are_found_in_both_claims_and_both_forms() {
    let scopes = |changes: Value| {
        let payload = with(claims(), changes).to_string();
        let claims = verify(&lenient(), &sign(&header().to_string(), &payload)).unwrap();
        claims.scopes().map(str::to_owned).collect::<Vec<_>>().join("|")
    };
    assert_eq!(scopes(json!({ "scope": null, "scp": ["a", "b"] })), "a|b");
    assert_eq!(scopes(json!({ "scope": null, "scp": "a b" })), "a|b");
    assert_eq!(scopes(json!({ "scope": "a  b ", "scp": "c" })), "a|b|c");
    assert_eq!(scopes(json!({ "scope": "" })), "");
}

/// D12
#[test]
fn what_a_token_is_bound_to_is_told_completely() {
    let claims = |cnf: Value| {
        let payload = with(claims(), json!({ "cnf": cnf })).to_string();
        verify(&lenient(), &sign(&header().to_string(), &payload)).unwrap()
    };
    let bound = claims(json!({ "x5t#S256": "c", "jkt": "k" }));
    let confirmation = bound.confirmation().unwrap();
    assert_eq!((confirmation.certificate, confirmation.key), (Some("c"), Some("k")));
    assert!(confirmation.is_complete);
    assert!(!claims(json!({ "jkt": "k", "kid": "x" })).confirmation().unwrap().is_complete);
    assert!(!claims(json!({})).confirmation().unwrap().is_complete);
}

/// H1, REQ 004-74.5
#[test]
fn debug_output_shows_no_value() {
    let token = sign(&header().to_string(), &claims().to_string());
    let jwt = Jwt::parse(token.as_bytes(), &Limits::new()).unwrap();
    let claims = verify(&strict(), &token).unwrap();
    let text = format!("{jwt:?} {:?} {claims:?} {:?}", jwt.jws(), keys());
    assert!(text.contains("client_id"), "{text}");
    let secret = std::str::from_utf8(SECRET).unwrap();
    for value in ["alice", "svc", "t-1", ISSUER, AUDIENCE, secret, token.as_str()] {
        assert!(!text.contains(value), "{text}");
    }
}

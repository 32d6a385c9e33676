use super::*;

const ISSUER: &str = "https://id.example/realms/a";

fn parse(document: serde_json::Value) -> Result<Metadata> {
    Metadata::parse(document.to_string().as_bytes(), ISSUER)
}

fn full() -> serde_json::Value {
    serde_json::json!({
        "issuer": ISSUER,
        "jwks_uri": "https://keys.example/jwks?p=a",
        "token_endpoint": "https://id.example/token",
        "introspection_endpoint": "https://id.example/introspect",
        "revocation_endpoint": "https://id.example/revoke",
        "userinfo_endpoint": null,
        "device_authorization_endpoint": "https://id.example/device",
        "pushed_authorization_request_endpoint": "https://id.example/par",
        "authorization_endpoint": "https://id.example/auth",
        "end_session_endpoint": "https://id.example/end",
        "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.id.example/token", "other": 1},
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "authorization_response_iss_parameter_supported": true,
        "unknown": {"of": ["any", {"shape": 1}]},
    })
}

#[test]
fn a_full_document_is_read() {
    let metadata = parse(full()).unwrap();
    assert_eq!(metadata.issuer, ISSUER);
    assert_eq!(metadata.jwks_uri.as_deref(), Some("https://keys.example/jwks?p=a"));
    let endpoints = &metadata.endpoints;
    assert_eq!(endpoints.token_endpoint.as_deref(), Some("https://id.example/token"));
    assert_eq!(endpoints.introspection_endpoint.as_deref(), Some("https://id.example/introspect"));
    let aliases = &metadata.mtls_endpoint_aliases;
    assert_eq!(aliases.token_endpoint.as_deref(), Some("https://mtls.id.example/token"));
    assert_eq!(aliases.introspection_endpoint, None);
    assert_eq!(metadata.userinfo_endpoint, None);
    assert!(metadata.authorization_response_iss_parameter_supported);
}

#[test]
fn what_is_not_there_is_nothing() {
    let metadata = parse(serde_json::json!({"issuer": ISSUER})).unwrap();
    assert_eq!(metadata.jwks_uri, None);
    assert_eq!(metadata.endpoints, EndpointUrls::default());
    assert!(!metadata.authorization_response_iss_parameter_supported);
}

/// F5, D5
#[test]
fn the_issuer_is_compared_byte_by_byte() {
    for issuer in [
        "https://id.example/realms/a/",
        "https://id.example/realms/A",
        "https://ID.example/realms/a",
        "https://id.example:443/realms/a",
        "http://id.example/realms/a",
        "https://id.example/realms/ab",
        "https://id.example/realms/",
        "https://id.example/{tenantid}/a",
        "",
    ] {
        let error = parse(serde_json::json!({"issuer": issuer})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{issuer}");
        assert!(error.hint_text().contains("`issuer`"), "{error}");
    }
    let slash = parse(serde_json::json!({"issuer": format!("{ISSUER}/")})).unwrap_err();
    assert!(slash.hint_text().contains("slash"), "{slash}");
    let template = "https://login.example/{tenantid}/v2.0";
    let document = serde_json::json!({"issuer": template}).to_string();
    assert!(Metadata::parse(document.as_bytes(), template).is_ok());
}

/// F5: only the host of another issuer is shown.
#[test]
fn another_issuer_is_named_by_its_host() {
    let error = parse(serde_json::json!({"issuer": "https://evil.example/canary"})).unwrap_err();
    assert_eq!(error.context("seen_host"), Some("evil.example"));
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

/// F5
#[test]
fn an_endpoint_that_is_no_safe_url_is_refused_by_its_name() {
    for member in [
        "jwks_uri",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
    ] {
        for url in [
            "http://id.example/canary",
            "https://canary@id.example/x",
            "https://id.example/x#canary",
            "/canary",
            "file:///canary",
            "javascript:canary",
        ] {
            let mut document = full();
            document[member] = url.into();
            let error = parse(document).unwrap_err();
            assert_eq!(error.context("member"), Some(member), "{error}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        let mut document = full();
        document[member] = serde_json::json!({"canary": 1});
        assert!(!format!("{:?}", parse(document).unwrap_err()).contains("canary"));
    }
}

/// As the clusters of EKS have it: their keys are good all the same.
#[test]
fn an_endpoint_for_browsers_that_is_no_safe_url_is_not_there() {
    for url in ["urn:kubernetes:programmatic_authorization", "javascript:x", "/auth", ""] {
        let mut document = full();
        for member in ["authorization_endpoint", "end_session_endpoint", "userinfo_endpoint"] {
            document[member] = url.into();
        }
        let metadata = parse(document).unwrap();
        assert!(metadata.jwks_uri.is_some());
        assert_eq!(metadata.authorization_endpoint, None, "{url}");
        assert_eq!(metadata.end_session_endpoint, None, "{url}");
        assert_eq!(metadata.userinfo_endpoint, None, "{url}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    for twice in [
        format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}"}}"#),
        format!(r#"{{"issuer":"{ISSUER}","jwks_uri":null,"jwks_uri":"https://a.example/"}}"#),
        format!(r#"{{"issuer":"{ISSUER}","token_endpoint":null,"token_endpoint":null}}"#),
    ] {
        assert!(Metadata::parse(twice.as_bytes(), ISSUER).is_err(), "{twice}");
    }
}

#[test]
fn depth_and_junk_are_refused() {
    let deep = format!(r#"{{"issuer":"{ISSUER}","x":{}}}"#, "[".repeat(100_000));
    let junk = format!(r#"{{"issuer":"{ISSUER}"}} x"#);
    for document in [&deep, &junk] {
        assert!(Metadata::parse(document.as_bytes(), ISSUER).is_err());
    }
}

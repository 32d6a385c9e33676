use pipe_core::ErrorKind;

use super::*;

fn fault(builder: TokenPolicyBuilder) -> Error {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error
}

fn builder() -> TokenPolicyBuilder {
    TokenPolicy::builder(TrustedIssuer::exact("https://issuer.example"))
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let policy = builder().build().unwrap();
    assert_eq!(policy.leeway(), Duration::from_secs(30));
    assert_eq!(policy.max_lifetime, 24 * 3600);
    let limits = policy.limits();
    assert_eq!((limits.token_bytes, limits.header_bytes), (16 * 1024, 4 * 1024));
    let algorithms: Vec<_> = policy.algorithms().map(Algorithm::name).collect();
    assert_eq!(algorithms, ["RS256", "PS256", "ES256", "ES384", "EdDSA"]);
}

#[test]
fn all_faults_are_named_at_once() {
    let error = fault(
        TokenPolicy::builder(TrustedIssuer::exact(""))
            .algorithms([])
            .leeway(Duration::from_secs(301))
            .max_lifetime(Duration::from_millis(999))
            .require_claim("")
            .limits(Limits::new().with_token_bytes(0).with_header_bytes(0)),
    );
    let settings: Vec<_> = error.contexts().map(|(setting, _)| setting).collect();
    let all = [
        "issuer",
        "algorithms",
        "leeway",
        "max_lifetime",
        "required_claims",
        "token_bytes",
        "header_bytes",
    ];
    assert_eq!(settings, all);
}

/// A2: the mix is what makes a public key a secret.
#[test]
fn secrets_and_public_keys_do_not_mix() {
    let error = fault(builder().algorithms([Algorithm::Hs256, Algorithm::Rs256]));
    assert!(error.context("algorithms").is_some());
    assert!(builder().algorithms([Algorithm::Hs256, Algorithm::Hs512]).build().is_ok());
}

#[test]
fn the_bounds_of_the_bounds_are_exact() {
    assert!(builder().leeway(Duration::from_secs(300)).build().is_ok());
    let limits = Limits::new().with_token_bytes(64 * 1024);
    assert!(builder().limits(limits).build().is_ok());
    assert!(builder().limits(limits.with_header_bytes(64 * 1024)).build().is_ok());
    fault(builder().limits(limits.with_token_bytes(64 * 1024 + 1)));
    fault(builder().limits(limits.with_header_bytes(64 * 1024 + 1)));
}

#[test]
fn a_template_needs_one_placeholder_and_plain_tenants() {
    let build = |template: &str, tenants: &[&str]| {
        let issuer = TrustedIssuer::template(template, tenants.iter().copied());
        TokenPolicy::builder(issuer).build()
    };
    assert!(build("https://login.example/{tenantid}/v2.0", &["t-1_a.b"]).is_ok());
    for (template, tenants) in [
        ("https://login.example/v2.0", &["t"][..]),
        ("https://login.example/{tenant}/v2.0", &["t"]),
        ("https://login.example/{tenantid}/{tenantid}", &["t"]),
        ("{tenantid}", &["t"]),
        ("https://login.example/{tenantid}/v2.0", &[]),
        ("https://login.example/{tenantid}/v2.0", &["t", ""]),
        ("https://login.example/{tenantid}/v2.0", &["a/b"]),
        ("https://login.example/{tenantid}/v2.0", &["*{"]),
    ] {
        assert!(build(template, tenants).is_err(), "{template} {tenants:?}");
    }
    fault(TokenPolicy::builder(TrustedIssuer::exact("https://login.example/{tenantid}/v2.0")));
    fault(TokenPolicy::builder(TrustedIssuer::exact("https://a.example").or("")));
}

#[test]
fn an_issuer_is_found_by_what_a_token_says() {
    let exact = TrustedIssuer::exact("https://a.example").or("a.example");
    assert!(exact.may_be("https://a.example") && exact.may_be("a.example"));
    assert!(!exact.may_be("https://a.example/"));
    let template = TrustedIssuer::template("https://a.example/{tenantid}/v2.0", ["t"]);
    assert!(template.may_be("https://a.example/any/v2.0"));
    for issuer in
        ["https://a.example//v2.0", "https://a.example/v2.0", "https://a.example/a/b/v2.0"]
    {
        assert!(!template.may_be(issuer), "{issuer}");
    }
}

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn private(user: &str) -> Result<ArtifactPath> {
    let (app, secret) = (AppId::new("crm").unwrap(), SecretId::new("token").unwrap());
    ArtifactPath::private(app, PrincipalId::new(user).unwrap(), secret)
}

/// REQ 003-05, 003-06
#[test]
fn both_hierarchies_are_printed_as_specified() {
    let public = ArtifactPath::public(AppId::new("crm").unwrap(), SecretId::new("db").unwrap());
    assert_eq!(public.to_string(), "/artifacts/crm/public/secrets/db");
    assert_eq!(public.secret_name().as_str(), "artifacts/crm/public/secrets/db");
    let bot = private("system:serviceaccount:sales:my_bot").unwrap();
    assert_eq!(
        bot.to_string(),
        "/artifacts/crm/users/system%3Aserviceaccount%3Asales%3Amy_bot/secrets/token"
    );
    assert_eq!(
        bot.secret_name().as_str(),
        "artifacts/crm/users/system_3aserviceaccount_3asales_3amy_5fbot/secrets/token"
    );
}

/// REQ 003-07
#[test]
fn every_other_hierarchy_and_spelling_is_refused() {
    for path in [
        "",
        "/",
        "artifacts/crm/public/secrets/db",
        "//artifacts/crm/public/secrets/db",
        "/artifacts/crm/public/secrets/db/",
        "/artifacts/crm/public/secrets/",
        "/artifacts/crm/public/secrets",
        "/artifacts//public/secrets/db",
        "/artifacts/crm/public/secrets/db/more",
        "/artifacts/crm/private/secrets/db",
        "/artifacts/crm/Public/secrets/db",
        "/Artifacts/crm/public/secrets/db",
        "/artifacts/crm/public/keys/db",
        "/artifacts/crm/users/secrets/db",
        "/artifacts/crm/users//secrets/db",
        "/artifacts/../artifacts/crm/public/secrets/db",
        "/artifacts/../public/secrets/db",
        "/artifacts/./public/secrets/db",
        "/artifacts/%2E%2E/public/secrets/db",
        "/artifacts/crm/public/secrets/..",
        "/artifacts/crm/public/secrets/%2e%2e",
        "/artifacts/crm/public/secrets/d%62",
        "/artifacts/crm/public/secrets/db?x=1",
        "/artifacts/crm/public/secrets/db#x",
        "/artifacts/crm/public/secrets/db\n",
        " /artifacts/crm/public/secrets/db",
        "/artifacts\\crm\\public\\secrets\\db",
        "/sys/policies/acl/root",
    ] {
        let error = path.parse::<ArtifactPath>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path:?}");
    }
}

/// REQ 003-07
#[test]
fn a_user_has_one_spelling_and_no_way_out() {
    let parse =
        |user: &str| format!("/artifacts/crm/users/{user}/secrets/x").parse::<ArtifactPath>();
    for user in ["auth0%7C123", "a%2Fb", "100%25", "%C3%A4", "a~b", "a.b", "..a", "%2541"] {
        assert!(parse(user).is_ok(), "{user}");
    }
    for user in [
        "auth0|123",
        "auth0%7c123",
        "%61",
        "%2",
        "%",
        "%zz",
        "%C3",
        "%FF",
        "ä",
        "a%00b",
        ".",
        "..",
        "%2E",
        "%2E%2E",
        "%2e%2e",
        ".%2E",
        "%252E%252E",
        "%25252E.",
        "..%2F..",
        "a%2F..%2Fb",
        "a%2F%252E%252E%2Fb",
        "..%5Cb",
        "..%255Cb",
        "a b",
        "a+b|",
        "bot%40example.org",
        "%20",
    ] {
        let error = parse(user).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{user}");
    }
}

#[test]
fn an_id_that_does_not_fit_is_refused() {
    assert!(AppId::new("x".repeat(128)).is_ok() && AppId::new("x".repeat(129)).is_err());
    assert!(AppId::new("a/b").is_err() && SecretId::new("..").is_err());
    assert!(private(&"x".repeat(256)).is_ok());
    let error = private(&"|".repeat(256)).unwrap_err();
    assert_eq!(error.message(), "the id of the user is too long");
    let long = "x".repeat(128);
    let longest = PrincipalId::new("x".repeat(230)).unwrap();
    let (app, secret) = (AppId::new(&long).unwrap(), SecretId::new(&long).unwrap());
    assert!(ArtifactPath::private(app.clone(), longest, secret.clone()).is_ok());
    assert_eq!(ArtifactPath::public(app, secret).secret().as_str(), long);
}

#[test]
fn a_document_holds_the_path_as_text() {
    let path = private("auth0|123").unwrap();
    let json = serde_json::to_string(&path).unwrap();
    assert_eq!(json, r#""/artifacts/crm/users/auth0%7C123/secrets/token""#);
    assert_eq!(serde_json::from_str::<ArtifactPath>(&json).unwrap(), path);
    assert!(serde_json::from_str::<ArtifactPath>(r#""/artifacts/crm""#).is_err());
}

#[test]
fn a_name_that_no_path_has_is_refused() {
    for name in [
        "artifacts/crm/public/secrets",
        "artifacts/crm/users/a_7C/secrets/x",
        "artifacts/crm/users/a_b/secrets/x",
        "artifacts/crm/users/a_61/secrets/x",
        "artifacts/crm/users/_2e_2e/secrets/x",
        "artifacts/crm/users/a_/secrets/x",
        "other/crm/public/secrets/x",
    ] {
        let name = SecretName::new(name).unwrap();
        assert!(ArtifactPath::from_secret_name(&name).is_err(), "{name}");
    }
}

fn segment() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,12}".prop_filter("no dot segment", |text| text != "." && text != "..")
}

fn user() -> impl Strategy<Value = PrincipalId> {
    prop_oneof!["[a-z0-9._~%/\\\\|:@_-]{1,12}", "\\PC{1,24}", "[_0-9a-f]{1,9}"]
        .prop_filter_map("no principal", |id| PrincipalId::new(id).ok())
}

fn any_path() -> impl Strategy<Value = ArtifactPath> {
    (segment(), proptest::option::of(user()), segment()).prop_filter_map(
        "the user has a way out",
        |(app, user, secret)| {
            let (app, secret) = (AppId::new(app).ok()?, SecretId::new(secret).ok()?);
            match user {
                None => Some(ArtifactPath::public(app, secret)),
                Some(user) => ArtifactPath::private(app, user, secret).ok(),
            }
        },
    )
}

/// Texts that are close to a path, and often one.
fn nearly_a_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("artifacts".to_owned()),
        Just("public".to_owned()),
        Just("users".to_owned()),
        Just("secrets".to_owned()),
        "[a-z.%0-9A-F_-]{0,6}",
        "\\PC{0,4}",
    ];
    prop_oneof![
        proptest::collection::vec(part, 0..8).prop_map(|parts| format!("/{}", parts.join("/"))),
        "[a-z.%0-9A-F|_-]{1,9}".prop_map(|user| format!("/artifacts/a/users/{user}/secrets/s")),
        "\\PC{0,60}",
    ]
}

proptest! {
    /// REQ 003-07
    #[test]
    fn parsing_undoes_printing(path in any_path()) {
        prop_assert_eq!(&path.to_string().parse::<ArtifactPath>().unwrap(), &path);
        prop_assert_eq!(ArtifactPath::from_secret_name(path.secret_name()).unwrap(), path);
    }

    /// REQ 003-07
    #[test]
    fn whatever_is_accepted_is_printed_as_it_was(text in nearly_a_path()) {
        if let Ok(path) = text.parse::<ArtifactPath>() {
            prop_assert_eq!(path.to_string(), text.as_str());
        }
        if let Some(name) = text.get(1..).and_then(|name| SecretName::new(name).ok())
            && let Ok(path) = ArtifactPath::from_secret_name(&name)
        {
            prop_assert_eq!(path.secret_name(), &name);
        }
    }

    #[test]
    fn no_two_paths_share_a_name(paths in proptest::collection::vec(any_path(), 2..20)) {
        let mut seen = HashMap::new();
        for path in paths {
            let other = seen.entry(path.secret_name().clone()).or_insert_with(|| path.clone());
            prop_assert_eq!(&*other, &path);
        }
    }

    /// REQ 003-07
    #[test]
    fn nothing_outside_of_the_hierarchy_can_be_named(path in any_path()) {
        let segments: Vec<_> = path.secret_name().segments().collect();
        prop_assert_eq!(segments[0], "artifacts");
        prop_assert_eq!(segments[1], path.app().as_str());
        prop_assert_eq!(segments[2], if path.user().is_some() { "users" } else { "public" });
        prop_assert!(SecretName::new(path.secret_name().as_str()).is_ok());
    }
}

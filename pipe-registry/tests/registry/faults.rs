//! Every fault at once, each with its place.

use pipe_core::{Error, ErrorKind};

use crate::{faults, load};

/// Only the places, sorted.
fn places(toml: &str) -> Vec<String> {
    let mut places: Vec<_> = load(toml)
        .expect_err("the document is wrong")
        .iter()
        .map(|fault| fault.place().to_owned())
        .collect();
    places.sort();
    places
}

#[test]
fn faults_of_all_sections_are_told_at_once() {
    let document = "
        development = 'yes'
        secret.kind = 'in-memory'
        identity = 1
        [secrets.a]
        kind = 'etcd'
        [secrets.b]
        kind = 'openbao'
        colour = 'red'
        settings = { page_size = 'many', auth = { method = 'kubernetes', role = 1, rol = 1 } }
        decorators = { timeout = 5, retry = { attempts = 0, floor = '0s' }, caching = true }
        [secrets.c]
        settings = {}
        [memory]
        kind = 'any'
    ";
    let expected = [
        "development",
        "document",
        "identity",
        "memory.kind",
        "secrets.a.kind",
        "secrets.b",
        "secrets.b.decorators",
        "secrets.b.decorators.timeout",
        "secrets.b.settings.address",
        "secrets.b.settings.auth",
        "secrets.b.settings.auth.role",
        "secrets.b.settings.page_size",
        "secrets.c.kind",
    ];
    assert_eq!(places(document), expected);
}

#[test]
fn a_kind_that_is_not_known_names_the_known_ones() {
    let expected = "secrets.kind: is unknown; the known kinds are `in-memory`, `openbao`";
    assert_eq!(faults("secrets.kind = 'etcd'"), [expected]);
    let expected = "secrets.kind: is missing; the known kinds are `in-memory`, `openbao`";
    assert_eq!(faults("secrets.settings = {}"), [expected]);
    assert_eq!(places("secrets.kind = 1"), ["secrets.kind"]);
}

#[test]
fn what_the_constructor_refuses_is_told_at_the_setting() {
    let document = "
        [secrets.main]
        kind = 'openbao'
        [secrets.main.settings]
        address = 'http://bao.example'
        mount = '../sys'
        auth = { method = 'kubernetes', role = '' }
        http = { max_body = 0, ca = { file = '/nowhere/ca.pem' } }
    ";
    let settings = |names: [&str; 5]| names.map(|name| format!("secrets.main.settings.{name}"));
    let expected = settings(["address", "auth.role", "http.ca", "http.max_body", "mount"]);
    assert_eq!(places(document), expected);
}

#[test]
fn policies_that_are_not_usable_are_told_at_the_setting() {
    let document = "
        [identity]
        kind = 'in-memory'
        [identity.decorators]
        timeout = '0s'
        retry = { attempts = 0, floor = '0s' }
        cache = { ttl = '0s' }
    ";
    let expected = ["cache.ttl", "retry.attempts", "retry.floor", "timeout"];
    assert_eq!(places(document), expected.map(|name| format!("identity.decorators.{name}")));
}

#[test]
fn a_secret_in_the_document_is_for_development() {
    let secret = "secrets = { kind = 'in-memory', settings = {
        password = 'hunter2', token = { value = 'hunter2' } } }";
    let expected = ["secrets.settings.password", "secrets.settings.token"];
    assert_eq!(places(secret), expected);
    for fault in faults(secret) {
        assert!(fault.contains("development = true"), "{fault}");
    }
    assert!(load(&format!("development = true\n{secret}")).is_ok());
    assert!(load(&format!("development = false\n{secret}")).is_err());
    let reference = "secrets = { kind = 'in-memory', settings.token = { env = 'TOKEN' } }";
    assert!(load(reference).is_ok());
}

#[test]
fn what_is_no_name_of_an_instance_is_refused_and_not_shown() {
    for name in ["Main", "a b", "a.b", "", &"x".repeat(64)] {
        let faults = faults(&format!("secrets.'{name}'.kind = 'in-memory'"));
        assert_eq!(faults, ["secrets: the name of an instance is not 1 to 63 of a-z 0-9 - _"]);
    }
}

#[test]
fn what_is_no_table_is_told_as_that() {
    assert_eq!(faults("secrets = []"), ["secrets: expected a table"]);
    assert_eq!(faults("secrets.main = 1"), ["secrets.main: expected a table with `kind`"]);
    let settings = faults("secrets = { kind = 'in-memory', settings = [] }");
    assert_eq!(settings, ["secrets.settings: expected a table"]);
}

#[test]
fn all_of_it_is_one_error() {
    let faults = load("secrets.a.kind = 'etcd'\nsecrets.b.kind = 'etcd'").unwrap_err();
    let error = Error::from(faults);
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(error.hint_text(), "correct secrets.a.kind, secrets.b.kind");
}

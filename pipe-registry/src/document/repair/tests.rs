//! What is told at once, and at which path.

use std::collections::BTreeMap;

use pipe_core::{SecretSource, without_inline_secrets};
use serde::Deserialize;

use super::*;
use crate::Format;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only their forms matter")]
struct Settings {
    address: String,
    port: u16,
    auth: Auth,
    #[serde(default)]
    labels: BTreeMap<String, u8>,
    #[serde(default)]
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
#[allow(dead_code, reason = "only their forms matter")]
enum Auth {
    Role(Role),
    Both(Both),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only their forms matter")]
struct Role {
    role: String,
    #[serde(default)]
    mount: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only their forms matter")]
struct Both {
    id: SecretSource,
    secret: SecretSource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only their forms matter")]
struct Inner {
    a: bool,
    b: String,
}

fn problems(json: &str) -> Vec<String> {
    let node = Format::Json.parse(json).unwrap();
    let problems = without_inline_secrets(|| decode::<Settings>(&node)).unwrap_err();
    let mut shown: Vec<_> = problems
        .iter()
        .map(|Problem { path, what }| match what {
            What::Missing(name) => format!("{}: {name} is missing", path.join(".")),
            What::UnknownField { found, .. } => {
                format!("{}: {} is unknown", path.join("."), found.as_str())
            }
            _ => path.join("."),
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn everything_missing_is_told_at_once() {
    let expected = [": address is missing", ": auth is missing", ": port is missing"];
    assert_eq!(problems("{}"), expected);
}

#[test]
fn independent_problems_are_told_at_once() {
    let json = r#"{ "address": 1, "port": "x", "prot": 1, "auth": { "method": "other" },
        "labels": { "a": 300, "b": 1, "c": "x" }, "list": [{ "a": 1 }, { "b": "", "c": 1 }] }"#;
    let expected = [
        ": prot is unknown",
        "address",
        "auth.method",
        "labels.a",
        "labels.c",
        "list.0.a",
        "list.0: b is missing",
        "list.1: a is missing",
        "list.1: c is unknown",
        "port",
    ];
    assert_eq!(problems(json), expected);
}

#[test]
fn a_problem_within_a_tagged_table_has_its_own_path() {
    let json = r#"{ "address": "", "port": 1, "auth": { "method": "role", "role": 1 } }"#;
    assert_eq!(problems(json), ["auth.role"]);
    let json = r#"{ "address": "", "port": 1,
        "auth": { "mount": [], "method": "role", "role": 1, "roll": "" } }"#;
    assert_eq!(problems(json), ["auth.mount", "auth.role", "auth: roll is unknown"]);
    let json = r#"{ "address": "", "port": 1, "auth": { "method": "both",
        "id": { "value": "a" }, "secret": { "value": "a" } } }"#;
    assert_eq!(problems(json), ["auth.id", "auth.secret"]);
    let json = r#"{ "address": "", "port": "", "auth": { "method": "both", "id": "a" } }"#;
    assert_eq!(problems(json), ["auth.id", "auth: secret is missing", "port"]);
}

#[test]
fn what_is_no_table_at_all_is_one_problem() {
    assert_eq!(problems("[1]"), [""]);
    let json = r#"{ "address": "", "port": 1, "auth": [] }"#;
    assert_eq!(problems(json), ["auth: method is missing"]);
}

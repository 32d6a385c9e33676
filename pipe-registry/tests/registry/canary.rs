//! A secret that stands anywhere in a document, as a value or as a key, is in no fault.

use pipe_core::Error;
use pipe_registry::Format;
use serde_json::{Map, Value, json};

use crate::registry;

/// No name of an instance, as these are shown.
const CANARY: &str = "Canary-hunter2/s3cr3t";
const NUMBER: u64 = 4_242_424_242;

/// Every setting that a document may have, and with a fault in each part, so that something is said.
fn sample() -> Value {
    json!({
        "development": false,
        "secrets": {
            "tokens": {
                "kind": "openbao",
                "settings": {
                    "name": "a b", "address": "http://bao.example", "namespace": "a//b",
                    "mount": "../sys", "page_size": 0,
                    "auth": { "method": "token", "token": { "env": "TOKEN" } },
                    "http": {
                        "timeout": "0s", "connect_timeout": "0s", "max_body": 0,
                        "ca": { "file": "/nowhere", "trust": "added" },
                        "client_certificate": { "file": "/nowhere" },
                        "proxy": "http://proxy.example:3128", "user_agent": "a\nb",
                    },
                },
                "decorators": {
                    "timeout": "0s",
                    "retry": { "attempts": 0, "base": "1s", "longest": "1s", "deadline": "0s" },
                    "cache": { "ttl": "0s", "refresh_ahead": 0, "max_entries": 0 },
                },
            },
            "roles": {
                "kind": "openbao",
                "settings": {
                    "address": "https://bao.example",
                    // Also spares the test the platform's authorities, which take long to read.
                    "http": { "ca": { "file": "/nowhere" } },
                    "auth": { "method": "kubernetes", "role": "", "mount": "..", "audience": "a" },
                },
            },
            "approle": {
                "kind": "openbao",
                "settings": {
                    "address": "https://bao.example",
                    "http": { "ca": { "file": "/nowhere" } },
                    "auth": {
                        "method": "approle", "mount": "..",
                        "role_id": { "value": "a" }, "secret_id": { "file": "/nowhere" },
                    },
                },
            },
            "memory": {
                "kind": "in-memory",
                "settings": {
                    "name": "a", "password": "a", "token": { "value": "a" },
                    "labels": { "a": 1, "b": 2 }, "servers": ["https://a", "https://b"],
                },
            },
            "refused": {
                "kind": "in-memory",
                "settings": { "refuse": "a", "servers": ["https://a"] },
            },
        },
        "identity": { "kind": "in-memory", "settings": { "name": "a" } },
        "memory": {
            "main": {
                "kind": "cognee",
                "settings": {
                    "address": "https://a", "dataset": "a", "http": { "ca": { "file": "/nowhere" } },
                    "auth": { "method": "login", "username": "a", "password": { "value": "a" } },
                },
                "decorators": { "timeout": "5s", "retry": { "attempts": 2 } },
            },
        },
    })
}

/// The document with each node replaced by the canary, and with each key, once at a time.
fn with_canaries(node: &Value, canary: &Value) -> Vec<Value> {
    let mut all = vec![canary.clone()];
    match node {
        Value::Object(table) => {
            for (key, value) in table {
                for changed in with_canaries(value, canary) {
                    let mut table = table.clone();
                    table.insert(key.clone(), changed);
                    all.push(table.into());
                }
                let mut renamed = table.clone();
                let value = renamed.remove(key).expect("the key is there");
                renamed.insert(CANARY.to_owned(), value);
                all.push(renamed.into());
                let mut added = table.clone();
                added.insert(CANARY.to_owned(), canary.clone());
                all.push(added.into());
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                for changed in with_canaries(value, canary) {
                    let mut list = list.clone();
                    list[number] = changed;
                    all.push(list.into());
                }
            }
        }
        _ => {}
    }
    all
}

fn table(key: &str, value: &str) -> Value {
    Map::from_iter([(key.to_owned(), value.into())]).into()
}

fn assert_silent(text: &str, format: Format, refused: &mut usize) {
    let Err(faults) = registry().load(text, format) else { return };
    *refused += 1;
    let said = format!("{faults}\n{faults:?}\n{:?}", Error::from(faults.clone()));
    for part in ["Canary", "hunter2", "s3cr3t", "4242", "4.24"] {
        assert!(!said.contains(part), "{part} in {said}\nof {text}");
    }
    assert!(faults.iter().all(|fault| !fault.message().is_empty()));
}

/// REQ 004-85.1
#[test]
fn a_secret_anywhere_is_in_no_fault() {
    let canaries = [
        json!(CANARY),
        json!(format!("https://bot:{CANARY}@bao.example")),
        json!(NUMBER),
        json!(-4_242_424_242_i64),
        json!(4.242_424_242),
        json!([CANARY]),
        table("value", CANARY),
        table("env", CANARY),
        table(CANARY, CANARY),
    ];
    let mut refused = 0;
    for canary in &canaries {
        for document in with_canaries(&sample(), canary) {
            let text = document.to_string();
            assert_silent(&text, Format::Json, &mut refused);
            // JSON is YAML, and read by another parser.
            assert_silent(&text, Format::Yaml, &mut refused);
        }
    }
    assert!(refused > 1_000, "only {refused} documents were refused");
}

#[test]
fn a_secret_in_what_cannot_be_parsed_is_not_shown() {
    let mut refused = 0;
    for text in [
        format!("[secrets]\nkind = {CANARY}"),
        format!("[secrets]\n{CANARY} {CANARY}"),
        format!("[{CANARY}]\na = 1\n[{CANARY}]"),
        format!("secrets: [{CANARY}"),
        format!("{CANARY}: 1\n{CANARY}: 2"),
        format!("secrets: *{CANARY}"),
        format!("secrets: !{CANARY} x"),
        format!("{{\"secrets\": {CANARY}}}"),
        CANARY.to_owned(),
    ] {
        for format in [Format::Json, Format::Toml, Format::Yaml] {
            assert_silent(&text, format, &mut refused);
        }
    }
    assert!(refused > 20, "only {refused} documents were refused");
}

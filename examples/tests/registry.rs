//! The documents do what they say, and the schema that is shipped describes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use pipe_examples::registry;
use pipe_registry::{Format, Plugins};
use pipe_testkit::fake::OpenBao;
use serde_json::{Value, json};

const SAMPLES: [&str; 3] = ["pipe.toml", "openbao.yaml", "oidc.toml"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn load(sample: &str) -> Plugins {
    registry().load_file(here(sample)).unwrap_or_else(|faults| panic!("{sample}:\n{faults}"))
}

/// What the program prints for a document.
async fn run(document: Option<PathBuf>) -> String {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
        command.env_clear().args(document).output().expect("the program can be started")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!printed.contains("s3cr3t") && !said.contains("s3cr3t"), "the secret is printed");
    printed
}

#[tokio::test]
async fn the_sample_runs_on_embedded_defaults() {
    let printed = run(None).await;
    assert!(printed.contains("secrets.default: Healthy"), "{printed}");
    assert!(printed.contains("default: registry/api-token is Created"), "{printed}");
}

#[tokio::test]
async fn a_document_leads_to_openbao() {
    let server = OpenBao::start().await;
    let document = json!({
        "development": true,
        "secrets": { "main": {
            "kind": "openbao",
            "settings": {
                "address": server.address(),
                "auth": { "method": "token", "token": { "value": server.root_token() } },
            },
            "decorators": { "timeout": "5s", "retry": {}, "cache": {} },
        } },
    });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let printed = run(Some(file)).await;
    assert!(printed.contains("secrets.main: Healthy"), "{printed}");
    assert!(printed.contains("main: registry/api-token is Created"), "{printed}");
}

#[test]
fn the_samples_load() {
    assert!(load("pipe.toml").identity("default").is_ok());
    assert_eq!(load("openbao.yaml").secrets("eu").unwrap().name(), "openbao-eu");
    let oidc = load("oidc.toml");
    assert_eq!(oidc.identity("default").unwrap().name(), "oidc");
    assert_eq!(oidc.login("default").unwrap().name(), "oidc-login");
}

/// `PIPE_UPDATE=1 cargo test -p pipe-examples --test registry` writes it anew.
#[test]
fn the_shipped_schema_is_that_of_all_backends() {
    let path = here("../pipe-registry/schema/pipe.schema.json");
    let mut current = serde_json::to_string_pretty(&registry().schema()).unwrap();
    current.push('\n');
    if std::env::var_os("PIPE_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &current).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == current, "the schema has changed: set PIPE_UPDATE=1 and run this again");
}

fn validator() -> jsonschema::Validator {
    let schema = registry().schema();
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema can be used")
}

fn read(sample: &str) -> Value {
    let text = std::fs::read_to_string(here(sample)).expect("the sample is there");
    match Format::of(sample) {
        Some(Format::Toml) => toml::from_str(&text).expect("the sample is TOML"),
        _ => serde_saphyr::from_str(&text).expect("the sample is YAML"),
    }
}

#[test]
fn the_samples_conform_to_the_schema() {
    for sample in SAMPLES {
        let document = read(sample);
        let faults: Vec<_> = validator().iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{sample}: {faults:?}");
    }
}

/// The schema and the registry refuse the same, each at a place of every kind.
#[test]
fn the_schema_refuses_what_the_registry_refuses() {
    let openbao =
        |settings: Value| json!({ "secrets": { "kind": "openbao", "settings": settings } });
    let auth = |auth: Value| openbao(json!({ "address": "https://bao.example", "auth": auth }));
    let decorators = |decorators: Value| json!({ "secrets": { "a": { "kind": "in-memory", "decorators": decorators } } });
    let validator = validator();
    for (document, is_sound) in [
        (json!({}), true),
        (json!({ "secrets": {} }), true),
        (json!({ "secret": {} }), false),
        (json!({ "development": "yes" }), false),
        (json!({ "memory": { "kind": "any" } }), false),
        (json!({ "secrets": { "kind": "etcd" } }), false),
        (json!({ "secrets": { "kind": "in-memory", "colour": 1 } }), false),
        (json!({ "secrets": { "A": { "kind": "in-memory" } } }), false),
        (json!({ "secrets": { "a": {} } }), false),
        (json!({ "secrets": { "kind": "openbao" } }), false),
        (json!({ "identity": { "kind": "in-memory", "settings": { "nam": "a" } } }), false),
        (openbao(json!({ "address": "https://bao.example" })), false),
        (auth(json!({ "method": "kubernetes", "role": "a" })), true),
        (auth(json!({ "method": "kubernetes" })), false),
        (auth(json!({ "method": "kubernetes", "role": "a", "rol": "a" })), false),
        (auth(json!({ "method": "other", "role": "a" })), false),
        (auth(json!({ "method": "token", "token": "a" })), false),
        (auth(json!({ "method": "token", "token": { "env": "A" } })), true),
        (auth(json!({ "method": "token", "token": { "env": "A", "file": "/a" } })), false),
        (decorators(json!({ "timeout": "5s", "retry": { "attempts": 1 }, "cache": {} })), true),
        (decorators(json!({ "retries": {} })), false),
        (decorators(json!({ "retry": { "attempt": 1 } })), false),
        (decorators(json!({ "cache": { "ttl": 5 } })), false),
    ] {
        assert_eq!(validator.is_valid(&document), is_sound, "the schema, of {document}");
        let loaded = registry().load(&document.to_string(), Format::Json);
        assert_eq!(loaded.is_ok(), is_sound, "the registry, of {document}");
    }
}

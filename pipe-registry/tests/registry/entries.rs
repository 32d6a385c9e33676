//! Entries, instances, formats and files.

use std::path::PathBuf;

use pipe_core::ErrorKind;
use pipe_registry::{Format, Plugins};

use crate::{load, registry};

fn instances(plugins: &Plugins) -> Vec<&str> {
    plugins.all_secrets().map(|(name, _)| name).collect()
}

#[test]
fn a_section_with_a_kind_is_the_default_instance() {
    let plugins = load("secrets.kind = 'in-memory'\nidentity.kind = 'in-memory'").unwrap();
    assert_eq!(instances(&plugins), ["default"]);
    assert!(plugins.secrets("default").is_ok() && plugins.identity("default").is_ok());
}

/// REQ 002-51
#[test]
fn several_clusters_are_several_instances() {
    let document = "
        secrets.eu = { kind = 'in-memory', settings.name = 'store-eu' }
        secrets.us = { kind = 'in-memory', settings.name = 'store-us' }
    ";
    let plugins = load(document).unwrap();
    assert_eq!(instances(&plugins), ["eu", "us"]);
    assert_eq!(plugins.secrets("eu").unwrap().name(), "store-eu");
}

#[test]
fn an_instance_that_is_not_there_names_those_that_are() {
    let plugins = load("secrets.eu.kind = 'in-memory'\nsecrets.us.kind = 'in-memory'").unwrap();
    let error = plugins.secrets("asia").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint_text().contains("eu, us"), "{error}");
    assert!(plugins.identity("default").unwrap_err().hint_text().contains("add an entry"));
}

#[test]
fn the_formats_make_the_same_plugins() {
    let json = r#"{ "secrets": { "main": { "kind": "in-memory" } } }"#;
    let yaml = "secrets:\n  main:\n    kind: in-memory\n";
    let toml = "[secrets.main]\nkind = 'in-memory'";
    for (text, format) in [(json, Format::Json), (yaml, Format::Yaml), (toml, Format::Toml)] {
        assert_eq!(instances(&registry().load(text, format).unwrap()), ["main"]);
    }
}

#[test]
fn an_empty_document_has_no_plugins() {
    for (text, format) in [("{}", Format::Json), ("", Format::Yaml), ("", Format::Toml)] {
        assert_eq!(registry().load(text, format).unwrap().all_secrets().len(), 0, "{format:?}");
    }
}

#[test]
fn a_file_is_read_by_its_extension() {
    let scratch = |name| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let write = |name, text: &[u8]| {
        std::fs::write(scratch(name), text).unwrap();
        registry().load_file(scratch(name))
    };
    assert!(write("good.yml", b"secrets: { kind: in-memory }").is_ok());
    for (name, text, fault) in [
        ("other.ini", b"".as_slice(), "extensions"),
        ("large.toml", &[b' '; (1 << 20) + 1], "larger than 1 MiB"),
        ("binary.toml", b"\xff", "UTF-8"),
    ] {
        let faults = write(name, text).unwrap_err().to_string();
        assert!(faults.contains(fault) && faults.contains(name), "{faults}");
    }
    let faults = registry().load_file(scratch("missing.toml")).unwrap_err().to_string();
    assert!(faults.contains("cannot be opened"), "{faults}");
}

#[test]
fn a_registry_shows_the_names_of_its_kinds() {
    let shown = format!("{:?}", registry());
    assert!(shown.contains("openbao") && shown.contains("in-memory"), "{shown}");
}

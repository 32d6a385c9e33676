//! The schema of a registry's documents.

use pipe_registry::Registry;
use serde_json::json;

use crate::registry;

#[test]
fn every_kind_brings_the_schema_of_its_settings() {
    let schema = registry().schema();
    assert_eq!(
        schema["$defs"]["secrets"]["properties"]["kind"]["enum"],
        json!(["in-memory", "openbao"])
    );
    assert_eq!(schema["$defs"]["identity"]["properties"]["kind"]["enum"], json!(["in-memory"]));
    let openbao = &schema["$defs"]["secrets"]["allOf"][1];
    assert_eq!(openbao["if"]["properties"]["kind"]["const"], "openbao");
    assert_eq!(openbao["then"]["required"], json!(["settings"]));
    let settings = &openbao["then"]["properties"]["settings"]["$ref"];
    assert_eq!(settings, "#/$defs/OpenBaoConfig");
    assert_eq!(schema["$defs"]["SecretSource"]["oneOf"].as_array().unwrap().len(), 3);
}

#[test]
fn a_section_without_kinds_has_no_entries() {
    let schema = Registry::new().schema();
    for section in ["secrets", "identity", "memory"] {
        assert_eq!(schema["properties"][section]["maxProperties"], 0);
    }
}

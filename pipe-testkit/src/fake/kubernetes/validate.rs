//! What the server refuses to store, and why: the rules of 1.36.

use std::collections::BTreeMap;

use super::object::{Content, Object};
use super::status::{Cause, Reply, invalid};

/// The sum of all decoded values.
const MAX_DATA: usize = 1 << 20;
const MAX_ANNOTATIONS: usize = 256 << 10;

/// Refuses what a new or changed object must not be.
pub(super) fn check(name: &str, content: &Content, before: Option<&Object>) -> Result<(), Reply> {
    let mut causes = Vec::new();
    let mut add = |reason, field: &str, message: String| {
        causes.push(Cause { reason, field: field.to_owned(), message });
    };
    if !is_subdomain(name) {
        let text =
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters";
        add("FieldValueInvalid", "metadata.name", format!("Invalid value: {name:?}: {text}"));
    }
    for (label, value) in &content.labels {
        if !is_label_value(value) || !is_qualified_name(label) {
            let text = format!(
                "Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters"
            );
            add("FieldValueInvalid", "metadata.labels", text);
        }
    }
    for annotation in content.annotations.keys() {
        if !is_qualified_name(&annotation.to_ascii_lowercase()) {
            let text = format!(
                "Invalid value: {annotation:?}: name part must consist of alphanumeric characters"
            );
            add("FieldValueInvalid", "metadata.annotations", text);
        }
    }
    if size(&content.annotations) > MAX_ANNOTATIONS {
        let text = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        add("FieldValueTooLong", "metadata.annotations", text);
    }
    for key in content.data.keys().filter(|key| !is_key(key)) {
        let text = format!(
            "Invalid value: {key:?}: a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        );
        add("FieldValueInvalid", &format!("data[{key}]"), text);
    }
    if content.data.values().map(Vec::len).sum::<usize>() > MAX_DATA {
        let text = format!("Too long: may not be more than {MAX_DATA} bytes");
        add("FieldValueTooLong", "data", text);
    }
    check_type(content, &mut add);
    if let Some(before) = before {
        check_change(content, &before.content, &mut add);
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid("Secret", name, &causes)) }
}

fn check_type(content: &Content, add: &mut impl FnMut(&'static str, &str, String)) {
    let needed: &[&str] = match content.secret_type.as_deref().unwrap_or("Opaque") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| !content.data.contains_key(**key)) {
        add("FieldValueRequired", &format!("data[{key}]"), "Required value".to_owned());
    }
    if let Some(config) = content.data.get(".dockerconfigjson")
        && content.secret_type.as_deref() == Some("kubernetes.io/dockerconfigjson")
        && serde_json::from_slice::<serde_json::Value>(config).is_err()
    {
        let text = "Invalid value: \"<secret contents redacted>\": invalid character";
        add("FieldValueInvalid", "data[.dockerconfigjson]", text.to_owned());
    }
}

fn check_change(
    content: &Content,
    before: &Content,
    add: &mut impl FnMut(&'static str, &str, String),
) {
    let plain = |content: &Content| content.secret_type.clone().unwrap_or("Opaque".to_owned());
    if plain(content) != plain(before) {
        let text = format!("Invalid value: {:?}: field is immutable", plain(content));
        add("FieldValueInvalid", "type", text);
    }
    if before.immutable != Some(true) {
        return;
    }
    let text = "Forbidden: field is immutable when `immutable` is set";
    if content.immutable != Some(true) {
        add("FieldValueForbidden", "immutable", text.to_owned());
    }
    if content.data != before.data {
        add("FieldValueForbidden", "data", text.to_owned());
    }
}

fn size(texts: &BTreeMap<String, String>) -> usize {
    texts.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn is_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && key != "."
        && !key.starts_with("..")
}

fn is_subdomain(name: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label = |label: &str| {
        label.bytes().all(|b| lower(b) || b == b'-')
            && label.bytes().next().is_some_and(lower)
            && label.bytes().next_back().is_some_and(lower)
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label_value(value: &str) -> bool {
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    value.len() <= 63
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && edge(value.bytes().next())
        && edge(value.bytes().next_back())
}

fn is_qualified_name(name: &str) -> bool {
    let (prefix, name) = name.rsplit_once('/').map_or((None, name), |(p, name)| (Some(p), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

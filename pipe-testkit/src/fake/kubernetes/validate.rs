//! What the server refuses to store, and why: the rules of 1.36.

use std::collections::BTreeMap;

use super::object::{Content, Object};
use super::status::{Cause, Reply, invalid};

/// The sum of all decoded values.
const MAX_DATA: usize = 1 << 20;
const MAX_ANNOTATIONS: usize = 256 << 10;
/// Names and keys.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
const BASIC_AUTH: [&str; 2] = ["username", "password"];
const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Refuses what a new or changed object must not be.
pub(super) fn check(name: &str, content: &Content, before: Option<&Object>) -> Result<(), Reply> {
    let mut causes = Vec::new();
    let mut add = |reason, field: &str, message: String| {
        causes.push(Cause { reason, field: field.to_owned(), message });
    };
    check_name(name, &mut add);
    for (label, value) in &content.labels {
        if let Some(rule) = label_value_rule(value) {
            add(
                "FieldValueInvalid",
                "metadata.labels",
                format!("Invalid value: {value:?}: {rule}"),
            );
        }
        if let Some(rule) = qualified_name_rule(label) {
            add(
                "FieldValueInvalid",
                "metadata.labels",
                format!("Invalid value: {label:?}: {rule}"),
            );
        }
    }
    for annotation in content.annotations.keys() {
        let lower = annotation.to_ascii_lowercase();
        if let Some(rule) = qualified_name_rule(&lower) {
            let text = format!("Invalid value: {lower:?}: {rule}");
            add("FieldValueInvalid", "metadata.annotations", text);
        }
    }
    if size(&content.annotations) > MAX_ANNOTATIONS {
        let text = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        add("FieldValueTooLong", "metadata.annotations", text);
    }
    for (at, finalizer) in content.finalizers.iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let text = format!(
                "Invalid value: {finalizer:?}: name is neither a standard finalizer name nor is it fully qualified"
            );
            add("FieldValueInvalid", &format!("metadata.finalizers[{at}]"), text);
        }
    }
    for key in content.data.keys() {
        if let Some(rule) = key_rule(key) {
            let text = format!("Invalid value: {key:?}: {rule}");
            add("FieldValueInvalid", &format!("data[{key}]"), text);
        }
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
    let secret_type = content.secret_type.as_deref().unwrap_or("Opaque");
    let needed: &[&str] = match secret_type {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        // One of them is enough.
        "kubernetes.io/basic-auth" => {
            match content.data.keys().any(|key| BASIC_AUTH.contains(&&**key)) {
                true => &[],
                false => &BASIC_AUTH,
            }
        }
        _ => &[],
    };
    for key in needed.iter().filter(|key| !content.data.contains_key(**key)) {
        add("FieldValueRequired", &format!("data[{key}]"), "Required value".to_owned());
    }
    if secret_type == "kubernetes.io/service-account-token"
        && content.annotations.get(SERVICE_ACCOUNT).is_none_or(String::is_empty)
    {
        let field = format!("metadata.annotations[{SERVICE_ACCOUNT}]");
        add("FieldValueRequired", &field, "Required value".to_owned());
    }
    if let Some(config) = content.data.get(".dockerconfigjson")
        && content.secret_type.as_deref() == Some("kubernetes.io/dockerconfigjson")
        && let Err(fault) = serde_json::from_slice::<serde_json::Value>(config)
    {
        let fault =
            if fault.is_eof() { "unexpected end of JSON input" } else { "invalid character" };
        let text = format!("Invalid value: \"<secret contents redacted>\": {fault}");
        add("FieldValueInvalid", "data[.dockerconfigjson]", text);
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

fn check_name(name: &str, add: &mut impl FnMut(&'static str, &str, String)) {
    let field = "metadata.name";
    if name.is_empty() {
        let text = "Required value: name or generateName is required";
        add("FieldValueRequired", field, text.to_owned());
        return;
    }
    if name.len() > MAX_NAME {
        let text = format!("Invalid value: {name:?}: must be no more than {MAX_NAME} characters");
        add("FieldValueInvalid", field, text);
    }
    if !is_subdomain(name) {
        let text = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        add("FieldValueInvalid", field, format!("Invalid value: {name:?}: {text}"));
    }
}

fn key_rule(key: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match key {
        "." | ".." => Some(format!("must not be '{key}'")),
        _ if key.len() > MAX_NAME => Some(format!("must be no more than {MAX_NAME} characters")),
        _ if key.is_empty() || !key.bytes().all(plain) => Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        ),
        _ if key.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn is_subdomain(name: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label = |label: &str| {
        label.bytes().all(|b| lower(b) || b == b'-')
            && label.bytes().next().is_some_and(lower)
            && label.bytes().next_back().is_some_and(lower)
    };
    name.split('.').all(is_label)
}

fn is_plain(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && edge(text.bytes().next())
        && edge(text.bytes().next_back())
}

fn label_value_rule(value: &str) -> Option<&'static str> {
    if value.len() > MAX_LABEL {
        return Some("must be no more than 63 bytes");
    }
    (!is_plain(value)).then_some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

fn qualified_name_rule(name: &str) -> Option<&'static str> {
    let (prefix, name) = name.rsplit_once('/').map_or((None, name), |(p, name)| (Some(p), name));
    if prefix.is_some_and(|prefix| !is_subdomain(prefix) || prefix.len() > MAX_NAME) {
        return Some(
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters",
        );
    }
    if name.len() > MAX_LABEL {
        return Some("name part must be no more than 63 bytes");
    }
    (name.is_empty() || !is_plain(name)).then_some(
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    )
}

//! What may be called how: what Kubernetes would refuse is refused here, before any request.

use pipe_core::pod::kubernetes_secret_name;
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretData, SecretName, SecretRef};

/// The annotation that keeps the name of a secret whose Kubernetes Secret is called otherwise.
pub(crate) const NAME_ANNOTATION: &str = "pipe-secrets-k8s/name";

/// The name of the Kubernetes Secret that holds the secret of this name. It is the same that the
/// pod fragments name, so what is stored here is what a pod gets.
pub(crate) fn object_name(name: &SecretName) -> String {
    kubernetes_secret_name(&SecretRef::from(name.clone()))
}

/// The name of the secret that a Kubernetes Secret holds; `None` for one that no name leads to.
pub(crate) fn secret_name(object: &str, annotation: Option<&str>) -> Option<SecretName> {
    let leads_here = |name: &SecretName| object_name(name) == object;
    let annotated = annotation.and_then(|name| SecretName::new(name).ok()).filter(leads_here);
    annotated.or_else(|| SecretName::new(object).ok().filter(leads_here))
}

/// An RFC 1123 label.
pub(crate) fn check_namespace(namespace: &str) -> Result<()> {
    if is_label(namespace) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "not a namespace of Kubernetes")
        .with("namespace", format_args!("{namespace:?}"))
        .hint("use 1 to 63 of a-z 0-9 -, with a letter or digit at both ends"))
}

/// The namespace of a reference, or our own.
pub(crate) fn namespace_or<'a>(namespace: Option<&'a Namespace>, own: &'a str) -> Result<&'a str> {
    let Some(namespace) = namespace else { return Ok(own) };
    check_namespace(namespace.as_str()).map(|()| namespace.as_str())
}

/// The rule of keys: `[-._a-zA-Z0-9]+`, up to 253 of them, and no way out of a directory.
pub(crate) fn check_keys(data: &SecretData) -> Result<()> {
    let legal = |key: &str| {
        (1..=253).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && key != "."
            && !key.starts_with("..")
    };
    match data.keys().find(|key| !legal(key)) {
        None => Ok(()),
        Some(key) => {
            Err(Error::new(ErrorKind::InvalidArgument, "not a key of a Kubernetes Secret")
                .with("key", format_args!("{key:?}"))
                .hint(
                    "use 1 to 253 of A-Z a-z 0-9 - _ . that are not `.` and do not begin with `..`",
                ))
        }
    }
}

/// The name part of labels and annotations, with an optional DNS prefix.
pub(crate) fn is_qualified_name(name: &str) -> bool {
    let (prefix, name) = match name.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, name),
    };
    prefix.is_none_or(is_subdomain) && is_label_value(name) && !name.is_empty()
}

/// A label's value: up to 63 characters, a letter or digit at both ends.
pub(crate) fn is_label_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ends = [value.bytes().next(), value.bytes().next_back()];
    value.len() <= 63
        && value.bytes().all(inner)
        && ends.into_iter().flatten().all(|b| b.is_ascii_alphanumeric())
}

/// An RFC 1123 subdomain.
pub(crate) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| part.len() <= 253 && is_lower_label(part))
}

fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_lower_label(name)
}

fn is_lower_label(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> SecretName {
        SecretName::new(name).unwrap()
    }

    #[test]
    fn a_name_that_kubernetes_allows_is_its_own() {
        assert_eq!(object_name(&name("db-creds.prod")), "db-creds.prod");
        assert_eq!(secret_name("db-creds.prod", None), Some(name("db-creds.prod")));
    }

    #[test]
    fn any_other_name_comes_back_by_its_annotation() {
        for text in ["apps/db", "Apps", "a_b", "a..b", "x/y/z"] {
            let object = object_name(&name(text));
            assert!(is_subdomain(&object), "{object}");
            assert_eq!(secret_name(&object, Some(text)), Some(name(text)));
        }
    }

    #[test]
    fn an_annotation_that_does_not_lead_to_the_object_is_not_believed() {
        let object = object_name(&name("apps/db"));
        assert_eq!(secret_name(&object, Some("apps/other")), None);
        assert_eq!(secret_name("plain", Some("apps/db")), Some(name("plain")));
        assert_eq!(secret_name("plain", Some("../x")), Some(name("plain")));
    }

    /// It looks like a made name, and no name leads to it.
    #[test]
    fn a_made_name_without_annotation_is_nobodys() {
        assert_eq!(secret_name(&object_name(&name("apps/db")), None), None);
    }

    #[test]
    fn keys_follow_the_servers_rule() {
        let long = "k".repeat(253);
        for key in ["A_b-c.D", ".hidden", "-", "_", "0", &long] {
            assert!(check_keys(&SecretData::new().with(key, "")).is_ok(), "{key}");
        }
        let longer = "k".repeat(254);
        for key in ["", ".", "..", "..x", "...", "a b", "a/b", "é", "a=b", "a:b", &longer] {
            assert!(check_keys(&SecretData::new().with(key, "")).is_err(), "{key}");
        }
    }

    #[test]
    fn namespaces_are_labels() {
        let longest = "a".repeat(63);
        for namespace in ["default", "a", "0-9", &longest] {
            assert!(check_namespace(namespace).is_ok(), "{namespace}");
        }
        let longer = "a".repeat(64);
        for namespace in ["", "a.b", "A", "-a", "a-", "team1/child", "a_b", &longer] {
            assert!(check_namespace(namespace).is_err(), "{namespace}");
        }
    }

    #[test]
    fn labels_follow_the_servers_rule() {
        for name in ["a", "app.kubernetes.io/name", "A_b.c-d", "x/y"] {
            assert!(is_qualified_name(name), "{name}");
        }
        for name in ["", "/a", "a/", "-a", "a b", "A.B/c", "a/b/c"] {
            assert!(!is_qualified_name(name), "{name}");
        }
        assert!(is_label_value("") && is_label_value("v1.2") && !is_label_value("-x"));
        assert!(!is_label_value(&"v".repeat(64)));
    }
}

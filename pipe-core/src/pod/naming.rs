//! What a secret is called in a pod: legal names that never meet (RFC 1123).

use sha2::{Digest, Sha256};

use super::model::{KeyToPath, SecretVolumeSource};
use crate::hex::hex;
use crate::secrets::SecretRef;

/// The name of the Kubernetes Secret that carries `secret` to a pod.
///
/// A name that Kubernetes accepts (RFC 1123 subdomain) and that is in no namespace is its own.
/// Any other becomes a readable slug with 128 bits of its SHA-256, and so does a name that itself
/// ends like that: `apps/db` and `apps-db`, or any other two, never meet in one Secret.
///
/// ```
/// use pipe_core::{pod::kubernetes_secret_name, secrets::SecretRef};
///
/// assert_eq!(kubernetes_secret_name(&SecretRef::new("db-creds")?), "db-creds");
/// assert_eq!(
///     kubernetes_secret_name(&SecretRef::new("apps/db")?),
///     "apps-db-03cc9eaf0011635a3bef2ac6203e4b6e",
/// );
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[must_use]
pub fn kubernetes_secret_name(secret: &SecretRef) -> String {
    let name = secret.name.as_str();
    if secret.namespace.is_none() && is_dns_subdomain(name) && !ends_in_digest(name) {
        return name.to_owned();
    }
    let namespace = secret.namespace.as_ref().map_or("", |namespace| namespace.as_str());
    let digest = digest(&format!("{namespace}\n{name}"));
    let slug = secret.name.segments().map(readable).collect::<Vec<_>>().join("-");
    // Of a long name the end says most.
    let slug = &slug[slug.len().saturating_sub(SLUG_LIMIT)..];
    match slug.trim_matches(['-', '.']) {
        "" => digest,
        slug => format!("{slug}-{digest}"),
    }
}

/// Names a volume after its Secret, and also after what it shows of it when that is not
/// everything in the usual way. Volume names are RFC 1123 labels: no dots, at most 63 characters.
pub(super) fn volume_name(source: &SecretVolumeSource) -> String {
    let SecretVolumeSource { secret_name, default_mode, optional, items } = source;
    let usual = *default_mode == DEFAULT_MODE && !optional && items.is_empty();
    if usual
        && secret_name.len() <= 63
        && !secret_name.contains('.')
        && !ends_like_volume(secret_name)
    {
        return secret_name.clone();
    }
    let shown = |item: &KeyToPath| match item.mode {
        None => format!("\n{}\n{}", item.key, item.path),
        // No key begins like that.
        Some(mode) => format!("\n{}\n{}\n/{mode}", item.key, item.path),
    };
    let shown: String = items.iter().map(shown).collect();
    let digest = digest(&format!("{secret_name}\n{default_mode}\n{optional}{shown}"));
    let slug: String = secret_name.replace('.', "-").chars().take(29).collect();
    format!("{}-v{digest}", slug.trim_end_matches('-'))
}

/// Names a volume of scratch space after its path: `tmp` with a mark that no Secret's volume has.
pub(super) fn scratch_name(path: &str) -> String {
    marked(path.trim_matches('/'), path, "scratch")
}

/// An identifier for one of many things of a pod, of at most 41 characters: the end of what it is
/// called, and 64 bits of the digest of what it is about.
pub(super) fn short_id(called: &str, about: &str) -> String {
    let slug = readable(called).replace('.', "-");
    let slug = slug[slug.len().saturating_sub(24)..].trim_matches('-');
    let digest = &digest(&format!("{called}\n{about}"))[..16];
    if slug.is_empty() { digest.to_owned() } else { format!("{slug}-{digest}") }
}

/// A label of at most 63 characters: what it is called, and the digest of what it is about.
pub(crate) fn marked(called: &str, about: &str, mark: &str) -> String {
    let slug = readable(called).replace('.', "-");
    let room = 63 - DIGEST_LENGTH - mark.len() - 2;
    let slug = &slug[slug.len().saturating_sub(room)..];
    let digest = digest(&format!("{mark}\n{about}"));
    match slug.trim_matches('-') {
        "" => format!("{mark}-{digest}"),
        slug => format!("{slug}-{mark}-{digest}"),
    }
}

/// 0440: the owner and the group read, nobody else does anything.
pub(super) const DEFAULT_MODE: u32 = 0o440;

pub(crate) fn is_dns_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// With the digest and its hyphen it stays below the 253 characters of a name.
const SLUG_LIMIT: usize = 200;
const DIGEST_LENGTH: usize = 32;

fn readable(segment: &str) -> String {
    if is_dns_subdomain(segment) {
        return segment.to_owned();
    }
    let readable = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    segment.chars().map(readable).collect()
}

fn digest(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    hex(&digest[..DIGEST_LENGTH / 2])
}

/// Whether a name could be one that was made here.
fn ends_in_digest(name: &str) -> bool {
    before_digest(name).is_some_and(|slug| slug.is_empty() || slug.ends_with('-'))
}

fn ends_like_volume(name: &str) -> bool {
    before_digest(name).is_some_and(|slug| slug.ends_with("-v"))
}

fn before_digest(name: &str) -> Option<&str> {
    let (slug, digest) = name.split_at_checked(name.len().checked_sub(DIGEST_LENGTH)?)?;
    digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(slug)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Namespace;

    fn secret(name: &str) -> SecretRef {
        SecretRef::new(name).unwrap()
    }

    fn source(secret_name: &str) -> SecretVolumeSource {
        let secret_name = secret_name.to_owned();
        SecretVolumeSource {
            secret_name,
            default_mode: DEFAULT_MODE,
            optional: false,
            items: Vec::new(),
        }
    }

    #[test]
    fn different_secrets_never_share_a_kubernetes_secret() {
        let in_namespace = secret("apps-db").with_namespace(Namespace::new("team1").unwrap());
        let names: BTreeSet<_> = [
            secret("apps/db"),
            secret("apps-db"),
            secret("apps_db"),
            secret("Apps-db"),
            in_namespace,
        ]
        .iter()
        .map(kubernetes_secret_name)
        .collect();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| is_dns_subdomain(name)), "{names:?}");
    }

    #[test]
    fn a_name_that_looks_like_a_made_one_does_not_meet_it() {
        for name in ["apps/db", "_"] {
            let made = kubernetes_secret_name(&secret(name));
            let posing = kubernetes_secret_name(&secret(&made));
            assert_ne!(made, posing);
            assert!(ends_in_digest(&made) && ends_in_digest(&posing), "{made} {posing}");
        }
    }

    #[test]
    fn a_made_name_carries_128_bits_of_its_digest() {
        let name = kubernetes_secret_name(&secret("apps/db"));
        assert_eq!(before_digest(&name), Some("apps-db-"));
    }

    #[test]
    fn every_secret_name_becomes_a_legal_kubernetes_name() {
        let long = "x/".repeat(200) + "x";
        let dots = "a.".repeat(200) + "b/c";
        let digits = "0".repeat(32);
        let names =
            ["...", "-", "_", "A", "a.b", "a..b", "a/-/b", "a/.b/-.c", &long, &dots, &digits];
        for name in names {
            let name = kubernetes_secret_name(&secret(name));
            assert!(is_dns_subdomain(&name), "{name}");
            let volume = volume_name(&source(&name));
            assert!(
                is_dns_subdomain(&volume) && volume.len() <= 63 && !volume.contains('.'),
                "{volume}"
            );
        }
    }

    #[test]
    fn the_last_segment_of_a_name_stays_readable() {
        let deep = "deep/".repeat(80) + "db-creds";
        for (name, last) in [("apps/db", "db"), ("A/db.prod", "db.prod"), (&deep, "db-creds")] {
            let name = kubernetes_secret_name(&secret(name));
            assert!(name.contains(last), "{name}");
        }
    }

    #[test]
    fn different_volumes_never_share_a_name() {
        let narrow = SecretVolumeSource { default_mode: 0o400, ..source("db") };
        let items = vec![KeyToPath { key: "k".to_owned(), path: "p".to_owned(), mode: None }];
        let narrow_item = KeyToPath { mode: Some(0o400), ..items[0].clone() };
        let posing = volume_name(&narrow);
        let sources = [
            source("db"),
            SecretVolumeSource { items: vec![narrow_item], ..source("db") },
            SecretVolumeSource { items, ..source("db") },
            SecretVolumeSource { optional: true, ..source("db") },
            source(&posing),
            narrow,
            source("a.db"),
            source("a-db"),
        ];
        let names: BTreeSet<_> = sources.iter().map(volume_name).collect();
        assert_eq!(names.len(), sources.len(), "{names:?}");
    }
}

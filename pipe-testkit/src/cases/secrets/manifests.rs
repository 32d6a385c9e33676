use std::collections::BTreeSet;
use std::sync::Arc;

use pipe_core::pod::{EnvInjection, PodFragment, SecretMount, SecretVolumeSource, Volume};
use pipe_core::{ErrorKind, SecretData, SecretRef, SecretsPlugin};

use super::{expect_kind, named, unused, write, writes};

const VALUE: &str = "do-not-print-9f3c";

async fn stored(plugin: &dyn SecretsPlugin) -> SecretRef {
    let at = unused(plugin, "manifest");
    if writes(plugin) {
        write(plugin, &at, SecretData::new().with("password", VALUE)).await;
    }
    at
}

fn text(fragment: &PodFragment) -> String {
    serde_json::to_string(fragment).expect("a fragment can be written out")
}

/// REQ 004-79
pub async fn environment_variables_name_the_secret_and_no_value(plugin: Arc<dyn SecretsPlugin>) {
    let at = stored(&plugin).await;
    let injection = EnvInjection::new()
        .with_env("DB_PASSWORD", at.clone(), "password")
        .with_env_from("DB_", at.clone());
    let fragment = plugin.inject_env_vars(&injection).expect("the injection is sound");
    assert_eq!(fragment.env.len(), 1, "{fragment:?}");
    let variable = &fragment.env[0];
    assert_eq!(variable.name, "DB_PASSWORD");
    let selector = &variable.value_from.secret_key_ref;
    assert_eq!(selector.key, "password");
    assert_eq!(fragment.env_from.len(), 1, "{fragment:?}");
    assert_eq!(fragment.env_from[0].prefix, "DB_");
    assert_eq!(fragment.env_from[0].secret_ref.name, selector.name);
    assert!(names(&selector.name, &at), "{} is not named after {at}", selector.name);
    assert!(!text(&fragment).contains(VALUE), "a value is in the fragment");
    let again = plugin.inject_env_vars(&injection).expect("the injection is sound");
    assert_eq!(fragment, again, "the fragment changes from call to call");
    assert!(!selector.optional && !fragment.env_from[0].secret_ref.optional, "{fragment:?}");
    let optional = plugin.inject_env_vars(&injection.optional()).expect("the injection is sound");
    assert!(optional.env[0].value_from.secret_key_ref.optional, "{optional:?}");
    assert!(optional.env_from[0].secret_ref.optional, "{optional:?}");
}

/// REQ 004-80
pub async fn mounts_name_the_secret_and_no_value(plugin: Arc<dyn SecretsPlugin>) {
    let at = stored(&plugin).await;
    let mount = SecretMount::volume(at.clone()).with_item("password", "password");
    let fragment = plugin.generate_secret_mounts(&mount).expect("the mount is sound");
    assert_eq!((fragment.volumes.len(), fragment.volume_mounts.len()), (1, 1), "{fragment:?}");
    let (volume, mounted) = (&fragment.volumes[0], &fragment.volume_mounts[0]);
    assert_eq!(volume.name, mounted.name, "the mount names another volume");
    assert!(mounted.read_only, "a secret can be written to");
    let secret = held(volume);
    assert!(secret.default_mode & 0o337 == 0, "the files are open to others");
    assert!(names(&secret.secret_name, &at), "{} for {at}", secret.secret_name);
    assert!(!text(&fragment).contains(VALUE), "a value is in the fragment");
}

/// REQ 004-80: the path, the mode, the keys, whether it is optional, and the form are the caller's.
pub async fn a_mount_is_what_was_asked_for(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "asked-for");
    let generate = |mount| plugin.generate_secret_mounts(&mount).expect("the mount is sound");
    let plain = generate(SecretMount::volume(at.clone()));
    let source = held(&plain.volumes[0]);
    assert_eq!((source.default_mode, source.optional), (0o440, false), "{plain:?}");
    assert!(source.items.is_empty(), "{plain:?}");
    assert!(plain.volume_mounts[0].mount_path.starts_with('/'), "{plain:?}");
    let mount = SecretMount::volume(at.clone())
        .at("/etc/creds")
        .with_mode(0o400)
        .with_item("password", "db/password")
        .optional();
    let fragment = generate(mount);
    let source = held(&fragment.volumes[0]);
    assert_eq!(fragment.volume_mounts[0].mount_path, "/etc/creds");
    assert_eq!((source.default_mode, source.optional), (0o400, true), "{fragment:?}");
    let items: Vec<_> = source.items.iter().map(|i| (i.key.as_str(), i.path.as_str())).collect();
    assert_eq!(items, [("password", "db/password")]);
    let secret_name = source.secret_name.clone();
    let whole = generate(SecretMount::env_from(at, "DB_").optional());
    assert!(whole.env.is_empty() && whole.volumes.is_empty(), "{whole:?}");
    assert_eq!(whole.env_from.len(), 1, "{whole:?}");
    assert_eq!(whole.env_from[0].prefix, "DB_");
    assert_eq!(whole.env_from[0].secret_ref.name, secret_name);
    assert!(whole.env_from[0].secret_ref.optional, "{whole:?}");
}

/// Whatever the secret is called, Kubernetes takes the names in the manifest (RFC 1123), and no two
/// secrets meet in one name. A name may also be refused.
pub async fn manifests_have_legal_names(plugin: Arc<dyn SecretsPlugin>) {
    let base = unused(&plugin, "legal");
    let mut seen = BTreeSet::new();
    for suffix in ["", "-X", "-x", "_x", ".x", "-", ".", &"-long".repeat(40), &"l".repeat(300)] {
        let at = named(&format!("{}{suffix}", base.name));
        let mounted = match plugin.generate_secret_mounts(&SecretMount::volume(at.clone())) {
            Ok(mounted) => mounted,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}");
                continue;
            }
        };
        let volume = &mounted.volumes[0];
        let (name, secret) = (&volume.name, held(volume));
        assert!(is_label(name) && name.len() <= 63, "{name} is no name of a volume");
        let secret_name = &secret.secret_name;
        let legal = secret_name.len() <= 253 && secret_name.split('.').all(is_label);
        assert!(legal, "{secret_name} is no name of a Secret");
        assert!(seen.insert(secret_name.clone()), "{secret_name} carries two secrets");
        let injection = EnvInjection::new().with_env("X", at, "x");
        let env = plugin.inject_env_vars(&injection).expect("a name that can be mounted");
        assert_eq!(env.env[0].value_from.secret_key_ref.name, *secret_name);
    }
}

fn held(volume: &Volume) -> &SecretVolumeSource {
    volume.secret().expect("the volume holds a Secret")
}

fn is_label(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// The Kubernetes Secret can be recognised by the last segment of the secret's name.
fn names(kubernetes_name: &str, at: &SecretRef) -> bool {
    at.name.segments().last().is_some_and(|last| kubernetes_name.contains(last))
}

/// REQ 004-79.1
pub async fn bad_environment_variables_are_refused(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "bad-variable");
    for name in ["", "1A", "A-B", "A B", "A=B"] {
        let injection = EnvInjection::new().with_env(name, at.clone(), "password");
        expect_kind(plugin.inject_env_vars(&injection), ErrorKind::InvalidArgument);
    }
    let twice = EnvInjection::new().with_env("A", at.clone(), "username").with_env(
        "A",
        at.clone(),
        "password",
    );
    expect_kind(plugin.inject_env_vars(&twice), ErrorKind::Conflict);
    let outside = SecretMount::volume(at).at("/var/run/../etc");
    expect_kind(plugin.generate_secret_mounts(&outside), ErrorKind::InvalidArgument);
}

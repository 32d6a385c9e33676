use std::sync::Arc;

use pipe_core::pod::{EnvInjection, PodFragment, SecretMount};
use pipe_core::{ErrorKind, SecretData, SecretRef, SecretsPlugin};

use super::{expect_kind, unused, write, writes};

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
    assert!(volume.secret.default_mode & 0o337 == 0, "the files are open to others");
    assert!(names(&volume.secret.secret_name, &at), "{} for {at}", volume.secret.secret_name);
    assert!(!text(&fragment).contains(VALUE), "a value is in the fragment");
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

use std::sync::Arc;

use pipe_core::pod::{EnvInjection, SecretMount};
use pipe_core::secrets::{ListQuery, SecretVersion};
use pipe_core::{Namespace, SecretData, SecretRef, SecretsPlugin, SecretsPluginExt};

use super::{namespace, unused};
use crate::leak::Canary;

/// REQ 004-77.4, 004-78.5, 004-82.4, 004-85.1, 004-85.2: a secret is driven through every
/// operation, and is seen in no log line, no `Debug` output, no error and no manifest.
pub async fn no_value_appears_in_logs_errors_or_manifests(plugin: Arc<dyn SecretsPlugin>) {
    let canary = Canary::new();
    drive(&plugin, &canary).await;
    canary.assert_unseen();
}

pub(super) async fn drive(plugin: &Arc<dyn SecretsPlugin>, canary: &Canary) {
    let capabilities = plugin.capabilities();
    let at = unused(plugin, "canary");
    let data = SecretData::new()
        .with("password", canary.value())
        .with("url", format!("postgres://bot:{}@db/app\n", canary.value()));

    // Successes first, then refusals of every kind, all with the secret in hand.
    put(plugin, canary, &at, data.clone()).await;
    put(plugin, canary, &at, data.clone()).await;
    put(plugin, canary, &at, data.clone().with("more", canary.value())).await;
    canary.look_at_result("get_secret", &plugin.get_secret(&at).await);
    canary.look_at_result("require_secret", &plugin.require_secret(&at).await);
    canary.look_at_result("get_key", &plugin.get_key(&at, "password").await);
    canary.look_at_result("require_key", &plugin.require_key(&at, "no-such-key").await);
    canary.look_at_result("list_secrets", &plugin.list_secrets(&ListQuery::new()).await);
    let watched = plugin.watch_secret(&at).await;
    canary.look_at_result("watch_secret", &watched);
    if let Ok(mut stream) = watched {
        canary.look_at_debug("the stream", &stream);
        canary.look_at_debug("the stream's item", &stream.next().await);
    }

    let mut large = canary.value().repeat(capabilities.max_secret_bytes / canary.value().len() + 1);
    put(plugin, canary, &at, data.clone().with("large", large.as_str())).await;
    large.clear();
    let many = (0..=capabilities.max_keys.min(10_000)).map(|i| (i.to_string(), canary.value()));
    put(plugin, canary, &at, many.collect()).await;
    let mut binary = canary.value().as_bytes().to_vec();
    binary.extend([0, 0xff, 0xfe]);
    put(plugin, canary, &at, data.clone().with("binary", binary)).await;
    let old = at.clone().with_version(SecretVersion::new(1_000_000));
    put(plugin, canary, &old, data.clone()).await;
    canary.look_at_result("get_secret", &plugin.get_secret(&old).await);
    let elsewhere = Namespace::new("pipe-testkit-nowhere").expect("legal");
    let elsewhere = at.clone().with_namespace(elsewhere);
    // Where namespaces come into being by being written to, the suite makes none of its own.
    let other = if capabilities.namespaces {
        at.clone().with_namespace(namespace("a"))
    } else {
        elsewhere.clone()
    };
    put(plugin, canary, &other, data).await;
    canary.look_at_result("get_secret", &plugin.get_secret(&elsewhere).await);

    let injection = EnvInjection::new().with_env("DB_PASSWORD", at.clone(), "password");
    let fragment = plugin.inject_env_vars(&injection.with_env_from("", at.clone()));
    canary.look_at_result("inject_env_vars", &fragment);
    let mounted = plugin.generate_secret_mounts(&SecretMount::volume(at.clone()));
    canary.look_at_result("generate_secret_mounts", &mounted);
    for fragment in fragment.into_iter().chain(mounted) {
        canary.look_at("a manifest", &serde_json::to_string(&fragment).unwrap_or_default());
    }

    canary.look_at_debug("the plugin in use", plugin);
    canary.look_at_result("delete_secret", &plugin.delete_secret(&at).await);
    canary.look_at_debug("health", &plugin.health().await);
    canary.look_at_debug("the plugin", plugin);
    canary.look_at_result("close", &plugin.close().await);
    canary.look_at_debug("the closed plugin", plugin);
    assert_eq!(plugin.capabilities(), capabilities, "the capabilities change");
}

async fn put(plugin: &Arc<dyn SecretsPlugin>, canary: &Canary, at: &SecretRef, data: SecretData) {
    canary.look_at_result("create_secret", &plugin.create_secret(at, data).await);
}

use std::sync::Arc;

use pipe_core::SecretsPlugin;

use super::unused;

/// The name is there, fits on a log line, and stays.
pub async fn the_name_is_stable(plugin: Arc<dyn SecretsPlugin>) {
    let name = plugin.name().to_owned();
    assert!(!name.is_empty() && name.len() <= 64, "{name:?}");
    assert!(!name.contains(|c: char| c.is_control() || c.is_whitespace()), "{name:?}");
    assert_eq!(plugin.name(), name);
}

/// A plugin that serves does not say that it cannot.
pub async fn a_working_plugin_says_that_it_serves(plugin: Arc<dyn SecretsPlugin>) {
    plugin.get_secret(&unused(&plugin, "health")).await.expect("the plugin works");
    let health = plugin.health().await;
    assert!(health.is_serving(), "{health:?}");
}

/// Whoever closes need not know whether somebody did before.
pub async fn closing_twice_is_harmless(plugin: Arc<dyn SecretsPlugin>) {
    plugin.get_secret(&unused(&plugin, "close")).await.expect("the plugin works");
    plugin.close().await.expect("the first close");
    plugin.close().await.expect("the second close");
}

use std::sync::Arc;

use pipe_core::SecretsPlugin;

use super::{unused, value};

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

/// What a plugin can do does not change while it is used: callers ask once.
pub async fn capabilities_are_constant(plugin: Arc<dyn SecretsPlugin>) {
    let before = plugin.capabilities();
    let at = unused(&plugin, "constant");
    plugin.get_secret(&at).await.expect("the plugin works");
    // Whether these are offered does not matter here.
    drop(plugin.create_secret(&at, value("x")).await);
    drop(plugin.delete_secret(&at).await);
    let _ = plugin.health().await;
    assert_eq!(plugin.capabilities(), before);
    plugin.close().await.expect("the close");
    assert_eq!(plugin.capabilities(), before, "they change when the plugin is closed");
}

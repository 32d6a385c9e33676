//! Following a secret.

use std::time::Duration;

use pipe_core::SecretsPlugin;
use pipe_core::secrets::SecretEvent;
use pipe_testkit::fake::{InfisicalFault, InfisicalRelease};

use crate::setup::{RELEASES, db, everything, password, plugin, with_identity};

const NEVER: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn the_change_of_somebody_else_is_seen() {
    for release in RELEASES {
        let (config, server) = with_identity(release, everything()).await;
        let plugin = plugin(config.with_poll_interval(Duration::from_millis(10)));
        let mut states = plugin.watch_secret(&db()).await.unwrap();
        assert_eq!(states.next().await.unwrap().unwrap(), SecretEvent::Absent);
        for value in ["one", "two"] {
            server.write("dev", "/apps/db", "password", value);
            let SecretEvent::Present(secret) = states.next().await.unwrap().unwrap() else {
                panic!("{release:?}: it is there");
            };
            assert_eq!(secret.data, password(value));
        }
        server.delete("dev", "/apps/db", "password");
        assert_eq!(states.next().await.unwrap().unwrap(), SecretEvent::Absent);
    }
}

/// Nobody polls within this test: each change of ours is looked at once, for all.
#[tokio::test]
async fn all_who_follow_a_secret_share_one_poller() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    let plugin = plugin(config.with_poll_interval(NEVER));
    plugin.create_secret(&db(), password("one")).await.unwrap();
    let mut followers = Vec::new();
    for _ in 0..50 {
        let mut states = plugin.watch_secret(&db()).await.unwrap();
        assert!(matches!(states.next().await, Some(Ok(SecretEvent::Present(_)))));
        followers.push(states);
    }
    let before = server.hits("GET");
    plugin.create_secret(&db(), password("two")).await.unwrap();
    for states in &mut followers {
        let Some(Ok(SecretEvent::Present(secret))) = states.next().await else { panic!("there") };
        assert_eq!(secret.data, password("two"));
    }
    // One of the write, which compares, and one of the poller.
    assert_eq!(server.hits("GET") - before, 2);
}

#[tokio::test]
async fn a_fault_is_told_and_the_watch_goes_on() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    server.write("dev", "/apps/db", "password", "one");
    let plugin = plugin(config.with_poll_interval(Duration::from_millis(5)));
    let mut states = plugin.watch_secret(&db()).await.unwrap();
    assert!(matches!(states.next().await, Some(Ok(SecretEvent::Present(_)))));
    server.inject(InfisicalFault::Html(502), "secretPath", 4);
    assert!(states.next().await.unwrap().is_err());
    server.clear_faults();
    server.write("dev", "/apps/db", "password", "two");
    let Some(Ok(SecretEvent::Present(secret))) = states.next().await else { panic!("it is there") };
    assert_eq!(secret.data, password("two"));
}

#[tokio::test]
async fn a_closed_plugin_ends_its_watches() {
    use pipe_core::Plugin as _;
    let (config, _server) = with_identity(InfisicalRelease::Current, everything()).await;
    let plugin = plugin(config.with_poll_interval(NEVER));
    let mut states = plugin.watch_secret(&db()).await.unwrap();
    assert!(states.next().await.is_some());
    plugin.close().await.unwrap();
    assert!(states.next().await.is_none());
}

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::future::join_all;
use pipe_core::{SecretData, SecretsPlugin};

use super::{read, unused, value, write, writes};

fn pair(number: usize) -> SecretData {
    SecretData::new().with("left", format!("{number}")).with("right", format!("{number}"))
}

/// 32 writers and 32 readers of one secret: every read is one of the writes, whole.
pub async fn readers_never_see_half_a_write(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let at = unused(&plugin, "torn");
    write(&plugin, &at, pair(0)).await;
    let writers = (1..=32).map(|number| {
        let (plugin, at) = (Arc::clone(&plugin), at.clone());
        tokio::spawn(async move {
            write(&plugin, &at, pair(number)).await;
        })
    });
    let readers = (0..32).map(|_| {
        let (plugin, at) = (Arc::clone(&plugin), at.clone());
        tokio::spawn(async move {
            for _ in 0..4 {
                let found = read(&plugin, &at).await.expect("the secret is there all the time");
                assert!(found.get("left").is_some(), "a key is missing");
                assert_eq!(found.get("left"), found.get("right"), "a read mixes two writes");
            }
        })
    });
    for task in writers.chain(readers).collect::<Vec<_>>() {
        task.await.expect("no reader or writer fails");
    }
}

/// 64 writers, each of its own secret, at once.
pub async fn writers_of_different_secrets_do_not_mix(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let plugin = Arc::clone(&plugin);
            tokio::spawn(async move {
                let at = unused(&plugin, &format!("mine-{number}"));
                write(&plugin, &at, pair(number)).await;
                (at, number)
            })
        })
        .collect();
    for written in join_all(tasks).await {
        let (at, number) = written.expect("no writer fails");
        assert_eq!(read(&plugin, &at).await, Some(pair(number)), "{at} holds another's data");
    }
}

/// After many writers, one of their values is there, whole.
pub async fn the_last_of_many_writers_wins_as_a_whole(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let at = unused(&plugin, "race");
        join_all((0..16).map(|number| write(&plugin, &at, pair(number)))).await;
        let found = read(&plugin, &at).await.expect("one of them won");
        assert!((0..16).any(|number| found == pair(number)), "nobody wrote what is there");
    }
}

/// Starts a future and drops it before it ends, as `select!` and `timeout` do.
async fn drop_after_start<T>(future: impl Future<Output = T>) {
    let mut future = Box::pin(future);
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(future);
    tokio::task::yield_now().await;
}

/// A caller that goes away takes nothing with it.
pub async fn a_dropped_read_leaves_the_plugin_usable(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "dropped-read");
    let stored = writes(&plugin).then(|| value("x"));
    if let Some(data) = stored.clone() {
        write(&plugin, &at, data).await;
    }
    for _ in 0..8 {
        drop_after_start(plugin.get_secret(&at)).await;
    }
    assert_eq!(read(&plugin, &at).await, stored);
}

/// A dropped write is there as a whole or not at all, and blocks nobody.
pub async fn a_dropped_write_happened_or_did_not(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let at = unused(&plugin, "dropped-write");
    write(&plugin, &at, pair(1)).await;
    for _ in 0..8 {
        drop_after_start(plugin.create_secret(&at, pair(2))).await;
        let found = read(&plugin, &at).await;
        assert!(found == Some(pair(1)) || found == Some(pair(2)), "half a write: {found:?}");
    }
    // A request that is still on its way may land after a later one: use a name of its own.
    let at = unused(&plugin, "after-dropped-write");
    write(&plugin, &at, pair(3)).await;
    assert_eq!(read(&plugin, &at).await, Some(pair(3)));
}

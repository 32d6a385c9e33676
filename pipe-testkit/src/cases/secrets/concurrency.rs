use std::sync::Arc;
use std::time::Duration;

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
        let writers = (0..16).map(|number| {
            let (plugin, at) = (Arc::clone(&plugin), at.clone());
            tokio::spawn(async move {
                write(&plugin, &at, pair(number)).await;
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("no writer fails");
        }
        let found = read(&plugin, &at).await.expect("one of them won");
        assert!((0..16).any(|number| found == pair(number)), "nobody wrote what is there");
    }
}

/// How many points a future is dropped at.
const DROP_POINTS: u32 = 9;

/// Starts a future and drops it, as `select!` and `timeout` do: at once, after a few turns of the
/// runtime, or after a few milliseconds. It may have ended by then.
async fn drop_midway<T>(point: u32, future: impl Future<Output = T>) {
    let wait = async {
        for _ in 0..point.min(4) {
            tokio::task::yield_now().await;
        }
        if let Some(milliseconds) = point.checked_sub(4) {
            tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
        }
    };
    tokio::select! {
        biased;
        _ = future => {}
        () = wait => {}
    }
    tokio::task::yield_now().await;
}

/// A caller that goes away takes nothing with it.
pub async fn a_dropped_read_leaves_the_plugin_usable(plugin: Arc<dyn SecretsPlugin>) {
    let at = unused(&plugin, "dropped-read");
    let stored = writes(&plugin).then(|| value("x"));
    if let Some(data) = stored.clone() {
        write(&plugin, &at, data).await;
    }
    for point in 0..DROP_POINTS {
        drop_midway(point, plugin.get_secret(&at)).await;
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
    for point in 0..DROP_POINTS {
        drop_midway(point, plugin.create_secret(&at, pair(2))).await;
        let found = read(&plugin, &at).await;
        assert!(found == Some(pair(1)) || found == Some(pair(2)), "half a write: {found:?}");
    }
    // A request that is still on its way may land after a later one: use a name of its own.
    let at = unused(&plugin, "after-dropped-write");
    write(&plugin, &at, pair(3)).await;
    assert_eq!(read(&plugin, &at).await, Some(pair(3)));
}

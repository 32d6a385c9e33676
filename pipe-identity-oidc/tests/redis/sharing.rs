//! Two processes' worth of stores against one server.

use std::time::Duration;

use pipe_core::identity::{SessionKey, SessionRecord, SessionStore, SessionTag};
use pipe_identity_oidc::RedisSessions;

use crate::server::Server;

const MINUTE: Duration = Duration::from_secs(60);
const ROUNDS: u8 = 100;

fn key(n: u8) -> SessionKey {
    SessionKey::Session([n; 32])
}

fn record(data: &str) -> SessionRecord {
    SessionRecord::new(data, MINUTE).with_tag(SessionTag::new([9; 32]))
}

/// What both say who do the same at once.
async fn both<T, F: Future<Output = T>>(
    stores: &[RedisSessions; 2],
    call: impl Fn(RedisSessions) -> F,
) -> [T; 2] {
    let [a, b] = stores;
    let (a, b) = tokio::join!(call(a.clone()), call(b.clone()));
    [a, b]
}

fn stores(server: &Server) -> [RedisSessions; 2] {
    [server.store(), server.store()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_inserts_one_replaces_and_one_takes() {
    let Some(server) = Server::start(&[]) else { return };
    let stores = stores(&server);
    for n in 0..ROUNDS {
        let inserted =
            both(
                &stores,
                |store| async move { store.insert(&key(n), record("first")).await.unwrap() },
            );
        assert_eq!(inserted.await.iter().filter(|&&done| done).count(), 1);
        let [a, b] = both(&stores, |store| async move { store.get(&key(n)).await.unwrap() }).await;
        assert_eq!(a, b);
        let version = a.unwrap().version;
        let replaced = both(&stores, |store| async move {
            store.replace(&key(n), version, record("second")).await.unwrap()
        });
        assert_eq!(replaced.await.iter().filter(|&&done| done).count(), 1);
        let taken = both(&stores, |store| async move { store.take(&key(n)).await.unwrap() });
        assert_eq!(taken.await.iter().flatten().count(), 1);
    }
    assert_eq!(server.ask("DBSIZE"), ":0\r\n", "neither records nor tags are left behind");
}

#[tokio::test]
async fn what_one_process_ends_is_ended_for_the_other() {
    let Some(server) = Server::start(&[]) else { return };
    let [a, b] = stores(&server);
    a.insert(&key(1), record("x")).await.unwrap();
    let version = a.get(&key(1)).await.unwrap().unwrap().version;
    assert_eq!(b.remove_tagged(&SessionTag::new([9; 32])).await.unwrap(), 1);
    assert!(!a.replace(&key(1), version, record("y")).await.unwrap());
    assert_eq!(a.get(&key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn stores_with_other_prefixes_are_apart() {
    let Some(server) = Server::start(&[]) else { return };
    let other = RedisSessions::new(server.config().with_prefix("other")).unwrap();
    let store = server.store();
    store.insert(&key(1), record("x")).await.unwrap();
    assert_eq!(other.get(&key(1)).await.unwrap(), None);
    assert_eq!(other.remove_tagged(&SessionTag::new([9; 32])).await.unwrap(), 0);
    assert!(store.get(&key(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_tag_does_not_grow_with_records_that_are_over() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let short = |ttl| SessionRecord::new("x", ttl).with_tag(SessionTag::new([9; 32]));
    for n in 0..50 {
        store.insert(&key(n), short(Duration::from_millis(100))).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    store.insert(&key(99), short(Duration::from_millis(100))).await.unwrap();
    let tag = format!("ZCARD pipe:tag/{}", "09".repeat(32));
    assert_eq!(server.ask(&tag), ":1\r\n");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(server.ask(&tag), ":0\r\n", "a tag goes with its last record");
}

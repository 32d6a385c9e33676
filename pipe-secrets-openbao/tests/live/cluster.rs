//! A cluster of three nodes that loses its leader in the middle of the work (REQ 004-82).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pipe_core::wrap::{Retry, RetryPolicy, Timeout};
use pipe_core::{ErrorKind, Health, Plugin, SecretData, SecretRef, SecretSource, SecretsPlugin};
use pipe_secrets_openbao::{AppRoleAuth, OpenBao};
use serde_json::json;

use crate::server::Server;
use crate::setup::{config, namespace, plugin};

const OPERATIONS: usize = 20_000;
const WORKERS: usize = 16;
/// Far more than an election takes, which is a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    leader: Server,
    standbys: [Server; 2],
    namespace: String,
    role: (String, String),
}

impl Cluster {
    async fn start() -> Option<Self> {
        let leader = Server::persistent().await?;
        let standbys = [Server::standby_of(&leader).await?, Server::standby_of(&leader).await?];
        // A node that has just joined has no vote until it has been stable for a while.
        let start = Instant::now();
        while leader.admin().voters().await < 3 {
            assert!(start.elapsed() < PATIENCE, "the nodes get no vote");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let namespace = namespace(leader.admin()).await;
        let role = json!({ "token_policies": ["bot"], "token_ttl": "20s", "token_max_ttl": "1m" });
        let role = leader.admin().approle(&namespace, "bots", role).await;
        Some(Self { leader, standbys, namespace, role })
    }

    /// A plugin that asks this node first.
    fn plugin(&self, first: &Server) -> OpenBao {
        let value = |text: &str| SecretSource::Value(text.into());
        let auth = AppRoleAuth::new(value(&self.role.0), value(&self.role.1));
        let nodes = [&self.leader, &self.standbys[0], &self.standbys[1]];
        let others = nodes.iter().map(|node| node.address());
        let others: Vec<_> = others.filter(|address| *address != first.address()).collect();
        let config = config(first.address(), &self.namespace, auth).with_other_addresses(others);
        plugin(config)
    }
}

fn patient(plugin: OpenBao) -> impl SecretsPlugin {
    let policy = RetryPolicy::new().with_attempts(300).with_deadline(PATIENCE);
    Retry::with_policy(Timeout::new(plugin, Duration::from_secs(10)), policy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_loses_no_acknowledged_write() {
    let Some(mut cluster) = Cluster::start().await else { return };
    // Half of the work begins at the leader, half at a standby.
    let plugins: [Arc<dyn SecretsPlugin>; 2] = [
        Arc::new(patient(cluster.plugin(&cluster.leader))),
        Arc::new(patient(cluster.plugin(&cluster.standbys[0]))),
    ];
    for plugin in &plugins {
        let heard =
            async { while plugin.get_secret(&SecretRef::new("absent").unwrap()).await.is_err() {} };
        tokio::time::timeout(PATIENCE, heard).await.expect("the cluster serves");
    }
    let done = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (plugin, done) = (Arc::clone(&plugins[worker % 2]), Arc::clone(&done));
            tokio::spawn(async move { work(&*plugin, worker, &done).await })
        })
        .collect();
    while done.load(Ordering::Relaxed) < OPERATIONS / 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.leader.kill();
    let mut longest = Duration::ZERO;
    for worker in workers {
        longest = longest.max(worker.await.expect("a worker saw something wrong"));
    }
    assert!(done.load(Ordering::Relaxed) >= OPERATIONS);
    assert!(longest < PATIENCE, "one operation took {longest:?}");

    // What was acknowledged is at the nodes that are left, whoever asks.
    let other = cluster.plugin(&cluster.standbys[1]);
    assert_eq!(other.health().await, Health::healthy());
    let other = patient(other);
    for worker in 0..WORKERS {
        for number in 0..SECRETS {
            let found = other.get_secret(&secret(worker, number)).await.unwrap();
            let expected = last_value(number);
            let found = found.map(|found| found.data);
            assert_eq!(found, expected.map(data), "{worker} {number}");
        }
    }
}

const SECRETS: usize = 10;

fn secret(worker: usize, number: usize) -> SecretRef {
    SecretRef::new(format!("w{worker}/s{number}")).expect("legal")
}

fn data(value: usize) -> SecretData {
    SecretData::new().with("value", value.to_string())
}

fn rounds() -> usize {
    OPERATIONS / WORKERS
}

/// One operation in four writes, to each secret in turn.
fn written(round: usize) -> Option<usize> {
    round.is_multiple_of(4).then_some(round / 4 % SECRETS)
}

fn last_value(number: usize) -> Option<usize> {
    (0..rounds()).rev().find(|round| written(*round) == Some(number))
}

/// Writes and reads; whatever it wrote, it reads. Tells how long the longest operation took.
async fn work(plugin: &dyn SecretsPlugin, worker: usize, done: &AtomicUsize) -> Duration {
    let mut known: [Option<usize>; SECRETS] = [None; SECRETS];
    let mut longest = Duration::ZERO;
    for round in 0..rounds() {
        let start = Instant::now();
        if let Some(number) = written(round) {
            let written = plugin.create_secret(&secret(worker, number), data(round)).await;
            written.expect("the write outlives the election");
            known[number] = Some(round);
        } else {
            // Right after the write, then others.
            let number = (round / 4 + 3 * (round % 4 - 1)) % SECRETS;
            let found = plugin.get_secret(&secret(worker, number)).await;
            let found = found.expect("the read outlives the election");
            assert_eq!(found.map(|found| found.data), known[number].map(data), "round {round}");
        }
        longest = longest.max(start.elapsed());
        done.fetch_add(1, Ordering::Relaxed);
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_answer_is_left_for_another() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let plugin = cluster.plugin(&cluster.standbys[0]);
    let kept = SecretRef::new("kept").unwrap();
    let written = async {
        while plugin.create_secret(&kept, data(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("the cluster serves");
    // Sealed, then gone: each is met within the call.
    cluster.standbys[0].seal().await;
    assert_eq!(plugin.get_secret(&kept).await.unwrap().unwrap().data, data(1));
    assert_eq!(plugin.health().await, Health::healthy());
    cluster.standbys[0].kill();
    let again = cluster.plugin(&cluster.standbys[0]);
    let reads = join_all((0..20).map(|_| again.get_secret(&kept))).await;
    for read in reads {
        assert_eq!(read.unwrap().unwrap().data, data(1));
    }
    // Two of three are gone: nothing is acknowledged any more, and nothing is said to be absent.
    cluster.standbys[1].kill();
    let error = again.create_secret(&kept, data(2)).await.unwrap_err();
    assert!(error.is_retryable(), "{error:#}");
    cluster.leader.kill();
    let error = again.get_secret(&kept).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    assert_ne!(again.health().await, Health::healthy());
}

//! What the cache costs, and what it saves.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipe_core::wrap::{CachePolicy, Cached};
use pipe_core::{SecretData, SecretRef, SecretsPlugin};
use tokio::task::JoinSet;

use super::names;
use crate::sample::{Plan, alone};
use crate::{Amount, Fault, Instant, Limit, Measured, Report, Server};

const NAME: &str = "pipe-bench/cached";
const PROMISE: Duration = Duration::from_micros(1);

const SHARED_SECRETS: usize = 5_000;
const CALLERS: usize = 1_000;

pub(crate) async fn measure(report: &mut Report, server: Result<&Server, Fault>) {
    let name = "cached read / 1 µs";
    report.measure(name, Limit::AtMost(1.0), async || hit(server.clone()?).await).await;

    let name = "cached reads / uncached reads of the server";
    report.measure(name, Limit::AtLeast(400.0), async || gain(server.clone()?).await).await;

    let name = "cached reads by two threads / by one";
    report.measure(name, Limit::AtLeast(1.8), two_threads).await;

    let name = "requests for 1,000 misses at once / 1";
    report.add(name, Limit::AtMost(1.0), at_once().await);
}

async fn hit(server: &Server) -> Result<Measured, Fault> {
    let (cached, secret) = around(server).await?;
    let took = alone(Plan::BATCHES, async || read(&cached, &secret).await).await?;
    Ok(Measured::new(Amount::Time(took), Amount::Time(PROMISE)))
}

async fn gain(server: &Server) -> Result<Measured, Fault> {
    let (cached, secret) = around(server).await?;
    let plugin = server.plugin()?;
    let rate = |took: Duration| Amount::PerSecond(took.as_secs_f64().recip());
    let uncached = alone(Plan::EACH_CALL, async || read(&plugin, &secret).await).await?;
    let cached = alone(Plan::BATCHES, async || read(&cached, &secret).await).await?;
    Ok(Measured::new(rate(cached), rate(uncached)))
}

/// A cache around OpenBao, with a secret.
async fn around(server: &Server) -> Result<(impl SecretsPlugin, SecretRef), Fault> {
    let secret = SecretRef::new(NAME)?;
    let cached = Cached::new(server.plugin()?, CachePolicy::new());
    let data = SecretData::new().with("username", "bot").with("password", "correct horse");
    cached.create_secret(&secret, data).await?;
    Ok((cached, secret))
}

async fn read(plugin: &impl SecretsPlugin, secret: &SecretRef) -> Result<(), Fault> {
    match plugin.get_secret(secret).await? {
        Some(_) => Ok(()),
        None => Err(Fault::new("the secret is not there")),
    }
}

/// Each thread reads all secrets, in an order of its own. One thread and two take turns.
///
/// A thread that is ready to run, and gets no core because others have them all, does not tell
/// anything about the cache: that time is left out. Time spent waiting for a lock is not.
async fn two_threads() -> Result<Measured, Fault> {
    const TURNS: usize = 11;
    let names = Arc::new(names(SHARED_SECRETS)?);
    let cached =
        Cached::new(Instant::new(64), CachePolicy::new().with_max_entries(SHARED_SECRETS * 2));
    for name in &*names {
        cached.get_secret(name).await?;
    }
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..TURNS * 2 {
        let threads = 1 + turn % 2;
        let (cached, names) = (cached.clone(), Arc::clone(&names));
        let rate = tokio::task::spawn_blocking(move || rate_of(threads, &cached, &names)).await??;
        rates[turn % 2].push(rate);
    }
    let [one, two] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        Amount::PerSecond(rates[TURNS / 2])
    });
    Ok(Measured::new(two, one))
}

/// How many secrets so many threads read in a second, together.
fn rate_of(threads: usize, cached: &Cached<Instant>, names: &[SecretRef]) -> Result<f64, Fault> {
    const TURN: Duration = Duration::from_millis(100);
    let start = Barrier::new(threads + 1);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut order: Vec<_> = names.iter().collect();
                    fastrand::shuffle(&mut order);
                    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                    start.wait();
                    let (clock, waited) = (std::time::Instant::now(), waited_for_a_core());
                    let reads = runtime.block_on(read_until(&is_over, cached, &order))?;
                    let waited = waited_for_a_core().saturating_sub(waited);
                    let took = clock.elapsed().saturating_sub(waited);
                    Ok(reads as f64 / took.as_secs_f64())
                })
            })
            .collect();
        start.wait();
        std::thread::sleep(TURN);
        is_over.store(true, Ordering::Relaxed);
        let rates = readers.into_iter().map(|reader| match reader.join() {
            Ok(rate) => rate,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        rates.sum()
    })
}

/// How long this thread was ready to run and did not: the second number of `schedstat`. Zero where
/// it cannot be told.
fn waited_for_a_core() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let waited = times.and_then(|text| text.split(' ').nth(1)?.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

async fn read_until(
    is_over: &AtomicBool,
    cached: &Cached<Instant>,
    order: &[&SecretRef],
) -> Result<u64, Fault> {
    let mut reads = 0;
    for secret in order.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        read(cached, secret).await?;
        reads += 1;
    }
    Ok(reads)
}

/// All ask for the same secret before the store has answered the first of them.
async fn at_once() -> Result<Measured, Fault> {
    let store = Instant::new(64).with_delay(Duration::from_millis(200));
    let cached = Cached::new(store.clone(), CachePolicy::new());
    let secret = SecretRef::new(NAME)?;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cached, secret) = (cached.clone(), secret.clone());
        callers.spawn(async move { read(&cached, &secret).await });
    }
    while let Some(answer) = callers.join_next().await {
        answer??;
    }
    Ok(Measured::new(Amount::Count(store.reads()), Amount::Count(1)))
}

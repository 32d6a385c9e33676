//! What the cache costs, and what it saves.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::wrap::{CachePolicy, Cached};
use pipe_core::{SecretData, SecretRef, SecretsPlugin};
use tokio::task::JoinSet;

use super::names;
use crate::sample::{Plan, alone};
use crate::threads::{by_one, shuffled};
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

/// Each thread reads all secrets, in an order of its own.
async fn two_threads() -> Result<Measured, Fault> {
    let names = Arc::new(names(SHARED_SECRETS)?);
    let cached =
        Cached::new(Instant::new(64), CachePolicy::new().with_max_entries(SHARED_SECRETS * 2));
    for name in &*names {
        cached.get_secret(name).await?;
    }
    by_one(move || {
        let (cached, names) = (cached.clone(), Arc::clone(&names));
        let mut order = shuffled(names.len());
        async move || read(&cached, &names[order.next()]).await
    })
    .await
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

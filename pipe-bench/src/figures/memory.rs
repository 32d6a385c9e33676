//! What a full cache takes.

use pipe_core::SecretsPlugin;
use pipe_core::wrap::{CachePolicy, Cached};

use super::names;
use crate::resident::resident;
use crate::{Amount, Fault, Instant, Limit, Measured, Report};

const SECRETS: usize = 10_000;
const SECRET_BYTES: usize = 1024;

pub(crate) async fn measure(report: &mut Report) {
    let name = "memory of 10,000 cached secrets / their 1 KiB each";
    report.add(name, Limit::AtMost(2.0), full().await);
}

/// How much the process grows, so that what the allocator and the map waste is counted too.
async fn full() -> Result<Measured, Fault> {
    let names = names(SECRETS)?;
    let store = Instant::new(SECRET_BYTES);
    // Twice the room: what is evicted would not be counted.
    let policy = CachePolicy::new().with_max_entries(SECRETS * 2);
    let cached = Cached::new(store.clone(), policy);
    let before = resident();
    for name in &names {
        cached.get_secret(name).await?;
    }
    let grown = resident().saturating_sub(before);
    for name in &names {
        cached.get_secret(name).await?;
    }
    if before == 0 {
        return Err(Fault::new("this system does not tell how much memory a process has"));
    }
    if store.reads() != SECRETS as u64 {
        return Err(Fault::new("the cache does not hold all of the secrets"));
    }
    let payload = (SECRETS * SECRET_BYTES) as u64;
    Ok(Measured::new(Amount::Bytes(grown), Amount::Bytes(payload)))
}

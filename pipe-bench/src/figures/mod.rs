//! What is promised about cost, one file for each subject.

mod cache;
mod identity;
mod infisical;
mod kubernetes;
mod memory;
mod pod;
mod stack;
mod uncached;

use pipe_core::{Result, SecretRef};

use crate::{Report, Server};

/// Measures everything.
pub async fn all() -> Report {
    let mut report = Report::new();
    // First: memory that others have left behind would be used again, and not be counted.
    memory::measure(&mut report).await;
    let server = Server::start().await;
    let server = server.as_ref().map_err(Clone::clone);
    uncached::measure(&mut report, server.clone()).await;
    cache::measure(&mut report, server).await;
    kubernetes::measure(&mut report).await;
    infisical::measure(&mut report).await;
    stack::measure(&mut report).await;
    identity::measure(&mut report).await;
    pod::measure(&mut report).await;
    report
}

/// So many secrets, each of another name.
fn names(count: usize) -> Result<Vec<SecretRef>> {
    (0..count).map(|number| SecretRef::new(format!("apps/{number}/db"))).collect()
}

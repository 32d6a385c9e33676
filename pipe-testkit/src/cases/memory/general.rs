use std::sync::Arc;

use pipe_core::memory::GovernanceMemory;

use super::Place;

/// The name is there, fits on a log line, and stays.
pub async fn the_name_is_stable(memory: Arc<dyn GovernanceMemory>) {
    let name = memory.name().to_owned();
    assert!(!name.is_empty() && name.len() <= 64, "{name:?}");
    assert!(!name.contains(|c: char| c.is_control() || c.is_whitespace()), "{name:?}");
    assert_eq!(memory.name(), name);
}

/// A memory that serves does not say that it cannot.
pub async fn a_working_memory_says_that_it_serves(memory: Arc<dyn GovernanceMemory>) {
    Place::new("health").search(&memory).await;
    let health = memory.health().await;
    assert!(health.is_serving(), "{health:?}");
}

/// Whoever closes need not know whether somebody did before.
pub async fn closing_twice_is_harmless(memory: Arc<dyn GovernanceMemory>) {
    Place::new("close").search(&memory).await;
    memory.close().await.expect("the first close");
    memory.close().await.expect("the second close");
}

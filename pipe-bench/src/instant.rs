//! A store that costs next to nothing, so that what is around it can be measured.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::secrets::{Secret, SecretsCapabilities, WriteOutcome};
use pipe_core::{Error, ErrorKind, Health, Plugin, Result, SecretData, SecretRef, SecretsPlugin};

/// Has a secret of this many bytes under every name, made anew for each read. Clones share a count.
#[derive(Clone)]
pub struct Instant {
    bytes: usize,
    delay: Option<Duration>,
    reads: Arc<AtomicU64>,
}

impl Instant {
    /// A store of secrets that are this long.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { bytes, delay: None, reads: Arc::default() }
    }

    /// One that takes so long for each read.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// How often it was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instant").field("bytes", &self.bytes).field("reads", &self.reads()).finish()
    }
}

#[async_trait]
impl Plugin for Instant {
    fn name(&self) -> &str {
        "instant"
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }
}

#[async_trait]
impl SecretsPlugin for Instant {
    fn capabilities(&self) -> SecretsCapabilities {
        SecretsCapabilities::READ_ONLY
    }

    async fn get_secret(&self, _: &SecretRef) -> Result<Option<Secret>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        Ok(Some(Secret::new(SecretData::new().with("value", vec![b'x'; self.bytes]))))
    }

    async fn create_secret(&self, _: &SecretRef, _: SecretData) -> Result<WriteOutcome> {
        Err(Error::new(ErrorKind::Unsupported, "this store is for reading only"))
    }
}

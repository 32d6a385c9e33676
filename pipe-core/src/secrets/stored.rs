//! What a store gives back.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::SecretData;

/// A version of a secret. Later versions are greater; nothing else may be read from the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretVersion(u64);

impl SecretVersion {
    /// The version that the backend counts as `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The backend's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secret {
    /// The keys and values. `secret.data.get("password")`
    pub data: SecretData,
    /// The version that was read, when the backend counts versions.
    pub version: Option<SecretVersion>,
    /// When this version was written, when the backend tells.
    pub written_at: Option<SystemTime>,
}

impl Secret {
    /// A secret of which only the data is known.
    #[must_use]
    pub fn new(data: SecretData) -> Self {
        Self { data, version: None, written_at: None }
    }

    /// The version that was read.
    #[must_use]
    pub fn with_version(self, version: SecretVersion) -> Self {
        Self { version: Some(version), ..self }
    }

    /// When this version was written.
    #[must_use]
    pub fn with_written_at(self, written_at: SystemTime) -> Self {
        Self { written_at: Some(written_at), ..self }
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// Nothing was stored there before.
    Created,
    /// Other data was stored there before.
    Updated,
    /// The same data was stored there already; nothing was written.
    Unchanged,
}

/// The answer to a write (REQ 004-78.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WriteOutcome {
    /// What the write did.
    pub change: Change,
    /// The version that now is the current one, when the backend counts versions.
    pub version: Option<SecretVersion>,
}

impl WriteOutcome {
    /// A write that did this.
    #[must_use]
    pub const fn new(change: Change) -> Self {
        Self { change, version: None }
    }

    /// The version that now is the current one.
    #[must_use]
    pub const fn with_version(self, version: SecretVersion) -> Self {
        Self { version: Some(version), ..self }
    }
}

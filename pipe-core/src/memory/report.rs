//! What became of what was added, and where answers come from.

use serde::{Deserialize, Serialize};

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// This process, which knows what was added through it.
    Local,
    /// A Cognee server.
    Cognee,
}

/// What became of what was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddReport {
    /// Where it was added.
    pub source: Source,
    /// How many different data points are stored as they were given.
    pub data_points: usize,
    /// How many different relations are stored.
    pub relations: usize,
    /// How many different relations were left out, because one of their ends is not known.
    pub skipped_relations: usize,
    /// How many data points wait to be delivered, because the server is away.
    pub queued: usize,
}

impl AddReport {
    /// Nothing was added.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, data_points: 0, relations: 0, skipped_relations: 0, queued: 0 }
    }

    /// How many data points are stored.
    #[must_use]
    pub fn with_data_points(self, data_points: usize) -> Self {
        Self { data_points, ..self }
    }

    /// How many relations are stored, and how many were left out.
    #[must_use]
    pub fn with_relations(self, relations: usize, skipped_relations: usize) -> Self {
        Self { relations, skipped_relations, ..self }
    }

    /// How many data points wait to be delivered.
    #[must_use]
    pub fn with_queued(self, queued: usize) -> Self {
        Self { queued, ..self }
    }
}

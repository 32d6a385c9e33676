//! What is looked for, and what is found.

use std::collections::BTreeSet;

use super::{DataPoint, DataPointKind, MemoryKey, Outcome, Source};
use crate::{Error, ErrorKind, Result};

/// The longest text of a query, in bytes.
pub const MAX_QUERY: usize = 8 << 10;
/// The most hits that a query may ask for.
pub const MAX_HITS: usize = 100;

/// What to look for: words, and what hits must have.
///
/// ```
/// use pipe_core::memory::{DataPointKind, MemoryKey, Outcome, SearchQuery};
///
/// let query = SearchQuery::new("settlement events")
///     .with_domain(MemoryKey::new("payments")?)
///     .with_outcome(Outcome::Success)
///     .with_limit(5);
/// # Ok::<_, pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchQuery {
    /// The words, 8 KiB at most.
    pub text: String,
    /// The kinds of data points; none means all.
    pub kinds: BTreeSet<DataPointKind>,
    /// Only integrations that have this domain at one of their ends.
    pub domain: Option<MemoryKey>,
    /// Only integrations that ended so.
    pub outcome: Option<Outcome>,
    /// How many hits there may be: 10, and 100 at most.
    pub limit: usize,
}

impl SearchQuery {
    /// Data points of any kind that resemble this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), kinds: BTreeSet::new(), domain: None, outcome: None, limit: 10 }
    }

    /// Adds a kind of data points.
    #[must_use]
    pub fn with_kind(mut self, kind: DataPointKind) -> Self {
        self.kinds.insert(kind);
        self
    }

    /// Only integrations that have this domain at one of their ends.
    #[must_use]
    pub fn with_domain(self, domain: MemoryKey) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// Only integrations that ended so.
    #[must_use]
    pub fn with_outcome(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..self }
    }

    /// How many hits there may be.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Whether it asks for something that can be looked for.
    ///
    /// # Errors
    /// `InvalidArgument` for a text of blanks or of more than [`MAX_QUERY`] bytes, and for a limit of
    /// nothing or more than [`MAX_HITS`].
    pub fn check(&self) -> Result<()> {
        let fault = |message, hint| Err(Error::new(ErrorKind::InvalidArgument, message).hint(hint));
        if self.text.trim().is_empty() {
            return fault("the query has no text", "say what to look for");
        }
        if self.text.len() > MAX_QUERY {
            return fault("the query is too long", "use 8 KiB of text at most");
        }
        if self.limit == 0 || self.limit > MAX_HITS {
            return fault("the limit is out of bounds", "ask for 1 to 100 hits");
        }
        Ok(())
    }

    /// Whether a data point has what hits must have. Its text is not looked at.
    #[must_use]
    pub fn admits(&self, point: &DataPoint) -> bool {
        let integration = point.as_integration();
        let has_domain =
            |domain| integration.is_some_and(|integration| integration.touches(domain));
        let ended = |outcome| integration.is_some_and(|found| found.outcome() == Some(outcome));
        (self.kinds.is_empty() || self.kinds.contains(&point.kind()))
            && self.domain.as_ref().is_none_or(has_domain)
            && self.outcome.is_none_or(ended)
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// What was found.
    pub point: DataPoint,
    /// How much it resembles the query: more than 0, 1 at most, and to be compared within one
    /// answer only.
    pub similarity: f64,
    /// Where it was found.
    pub source: Source,
}

impl Hit {
    /// A hit; the similarity is brought between 0 and 1.
    #[must_use]
    pub fn new(point: DataPoint, similarity: f64, source: Source) -> Self {
        Self { point, similarity: similarity.clamp(0.0, 1.0), source }
    }
}

//! What two data points have to do with one another.

use serde::{Deserialize, Serialize};

use super::DataPointId;
use crate::{Error, ErrorKind, Result};

/// A relation from one data point to another. Added twice, it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Relation {
    /// Where it begins.
    pub from: DataPointId,
    /// What it says, such as `replaces`.
    pub name: String,
    /// Where it ends.
    pub to: DataPointId,
}

impl Relation {
    /// A relation of this name: a small letter, then small letters, digits and `_`, 64 of them at
    /// most.
    ///
    /// # Errors
    /// `InvalidArgument` when the name breaks the rule.
    pub fn new(from: DataPointId, name: impl Into<String>, to: DataPointId) -> Result<Self> {
        let name = name.into();
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || name.len() > 64 || !name.bytes().all(is_word) {
            return Err(Error::new(ErrorKind::InvalidArgument, "not the name of a relation")
                .hint("use a small letter, then small letters, digits and `_`, 64 at most"));
        }
        Ok(Self { from, name, to })
    }
}

//! What two data points have to do with one another.

use serde::{Deserialize, Serialize};

use super::DataPointId;
use crate::{Error, ErrorKind, Result};

/// A relation from one data point to another. Added twice, it is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
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
        check_name(&name)?;
        Ok(Self { from, name, to })
    }
}

/// A relation whose name nobody has looked at.
#[derive(Deserialize)]
struct Unchecked {
    from: DataPointId,
    name: String,
    to: DataPointId,
}

impl TryFrom<Unchecked> for Relation {
    type Error = Error;
    fn try_from(Unchecked { from, name, to }: Unchecked) -> Result<Self> {
        Self::new(from, name, to)
    }
}

/// Databases make it a part of their own language, so it is a word and nothing else.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins_well || name.len() > 64 || !name.bytes().all(is_word) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not the name of a relation")
            .hint("use a small letter, then small letters, digits and `_`, 64 at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{DataPointKind, MemoryKey, check_batch};

    /// Whether it is made, read or changed.
    #[test]
    fn a_name_is_a_word_however_it_came_about() {
        let id = DataPointId::of(&DataPointKind::Domain, &MemoryKey::new("a").unwrap());
        let sound = Relation::new(id, "feeds_2", id).unwrap();
        let text = serde_json::to_string(&sound).unwrap();
        assert_eq!(serde_json::from_str::<Relation>(&text).unwrap(), sound);
        check_batch(&[], std::slice::from_ref(&sound)).unwrap();
        let long = "x".repeat(65);
        for name in ["", "Feeds", "2feeds", "_feeds", "feeds it", "x]->() DELETE n //", &long] {
            let made = Relation::new(id, name, id).unwrap_err();
            assert_eq!(made.kind(), ErrorKind::InvalidArgument, "{name:?}");
            let read = serde_json::json!({"from": id, "name": name, "to": id});
            assert!(serde_json::from_value::<Relation>(read).is_err(), "{name:?}");
            let changed = Relation { name: name.to_owned(), ..sound.clone() };
            let error = check_batch(&[], &[changed]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
        }
    }
}

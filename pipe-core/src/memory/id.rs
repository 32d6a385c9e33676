//! How a data point is known: by its kind and its key, which make its id.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::DataPointKind;
use crate::name::{check_identifier, parsed_name};

parsed_name! {
    /// The natural key of a data point among those of its kind, such as `INT-0001` or `payments`:
    /// 1 to 256 bytes, not only blanks, and nothing that is not seen.
    MemoryKey, "key", check_identifier
}

/// The id of a data point: the UUID of version 5 (RFC 9562 5.5) of its kind and key, and so the same
/// in every memory and at every time.
///
/// ```
/// use pipe_core::memory::{DataPointId, DataPointKind, MemoryKey};
///
/// let key = MemoryKey::new("INT-0001")?;
/// let id = DataPointId::of(&DataPointKind::Integration, &key);
/// assert_eq!(id.to_string(), "791f4f7d-9ff8-5dd0-ad89-b9173b5d8a1b");
/// # Ok::<_, pipe_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataPointId(Uuid);

/// The UUID of version 5 of `urn:pipe:governance-memory` among URLs.
const NAMESPACE: Uuid = Uuid::from_u128(0x1579_62f7_078c_5092_abcb_7000_50ef_9e27);

impl DataPointId {
    /// The id of what is known by this kind and key.
    #[must_use]
    pub fn of(kind: &DataPointKind, key: &MemoryKey) -> Self {
        // A kind has no slash in it, so no two pairs make the same name.
        Self(Uuid::new_v5(&NAMESPACE, format!("{kind}/{key}").as_bytes()))
    }

    /// The id that this text shows; `None` when it is no UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for DataPointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_what_it_says() {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:pipe:governance-memory");
        assert_eq!(NAMESPACE, namespace);
    }

    #[test]
    fn the_same_key_of_another_kind_is_another_data_point() {
        let key = MemoryKey::new("payments").unwrap();
        let domain = DataPointId::of(&DataPointKind::Domain, &key);
        assert_eq!(domain, DataPointId::of(&DataPointKind::Domain, &key));
        assert_ne!(domain, DataPointId::of(&DataPointKind::Integration, &key));
    }
}

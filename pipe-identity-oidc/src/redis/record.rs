//! Records as they stand in the server, and the scripts that change them.

use std::sync::LazyLock;

use pipe_core::identity::{SessionRecord, SessionTag, StoredSession};
use zeroize::Zeroizing;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<::redis::Script> = LazyLock::new(|| {
            ::redis::Script::new(concat!(include_str!("shared.lua"), include_str!($file)))
        });
    };
}
script!(INSERT, "insert.lua");
script!(REPLACE, "replace.lua");
script!(TAKE, "take.lua");
script!(REMOVE_TAGGED, "remove_tagged.lua");

/// The bytes of a record under a version that nobody used, and its time in milliseconds.
pub(super) fn encode(record: &SessionRecord, version: u64) -> (Zeroizing<Vec<u8>>, u64) {
    let mut tags: Vec<&SessionTag> = record.tags.iter().collect();
    tags.sort_unstable();
    tags.dedup();
    let data = record.data.expose();
    let mut bytes = Zeroizing::new(Vec::with_capacity(9 + 64 * tags.len() + data.len()));
    bytes.extend(version.to_be_bytes());
    // At most four: the record was checked.
    bytes.push(u8::try_from(tags.len()).unwrap_or(u8::MAX));
    for tag in tags {
        bytes.extend(tag.to_string().bytes());
    }
    bytes.extend(data);
    let ttl = record.ttl.min(SessionRecord::LONGEST_TTL);
    // A part of a millisecond is no nothing.
    let ttl = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    (bytes, ttl)
}

/// `None` for what we have not written.
pub(super) fn decode(bytes: &[u8]) -> Option<StoredSession> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (tags, rest) = rest.split_first()?;
    let data = rest.get(64 * usize::from(*tags)..)?;
    Some(StoredSession::new(data.into(), u64::from_be_bytes(*version)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for tags in 0..=4 {
            for data in [&b""[..], b"\0\xff\r\n"] {
                let mut record = SessionRecord::new(data, Duration::from_nanos(1));
                record.tags = (0..tags).map(|n| SessionTag::new([n; 32])).collect();
                let (bytes, ttl) = encode(&record, u64::MAX - 1);
                assert_eq!(decode(&bytes), Some(StoredSession::new(data.into(), u64::MAX - 1)));
                assert_eq!(ttl, 1);
                assert_eq!(bytes.len(), bytes.capacity(), "no copy is left behind");
            }
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_no_record() {
        for bytes in [&b""[..], b"1234567", b"12345678", b"12345678\x01short"] {
            assert_eq!(decode(bytes), None);
        }
    }
}

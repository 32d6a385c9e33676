//! The form of a line, and how each line holds on to the one before.
//!
//! `{"seq":2,"prev":"<digest of line 1>","time":…,…,"hash":"<digest of this line>"}`: the digest is
//! that of everything in front of `,"hash"`, so whoever checks it has no need to write JSON alike.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AuditEvent;
use crate::SecretValue;
use crate::hex::hex;

/// A place in a chain: how many lines there are up to it, and the digest of the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The number of the last line; the first is 1.
    pub seq: u64,
    /// Its digest, in hexadecimal digits.
    pub hash: String,
}

impl Checkpoint {
    /// A place that was noted down before.
    pub fn new(seq: u64, hash: impl Into<String>) -> Self {
        Self { seq, hash: hash.into() }
    }

    /// The beginning of every chain.
    #[must_use]
    pub fn genesis() -> Self {
        Self { seq: 0, hash: "0".repeat(DIGEST) }
    }

    /// Its form in the file `….head`, always of the same length.
    pub(super) fn to_head(&self) -> String {
        format!("{:020} {}\n", self.seq, self.hash)
    }

    pub(super) fn from_head(text: &str) -> Option<Self> {
        let (seq, hash) = text.strip_suffix('\n')?.split_once(' ')?;
        let is_digest = hash.len() == DIGEST && hash.bytes().all(|b| b.is_ascii_hexdigit());
        (seq.len() == 20 && is_digest).then_some(Self::new(seq.parse().ok()?, hash))
    }
}

/// Hexadecimal digits of a digest.
const DIGEST: usize = 64;
const SEAL: &str = r#","hash":""#;
const END: &str = "\"}";

/// Makes digests: keyed, when there is a key.
#[derive(Clone)]
pub(super) struct Digests(Option<SecretValue>);

impl Digests {
    pub(super) fn new(key: Option<SecretValue>) -> Self {
        Self(key)
    }

    fn of(&self, text: &[u8]) -> String {
        let keyed =
            self.0.as_ref().and_then(|key| Hmac::<Sha256>::new_from_slice(key.expose()).ok());
        match keyed {
            Some(mut mac) => {
                mac.update(text);
                hex(&mac.finalize().into_bytes())
            }
            None => hex(&Sha256::digest(text)),
        }
    }

    /// Adds a line, with its line break, and tells the place behind it.
    pub(super) fn append(
        &self,
        lines: &mut Vec<u8>,
        last: &Checkpoint,
        event: &AuditEvent,
    ) -> Result<Checkpoint, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            seq: u64,
            prev: &'a str,
            #[serde(flatten)]
            event: &'a AuditEvent,
        }
        let seq = last.seq + 1;
        let mut line = serde_json::to_vec(&Line { seq, prev: &last.hash, event })?;
        // The brace comes back behind the digest.
        line.pop();
        let hash = self.of(&line);
        lines.append(&mut line);
        lines.extend_from_slice(format!("{SEAL}{hash}{END}\n").as_bytes());
        Ok(Checkpoint { seq, hash })
    }

    /// Reads a line without its line break: what it says of itself, if its digest is right.
    pub(super) fn check(&self, line: &[u8]) -> Option<Sealed> {
        let sealed = line.len().checked_sub(SEAL.len() + DIGEST + END.len())?;
        let (body, seal) = line.split_at(sealed);
        let hash = seal.strip_prefix(SEAL.as_bytes())?.strip_suffix(END.as_bytes())?;
        if self.of(body).as_bytes() != hash {
            return None;
        }
        let place: Place = serde_json::from_slice(line).ok()?;
        Some(Sealed {
            prev: place.prev,
            checkpoint: Checkpoint { seq: place.seq, hash: String::from_utf8(hash.into()).ok()? },
        })
    }
}

/// A line whose digest is right.
pub(super) struct Sealed {
    pub(super) prev: String,
    pub(super) checkpoint: Checkpoint,
}

#[derive(Deserialize)]
struct Place {
    seq: u64,
    prev: String,
}

/// The number that a line claims to have, right or not.
pub(super) fn claimed_seq(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Place>(line).ok().map(|place| place.seq)
}

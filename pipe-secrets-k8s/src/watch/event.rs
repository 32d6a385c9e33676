//! The events of a watch: lines of JSON, in pieces that end anywhere.

use std::borrow::Cow;

use pipe_core::secrets::SecretEvent;
use pipe_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::error::Status;
use crate::secret::{Revision, Stored, version};

/// What an event says.
pub(super) enum Seen {
    State(u64, SecretEvent),
    /// Nothing changed up to this revision.
    Progress(u64),
    Expired,
    /// The server ends the watch, for a reason that another watch may not meet.
    Ended,
}

/// Reads one line.
pub(super) fn decode(line: &[u8]) -> Result<Seen> {
    let strange = || {
        Error::new(ErrorKind::Unexpected, "an event of the watch has not the form of one")
            .hint("check the address, and what stands in front of the server")
    };
    let event = serde_json::from_slice::<Event<'_>>(line).map_err(|_| strange())?;
    let object = event.object.get();
    let revision = |revision: &Revision<'_>| {
        version(&revision.resource_version).map(|version| version.number()).ok_or_else(strange)
    };
    match &*event.kind {
        "ADDED" | "MODIFIED" => {
            let stored = serde_json::from_str::<Stored<'_>>(object).map_err(|_| strange())?;
            let at = revision(&stored.metadata)?;
            Ok(Seen::State(at, SecretEvent::Present(stored.into_secret())))
        }
        // It carries the last values too, which are not decoded.
        "DELETED" => {
            let gone = serde_json::from_str::<Bare<'_>>(object).map_err(|_| strange())?;
            Ok(Seen::State(revision(&gone.metadata)?, SecretEvent::Absent))
        }
        "BOOKMARK" => {
            let mark = serde_json::from_str::<Bare<'_>>(object).map_err(|_| strange())?;
            Ok(Seen::Progress(revision(&mark.metadata)?))
        }
        "ERROR" => {
            let status = serde_json::from_str::<Status>(object).map_err(|_| strange())?;
            Ok(if status.code == 410 { Seen::Expired } else { Seen::Ended })
        }
        _ => Err(strange()),
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bare<'a> {
    #[serde(borrow)]
    metadata: Revision<'a>,
}

/// Pieces become lines. What is not a whole line yet is kept, up to a limit, and wiped.
pub(super) struct Lines {
    kept: Zeroizing<Vec<u8>>,
    read: usize,
    limit: usize,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Zeroizing::default(), read: 0, limit }
    }

    pub(super) fn push(&mut self, piece: &[u8]) -> Result<()> {
        let left = self.kept.len() - self.read;
        if left + piece.len() > self.limit {
            return Err(Error::new(ErrorKind::Unexpected, "an event is longer than `max_body`")
                .with("max_body", self.limit)
                .hint("raise `http.max_body`"));
        }
        // A plain `Vec` would leave its bytes behind where it grows.
        let needed = left + piece.len();
        if needed > self.kept.capacity() {
            let room = needed.max(self.kept.capacity() * 2);
            let mut grown = Zeroizing::new(Vec::with_capacity(room));
            grown.extend_from_slice(&self.kept[self.read..]);
            self.kept = grown;
        } else {
            self.kept.drain(..self.read);
        }
        self.read = 0;
        self.kept.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole line, without its end. Empty lines are none.
    pub(super) fn next(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        loop {
            let rest = &self.kept[self.read..];
            let length = rest.iter().position(|byte| *byte == b'\n')?;
            let line = rest[..length].trim_ascii();
            let line = Zeroizing::new(line.to_vec());
            self.read += length + 1;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_may_end_anywhere() {
        let text = b"{\"a\":\"\xc3\xa4\"}\n\n{\"b\":1}\n{\"c\"";
        for size in 1..=text.len() {
            let mut lines = Lines::new(64);
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece).unwrap();
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["{\"a\":\"ä\"}", "{\"b\":1}"], "{size}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::new(10);
        lines.push(b"12345678\n9").unwrap();
        assert!(lines.next().is_some());
        lines.push(b"123456789").unwrap();
        assert_eq!(lines.push(b"1").unwrap_err().kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn a_410_comes_as_an_event() {
        let event = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old resource version: 1 (485)","reason":"Expired","code":410}}"#;
        assert!(matches!(decode(event), Ok(Seen::Expired)));
        let event = br#"{"type":"ERROR","object":{"kind":"Status","code":500}}"#;
        assert!(matches!(decode(event), Ok(Seen::Ended)));
    }

    #[test]
    fn a_delete_and_a_bookmark_need_no_data() {
        let event = br#"{"type":"DELETED","object":{"data":{"k":"!!"},"metadata":{"resourceVersion":"7"}}}"#;
        assert!(matches!(decode(event), Ok(Seen::State(7, SecretEvent::Absent))));
        let event = br#"{"type":"BOOKMARK","object":{"kind":"Secret","metadata":{"resourceVersion":"9","annotations":{}}}}"#;
        assert!(matches!(decode(event), Ok(Seen::Progress(9))));
    }

    #[test]
    fn what_is_no_event_is_not_repeated() {
        for line in [
            &b"hunter2"[..],
            br#"{"type":"HUNTER2","object":{}}"#,
            br#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"},"data":{"k":"hunter2!"}}}"#,
            br#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"hunter2"}}}"#,
        ] {
            let Err(error) = decode(line) else { panic!("it is none") };
            assert!(!format!("{error:?}").to_lowercase().contains("hunter2"), "{error:?}");
        }
    }
}

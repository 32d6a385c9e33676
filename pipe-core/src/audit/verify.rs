//! Whether a chain of lines is what was written.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{Checkpoint, Digests, claimed_seq};
use crate::{Error, ErrorKind, SecretValue};

/// What [`verify`] found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many lines were checked.
    pub lines: u64,
    /// The end of the chain. Noted down elsewhere, it proves later that nothing before it changed.
    pub end: Checkpoint,
}

/// A place where the lines are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tampered {
    /// The file.
    pub file: PathBuf,
    /// The line in it, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub tampering: Tampering,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tampering {
    /// The line is not the one that was written here, or was not written with this key.
    Changed,
    /// Lines are missing in front of this one.
    Removed {
        /// The number of the first missing line.
        first: u64,
    },
    /// The line stands in another place than where it was written, or twice.
    Reordered,
    /// The end is missing: the last line is not whole, or the file `….head` knows of later ones or
    /// is gone itself.
    Truncated,
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        match &self.tampering {
            Tampering::Changed => f.write_str("the line was changed"),
            Tampering::Removed { first } => {
                write!(f, "lines were removed, the first of them number {first}")
            }
            Tampering::Reordered => f.write_str("the line stands in another place"),
            Tampering::Truncated => f.write_str("the end is missing"),
            Tampering::Unreadable(kind) => write!(f, "the file cannot be read: {kind}"),
        }
    }
}

impl std::error::Error for Tampered {}

impl From<Tampered> for Error {
    fn from(tampered: Tampered) -> Self {
        Self::new(ErrorKind::Conflict, "the audit log is not what was written")
            .with("file", tampered.file.display())
            .with("line", tampered.line)
            .hint("keep the files as they are, find out who changed them, and begin a new log")
            .because(tampered)
    }
}

/// Checks the log at `path`, all of it: the rotated files `path.<number>`, `path` itself, and
/// `path.head`, which tells where the end was. `key` is that of
/// [`JsonLinesConfig::with_key`](super::JsonLinesConfig::with_key).
///
/// A changed, removed, reordered or truncated line is found. The log must not be written to meanwhile
/// ([`flush`](super::JsonLines::flush) it first), or a line that is just being written looks truncated. Without a key, whoever can write the
/// files can write the whole chain anew; and whoever can write `….head` too can cut off the end.
/// [`Verified::end`], noted down elsewhere, is what such a forgery does not match.
///
/// # Errors
/// The first place that is not right.
pub fn verify(path: impl AsRef<Path>, key: Option<SecretValue>) -> Result<Verified, Tampered> {
    verify_from(path, key, &Checkpoint::genesis())
}

/// As [`verify`], of a log whose first files were archived: the first line that is there follows
/// `start`.
///
/// # Errors
/// As for [`verify`].
pub fn verify_from(
    path: impl AsRef<Path>,
    key: Option<SecretValue>,
    start: &Checkpoint,
) -> Result<Verified, Tampered> {
    let path = path.as_ref();
    let digests = Digests::new(key);
    let files = files(path).map_err(|error| at(path, 0, Tampering::Unreadable(error.kind())))?;
    let seen_head = read_head(path).map(|head| (head, false));
    let mut walk = Walk { digests: &digests, last: start.clone(), torn: 0, seen_head };
    walk.note_head();
    let mut lines = (path.to_owned(), 0);
    for (number, file) in files.iter().enumerate() {
        let count = walk.file(file, &files[number + 1..])?;
        if walk.torn > 0 {
            return Err(at(file, count + 1, Tampering::Truncated));
        }
        lines = (file.clone(), count);
    }
    let truncated = || at(&lines.0, lines.1 + 1, Tampering::Truncated);
    match walk.seen_head {
        Some((_, true)) => {}
        Some((head, false)) if head.seq > walk.last.seq => return Err(truncated()),
        // The head names a line of another digest.
        Some((_, false)) => return Err(at(&lines.0, lines.1, Tampering::Changed)),
        None if walk.last.seq == 0 && files.is_empty() => {}
        None => return Err(truncated()),
    }
    Ok(Verified { lines: walk.last.seq - start.seq, end: walk.last })
}

pub(super) fn head_of(path: &Path) -> PathBuf {
    suffixed(path, "head")
}

/// The name that a file gets when it is full: with the number of its first line.
pub(super) fn rotated(path: &Path, first: u64) -> PathBuf {
    suffixed(path, &format!("{first:020}"))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

pub(super) fn read_head(path: &Path) -> Option<Checkpoint> {
    Checkpoint::from_head(&std::fs::read_to_string(head_of(path)).ok()?)
}

/// The rotated files in their order, and the current one.
pub(super) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let is_rotated = entry.file_name().to_str().is_some_and(|other| {
            let suffix = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            suffix.is_some_and(|s| s.len() == 20 && s.bytes().all(|b| b.is_ascii_digit()))
        });
        if is_rotated {
            files.push(entry.path());
        }
    }
    files.sort();
    if path.exists() {
        files.push(path.to_owned());
    }
    Ok(files)
}

fn at(file: &Path, line: u64, tampering: Tampering) -> Tampered {
    Tampered { file: file.to_owned(), line, tampering }
}

/// No line that was written is longer.
const LINE_LIMIT: u64 = 64 << 10;

/// Goes from line to line.
pub(super) struct Walk<'a> {
    pub(super) digests: &'a Digests,
    pub(super) last: Checkpoint,
    /// Bytes behind the last whole line.
    pub(super) torn: u64,
    /// What the head says, and whether a line agreed.
    pub(super) seen_head: Option<(Checkpoint, bool)>,
}

impl Walk<'_> {
    pub(super) fn note_head(&mut self) {
        if let Some((head, seen)) = &mut self.seen_head {
            *seen |= *head == self.last;
        }
    }

    /// Checks a file, and tells how many whole lines it has. `later` are the files behind it.
    pub(super) fn file(&mut self, file: &Path, later: &[PathBuf]) -> Result<u64, Tampered> {
        let unreadable =
            |line, error: io::Error| at(file, line, Tampering::Unreadable(error.kind()));
        let opened = File::open(file).map_err(|error| unreadable(0, error))?;
        let mut reader = BufReader::new(opened);
        let mut number = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = io::Read::take(&mut reader, LINE_LIMIT);
            limited.read_until(b'\n', &mut line).map_err(|error| unreadable(number + 1, error))?;
            let Some(text) = line.strip_suffix(b"\n") else {
                if line.len() as u64 == LINE_LIMIT {
                    return Err(at(file, number + 1, Tampering::Changed));
                }
                self.torn = line.len() as u64;
                return Ok(number);
            };
            number += 1;
            let expected = self.last.seq + 1;
            let Some(sealed) = self.digests.check(text) else {
                return Err(at(file, number, Tampering::Changed));
            };
            let found = sealed.checkpoint.seq;
            let tampering = match found {
                _ if found < expected => Tampering::Reordered,
                _ if found > expected => {
                    let rest = std::iter::once(file).chain(later.iter().map(PathBuf::as_path));
                    match rest.into_iter().any(|file| holds(file, expected)) {
                        true => Tampering::Reordered,
                        false => Tampering::Removed { first: expected },
                    }
                }
                _ if sealed.prev != self.last.hash => Tampering::Changed,
                _ => {
                    self.last = sealed.checkpoint;
                    self.note_head();
                    continue;
                }
            };
            return Err(at(file, number, tampering));
        }
    }
}

/// Whether a line of this number is in the file.
fn holds(file: &Path, seq: u64) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let lines = BufReader::new(file).split(b'\n');
    lines.map_while(Result::ok).any(|line| claimed_seq(&line) == Some(seq))
}

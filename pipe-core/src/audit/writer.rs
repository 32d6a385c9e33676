//! The thread that writes.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::chain::{Checkpoint, Digests};
use super::json_lines::{Losses, Message, State};
use super::verify::{Walk, files, head_of, read_head, rotated};
use super::{AuditEvent, Fsync, JsonLinesConfig, Tampered, Tampering};
use crate::{Error, ErrorKind, Result};

/// How many events are written at once.
const BATCH: usize = 256;

pub(super) struct Writer {
    path: PathBuf,
    digests: Digests,
    fsync: Fsync,
    max_bytes: u64,
    file: File,
    /// Locked, so that no two writers make two chains of one.
    head: File,
    last: Checkpoint,
    /// The number of the file's first line.
    first: u64,
    length: u64,
    /// Something may stand behind `length`.
    is_torn: bool,
    /// Since when something is written and not pressed onto the disk.
    unsynced: Option<Instant>,
    state: Arc<State>,
}

impl Writer {
    pub(super) fn open(config: &JsonLinesConfig, state: Arc<State>) -> Result<Self> {
        let path = &config.path;
        let cannot = |error: io::Error| {
            Error::new(ErrorKind::ConfigInvalid, "the audit log cannot be opened")
                .with("path", path.display())
                .hint("check `path`, its folder and its permissions")
                .because(error)
        };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let head = options.open(head_of(path)).map_err(cannot)?;
        head.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Error::new(ErrorKind::Conflict, "another process writes this audit log")
                    .with("path", path.display())
                    .hint("give each process a `path` of its own")
            }
            TryLockError::Error(error) => cannot(error),
        })?;
        let digests = Digests::new(config.key.clone());
        let (last, first, torn) = resume(path, &digests)?;
        let file = options.open(path).map_err(cannot)?;
        let length = file.metadata().map_err(cannot)?.len() - torn;
        let mut writer = Self {
            path: path.clone(),
            digests,
            fsync: config.fsync,
            max_bytes: config.max_bytes,
            file,
            head,
            last,
            first,
            length,
            is_torn: true,
            unsynced: None,
            state,
        };
        writer.cut().map_err(cannot)?;
        if torn > 0 {
            let event = AuditEvent::new("audit.torn", "recovered").with_count(torn);
            writer.append(&[&event]).map_err(cannot)?;
        }
        Ok(writer)
    }

    /// Writes what comes until nobody can send any more.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = self.next(messages) {
            batch.extend(first);
            while batch.len() < BATCH
                && let Ok(message) = messages.try_recv()
            {
                batch.push(message);
            }
            self.record(&mut batch);
        }
        // The last lines say what is missing, and are pressed onto the disk, if that is possible.
        self.record(&mut batch);
        let _ = self.sync();
    }

    /// `None` at the end; `Some(None)` when it was time to press lines onto the disk.
    fn next(&mut self, messages: &Receiver<Message>) -> Option<Option<Message>> {
        let (Fsync::Every(interval), Some(since)) = (self.fsync, self.unsynced) else {
            return messages.recv().ok().map(Some);
        };
        let left = interval.saturating_sub(since.elapsed());
        match messages.recv_timeout(left.max(Duration::from_millis(1))) {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = self.sync() {
                    self.state.lose(0, self.fault(error));
                }
                Some(None)
            }
        }
    }

    fn record(&mut self, batch: &mut Vec<Message>) {
        let Losses { lost, fault } = self.state.get();
        let gap = (lost > 0).then(|| AuditEvent::new("audit.gap", "lost").with_count(lost));
        // Whether a fault has gone is known only by writing.
        let is_untold = gap.is_none() && fault.is_some();
        let gap = gap.or_else(|| is_untold.then(|| AuditEvent::new("audit.resumed", "success")));
        let events: Vec<_> =
            gap.iter().chain(batch.iter().filter_map(|message| message.event.as_ref())).collect();
        let written = self.append(&events).map_err(|error| self.fault(error));
        match &written {
            Ok(()) => {
                self.state.told(lost);
            }
            Err(error) => {
                let events = batch.iter().filter(|message| message.event.is_some()).count();
                self.state.lose(events as u64, error.clone());
            }
        }
        for message in batch.drain(..) {
            // Nobody may be waiting for it.
            let _ = message.recorded.send(written.clone());
        }
    }

    /// All of the events, or none.
    fn append(&mut self, events: &[&AuditEvent]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        if self.is_torn {
            self.cut()?;
        }
        let (mut lines, mut last) = (Vec::new(), self.last.clone());
        for event in events {
            last = self.digests.append(&mut lines, &last, event)?;
        }
        if self.length > 0 && self.length + lines.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        self.is_torn = true;
        let written = self.file.write_all(&lines).and_then(|()| self.write_head(&last));
        let written = written.and_then(|()| match self.fsync {
            Fsync::Always => self.file.sync_data().and_then(|()| self.head.sync_data()),
            _ => Ok(()),
        });
        if let Err(error) = written {
            // Half a line must not stand in front of the next one. If this fails, the next one tries.
            let _ = self.cut();
            return Err(error);
        }
        self.is_torn = false;
        self.last = last;
        self.length += lines.len() as u64;
        if matches!(self.fsync, Fsync::Every(_)) {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Back to what is known to be written.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.write_head(&self.last.clone())?;
        self.is_torn = false;
        Ok(())
    }

    /// Always of the same length, so that a full disk does not keep it from being written.
    fn write_head(&mut self, last: &Checkpoint) -> io::Result<()> {
        self.head.seek(SeekFrom::Start(0))?;
        self.head.write_all(last.to_head().as_bytes())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let full = rotated(&self.path, self.first);
        // It is there already when an attempt before came no further than this.
        if !full.exists() {
            std::fs::rename(&self.path, &full)?;
        }
        match File::options().read(true).write(true).create_new(true).open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.first = self.last.seq + 1;
                self.length = 0;
                Ok(())
            }
            Err(error) => {
                std::fs::rename(&full, &self.path)?;
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.fsync != Fsync::Never {
            // Tried again after the interval, when it fails.
            self.unsynced = Some(Instant::now());
            self.file.sync_data().and_then(|()| self.head.sync_data())?;
        }
        self.unsynced = None;
        Ok(())
    }

    fn fault(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, "the audit log cannot be written")
            .with("file", self.path.display())
            .hint("make room on the disk of the audit log, or check its permissions")
            .because(error)
    }
}

/// Where the log ends, the number of the current file's first line, and how many bytes behind its
/// last whole line are left of an unfinished one.
fn resume(path: &Path, digests: &Digests) -> Result<(Checkpoint, u64, u64)> {
    let broken = |line, tampering| Tampered { file: path.to_owned(), line, tampering };
    let unreadable = |error: io::Error| broken(0, Tampering::Unreadable(error.kind()));
    let files = files(path).map_err(unreadable)?;
    let Some(head) = read_head(path) else {
        // A log that never had a line, not even a first one.
        let is_new = files.iter().all(|file| file.metadata().is_ok_and(|data| data.len() == 0));
        let is_empty = head_of(path).metadata().is_ok_and(|data| data.len() == 0);
        return match is_new && is_empty {
            true => Ok((Checkpoint::genesis(), 1, 0)),
            false => Err(broken(0, Tampering::Truncated).into()),
        };
    };
    // The head has to be in the last file that has lines; the earlier ones are for `verify`.
    let has_lines = |file: &&PathBuf| file.metadata().is_ok_and(|data| data.len() > 0);
    let last_file = files.iter().rev().find(has_lines);
    let is_current = last_file.is_some_and(|file| file == path);
    let start = last_file.and_then(|file| first_prev(file, digests));
    let start = start.unwrap_or_else(|| match is_current {
        // Only half a line is in it.
        true => head.clone(),
        false => Checkpoint::genesis(),
    });
    let first = start.seq + 1;
    let mut walk = Walk { digests, last: start, torn: 0, seen_head: Some((head.clone(), false)) };
    walk.note_head();
    let lines = match last_file {
        Some(file) => walk.file(file, &[])?,
        None => 0,
    };
    let is_head_seen = walk.seen_head.as_ref().is_some_and(|(_, seen)| *seen);
    if !is_head_seen {
        let tampering =
            if head.seq > walk.last.seq { Tampering::Truncated } else { Tampering::Changed };
        return Err(broken(lines, tampering).into());
    }
    match is_current {
        true => Ok((walk.last, first, walk.torn)),
        false => Ok((walk.last.clone(), walk.last.seq + 1, 0)),
    }
}

/// The place in front of a file's first line.
fn first_prev(file: &Path, digests: &Digests) -> Option<Checkpoint> {
    use std::io::BufRead;
    let mut line = Vec::new();
    let reader = io::BufReader::new(File::open(file).ok()?);
    io::Read::take(reader, 64 << 10).read_until(b'\n', &mut line).ok()?;
    let sealed = digests.check(line.strip_suffix(b"\n")?)?;
    Some(Checkpoint::new(sealed.checkpoint.seq.checked_sub(1)?, sealed.prev))
}

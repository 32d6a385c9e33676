//! Events as lines of JSON in a file, each holding on to the one before.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::writer::Writer;
use super::{AuditEvent, AuditSink};
use crate::wrap::Receipt;
use crate::{ConfigFaults, Error, ErrorKind, Result, SecretValue};

/// When lines are pressed onto the disk. What the process has written survives its own end in any
/// case; this is about the end of the machine. Unless it is `Always`, a machine that loses its power
/// can lose the last lines, and [`verify`](super::verify()) then says that the end is missing, which is
/// true: keep the files, and begin a new log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// When the operating system sees fit.
    Never,
    /// Now and then, at most this much later.
    Every(Duration),
    /// Before a line counts as recorded. Lines that come together are pressed together.
    Always,
}

/// Where the lines go.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JsonLinesConfig {
    /// The current file. Beside it are `….head`, which says where the end is, and full files, named after the
    /// number of their first line. Full files are not deleted: archive them.
    pub path: PathBuf,
    /// When lines are pressed onto the disk; every second.
    pub fsync: Fsync,
    /// How large a file gets before the next one begins; 64 MiB.
    pub max_bytes: u64,
    /// How many events may wait to be written; 4,096.
    pub queue: usize,
    /// How long to wait for a line to be recorded; 5 seconds.
    pub timeout: Duration,
    /// Makes the digests keyed: without the key nobody can write a chain that looks right. 32 bytes
    /// or more.
    pub key: Option<SecretValue>,
}

impl JsonLinesConfig {
    /// To this file, with the defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            fsync: Fsync::Every(Duration::from_secs(1)),
            max_bytes: 64 << 20,
            queue: 4096,
            timeout: Duration::from_secs(5),
            key: None,
        }
    }

    /// When lines are pressed onto the disk.
    #[must_use]
    pub fn with_fsync(self, fsync: Fsync) -> Self {
        Self { fsync, ..self }
    }

    /// How large a file gets before the next one begins.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// How many events may wait to be written.
    #[must_use]
    pub fn with_queue(self, queue: usize) -> Self {
        Self { queue, ..self }
    }

    /// How long to wait for a line to be recorded.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Makes the digests keyed.
    #[must_use]
    pub fn with_key(self, key: impl Into<SecretValue>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    fn check(&self) -> Result<()> {
        let mut faults = ConfigFaults::new();
        faults.require(self.max_bytes > 0, "max_bytes", "must be at least 1");
        let queue = 1..=Semaphore::MAX_PERMITS;
        faults.require(queue.contains(&self.queue), "queue", "must be at least 1");
        faults.require(!self.timeout.is_zero(), "timeout", "must be more than nothing");
        let is_strong = self.key.as_ref().is_none_or(|key| key.len() >= 32);
        faults.require(is_strong, "key", "must have 32 bytes or more");
        faults.into_result()
    }
}

/// An [`AuditSink`] that writes hash-chained lines of JSON; [`verify`](super::verify()) checks them.
///
/// A thread of its own writes, so that a slow disk blocks no task. A file that cannot be written to
/// is a fault, which is logged and tried anew with every event: lines that were lost meanwhile are
/// counted in the first line after it (`audit.gap`). Clones write to the same file. Dropping the last
/// one writes what is waiting, and waits for it as long as for a line.
#[derive(Clone)]
pub struct JsonLines(Arc<Shared>);

struct Shared {
    path: PathBuf,
    timeout: Duration,
    /// Taken only when the last handle goes.
    queue: Option<mpsc::Sender<Message>>,
    /// Bounds the queue.
    room: Arc<Semaphore>,
    state: Arc<State>,
    /// Disconnected once the writer has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// The log is closed when the last handle has gone, so that it can be opened again.
impl Drop for Shared {
    fn drop(&mut self) {
        self.queue = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(self.timeout);
    }
}

/// What is not on record, and why.
#[derive(Default)]
pub(super) struct State(Mutex<Losses>);

#[derive(Clone, Default)]
pub(super) struct Losses {
    /// Events that are not on record, since the last line that says so.
    pub(super) lost: u64,
    pub(super) fault: Option<Error>,
}

impl State {
    pub(super) fn get(&self) -> Losses {
        self.lock().clone()
    }

    /// So many events are lost because of this; none, when it only threatens to happen.
    pub(super) fn lose(&self, count: u64, fault: Error) {
        metrics::counter!("audit_events_lost_total").increment(count);
        let mut losses = self.lock();
        if losses.fault.is_none() {
            tracing::error!(error = %fault, "audit events are lost");
        }
        losses.lost += count;
        losses.fault = Some(fault);
    }

    /// A line is written that tells of so many; more may have been lost meanwhile.
    pub(super) fn told(&self, count: u64) {
        let mut losses = self.lock();
        losses.lost -= count;
        if losses.lost == 0 && losses.fault.take().is_some() {
            tracing::info!("audit events are recorded again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Losses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Message {
    /// `None` tries whether there is still a fault.
    pub(super) event: Option<AuditEvent>,
    pub(super) recorded: oneshot::Sender<Result<()>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl JsonLines {
    /// Goes on with the log at this path, or begins it. Reads the current file, and blocks meanwhile.
    ///
    /// What a crash left of an unfinished line is dropped, and a line says so (`audit.torn`).
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the settings, when they are wrong or the file cannot be opened;
    /// `Conflict` when the log is not what was written, or another process writes it.
    pub fn open(config: JsonLinesConfig) -> Result<Self> {
        config.check()?;
        let state = Arc::new(State::default());
        let writer = Writer::open(&config, Arc::clone(&state))?;
        let (queue, messages) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let write = move || {
            writer.run(&messages);
            drop(end);
        };
        std::thread::Builder::new().name("pipe-audit".to_owned()).spawn(write).map_err(
            |error| {
                Error::new(ErrorKind::Unavailable, "no thread for the audit log").because(error)
            },
        )?;
        let JsonLinesConfig { path, timeout, queue: size, .. } = config;
        let room = Arc::new(Semaphore::new(size));
        let (queue, ended) = (Some(queue), Mutex::new(ended));
        Ok(Self(Arc::new(Shared { path, timeout, queue, room, state, ended })))
    }

    /// Waits until everything that was recorded so far is written.
    ///
    /// # Errors
    /// When something could not be.
    pub async fn flush(&self) -> Result<()> {
        self.0.ask().wait().await
    }
}

impl Shared {
    fn send(&self, event: Option<AuditEvent>, room: Option<OwnedSemaphorePermit>) -> Receiver {
        let (recorded, receiver) = oneshot::channel();
        let events = u64::from(event.is_some());
        let message = Message { event, recorded, _room: room };
        if self.queue.as_ref().is_none_or(|queue| queue.send(message).is_err()) {
            self.state.lose(events, self.fault("the writer of the audit log has ended"));
        }
        receiver
    }

    fn ask(self: &Arc<Self>) -> Receipt {
        // It takes room as an event does: questions must not pile up in front of a disk that hangs.
        Receipt::when(Waiting { shared: Arc::clone(self), event: None }.send())
    }

    async fn wait(&self, answer: Receiver) -> Result<()> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.fault("the writer of the audit log has ended")),
            Err(_) => Err(self.fault("the audit log takes too long")),
        }
    }

    fn fault(&self, message: &'static str) -> Error {
        Error::new(ErrorKind::Unavailable, message)
            .with("file", self.path.display())
            .hint("look at the disk of the audit log")
    }
}

type Receiver = oneshot::Receiver<Result<()>>;

/// An event, or a question, that waits for room in the queue. An event that is not sent is lost, and
/// counted.
struct Waiting {
    shared: Arc<Shared>,
    event: Option<AuditEvent>,
}

impl Waiting {
    async fn send(mut self) -> Result<()> {
        let room = Arc::clone(&self.shared.room).acquire_owned();
        let full = || self.shared.fault("too many events wait for the audit log");
        let room = tokio::time::timeout(self.shared.timeout, room).await.map_err(|_| full())?;
        let answer = self.shared.send(self.event.take(), room.ok());
        self.shared.wait(answer).await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.event.is_some() {
            let state = &self.shared.state;
            let fault = self.shared.fault("too many events wait for the audit log");
            state.lose(1, fault.hint("raise `queue`, or find out why the disk is slow"));
        }
    }
}

impl AuditSink for JsonLines {
    fn record(&self, event: AuditEvent) -> Receipt {
        let (shared, event) = (Arc::clone(&self.0), event.bounded());
        match Arc::clone(&shared.room).try_acquire_owned() {
            Ok(room) => {
                let answer = shared.send(Some(event), Some(room));
                Receipt::when(async move { shared.wait(answer).await })
            }
            Err(_) => Receipt::when(Waiting { shared, event: Some(event) }.send()),
        }
    }

    fn fault(&self) -> Option<Error> {
        self.0.state.get().fault
    }

    fn probe(&self) -> Receipt {
        self.0.ask()
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_for_room_as_an_event_does() {
        let path = std::env::temp_dir().join(format!("pipe-audit-room-{}", std::process::id()));
        let lines = JsonLines::open(JsonLinesConfig::new(&path).with_queue(1)).unwrap();
        let taken = Arc::clone(&lines.0.room).try_acquire_owned().unwrap();
        let error = lines.probe().wait().await.unwrap_err();
        assert_eq!(error.message(), "too many events wait for the audit log");
        assert_eq!(lines.0.state.get().lost, 0, "a question is no event");
        drop((taken, lines));
        std::fs::remove_file(super::super::verify::head_of(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

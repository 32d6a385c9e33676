//! What waits to be delivered, on disk and bounded.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipe_core::memory::{DataPoint, Relation};
use pipe_core::{Error, ErrorKind, Result};
use tokio::sync::OwnedMutexGuard;

use crate::local::{Snapshot, UNFINISHED, blocking};

/// Batches in a directory, a file each, in the order in which they came. For one process at a time.
#[derive(Debug)]
pub(crate) struct Queue {
    directory: PathBuf,
    limit: usize,
    state: Mutex<State>,
    /// Locked as long as it is open; the system unlocks it even when the process is killed.
    _lock: File,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last file.
    next: u64,
    /// The numbers of the files, and how many data points and relations each holds.
    waiting: VecDeque<(u64, usize)>,
    set_aside: usize,
}

impl Queue {
    /// Opens a directory, and says what waits in it. It is made when it is not there.
    pub(crate) async fn open(directory: PathBuf, limit: usize) -> Result<(Self, Batches)> {
        blocking(move || {
            fs::create_dir_all(&directory).map_err(|_| inaccessible(&directory))?;
            let _lock = lock(&directory)?;
            let (state, waiting) = look(&directory)?;
            Ok((Self { directory, limit, state: Mutex::new(state), _lock }, waiting))
        })
        .await
    }

    /// How many data points and relations wait.
    pub(crate) fn len(&self) -> usize {
        self.state().waiting.iter().map(|(_, size)| size).sum()
    }

    /// How many batches the server refused.
    pub(crate) fn set_aside(&self) -> usize {
        self.state().set_aside
    }

    /// Puts a batch at the end. It is on the disk when this returns.
    ///
    /// The writer's turn ends with it, and not before, even when the caller goes away: what is added
    /// next would else overtake it.
    pub(crate) async fn push(
        self: &Arc<Self>,
        points: &[DataPoint],
        relations: &[Relation],
        turn: OwnedMutexGuard<()>,
    ) -> Result<()> {
        let size = points.len() + relations.len();
        if size == 0 {
            // A file of it would take no room of the bound, and so be one of any number.
            return Ok(());
        }
        if self.len() + size > self.limit {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the memory is away, and the queue is full",
            )
            .with("limit", self.limit)
            .hint("bring the server back, or raise the limit of the queue"));
        }
        let snapshot = Snapshot::new(points.to_vec(), relations.to_vec());
        let queue = Arc::clone(self);
        blocking(move || {
            let number = queue.state().next + 1;
            snapshot.write(&queue.path(number))?;
            let mut state = queue.state();
            state.next = number;
            state.waiting.push_back((number, size));
            drop(turn);
            Ok(())
        })
        .await
    }

    /// The batch that has waited longest.
    pub(crate) async fn front(&self) -> Result<Option<(Vec<DataPoint>, Vec<Relation>)>> {
        loop {
            let Some((number, _)) = self.state().waiting.front().copied() else { return Ok(None) };
            let path = self.path(number);
            if let Some(read) = blocking(move || Snapshot::read(&path)).await? {
                return Ok(Some((read.points, read.relations)));
            }
            // Somebody has taken the file away.
            self.state().waiting.retain(|(waiting, _)| *waiting != number);
        }
    }

    /// Forgets the batch that has waited longest.
    pub(crate) async fn pop(self: &Arc<Self>) -> Result<()> {
        self.take_front(|path| fs::remove_file(path), |_| {}).await
    }

    /// Keeps the batch that has waited longest for a person, out of the way of the others.
    pub(crate) async fn put_aside(self: &Arc<Self>) -> Result<()> {
        let rename = |path: &Path| fs::rename(path, path.with_extension("refused"));
        self.take_front(rename, |state| state.set_aside += 1).await
    }

    /// The state changes together with the file, even when the caller goes away.
    async fn take_front(
        self: &Arc<Self>,
        change: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
        note: impl FnOnce(&mut State) + Send + 'static,
    ) -> Result<()> {
        let Some((number, _)) = self.state().waiting.front().copied() else { return Ok(()) };
        let queue = Arc::clone(self);
        blocking(move || {
            let path = queue.path(number);
            match change(&path) {
                Ok(()) => note(&mut queue.state()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return Err(inaccessible(&path)),
            }
            queue.state().waiting.retain(|(waiting, _)| *waiting != number);
            Ok(())
        })
        .await
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.json"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Batches = Vec<(Vec<DataPoint>, Vec<Relation>)>;

/// Two queues in one directory would give two batches the same name, and lose one.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|_| inaccessible(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::ConfigInvalid, "another queue has this directory")
                .with("path", directory.display())
                .hint("give each process, and each memory in it, a `directory` of its own"))
        }
        Err(TryLockError::Error(_)) => Err(inaccessible(&path)),
    }
}

fn look(directory: &Path) -> Result<(State, Batches)> {
    let mut state = State::default();
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(|_| inaccessible(directory))? {
        let path = entry.map_err(|_| inaccessible(directory))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        // What a crash left unfinished was never said to be queued.
        if extension == Some(UNFINISHED) {
            fs::remove_file(&path).map_err(|_| inaccessible(&path))?;
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        let Some(number) = number else { continue };
        state.next = state.next.max(number);
        match extension {
            Some("json") => numbers.push((number, path)),
            Some("refused") => state.set_aside += 1,
            _ => {}
        }
    }
    numbers.sort();
    let mut batches = Vec::new();
    for (number, path) in numbers {
        let Some(Snapshot { points, relations, .. }) = Snapshot::read(&path)? else { continue };
        state.waiting.push_back((number, points.len() + relations.len()));
        batches.push((points, relations));
    }
    Ok((state, batches))
}

fn inaccessible(path: &Path) -> Error {
    Error::new(ErrorKind::Unavailable, "the queue's directory cannot be used")
        .with("path", path.display())
        .hint("check that the directory may be read and written, and that the disk has room")
}

//! Very many operations through the full stack, against a store that fails three calls in ten.
//!
//! Every answer has to be right or a typed error, every call has to have its audit line, and nothing
//! may be left behind: no task, no byte.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pipe_core::audit::{self, Audit, Fsync, JsonLines, JsonLinesConfig, OnFault};
use pipe_core::wrap::{CachePolicy, Cached, Metrics, Observed, Retry, RetryPolicy, Timeout};
use pipe_core::{Error, ErrorKind, Plugin, SecretData, SecretRef, SecretsPlugin};
use pipe_testkit::reference::{Flaky, InMemorySecrets};

use crate::resident::resident;

/// How much to do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Soak {
    /// How many operations, together.
    pub operations: u64,
    /// Decides which calls fail and what is done.
    pub seed: u64,
}

impl Soak {
    /// So many operations, decided by this seed.
    #[must_use]
    pub fn new(operations: u64, seed: u64) -> Self {
        Self { operations, seed }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Calls that were made.
    pub calls: u64,
    /// Of these, calls that ended in a typed error.
    pub errors: u64,
    /// Of these, calls whose future was dropped.
    pub cancelled: u64,
    /// Lines of the audit log, which was verified.
    pub audit_lines: u64,
    /// Tasks that were alive in the end.
    pub tasks_left: usize,
    /// Resident memory after the first half and in the end, in bytes; zero where it cannot be told.
    pub memory: (u64, u64),
    /// Answers that were wrong, the first few of them.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// What does not hold; empty when all does.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.wrong.clone();
        let mut unless = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        unless(
            self.audit_lines == self.calls,
            format!("{} audit lines for {} calls", self.audit_lines, self.calls),
        );
        unless(self.tasks_left == 0, format!("{} tasks are left", self.tasks_left));
        let (half, end) = self.memory;
        // Allocators keep some pages or give them back as they like.
        let slack = (half / 20).max(4 << 20);
        unless(end <= half + slack, format!("memory grew from {half} to {end} bytes"));
        unless(self.errors > 0, "no call ended in an error: the store did not fail".to_owned());
        unless(self.cancelled > 0, "no call was cancelled".to_owned());
        faults
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, errors, cancelled, audit_lines, tasks_left, memory, .. } = self;
        writeln!(f, "calls        {calls}")?;
        writeln!(f, "  errors     {errors}")?;
        writeln!(f, "  cancelled  {cancelled}")?;
        writeln!(f, "audit lines  {audit_lines}")?;
        writeln!(f, "tasks left   {tasks_left}")?;
        write!(f, "memory       {} KiB at half, {} KiB in the end", memory.0 >> 10, memory.1 >> 10)
    }
}

const WORKERS: u64 = 64;
const SECRETS_OF_EACH: usize = 8;
/// Nothing of the audit log's is left for longer.
const END: Duration = Duration::from_secs(60);

type Stack = Observed<Cached<Retry<Timeout<Flaky<InMemorySecrets>>>>>;

/// Runs, with the audit log in this folder, which has to be empty.
///
/// # Errors
/// When the audit log cannot be opened, written or verified.
pub async fn run(soak: Soak, folder: &Path) -> Result<Outcome, Error> {
    let log = folder.join("audit.jsonl");
    let lines = JsonLines::open(JsonLinesConfig::new(&log).with_fsync(Fsync::Never))?;
    let secrets = Arc::new(stack(soak.seed, lines.clone()));
    let mut outcome = Outcome::default();
    let mut workers: Vec<_> = (0..WORKERS).map(|number| Worker::new(number, soak.seed)).collect();
    let half = soak.operations / 2;
    for (count, memory) in [(half, true), (soak.operations - half, false)] {
        workers = work(workers, &secrets, count).await;
        match memory {
            true => outcome.memory.0 = resident(),
            false => outcome.memory.1 = resident(),
        }
    }
    for worker in workers {
        outcome.calls += worker.calls;
        outcome.errors += worker.errors;
        outcome.cancelled += worker.cancelled;
        outcome.wrong.extend(worker.wrong);
    }
    outcome.wrong.truncate(10);
    // A plugin that is flaky may not want to be closed: what it holds has to go all the same.
    let _ = secrets.close().await;
    lines.flush().await?;
    drop((secrets, lines));
    outcome.tasks_left = tasks_left().await;
    outcome.audit_lines = audit::verify(&log, None)?.lines;
    Ok(outcome)
}

fn stack(seed: u64, lines: JsonLines) -> Stack {
    let secrets = Flaky::new(InMemorySecrets::new(), 0.3, seed);
    let secrets = Timeout::new(secrets, Duration::from_secs(5));
    let retry = RetryPolicy::new()
        .with_attempts(3)
        .with_base(Duration::from_millis(1))
        .with_longest(Duration::from_millis(1))
        .with_floor(Duration::from_millis(1));
    let cache = CachePolicy::new()
        .with_ttl(Duration::from_millis(20))
        .with_absent_ttl(Duration::from_millis(5))
        .with_stale_if_error(Duration::from_millis(50))
        .with_max_entries(400);
    let secrets = Cached::new(Retry::with_policy(secrets, retry), cache);
    Observed::new(secrets, (Audit::new(lines, OnFault::Refuse), Metrics::new()))
}

async fn work(workers: Vec<Worker>, secrets: &Arc<Stack>, operations: u64) -> Vec<Worker> {
    let left = Arc::new(AtomicU64::new(operations));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let (secrets, left) = (Arc::clone(secrets), Arc::clone(&left));
            tokio::spawn(async move {
                let take = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    worker.step(&secrets).await;
                }
                worker
            })
        })
        .collect();
    let mut workers = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(worker) => workers.push(worker),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    workers
}

/// Owns a few secrets, which it alone writes, and so knows what they may hold.
struct Worker {
    number: u64,
    dice: fastrand::Rng,
    secrets: Vec<(SecretRef, Possible)>,
    writes: u64,
    calls: u64,
    errors: u64,
    cancelled: u64,
    wrong: Vec<String>,
}

/// What may be stored: more than one value after a write whose end is not known. `None` is absence.
type Possible = Vec<Option<String>>;

/// How a call ended.
enum End<T> {
    Answer(T),
    Error,
    Cancelled,
}

impl Worker {
    fn new(number: u64, seed: u64) -> Self {
        let secrets =
            (0..SECRETS_OF_EACH).map(|secret| (secret_of(number, secret), vec![None])).collect();
        Self {
            number,
            dice: fastrand::Rng::with_seed(seed ^ (number << 32)),
            secrets,
            writes: 0,
            calls: 0,
            errors: 0,
            cancelled: 0,
            wrong: Vec::new(),
        }
    }

    async fn step(&mut self, secrets: &Stack) {
        let index = self.dice.usize(0..SECRETS_OF_EACH);
        match self.dice.u8(0..100) {
            0..50 => self.read_own(secrets, index).await,
            50..70 => self.read_others(secrets, index).await,
            70..90 => self.write(secrets, index).await,
            _ => self.delete(secrets, index).await,
        }
    }

    async fn read_own(&mut self, secrets: &Stack, index: usize) {
        let at = self.secrets[index].0.clone();
        let End::Answer(found) = self.call(secrets.get_secret(&at)).await else { return };
        let found = found.map(|secret| text(&secret.data));
        let possible = &mut self.secrets[index].1;
        if possible.contains(&found) {
            *possible = vec![found];
        } else {
            let wrong = format!("{at}: found {found:?}, expected one of {possible:?}");
            self.wrong.push(wrong);
        }
    }

    /// Others write it meanwhile: whatever it holds has to be its own.
    async fn read_others(&mut self, secrets: &Stack, index: usize) {
        let at = secret_of(self.dice.u64(0..WORKERS), index);
        let End::Answer(Some(found)) = self.call(secrets.get_secret(&at)).await else { return };
        if !text(&found.data).starts_with(at.name.as_str()) {
            self.wrong.push(format!("{at} holds what belongs to another secret"));
        }
    }

    async fn write(&mut self, secrets: &Stack, index: usize) {
        let at = self.secrets[index].0.clone();
        self.writes += 1;
        let value = format!("{at} {} {}", self.number, self.writes);
        let data = SecretData::new().with("value", value.as_str());
        let end = self.call(secrets.create_secret(&at, data)).await;
        self.changed(index, Some(value), matches!(end, End::Answer(_)));
    }

    async fn delete(&mut self, secrets: &Stack, index: usize) {
        let at = self.secrets[index].0.clone();
        let end = self.call(secrets.delete_secret(&at)).await;
        if let End::Answer(deleted) = end {
            let possible = &self.secrets[index].1;
            if !possible.iter().any(|value| value.is_some() == deleted) {
                self.wrong.push(format!("{at}: deleted {deleted}, and it was {possible:?}"));
            }
        }
        self.changed(index, None, matches!(end, End::Answer(_)));
    }

    fn changed(&mut self, index: usize, value: Option<String>, is_known: bool) {
        let possible = &mut self.secrets[index].1;
        if is_known {
            possible.clear();
        }
        possible.push(value);
    }

    /// Makes a call, and now and then drops it after its first turn.
    async fn call<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> End<T> {
        self.calls += 1;
        let answer = match self.dice.u8(..) {
            0..5 => match tokio::time::timeout(Duration::ZERO, call).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.cancelled += 1;
                    return End::Cancelled;
                }
            },
            _ => call.await,
        };
        match answer {
            Ok(answer) => End::Answer(answer),
            Err(error) => {
                self.errors += 1;
                let kinds = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited];
                if !kinds.contains(&error.kind()) || error.plugin().is_empty() {
                    self.wrong.push(format!("an error that the store does not make: {error:#}"));
                }
                End::Error
            }
        }
    }
}

fn secret_of(worker: u64, secret: usize) -> SecretRef {
    SecretRef::new(format!("soak/{worker}/{secret}")).expect("the name is legal")
}

fn text(data: &SecretData) -> String {
    data.get("value").and_then(|value| value.expose_str()).unwrap_or_default().to_owned()
}

/// What is done in the background ends by itself soon.
async fn tasks_left() -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    let over = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(END, over).await;
    metrics.num_alive_tasks()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Outcome {
        let memory = (100 << 20, 100 << 20);
        let (calls, audit_lines) = (10, 10);
        Outcome { calls, errors: 1, cancelled: 1, audit_lines, memory, ..Outcome::default() }
    }

    #[test]
    fn each_thing_that_does_not_hold_is_said() {
        assert_eq!(sound().faults(), [""; 0]);
        let faults = [
            Outcome { audit_lines: 9, ..sound() },
            Outcome { audit_lines: 11, ..sound() },
            Outcome { tasks_left: 1, ..sound() },
            Outcome { memory: (100 << 20, 106 << 20), ..sound() },
            Outcome { errors: 0, ..sound() },
            Outcome { cancelled: 0, ..sound() },
            Outcome { wrong: vec!["x".to_owned()], ..sound() },
        ];
        for outcome in faults {
            assert_eq!(outcome.faults().len(), 1, "{outcome:?}");
        }
    }

    #[test]
    fn thirty_thousand_operations_hold() {
        let folder = std::env::temp_dir().join(format!("pipe-soak-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(run(Soak::new(30_000, 42), &folder));
        std::fs::remove_dir_all(&folder).unwrap();
        // How much memory a process with other tests has is not told by this one.
        let outcome = Outcome { memory: (0, 0), ..outcome.unwrap() };
        assert_eq!(outcome.faults(), [""; 0]);
    }
}

//! A certificate that is replaced before it ends.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use pipe_core::{Error, ErrorKind, Result};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::pki::certificate::IssuedCertificate;
use crate::pki::{CertificateIssuer, CertificateRequest};

/// Far more than an issue takes, logins and slow keys included.
const ISSUE_DEADLINE: Duration = Duration::from_secs(120);
/// Those who ask wait for what is under way and then for their own.
const PATIENCE: Duration = Duration::from_secs(300);
/// Nobody issues more often by himself, however short the life.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// No server keeps us away longer while the certificate runs out.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many events a slow reader may be behind.
const EVENTS: usize = 64;
const COMMANDS: usize = 16;
const MOST_DIRECTORIES: usize = 16;

/// A certificate that is issued anew, with a new key, at two thirds of its life.
///
/// Clones are handles of the same certificate; its task ends with the last of them, or with the
/// runtime that it was started on. It is not revoked then, nor when it is replaced: connections that
/// were made with it go on.
///
/// After a failure it is tried again after 1 to 60 seconds, also when the certificate has ended
/// meanwhile. That it has is told by [`state`](Self::state) and by an event, and TLS is no longer
/// shown it.
///
/// Its life is counted from its receipt and by the server's clock, see
/// [`SignedCertificate`](crate::SignedCertificate): a clock of ours that is wrong does not delay
/// its renewal. Peers judge by their own clocks.
///
/// ```no_run
/// # use std::time::Duration;
/// # use pipe_core::Result;
/// # use pipe_secrets_openbao::{CertificateRequest, RotatingCertificate};
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> Result<()> {
/// let request = CertificateRequest::new()
///     .with_common_name("shop.example.com")
///     .with_ttl(Duration::from_secs(24 * 3600));
/// let issuer = bao.certificates("pki", "web")?;
/// let certificate = RotatingCertificate::start(issuer, request).await?;
/// certificate.write_to("/run/shop/tls").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RotatingCertificate(Arc<Handle>);

/// What happened to a [`RotatingCertificate`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RotationEvent {
    /// There is a new one.
    Renewed {
        /// Its serial number.
        serial_number: String,
        /// Until when it is valid.
        not_after: SystemTime,
    },
    /// It could not be renewed, or not be written to a directory. It will be tried again.
    Failed {
        /// Why.
        error: Error,
    },
    /// It has ended, and there is no new one yet.
    Expired {
        /// Its serial number.
        serial_number: String,
    },
}

/// How a [`RotatingCertificate`] is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RotationState {
    /// The certificate is valid, and will be renewed in time.
    Current,
    /// The certificate is valid; the last attempt to renew or to write it failed, and will be
    /// repeated.
    Failing(Error),
    /// The certificate has ended. What the last attempt to renew it met, if there was one.
    Expired(Option<Error>),
    /// The certificate is valid and will not be renewed.
    Closed,
}

impl RotatingCertificate {
    /// Obtains a first certificate, and renews it from then on.
    ///
    /// # Errors
    /// As for [`CertificateIssuer::generate_certificate`].
    pub async fn start(issuer: CertificateIssuer, request: CertificateRequest) -> Result<Self> {
        Self::of(Box::new(Generating { issuer, request })).await
    }

    async fn of(source: Box<dyn Source>) -> Result<Self> {
        let first = Arc::new(issue(&*source).await?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                current: Arc::clone(&first),
                failure: None,
                is_closed: false,
            }),
            events: broadcast::Sender::new(EVENTS),
        });
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let keeper = Keeper {
            next: renewal(&first),
            rewrite: None,
            backoff: Backoff::new(),
            told_expired: false,
            directories: Vec::new(),
            shared: Arc::clone(&shared),
            commands: receiver,
            source,
        };
        let task = Mutex::new(Some(Task(tokio::spawn(keeper.keep()))));
        Ok(Self(Arc::new(Handle { shared, commands, task })))
    }

    /// The newest certificate. Whether it has ended is told by [`state`](Self::state) and by
    /// [`has_expired`](IssuedCertificate::has_expired).
    #[must_use]
    pub fn current(&self) -> Arc<IssuedCertificate> {
        Arc::clone(&self.0.shared.state().current)
    }

    /// How it is now.
    #[must_use]
    pub fn state(&self) -> RotationState {
        let state = self.0.shared.state();
        match &state.failure {
            failure if state.current.has_expired() => RotationState::Expired(failure.clone()),
            _ if state.is_closed || self.0.commands.is_closed() => RotationState::Closed,
            Some(error) => RotationState::Failing(error.clone()),
            None => RotationState::Current,
        }
    }

    /// What happens from now on. Who falls 64 events behind is told how many were lost.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<RotationEvent> {
        self.0.shared.events.subscribe()
    }

    /// Replaces the certificate now: after a leak, say. Callers that ask at the same time share one.
    ///
    /// # Errors
    /// As for [`CertificateIssuer::generate_certificate`], and then the old one stays;
    /// `Unavailable` after [`close`](Self::close).
    pub async fn rotate_now(&self) -> Result<Arc<IssuedCertificate>> {
        let rotated = self.command(Command::Rotate).await;
        rotated.map_err(|error| self.locate(error, "rotate_now"))
    }

    /// Writes the certificate to a directory now, and each new one from now on: `tls.crt`, with the
    /// authorities in between; `tls.key`, which only its owner can read; `ca.crt`, the topmost
    /// authority. All three change together: they are links through `..data` into a directory of
    /// the version, as the kubelet does it. Who reads several of them resolves `..data` once.
    ///
    /// A write that fails later is an event, and is tried again.
    ///
    /// # Errors
    /// `Conflict` when there are files of somebody else by these names; `ConfigInvalid` when
    /// nothing can be written there; `Unavailable` after [`close`](Self::close); `Unsupported` on
    /// systems other than Unix.
    pub async fn write_to(&self, directory: impl AsRef<Path>) -> Result<()> {
        let directory = directory.as_ref().to_owned();
        let written = self.command(|reply| Command::Write(directory, reply)).await;
        written.map_err(|error| self.locate(error, "write_to"))
    }

    /// The certificate for a `ServerConfig` or a `ClientConfig` of rustls, which always shows the
    /// newest one. It is a handle too.
    ///
    /// # Errors
    /// `Unsupported` when TLS does not use keys of the role's type.
    #[cfg(feature = "rustls")]
    pub fn resolver(&self) -> Result<Arc<crate::CertificateResolver>> {
        if !self.current().is_usable_in_tls() {
            let error = Error::new(ErrorKind::Unsupported, "TLS does not use keys of this type")
                .hint("set the role's `key_type` to `ec` with 256 `key_bits`, `ed25519` or `rsa`");
            return Err(self.locate(error, "resolver"));
        }
        Ok(Arc::new(crate::CertificateResolver::new(self.clone())))
    }

    /// Ends the renewal. The certificate can be used until it ends; files stay where they are.
    pub fn close(&self) {
        self.0.shared.state().is_closed = true;
        drop(self.0.task().take());
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.commands.send(command(reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(result)) => result,
            Ok(None) => {
                Err(Error::new(ErrorKind::Unavailable, "the certificate is not renewed any more")
                    .hint("start another one, on a runtime that lasts")
                    .exhausted())
            }
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the renewal takes too long")
                .hint("check the server's load, and the disk that the certificate is written to")),
        }
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        match error.operation() {
            "" => error.at("rotating-certificate", operation),
            _ => error,
        }
    }
}

impl fmt::Debug for RotatingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingCertificate")
            .field("current", &self.current())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Where certificates come from.
#[async_trait]
trait Source: Send + Sync + 'static {
    async fn issue(&self) -> Result<IssuedCertificate>;
}

struct Generating {
    issuer: CertificateIssuer,
    request: CertificateRequest,
}

#[async_trait]
impl Source for Generating {
    async fn issue(&self) -> Result<IssuedCertificate> {
        self.issuer.generate_certificate(&self.request).await
    }
}

/// What all handles have together, without what keeps it going.
struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    task: Mutex<Option<Task>>,
}

impl Handle {
    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<RotationEvent>,
}

struct State {
    current: Arc<IssuedCertificate>,
    failure: Option<Error>,
    is_closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: RotationEvent) {
        // Nobody has to listen.
        drop(self.events.send(event));
    }

    fn fail(&self, error: &Error) {
        tracing::warn!(%error, "a certificate is not renewed yet");
        self.state().failure = Some(error.clone());
        self.tell(RotationEvent::Failed { error: error.clone() });
    }
}

enum Command {
    Rotate(oneshot::Sender<Result<Arc<IssuedCertificate>>>),
    Write(PathBuf, oneshot::Sender<Result<()>>),
}

/// The task that renews. All issuing and writing happens here, one at a time.
struct Keeper {
    shared: Arc<Shared>,
    source: Box<dyn Source>,
    commands: mpsc::Receiver<Command>,
    directories: Vec<PathBuf>,
    /// When to issue the next one.
    next: Instant,
    /// When to write again what could not be written.
    rewrite: Option<Instant>,
    backoff: Backoff,
    told_expired: bool,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            match timeout_at(self.wake_at(), self.commands.recv()).await {
                Ok(None) => return,
                Ok(Some(command)) => self.obey(command).await,
                Err(_) => self.do_what_is_due().await,
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let expires_at = self.current().certificate().expires_at();
        let expires_at = (!self.told_expired).then_some(expires_at);
        [self.rewrite, expires_at].into_iter().flatten().fold(self.next, Instant::min)
    }

    fn current(&self) -> Arc<IssuedCertificate> {
        Arc::clone(&self.shared.state().current)
    }

    async fn do_what_is_due(&mut self) {
        let current = self.current();
        if current.has_expired() && !self.told_expired {
            self.told_expired = true;
            let serial_number = current.serial_number().to_owned();
            tracing::error!(serial_number, "a certificate has ended before it could be renewed");
            self.shared.tell(RotationEvent::Expired { serial_number });
        }
        if Instant::now() >= self.next {
            // Whoever wants to know sees the event.
            drop(self.rotate().await);
        } else if self.rewrite.is_some_and(|at| Instant::now() >= at) {
            self.write_all(&current).await;
        }
    }

    /// One new certificate serves all who asked before it was issued.
    async fn obey(&mut self, command: Command) {
        let (mut rotations, mut writes) = (Vec::new(), Vec::new());
        let mut next = Some(command);
        while let Some(command) = next {
            match command {
                Command::Rotate(reply) => rotations.push(reply),
                Command::Write(directory, reply) => writes.push((directory, reply)),
            }
            next = match rotations.len() + writes.len() {
                0..COMMANDS => self.commands.try_recv().ok(),
                _ => None,
            };
        }
        if !rotations.is_empty() {
            let rotated = self.rotate().await;
            for reply in rotations {
                // Who went away does not want to know.
                drop(reply.send(rotated.clone()));
            }
        }
        for (directory, reply) in writes {
            drop(reply.send(self.add_directory(directory).await));
        }
    }

    async fn rotate(&mut self) -> Result<Arc<IssuedCertificate>> {
        let old = self.current();
        let issued = issue(&*self.source).await.and_then(|issued| {
            if old.is_usable_in_tls() && !issued.is_usable_in_tls() {
                return Err(Error::new(ErrorKind::Unexpected, "the new key is none that TLS uses")
                    .hint("set the role's `key_type` to what it was: `ec`, `ed25519` or `rsa`"));
            }
            Ok(Arc::new(issued))
        });
        match issued {
            Ok(issued) => {
                self.next = renewal(&issued);
                self.backoff = Backoff::new();
                self.told_expired = false;
                {
                    let mut state = self.shared.state();
                    state.current = Arc::clone(&issued);
                    state.failure = None;
                }
                self.write_all(&issued).await;
                self.shared.tell(RotationEvent::Renewed {
                    serial_number: issued.serial_number().to_owned(),
                    not_after: issued.not_after(),
                });
                Ok(issued)
            }
            Err(error) => {
                let left = old.certificate().remaining();
                let mut pause = self.backoff.next();
                if !left.is_zero() {
                    // There is a last attempt before it ends.
                    pause = pause.min(left / 2);
                }
                let asked = error.retry_after().unwrap_or_default().min(LONGEST_PAUSE);
                let pause = pause.max(asked).max(SHORTEST_PAUSE);
                // One who asked early does not hurry the schedule.
                self.next = (Instant::now() + pause).max(self.next);
                self.shared.fail(&error);
                Err(error)
            }
        }
    }

    async fn add_directory(&mut self, directory: PathBuf) -> Result<()> {
        let is_known = self.directories.contains(&directory);
        if !is_known && self.directories.len() >= MOST_DIRECTORIES {
            return Err(Error::new(ErrorKind::InvalidArgument, "too many directories")
                .with("limit", MOST_DIRECTORIES)
                .hint("write to fewer directories, and link to them"));
        }
        write(&directory, &self.current()).await?;
        if !is_known {
            self.directories.push(directory);
        }
        Ok(())
    }

    /// Writes to all directories; what fails is tried again.
    async fn write_all(&mut self, issued: &Arc<IssuedCertificate>) {
        let had_failed = self.rewrite.take().is_some();
        let mut failure = None;
        for directory in &self.directories {
            if let Err(error) = write(directory, issued).await {
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => {
                self.rewrite = Some(Instant::now() + self.backoff.next().max(SHORTEST_PAUSE));
                self.shared.fail(&error);
            }
            None if had_failed => {
                self.backoff = Backoff::new();
                self.shared.state().failure = None;
            }
            None => {}
        }
    }
}

async fn issue(source: &dyn Source) -> Result<IssuedCertificate> {
    timeout(ISSUE_DEADLINE, source.issue()).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, "the issue of a certificate takes too long").hint(
            "check the server's load; a role with `key_type` `ec` makes keys faster than `rsa`",
        ))
    })
}

async fn write(directory: &Path, issued: &Arc<IssuedCertificate>) -> Result<()> {
    let (directory, issued) = (directory.to_owned(), Arc::clone(issued));
    let written = tokio::task::spawn_blocking(move || super::files::write(&directory, &issued));
    written.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, "the write ended with its runtime"))
    })
}

/// At two thirds of its life, a few per cent early, so that a fleet that started together does not
/// renew together.
fn renewal(issued: &IssuedCertificate) -> Instant {
    let certificate = issued.certificate();
    let life = certificate.expires_at() - certificate.received_at();
    let early = 1.0 - 0.05 * fastrand::f64();
    certificate.received_at() + (life * 2 / 3).mul_f64(early).max(SHORTEST_PAUSE)
}

/// One second, doubling to a minute, each with jitter.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(SHORTEST_PAUSE)
    }

    fn next(&mut self) -> Duration {
        let longest = self.0;
        self.0 = (longest * 2).min(LONGEST_BACKOFF);
        longest / 2 + longest.mul_f64(fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests;

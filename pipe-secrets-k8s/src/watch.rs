//! Following a Secret: list, then watch, and list again when the server has forgotten where we were.
//!
//! All who follow one Secret share one watch, which lives as long as one of them. Only the latest
//! state is kept, so a slow reader costs no memory. States are ordered by their resourceVersion, so
//! whoever joins sees the present first and nothing older after it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::stream;
use kube::core::Request;
use kube::core::params::{ListParams, WatchParams};
use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{Error, ErrorKind, Result, SecretRef};
use pipe_http::HttpStream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::event::{Lines, Seen};
use crate::client::built;
use crate::error::{Asked, malformed};
use crate::object::Place;
use crate::plugin::Inner;
use crate::secret::{Stored, version};

mod event;

/// An HTTP/2 connection to an API server carries that many streams.
const MAX_WATCHES: usize = 100;
/// The server is asked to end a watch after this, as kubectl and controllers do; below the 5
/// minutes after which load balancers cut silent connections.
const WATCH_SECONDS: u32 = 290;
/// A server that does not end the watch by itself is dead.
const WATCH_DEADLINE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A fault that may pass by itself is told when it did not pass so often in a row.
const PATIENCE: u32 = 3;

/// The watches that are under way. Those of several callers share their number, because they share
/// connections, and nothing else: what one may see, another may not.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    all: Arc<Mutex<HashMap<Target, Weak<Shared>>>>,
    /// Whose these are: a number for each caller who came, zero for the instance itself.
    caller: u64,
}

/// What is watched, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    caller: u64,
    namespace: String,
    object: String,
}

/// One watch, for all who follow the same Secret. It ends with the last of them.
#[derive(Debug)]
struct Shared {
    states: watch::Receiver<State>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of the Secret.
#[derive(Clone, Debug)]
struct State {
    revision: u64,
    event: SecretEvent,
    /// Counts the faults that were told.
    faults: u64,
    fault: Option<Error>,
}

/// Follows a secret.
pub(crate) async fn watch(inner: &Arc<Inner>, secret: &SecretRef) -> Result<SecretStream> {
    if secret.version.is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "an old version does not change")
            .hint("leave the version out of the reference"));
    }
    let place = Place::of(secret, &inner.namespace)?;
    let (caller, namespace) = (inner.watches.caller, place.namespace.to_owned());
    let target = Target { caller, namespace, object: place.object };
    let (revision, event) = list(inner, &target).await?;
    let shared = share(inner, target, revision, &event).await?;
    let states = shared.states.clone();
    let faults = states.borrow().faults;
    let follower = Follower { _shared: shared, states, first: true, revision, event, faults };
    Ok(SecretStream::new(stream::unfold(follower, Follower::next)))
}

impl Watches {
    /// Ends all watches: their streams end too.
    pub(crate) fn close(&self) {
        let is_own = |target: &Target, _: &mut _| target.caller == self.caller;
        let ended: Vec<_> = self.lock().extract_if(is_own).collect();
        for shared in ended.iter().filter_map(|(_, shared)| shared.upgrade()) {
            shared.task.abort();
        }
    }

    /// Room for the watches of another caller.
    pub(crate) fn beside(&self) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let caller = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { all: Arc::clone(&self.all), caller }
    }

    fn find(&self, target: &Target) -> Option<Arc<Shared>> {
        let shared = self.lock().get(target).and_then(Weak::upgrade);
        shared.filter(|shared| !shared.task.is_finished())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Weak<Shared>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self) -> Result<()> {
        let mut watches = self.lock();
        watches.retain(|_, shared| shared.strong_count() > 0);
        if watches.len() < MAX_WATCHES {
            return Ok(());
        }
        Err(Error::new(ErrorKind::RateLimited, "too many Secrets are watched at once")
            .with("limit", MAX_WATCHES)
            .hint("drop the streams that are not read, or use a second instance of the plugin"))
    }
}

/// The watch that is under way, or a new one that begins at this state.
async fn share(
    inner: &Arc<Inner>,
    target: Target,
    revision: u64,
    event: &SecretEvent,
) -> Result<Arc<Shared>> {
    if let Some(shared) = inner.watches.find(&target) {
        return Ok(shared);
    }
    inner.watches.check_room()?;
    let open = open(inner, &target, revision).await?;
    let state = State { revision, event: event.clone(), faults: 0, fault: None };
    let mut watches = inner.watches.lock();
    // Somebody else may have been faster.
    let present = watches.get(&target).and_then(Weak::upgrade);
    if let Some(shared) = present.filter(|shared| !shared.task.is_finished()) {
        return Ok(shared);
    }
    let (sender, states) = watch::channel(state);
    let task = Task { inner: Arc::clone(inner), target: target.clone(), sender };
    let task = tokio::spawn(task.run(open)).abort_handle();
    let shared = Arc::new(Shared { states, task });
    watches.insert(target, Arc::downgrade(&shared));
    Ok(shared)
}

/// One of those who follow.
struct Follower {
    _shared: Arc<Shared>,
    states: watch::Receiver<State>,
    first: bool,
    revision: u64,
    event: SecretEvent,
    faults: u64,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<SecretEvent>, Self)> {
        if self.first {
            self.first = false;
            return Some((Ok(self.event.clone()), self));
        }
        loop {
            let state = self.states.borrow_and_update().clone();
            if let Some(fault) = state.fault.filter(|_| state.faults != self.faults) {
                self.faults = state.faults;
                return Some((Err(fault), self));
            }
            if state.revision > self.revision {
                self.revision = state.revision;
                if state.event != self.event {
                    self.event = state.event;
                    return Some((Ok(self.event.clone()), self));
                }
            }
            // The watch was closed when its sender is gone.
            self.states.changed().await.ok()?;
        }
    }
}

/// Keeps a watch going.
struct Task {
    inner: Arc<Inner>,
    target: Target,
    sender: watch::Sender<State>,
}

/// Why a watch has to begin again.
enum Ended {
    /// Where it was left.
    Continue,
    /// The server has forgotten where it was left.
    Expired,
}

impl Task {
    async fn run(self, first: HttpStream) {
        let mut open = Some(first);
        let mut resync = false;
        let (mut failures, mut idle) = (0, 0);
        loop {
            let started = Instant::now();
            let before = self.revision();
            let result = self.once(open.take(), &mut resync).await;
            match result {
                Ok(ended) => {
                    resync |= matches!(ended, Ended::Expired);
                    failures = 0;
                    // A server that ends every watch at once must not be asked in a tight loop.
                    let lasted = started.elapsed() > Duration::from_secs(1);
                    idle = if lasted || self.revision() > before { 0 } else { idle + 1 };
                    if idle > 1 {
                        pause(idle - 1).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == PATIENCE || (failures == 1 && !error.is_retryable()) {
                        self.tell(error.at(&self.inner.name, "watch_secret"));
                    }
                    pause(failures).await;
                }
            }
        }
    }

    /// Lists again if that is needed, then watches until the watch ends.
    async fn once(&self, open_already: Option<HttpStream>, resync: &mut bool) -> Result<Ended> {
        let stream = match open_already {
            Some(stream) => stream,
            None => {
                if *resync {
                    let (revision, event) = list(&self.inner, &self.target).await?;
                    self.show(revision, event);
                    *resync = false;
                }
                open(&self.inner, &self.target, self.revision()).await?
            }
        };
        self.read(stream).await
    }

    async fn read(&self, mut stream: HttpStream) -> Result<Ended> {
        let end = Instant::now() + WATCH_DEADLINE.min(self.inner.client.left());
        let mut lines = Lines::new(self.inner.client.max_body);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // A broken connection is as good as an ended one: what counts is whether the next holds.
            let Ok(Some(piece)) = stream.next(left).await else { return Ok(Ended::Continue) };
            lines.push(&piece)?;
            while let Some(line) = lines.next() {
                match event::decode(&line)? {
                    Seen::State(revision, event) => self.show(revision, event),
                    Seen::Progress(revision) => self.progress(revision),
                    Seen::Expired => return Ok(Ended::Expired),
                    Seen::Ended => return Ok(Ended::Continue),
                }
            }
        }
    }

    fn revision(&self) -> u64 {
        self.sender.borrow().revision
    }

    /// Nothing older than what is known is shown, whoever sends it.
    fn show(&self, revision: u64, event: SecretEvent) {
        self.sender.send_if_modified(|state| {
            let newer = revision > state.revision;
            if newer {
                state.revision = revision;
                state.event = event;
            }
            newer
        });
    }

    /// Nothing changed up to there. Nobody has to wake up for it.
    fn progress(&self, revision: u64) {
        self.sender.send_if_modified(|state| {
            state.revision = state.revision.max(revision);
            false
        });
    }

    fn tell(&self, fault: Error) {
        tracing::warn!(error = %fault, "a watch does not go on");
        self.sender.send_modify(|state| {
            state.faults += 1;
            state.fault = Some(fault);
        });
    }
}

/// Longer with every failure, up to half a minute, and never for all at the same time.
async fn pause(failures: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let longest = longest.min(LONGEST_PAUSE);
    tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}

fn requests(inner: &Inner, target: &Target) -> Request {
    use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
    use kube::Resource as _;
    let path = KubernetesSecret::url_path(&(), Some(&target.namespace));
    Request::new(inner.client.url(&path))
}

/// With the field selector a Role for this one name is enough.
fn selector(target: &Target) -> String {
    format!("metadata.name={}", target.object)
}

/// The state now, from a majority of the cluster.
async fn list(inner: &Inner, target: &Target) -> Result<(u64, SecretEvent)> {
    let asked = Asked::secret(&["list"], &target.namespace, &target.object);
    let requests = requests(inner, target);
    let parameters = ListParams::default().fields(&selector(target));
    let answer = inner.client.expect(&asked, || built(requests.list(&parameters))).await?;
    let found = serde_json::from_slice::<Found<'_>>(&answer.body).ok();
    let found = found.and_then(|mut found| {
        let revision = version(&found.metadata.resource_version)?.number();
        match found.items.as_mut().and_then(Vec::pop) {
            None => Some((revision, SecretEvent::Absent)),
            // The list may be newer than its item; the item is no newer than the list.
            Some(item) => Some((revision, SecretEvent::Present(item.into_secret()))),
        }
    });
    found.ok_or_else(|| malformed(&answer))
}

async fn open(inner: &Inner, target: &Target, revision: u64) -> Result<HttpStream> {
    let asked = Asked::secret(&["watch"], &target.namespace, &target.object);
    let requests = requests(inner, target);
    let parameters = WatchParams::default().fields(&selector(target)).timeout(WATCH_SECONDS);
    let revision = revision.to_string();
    inner.client.stream(&asked, || built(requests.watch(&parameters, &revision))).await
}

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    metadata: crate::secret::Revision<'a>,
    /// `null` in an empty list of an old server.
    #[serde(borrow, default)]
    items: Option<Vec<Stored<'a>>>,
}

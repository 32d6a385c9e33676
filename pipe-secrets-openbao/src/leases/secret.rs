//! Leased credentials, as their users see them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipe_core::secrets::Secret;
use pipe_core::{Error, ErrorKind, Result};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, timeout};

use crate::raw::Lease;

/// A request or two, a login among them.
const LONGEST_CLOSE: Duration = Duration::from_secs(60);

/// Credentials that are kept alive, and followed by others when they cannot be. Clones share them.
///
/// A task renews the lease after two thirds of its life, short ones after half of it. When the server gives less than was asked
/// for, when it cannot be renewed, and when the plugin has logged in anew (a lease ends with the
/// token that it was given for), the task obtains successors before the lease ends. Failed
/// attempts are repeated, ever more slowly, to every half a minute, also after the end.
///
/// Close it to give the credentials back; when the last clone is dropped instead, that is tried
/// once in the background, ten seconds at most, and else the lease ends by itself.
#[derive(Clone)]
pub struct LeasedSecret(Arc<Handle>);

/// Credentials with their lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeasedCredentials {
    /// What the server made.
    pub secret: Secret,
    /// The lease, as it was given or last renewed.
    pub lease: Lease,
    /// When they end unless their lease and their token are renewed, by a clock that nobody sets.
    pub expires_at: std::time::Instant,
}

/// What became of leased credentials. No event holds any.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LeaseEvent {
    /// The lease of the current ones was renewed.
    Renewed {
        /// When they end now.
        expires_at: std::time::Instant,
    },
    /// Others took their place. The predecessors stay valid for the overlap.
    Successor {
        /// When the new ones end.
        expires_at: std::time::Instant,
    },
    /// They have ended, and there are no others yet.
    Failed {
        /// Why not.
        error: Error,
    },
}

/// The events of leased credentials from the moment on when somebody asked for them.
pub struct LeaseEvents(broadcast::Receiver<LeaseEvent>);

/// What the task tells.
#[derive(Clone)]
pub(super) struct State {
    pub(super) credentials: Arc<LeasedCredentials>,
    pub(super) ends: Instant,
    /// Why the credentials are not to be used.
    pub(super) failure: Option<Error>,
    /// How giving back went; the task is over then.
    pub(super) ended: Option<Result<()>>,
}

/// The task ends when this is dropped.
pub(super) struct Handle {
    pub(super) path: String,
    pub(super) state: watch::Receiver<State>,
    pub(super) events: broadcast::Receiver<LeaseEvent>,
    pub(super) closing: watch::Sender<bool>,
    pub(super) suspected: Arc<Notify>,
    /// What to say between the end and the task's turn.
    pub(super) lapsed: Error,
}

impl LeasedSecret {
    pub(super) fn new(handle: Handle) -> Self {
        Self(Arc::new(handle))
    }

    /// The path that makes the credentials.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The credentials to use now. It waits for nothing.
    ///
    /// # Errors
    /// When they have ended and could not be replaced, of the kind that the last attempt to do so
    /// had, and retryable when time alone may help; `Unavailable` after [`close`](Self::close).
    pub fn current(&self) -> Result<Arc<LeasedCredentials>> {
        let state = self.0.state.borrow();
        match &state.failure {
            Some(error) => Err(error.clone()),
            None if Instant::now() >= state.ends => Err(self.0.lapsed.clone()),
            None => Ok(Arc::clone(&state.credentials)),
        }
    }

    /// Follows what becomes of the credentials.
    #[must_use]
    pub fn events(&self) -> LeaseEvents {
        LeaseEvents(self.0.events.resubscribe())
    }

    /// Has the server asked whether the lease still holds, once a second at most: for whoever was
    /// refused with the current credentials. When it is gone, because an operator revoked it, say,
    /// others are obtained at once. Otherwise that is noticed when it is time to renew.
    pub fn suspect(&self) {
        self.0.suspected.notify_one();
    }

    /// Ends the lease, and those of predecessors whose overlap is not over. Close it before the
    /// plugin, which then can give nothing back any more.
    ///
    /// # Errors
    /// `PermissionDenied` when the policy lacks `update` on `sys/leases/revoke`: the leases end by
    /// themselves then; `Timeout` when nothing happened in a minute; else as for any request.
    pub async fn close(&self) -> Result<()> {
        self.0.closing.send_replace(true);
        let mut state = self.0.state.clone();
        let ended = state.wait_for(|state| state.ended.is_some());
        match timeout(LONGEST_CLOSE, ended).await {
            Ok(Ok(state)) => state.ended.clone().unwrap_or(Ok(())),
            Ok(Err(_)) => {
                Err(Error::new(ErrorKind::Unavailable, "the lease's task ended with its runtime")
                    .hint("close leases before their runtime ends"))
            }
            Err(_) => Err(Error::new(ErrorKind::Timeout, "giving the lease back takes too long")
                .hint("nothing has to be done: it ends by itself")),
        }
    }
}

/// That credentials ended, for this reason where one is known.
pub(super) fn lapsed(cause: Option<&Error>) -> Error {
    let message = "the credentials have ended, and there are no others";
    let Some(cause) = cause else {
        return Error::new(ErrorKind::Unavailable, message)
            .hint("try again shortly: others are being obtained");
    };
    let error = Error::new(cause.kind(), message).hint(cause.hint_text().to_owned());
    let error = if cause.is_retryable() { error } else { error.exhausted() };
    error.because(cause.clone())
}

impl LeaseEvents {
    /// The next event; `None` when the lease was closed. A reader who falls far behind misses the
    /// oldest ones.
    pub async fn next(&mut self) -> Option<LeaseEvent> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Nothing of the credentials.
impl fmt::Debug for LeasedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.borrow();
        f.debug_struct("LeasedSecret")
            .field("path", &self.0.path)
            .field("lease", &state.credentials.lease)
            .field("failure", &state.failure)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LeaseEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseEvents")
    }
}

//! Credentials that the server makes for a while: kept alive, followed by others in time, given
//! back (REQ 004-85.3).

mod keeper;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind, Namespace, Result};
use pipe_http::session::Standing;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot, watch};

use self::keeper::{Issued, Settings, Source};
pub use self::secret::{LeaseEvent, LeaseEvents, LeasedCredentials, LeasedSecret};
use crate::engine::Engine;
use crate::error::Fault;
use crate::kv::time;
use crate::plugin::OpenBao;
use crate::raw::{Lease, bare_path, told};
use crate::transport::Answer;

const OVERLAP: Duration = Duration::from_secs(30);
/// How many leases of dropped handles are given back at the same time.
const PARTINGS: usize = 8;

const RENEW: &str = "sys/leases/renew";
const REVOKE: &str = "sys/leases/revoke";
const LOOKUP: &str = "sys/leases/lookup";

/// Obtains credentials that end, such as those of the database engine, and keeps them alive.
///
/// ```no_run
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> pipe_core::Result<()> {
/// let leases = bao.leases();
/// let database = leases.open("database/creds/app").await?;
/// // For each new connection: they may be others by now.
/// let credentials = database.current()?;
/// let user = credentials.secret.data.get("username");
/// # let _ = user;
/// database.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones share their settings and the plugin's login.
#[derive(Clone)]
pub struct LeaseManager {
    engine: Engine,
    overlap: Duration,
    partings: Arc<Semaphore>,
}

/// What the server knows of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// What the server calls it.
    pub id: String,
    /// When it was given, by the server's clock.
    pub issued_at: Option<SystemTime>,
    /// When it ends unless it is renewed, by the server's clock.
    pub expires_at: Option<SystemTime>,
    /// When it was renewed last, by the server's clock.
    pub last_renewal: Option<SystemTime>,
    /// How long it still holds.
    pub ttl: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
}

impl OpenBao {
    /// Leases, in the plugin's namespace.
    #[must_use]
    pub fn leases(&self) -> LeaseManager {
        LeaseManager {
            engine: Engine::system(self, "leases"),
            overlap: OVERLAP,
            partings: Arc::new(Semaphore::new(PARTINGS)),
        }
    }
}

impl LeaseManager {
    /// How long credentials stay valid after others took their place, so that whoever uses them
    /// can finish; 30 seconds unless it is set. They never hold longer than their lease, half of
    /// which is all that an overlap can count on: leases shorter than that are renewed then.
    #[must_use]
    pub fn with_overlap(self, overlap: Duration) -> Self {
        Self { overlap, ..self }
    }

    /// The same in a namespace below the plugin's own.
    #[must_use]
    pub fn in_namespace(self, namespace: Namespace) -> Self {
        Self { engine: self.engine.in_namespace(namespace), ..self }
    }

    /// Obtains credentials at a path that makes them, such as `database/creds/<role>`, and keeps
    /// them alive in the background until they are closed or dropped.
    ///
    /// The policy needs `read` on the path, and for renewals `update` on `sys/leases/renew`, which
    /// `default` grants; for giving back, `update` on `sys/leases/revoke`, which it does not.
    ///
    /// When this future is dropped, what it obtained is given back.
    ///
    /// # Errors
    /// `InvalidArgument` when what the path holds is not leased; `NotFound` when nothing is there,
    /// or there is no such role; `Unavailable` when the server does not reach the database; else
    /// as for any request.
    pub async fn open(&self, path: &str) -> Result<LeasedSecret> {
        let opened = self.start(path).await;
        opened.map_err(|error| self.engine.locate(error, "open"))
    }

    async fn start(&self, path: &str) -> Result<LeasedSecret> {
        if self.engine.bao().client().is_inline() {
            return Err(Fault::InlineLease.alone());
        }
        let source = LeasedPath { leases: self.clone(), path: bare_path(path)?.to_owned() };
        let settings = Settings {
            path: source.path.clone(),
            overlap: self.overlap,
            partings: Arc::clone(&self.partings),
        };
        let (opener, opened) = oneshot::channel();
        // A task from the start: what is under way when the caller goes away is given back by it.
        drop(tokio::spawn(keeper::keep(source, settings, opener)));
        opened.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "the request ended with its runtime"))
        })
    }

    /// Makes a lease hold for this long from now, as far as its maximum allows: the answer tells
    /// how long it does. Those of [`open`](Self::open) are renewed by themselves.
    ///
    /// # Errors
    /// `NotFound` when there is no such lease, or it has ended; `Unsupported` when it cannot be
    /// renewed; else as for any request.
    pub async fn renew(&self, lease_id: &str, increment: Duration) -> Result<Lease> {
        let renewed = self.try_renew(lease_id, increment).await;
        let renewed = renewed.and_then(|renewed| renewed.ok_or_else(gone));
        renewed.map_err(|error| self.engine.locate(error, "renew"))
    }

    /// Ends a lease, and the credentials with it. Nothing happens when it has ended.
    ///
    /// # Errors
    /// `PermissionDenied` when the policy lacks `update` on `sys/leases/revoke`; `Unavailable` when
    /// the server does not reach the database; else as for any request.
    pub async fn revoke(&self, lease_id: &str) -> Result<()> {
        self.end(lease_id).await.map_err(|error| self.engine.locate(error, "revoke"))
    }

    /// What the server knows of a lease.
    ///
    /// # Errors
    /// `NotFound` when there is no such lease, or it has ended; else as for any request.
    pub async fn lookup(&self, lease_id: &str) -> Result<LeaseInfo> {
        let found = self.find(lease_id).await.and_then(|found| found.ok_or_else(gone));
        found.map_err(|error| self.engine.locate(error, "lookup"))
    }

    /// The renewed lease; `None` when it is gone.
    async fn try_renew(&self, lease_id: &str, increment: Duration) -> Result<Option<Lease>> {
        #[derive(Serialize)]
        struct Renew<'a> {
            lease_id: &'a str,
            increment: u64,
        }
        // The server takes zero for its default.
        let increment = increment.as_secs().max(1);
        let answer = self.ask(RENEW, &Renew { lease_id, increment }).await?;
        match answer {
            None => Ok(None),
            Some(answer) => {
                let renewed = answer.parse::<serde::de::IgnoredAny>()?;
                Lease::of(&renewed).map(Some).ok_or_else(|| self.engine.foreign())
            }
        }
    }

    async fn find(&self, lease_id: &str) -> Result<Option<LeaseInfo>> {
        #[derive(Serialize)]
        struct Lookup<'a> {
            lease_id: &'a str,
        }
        #[derive(Deserialize)]
        struct Info {
            id: String,
            issue_time: Option<String>,
            expire_time: Option<String>,
            last_renewal: Option<String>,
            #[serde(default)]
            ttl: i64,
            #[serde(default)]
            renewable: bool,
        }
        let Some(answer) = self.ask(LOOKUP, &Lookup { lease_id }).await? else { return Ok(None) };
        let info: Info = self.engine.data(&answer)?;
        let at = |text: Option<String>| text.as_deref().and_then(time);
        Ok(Some(LeaseInfo {
            id: info.id,
            issued_at: at(info.issue_time),
            expires_at: at(info.expire_time),
            last_renewal: at(info.last_renewal),
            ttl: Duration::from_secs(info.ttl.try_into().unwrap_or_default()),
            renewable: info.renewable,
        }))
    }

    async fn end(&self, lease_id: &str) -> Result<()> {
        #[derive(Serialize)]
        struct Revoke<'a> {
            lease_id: &'a str,
            /// Else the answer says nothing about whether it worked.
            sync: bool,
        }
        self.ask(REVOKE, &Revoke { lease_id, sync: true }).await.map(drop)
    }

    /// `None` when the lease is gone.
    async fn ask(&self, path: &str, content: &impl Serialize) -> Result<Option<Answer>> {
        // A login for the sake of a policy would have all leases obtained anew.
        let engine = self.engine.accepting_denials();
        let (answer, _) = engine.try_write(path, content).await?;
        match answer.0.error_kind() {
            None => Ok(Some(answer)),
            Some(_) if engine.fault(&answer) == Fault::LeaseGone => Ok(None),
            Some(_) => Err(engine.error(&answer, path, "update")),
        }
    }
}

impl fmt::Debug for LeaseManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseManager")
            .field("engine", &self.engine)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such lease, or it has ended")
        .hint("obtain the credentials again")
}

/// A path that makes credentials.
struct LeasedPath {
    leases: LeaseManager,
    path: String,
}

impl Source for LeasedPath {
    async fn issue(&self) -> Result<Issued> {
        let engine = &self.leases.engine;
        let Some((answer, token)) = engine.read_with_token(&self.path).await? else {
            return Err(Error::new(ErrorKind::NotFound, "nothing is there")
                .with("path", &self.path)
                .hint("check the path, the mount and the namespace"));
        };
        let Some(token) = token else { return Err(Fault::InlineLease.alone()) };
        let read = told(&answer, Some(&token), &self.path)?;
        let lease = read.lease.ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "what the path holds has no lease").hint(
                "open a path that makes credentials, such as `database/creds/<role>`; read others \
                 by `read_secret`",
            )
            .with("path", &self.path)
        })?;
        Ok(Issued {
            secret: read.secret,
            lease,
            login: token.login(),
            token_ends: token.expires_at(),
        })
    }

    async fn renew(&self, lease_id: &str, increment: Duration) -> Result<Option<Lease>> {
        self.leases.try_renew(lease_id, increment).await
    }

    async fn is_alive(&self, lease_id: &str) -> Result<bool> {
        Ok(self.leases.find(lease_id).await?.is_some())
    }

    async fn revoke(&self, lease_id: &str) -> Result<()> {
        self.leases.end(lease_id).await
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.leases.engine.bao().client().session.standing()
    }

    fn locate(&self, error: Error, operation: &'static str) -> Error {
        self.leases.engine.locate(error.with("credentials", &self.path), operation)
    }
}

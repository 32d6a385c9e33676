//! Sessions in a Redis server, which several processes share.

mod config;
mod connection;
mod error;
mod record;
mod tls;

use std::fmt;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisError, ScriptInvocation};
use async_trait::async_trait;
use pipe_core::identity::{SessionKey, SessionRecord, SessionStore, SessionTag, StoredSession};
use pipe_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

pub use self::config::RedisConfig;
use self::connection::{Connection, Connector};
use self::error::{convert, is_lost, not_ours, timed_out};
use self::record::{INSERT, REMOVE_TAGGED, REPLACE, TAKE, decode, encode};

/// A [`SessionStore`] in a Redis server from version 6 on, or Valkey, for processes that share their
/// sessions.
///
/// A record is `{prefix}:session/{digest}` (or `login`, `used`), and goes by itself when its time is
/// over. A tag is `{prefix}:tag/{digest}`, a sorted set of the keys of its records. Every change is one
/// script, so it happens as a whole or not at all. Cluster mode is not supported.
///
/// # When the server is lost
/// Calls fail with `Unavailable` or `Timeout`, within
/// [`connect_timeout`](RedisConfig::connect_timeout) and [`timeout`](RedisConfig::timeout) together;
/// nothing is taken for absent that could not be asked for. The next call connects again. A
/// call whose connection broke is sent once more, where that does no harm; only a `take` is not, for
/// another one might have been taken by then.
///
/// Whatever the server forgets in a restart, people log in again. A failover to a replica
/// is another matter: replication is not awaited, so the last changes may be undone, which means
/// that a login may be taken again, a mark forgotten, or a session that just ended be back. Where
/// that is not acceptable, let the server have no replica to fail over to, or keep marks and
/// logins in a server without.
///
/// # What the server has to be set to
/// - `maxmemory` to what you can spare, and `maxmemory-policy noeviction`: then a full server refuses
///   to keep more, as `RateLimited`, and new logins are refused too. With any other policy it would
///   forget marks of what was used, and tags by which sessions have to end.
/// - Its user may run `ping`, `get`, `getrange`, `set`, `del`, `zadd`, `zrem`, `zrange`, `zrevrange`,
///   `zremrangebyscore`, `pexpireat`, `time`, `evalsha`, `script|load` and `select`, on
///   `~{prefix}:*`.
#[derive(Clone)]
pub struct RedisSessions(Arc<Inner>);

struct Inner {
    config: RedisConfig,
    connector: Connector,
}

/// Whether a call may be sent again when its connection broke.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

impl RedisSessions {
    /// A store with these settings. Nothing is asked yet: the first call connects.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming all settings that are wrong.
    pub fn new(config: RedisConfig) -> Result<Self> {
        let target = config.target().map_err(|error| error.at(NAME, "new"))?;
        Ok(Self(Arc::new(Inner { connector: Connector::new(target), config })))
    }

    fn key(&self, key: &SessionKey) -> String {
        format!("{}:{key}", self.0.config.prefix)
    }

    /// What the names of tags begin with.
    fn tags(&self) -> String {
        format!("{}:tag/", self.0.config.prefix)
    }

    /// When a call that begins now is over.
    fn deadline(&self) -> Instant {
        Instant::now() + self.0.config.connect_timeout + self.0.config.timeout
    }

    /// Asks, and asks once more over another connection if this one is lost and it does no harm.
    async fn ask<T, F>(
        &self,
        operation: &'static str,
        again: Again,
        ask: impl Fn(MultiplexedConnection) -> F + Send + Sync,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
        T: Send,
    {
        let mut is_last = again == Again::No;
        let asked = timeout_at(self.deadline(), async {
            loop {
                let connection = self.0.connector.connection().await?;
                let _place = connection.place().await;
                // Whoever waited for a place may have another connection: nothing was sent yet.
                if !self.0.connector.uses(&connection) {
                    continue;
                }
                match self.once(&connection, &ask).await {
                    Err(Failure::Lost(_)) if !is_last => is_last = true,
                    Err(Failure::Lost(error) | Failure::Other(error)) => return Err(error),
                    Ok(answer) => return Ok(answer),
                }
            }
        });
        let answer = asked.await.unwrap_or_else(|_| Err(timed_out()));
        answer.map_err(|error| error.at(NAME, operation))
    }

    async fn once<T, F>(
        &self,
        connection: &Arc<Connection>,
        ask: &(impl Fn(MultiplexedConnection) -> F + Sync),
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        let deadline = Instant::now() + self.0.config.timeout;
        match timeout_at(deadline, ask(connection.multiplexed())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_lost(&error) => {
                self.0.connector.forget(connection);
                Err(Failure::Lost(convert(&error)))
            }
            Ok(Err(error)) => Err(Failure::Other(convert(&error))),
            Err(_) => {
                // What nobody waits for any more would pile up in it.
                self.0.connector.forget(connection);
                Err(Failure::Other(timed_out()))
            }
        }
    }

    async fn run<T: redis::FromRedisValue + Send>(
        &self,
        operation: &'static str,
        again: Again,
        call: &ScriptInvocation<'_>,
    ) -> Result<T> {
        self.ask(operation, again, |mut connection| async move {
            call.invoke_async(&mut connection).await
        })
        .await
    }
}

enum Failure {
    /// And so is the connection.
    Lost(Error),
    Other(Error),
}

const NAME: &str = "redis-sessions";

/// How many records with a tag one script removes: a server does nothing else meanwhile.
const AT_ONCE: usize = 256;

impl fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessions").field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
        record.check().map_err(|error| error.at(NAME, "insert"))?;
        let (record, ttl) = encode(&record, new_version("insert")?);
        let mut call = INSERT.key(self.key(key));
        call.arg(self.tags()).arg(record.as_slice()).arg(ttl);
        self.run("insert", Again::Yes, &call).await
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        let command = redis::cmd("GET").arg(self.key(key)).take();
        let command = &command;
        let found: Option<Vec<u8>> = self
            .ask("get", Again::Yes, |mut connection| async move {
                command.query_async(&mut connection).await
            })
            .await?;
        read(found, "get")
    }

    async fn replace(&self, key: &SessionKey, version: u64, record: SessionRecord) -> Result<bool> {
        record.check().map_err(|error| error.at(NAME, "replace"))?;
        let (record, ttl) = encode(&record, new_version("replace")?);
        let mut call = REPLACE.key(self.key(key));
        call.arg(self.tags()).arg(record.as_slice()).arg(ttl).arg(&version.to_be_bytes()[..]);
        self.run("replace", Again::Yes, &call).await
    }

    async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        let mut call = TAKE.key(self.key(key));
        call.arg(self.tags());
        read(self.run("take", Again::No, &call).await?, "take")
    }

    async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64> {
        let tag = tag.to_string();
        let mut call = REMOVE_TAGGED.key(format!("{}{tag}", self.tags()));
        call.arg(self.tags()).arg(&tag).arg(AT_ONCE);
        let rounds = async {
            let mut all = 0;
            loop {
                let (removed, seen): (u64, usize) =
                    self.run("remove_tagged", Again::Yes, &call).await?;
                all += removed;
                if seen < AT_ONCE {
                    return Ok(all);
                }
            }
        };
        let removed = timeout_at(self.deadline(), rounds).await;
        removed.unwrap_or_else(|_| Err(timed_out().at(NAME, "remove_tagged")))
    }
}

fn read(found: Option<Vec<u8>>, operation: &'static str) -> Result<Option<StoredSession>> {
    let Some(bytes) = found.map(zeroize::Zeroizing::new) else { return Ok(None) };
    let stored = decode(&bytes).ok_or_else(|| not_ours().at(NAME, operation))?;
    Ok(Some(stored))
}

/// Not counted: a server that forgot everything would count from the beginning.
fn new_version(operation: &'static str) -> Result<u64> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        Error::new(ErrorKind::Unavailable, "the system gives no random numbers").at(NAME, operation)
    })?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests;

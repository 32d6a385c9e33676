//! One connection that all calls share, and another when it is lost.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use pipe_core::{Error, ErrorKind, Result, SecretReader};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::{convert, timed_out};

/// How many calls wait for answers at once; others wait for these.
pub(super) const AT_ONCE: usize = 1_024;

/// Where the server is, and who we are.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_localhost: bool,
    pub(super) database: i64,
    pub(super) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    pub(super) username: Option<SecretReader>,
    pub(super) password: Option<SecretReader>,
    pub(super) connect_timeout: Duration,
}

/// A connection. The task that drives it ends with its last clone.
pub(super) struct Connection {
    multiplexed: MultiplexedConnection,
    places: Semaphore,
    driver: AbortHandle,
}

impl Connection {
    pub(super) fn multiplexed(&self) -> MultiplexedConnection {
        self.multiplexed.clone()
    }

    /// A place among the calls that wait for an answer. Who waits for one has sent nothing yet, so the
    /// server is not to blame, and nothing is lost with the connection.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

type Attempt = Shared<BoxFuture<'static, Result<Arc<Connection>>>>;

/// Connects when somebody asks, once for all who ask meanwhile.
pub(super) struct Connector {
    target: Arc<Target>,
    current: Mutex<Option<Attempt>>,
}

impl Connector {
    pub(super) fn new(target: Target) -> Self {
        Self { target: Arc::new(target), current: Mutex::new(None) }
    }

    /// The connection, which is made unless there is one.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>> {
        let attempt = self.current(|current| match current {
            Some(attempt) if !is_over(attempt) => attempt.clone(),
            _ => current.insert(self.begin()).clone(),
        });
        attempt.await
    }

    /// Whether this connection is still in use.
    pub(super) fn uses(&self, connection: &Arc<Connection>) -> bool {
        self.current(|current| current.as_ref().is_some_and(|attempt| is_of(attempt, connection)))
            && !connection.driver.is_finished()
    }

    /// Takes this connection out of use.
    pub(super) fn forget(&self, lost: &Arc<Connection>) {
        self.current(|current| {
            if current.as_ref().is_some_and(|attempt| is_of(attempt, lost)) {
                *current = None;
            }
        });
    }

    fn current<T>(&self, look: impl FnOnce(&mut Option<Attempt>) -> T) -> T {
        look(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// In a task of its own: whoever asked first may give up, and others go on.
    fn begin(&self) -> Attempt {
        let target = Arc::clone(&self.target);
        let attempt = tokio::spawn(async move {
            match timeout(target.connect_timeout, connect(&target)).await {
                Ok(connected) => connected.map(Arc::new),
                Err(_) => Err(timed_out().hint("check url, or raise connect_timeout")),
            }
        });
        let ended = async move {
            attempt.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, "the attempt to connect was ended"))
            })
        };
        ended.boxed().shared()
    }
}

fn is_of(attempt: &Attempt, connection: &Arc<Connection>) -> bool {
    matches!(attempt.peek(), Some(Ok(current)) if Arc::ptr_eq(current, connection))
}

/// Whether another attempt is due.
fn is_over(attempt: &Attempt) -> bool {
    match attempt.peek() {
        Some(Ok(connection)) => connection.driver.is_finished(),
        Some(Err(_)) => true,
        None => false,
    }
}

async fn connect(target: &Target) -> Result<Connection> {
    let stream = match target.is_localhost {
        // Whatever the resolver says.
        true => {
            let loopback: [SocketAddr; 2] = [
                (Ipv4Addr::LOCALHOST, target.port).into(),
                (Ipv6Addr::LOCALHOST, target.port).into(),
            ];
            TcpStream::connect(&loopback[..]).await
        }
        false => TcpStream::connect((target.host.as_str(), target.port)).await,
    };
    let stream = stream.map_err(|error| convert(&error.into()))?;
    stream.set_nodelay(true).map_err(|error| convert(&error.into()))?;
    let Some((tls, name)) = &target.tls else {
        return greet(target, stream).await;
    };
    let connector = TlsConnector::from(Arc::clone(tls));
    match connector.connect(name.clone(), stream).await {
        Ok(stream) => greet(target, stream).await,
        Err(error) => Err(Error::new(ErrorKind::Unavailable, "no TLS connection to the server")
            .hint("check that the server's certificate is for this host and of an authority in ca")
            .because(error)),
    }
}

async fn greet<S>(target: &Target, stream: S) -> Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut login = RedisConnectionInfo::default().set_db(target.database).set_skip_set_lib_name();
    if let Some(username) = &target.username {
        login = login.set_username(text(&username.read().await?, "username")?);
    }
    if let Some(password) = &target.password {
        login = login.set_password(text(&password.read().await?, "password")?);
    }
    // Each call has a timeout of its own.
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let refused = |error: RedisError| convert(&error);
    let (multiplexed, driver) =
        MultiplexedConnection::new_with_config(&login, stream, config).await.map_err(refused)?;
    let driver = tokio::spawn(driver).abort_handle();
    let connection = Connection { multiplexed, places: Semaphore::new(AT_ONCE), driver };
    // Some servers take a connection and then ask for a password.
    let mut multiplexed = connection.multiplexed();
    ::redis::cmd("PING").exec_async(&mut multiplexed).await.map_err(refused)?;
    Ok(connection)
}

fn text<'a>(value: &'a pipe_core::SecretValue, setting: &'static str) -> Result<&'a str> {
    value.expose_str().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "a setting is not UTF-8")
            .with(setting, "must be UTF-8")
            .hint(format!("correct {setting}"))
    })
}

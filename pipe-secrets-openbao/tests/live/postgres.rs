//! A real PostgreSQL server for the live tests of leases.

use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::server::{Directory, free_port, skip, tell};

/// The version that `live/postgres/install.sh` installs.
const VERSION: &str = "18.4.0-beta.17";

const PASSWORD: &str = "the administrator's";
const DEADLINE: Duration = Duration::from_secs(60);

/// The server that all tests of this binary share; each makes roles of its own in it. `None` where
/// no server can be had, which is a failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) async fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
    SHARED.get_or_init(Postgres::start).await.as_ref()
}

/// A running server. It ends, and its data with it, when this is dropped or the test process ends.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    server: Child,
    watchdog: Child,
}

impl Postgres {
    pub(crate) async fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            skip("no PostgreSQL: run live/postgres/install.sh or set PIPE_LIVE_POSTGRES");
            return None;
        };
        let directory = Directory::create();
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&directory.0)
            .stdin(Stdio::piped())
            // Whoever reads the output of the test process must see it end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("start sh");
        let user = User::of_server();
        let home = directory.path("home");
        fs::create_dir(&home).expect("create the server's directory");
        if let Some(User { uid, gid }) = user {
            chown(&home, Some(uid), Some(gid)).expect("give the directory to the server's user");
        }
        let binaries = reachable(binaries, user, &directory);
        let data = home.join("data");
        let password = directory.write("password", PASSWORD);
        let mut init = command(&binaries.join("initdb"), user, &home, &directory);
        init.arg("-D").arg(&data).arg(format!("--pwfile={}", password.display()));
        init.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
        init.arg("--no-sync");
        let done = init.status().expect("start initdb");
        assert!(done.success(), "initdb: {done}\n{}", log(&directory));
        let port = free_port();
        let mut server = command(&binaries.join("postgres"), user, &home, &directory);
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", ""]);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=200"] {
            server.args(["-c", setting]);
        }
        let server = server.spawn().expect("start postgres");
        tell(&mut watchdog, Some(server.id()));
        let mut postgres = Self { port, server, watchdog };
        let start = Instant::now();
        while postgres.connect("postgres", PASSWORD).await.is_err() {
            let ended = postgres.server.try_wait().expect("ask for the server's state");
            assert!(
                ended.is_none() && start.elapsed() < DEADLINE,
                "postgres does not serve, exit {ended:?}:\n{}",
                log(&directory)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(postgres)
    }

    /// What the database engine of OpenBao has to know.
    pub(crate) fn config(&self) -> serde_json::Value {
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        );
        serde_json::json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": "*",
            "connection_url": url,
            "username": "postgres",
            "password": PASSWORD,
        })
    }

    pub(crate) async fn connect(&self, user: &str, password: &str) -> Result<Client, Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname("postgres").user(user).password(password);
        config.connect_timeout(Duration::from_secs(10));
        let (client, connection) = config.connect(NoTls).await?;
        drop(tokio::spawn(connection));
        Ok(client)
    }

    /// How many roles there are whose name contains this.
    pub(crate) async fn roles(&self, part: &str) -> i64 {
        let client = self.connect("postgres", PASSWORD).await.expect("connect");
        let query = "SELECT count(*) FROM pg_roles WHERE position($1 IN rolname) > 0";
        client.query_one(query, &[&part]).await.expect("query").get(0)
    }

    /// Ends the server, at once.
    pub(crate) fn stop(&mut self) {
        if self.server.try_wait().expect("ask for the server's state").is_none() {
            // Not SIGKILL, which would leave its shared memory behind.
            let id = self.server.id().to_string();
            Command::new("kill").args(["-QUIT", &id]).status().expect("run kill");
        }
        self.server.wait().expect("end the server");
        tell(&mut self.watchdog, None);
        assert!(TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        // Waiting closes the watchdog's input, at which it removes the directory.
        self.watchdog.wait().expect("wait for the watchdog");
    }
}

const WATCHDOG: &str = r#"
    while read -r line; do server=$line; done
    if test -n "$server"; then
        kill -QUIT "$server"
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$server" && sleep 0.2; done
    fi
    rm -rf "$1"
"#;

/// `PIPE_LIVE_POSTGRES`, or what `live/postgres/install.sh` has installed.
fn binaries() -> Option<PathBuf> {
    if let Some(path) = env::var_os("PIPE_LIVE_POSTGRES") {
        return Some(path.into());
    }
    let cache = PathBuf::from(env::var_os("HOME")?).join(".cache/pipe-live");
    let path = cache.join(format!("postgres-{VERSION}/bin"));
    path.join("postgres").is_file().then_some(path)
}

/// Whom the server runs as when we are root, which it refuses to run as.
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    fn of_server() -> Option<Self> {
        let id = |arguments: &[&str]| {
            let output = Command::new("id").args(arguments).output().expect("run id");
            let text = String::from_utf8(output.stdout).expect("a number");
            text.trim().parse().expect("a number")
        };
        (id(&["-u"]) == 0).then(|| Self { uid: id(&["-u", "nobody"]), gid: id(&["-g", "nobody"]) })
    }
}

fn command(program: &Path, user: Option<User>, home: &Path, directory: &Directory) -> Command {
    let log = File::options().create(true).append(true).open(directory.path("log"));
    let log = log.expect("open the log");
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("LC_ALL", "C")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share the log"))
        .stderr(log)
        .process_group(0);
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The binaries where the server's user can run them: root's cache is closed to others.
fn reachable(binaries: PathBuf, user: Option<User>, directory: &Directory) -> PathBuf {
    let home = directory.path("home");
    let mut version = command(&binaries.join("postgres"), user, &home, directory);
    if version.arg("--version").status().is_ok_and(|status| status.success()) {
        return binaries;
    }
    let copy = directory.path("postgres");
    let from = binaries.parent().expect("the binaries are in a directory");
    let done = Command::new("cp").arg("-R").arg(from).arg(&copy).status().expect("run cp");
    assert!(done.success(), "copy {}: {done}", from.display());
    copy.join("bin")
}

fn log(directory: &Directory) -> String {
    let log = fs::read_to_string(directory.path("log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

//! A real Redis server on the loopback interface, without persistence.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pipe_core::SecretValue;
use pipe_identity_oidc::{RedisConfig, RedisSessions};

pub(crate) const PASSWORD: &str = "the-password-of-the-server";

const DEADLINE: Duration = Duration::from_secs(60);

/// Ends the server when its own input ends, so that none is left behind a test process that was killed.
const WATCHDOG: &str = r#"
    exec 2>/dev/null
    "$@" >/dev/null &
    server=$!
    echo "$server"
    read -r _
    kill -KILL "$server" 2>/dev/null
    wait "$server"
"#;

/// The server that the tests share which do it no harm.
pub(crate) fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[])).as_ref()
}

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    settings: Vec<String>,
    process: Process,
}

#[derive(Debug)]
struct Process {
    watchdog: Child,
    server: u32,
}

impl Server {
    /// `None` where no server is named.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let binary = binary()?;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = Process::start(&binary, port, &settings);
        Some(Self { port, settings, process })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(format!("redis://127.0.0.1:{}", self.port))
            .with_password(SecretValue::from(PASSWORD))
            .with_timeout(Duration::from_secs(20))
    }

    pub(crate) fn store(&self) -> RedisSessions {
        RedisSessions::new(self.config()).unwrap()
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.server.to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Ends the server as a crash would: all it knew is lost.
    pub(crate) fn kill(&mut self) {
        self.process.end();
    }

    /// Starts it again on the same port.
    pub(crate) fn start_again(&mut self) {
        self.process = Process::start(&binary().unwrap(), self.port, &self.settings);
    }

    /// What the server says to a command, by its own protocol.
    pub(crate) fn ask(&self, command: &str) -> String {
        let auth = format!("AUTH {PASSWORD}\r\n{command}\r\nQUIT\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(auth.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.trim_start_matches("+OK\r\n").trim_end_matches("+OK\r\n").to_owned()
    }
}

impl Process {
    fn start(binary: &PathBuf, port: u16, settings: &[String]) -> Self {
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(binary)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", "/tmp", "--daemonize", "no", "--requirepass", PASSWORD])
            .args(match settings.iter().any(|setting| setting == "--tls-port") {
                true => ["--port", "0"].map(str::to_owned),
                false => ["--port".to_owned(), port.to_string()],
            })
            .args(settings.iter().map(|setting| setting.replace("PORT", &port.to_string())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C at the terminal is for the test process alone.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(watchdog.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let process = Self { watchdog, server: line.trim().parse().unwrap() };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < DEADLINE, "the server does not start");
            sleep(Duration::from_millis(20));
        }
        process
    }

    fn end(&mut self) {
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().expect("the watchdog ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn binary() -> Option<PathBuf> {
    let binary = env::var_os("PIPE_LIVE_REDIS");
    if binary.is_none() {
        let reason = "no Redis server: set PIPE_LIVE_REDIS to what live/redis/install.sh prints";
        let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "{reason}");
        // Not `eprintln!`, which the test harness would capture.
        writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
    }
    binary.map(PathBuf::from)
}

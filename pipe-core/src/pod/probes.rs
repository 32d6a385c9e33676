//! How the kubelet finds out how a container is (REQ 001-103, 001-104).

use serde::Serialize;

use super::{PodFragment, invalid};
use crate::{Error, ErrorKind, Result};

/// The probes of a container.
///
/// ```
/// use pipe_core::pod::{Probe, Probes};
///
/// let probes = Probes::new()
///     .with_liveness(Probe::http("/livez", 8080))
///     .with_readiness(Probe::http("/readyz", 8080).every(5).giving_up_after(2));
/// assert!(probes.fragment().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Probes {
    /// When it fails, the container is started anew. It should not ask about other services:
    /// their outage would restart this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// When it fails, the pod gets no requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// The others begin once it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
}

impl Probes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When it fails, the container is started anew.
    #[must_use]
    pub fn with_liveness(self, probe: Probe) -> Self {
        Self { liveness_probe: Some(probe), ..self }
    }

    /// When it fails, the pod gets no requests.
    #[must_use]
    pub fn with_readiness(self, probe: Probe) -> Self {
        Self { readiness_probe: Some(probe), ..self }
    }

    /// The others begin once it succeeded.
    #[must_use]
    pub fn with_startup(self, probe: Probe) -> Self {
        Self { startup_probe: Some(probe), ..self }
    }

    /// The container with these probes.
    ///
    /// # Errors
    /// `InvalidArgument` for a path, port, command or time that Kubernetes would refuse.
    pub fn fragment(&self) -> Result<PodFragment> {
        let probes = [&self.liveness_probe, &self.readiness_probe, &self.startup_probe];
        probes.into_iter().flatten().try_for_each(Probe::check)?;
        Ok(PodFragment { probes: self.clone(), ..PodFragment::default() })
    }
}

/// One question to a container. By default it is asked every 10 seconds, waits a second for the
/// answer, and three answers in a row have to be bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Probe {
    #[serde(flatten)]
    handler: Handler,
    period_seconds: u32,
    timeout_seconds: u32,
    failure_threshold: u32,
}

impl Probe {
    /// The members of which each says how to ask.
    pub(super) const WAYS: [&str; 4] = ["httpGet", "tcpSocket", "grpc", "exec"];

    /// `GET` of this path has to be answered with a status from 200 to 399.
    #[must_use]
    pub fn http(path: impl Into<String>, port: impl Into<Port>) -> Self {
        Self::new(Handler::HttpGet { path: path.into(), port: port.into(), scheme: None })
    }

    /// As [`http`](Self::http), over TLS; the kubelet does not check the certificate.
    #[must_use]
    pub fn https(path: impl Into<String>, port: impl Into<Port>) -> Self {
        let (path, port) = (path.into(), port.into());
        Self::new(Handler::HttpGet { path, port, scheme: Some("HTTPS") })
    }

    /// The port has to accept connections.
    #[must_use]
    pub fn tcp(port: impl Into<Port>) -> Self {
        Self::new(Handler::TcpSocket { port: port.into() })
    }

    /// gRPC's health check has to answer `SERVING`.
    #[must_use]
    pub fn grpc(port: u16) -> Self {
        Self::new(Handler::Grpc { port })
    }

    /// The command, which no shell reads, has to end with 0.
    #[must_use]
    pub fn command<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self::new(Handler::Exec { command: command.into_iter().map(Into::into).collect() })
    }

    fn new(handler: Handler) -> Self {
        Self { handler, period_seconds: 10, timeout_seconds: 1, failure_threshold: 3 }
    }

    /// How often it is asked, in seconds.
    #[must_use]
    pub fn every(self, seconds: u32) -> Self {
        Self { period_seconds: seconds, ..self }
    }

    /// How long the answer may take, in seconds.
    #[must_use]
    pub fn within(self, seconds: u32) -> Self {
        Self { timeout_seconds: seconds, ..self }
    }

    /// How many bad answers in a row count as a failure.
    #[must_use]
    pub fn giving_up_after(self, failures: u32) -> Self {
        Self { failure_threshold: failures, ..self }
    }

    fn check(&self) -> Result<()> {
        for (setting, number) in [
            ("periodSeconds", self.period_seconds),
            ("timeoutSeconds", self.timeout_seconds),
            ("failureThreshold", self.failure_threshold),
        ] {
            if number == 0 || i32::try_from(number).is_err() {
                return Err(Error::new(ErrorKind::InvalidArgument, "not a number for a probe")
                    .with("setting", setting)
                    .hint("use a number from 1 to 2147483647"));
            }
        }
        match &self.handler {
            Handler::HttpGet { path, port, .. } => {
                if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(invalid("not a path of a probe", "path", path)
                        .hint("use a path that begins with / and has no blanks"));
                }
                port.check()
            }
            Handler::TcpSocket { port } => port.check(),
            Handler::Grpc { port } => Port::Number(*port).check(),
            Handler::Exec { command } if command.first().is_none_or(String::is_empty) => {
                Err(Error::new(ErrorKind::InvalidArgument, "the probe has no command")
                    .hint("name a program"))
            }
            Handler::Exec { .. } => Ok(()),
        }
    }
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Port {
    /// By its number.
    Number(u16),
    /// By its name in the container's `ports`.
    Name(String),
}

impl Port {
    /// IANA's rule of service names.
    fn check(&self) -> Result<()> {
        let is_sound = match self {
            Self::Number(number) => *number != 0,
            Self::Name(name) => {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
                (1..=15).contains(&name.len())
                    && name.bytes().all(plain)
                    && name.bytes().any(|b| b.is_ascii_lowercase())
                    && !hyphens
            }
        };
        if is_sound {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "not a port")
            .with("port", format_args!("{self:?}"))
            .hint("use a number above 0, or up to 15 of a-z 0-9 -"))
    }
}

impl From<u16> for Port {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Port {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Handler {
    HttpGet {
        path: String,
        port: Port,
        #[serde(skip_serializing_if = "Option::is_none")]
        scheme: Option<&'static str>,
    },
    TcpSocket {
        port: Port,
    },
    Grpc {
        port: u16,
    },
    Exec {
        command: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_probe_is_written_as_kubernetes_reads_it() {
        let probes = Probes::new()
            .with_liveness(Probe::http("/livez", "health"))
            .with_startup(Probe::grpc(9090).every(2).within(3).giving_up_after(30));
        let expected = json!({
            "livenessProbe": {"httpGet": {"path": "/livez", "port": "health"},
                "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3},
            "startupProbe": {"grpc": {"port": 9090},
                "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 30},
        });
        assert_eq!(serde_json::to_value(probes.fragment().unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused_here() {
        for probe in [
            Probe::http("livez", 80),
            Probe::http("/a b", 80),
            Probe::http("/", 0),
            Probe::tcp("much-too-long-name"),
            Probe::tcp("a--b"),
            Probe::tcp("80"),
            Probe::grpc(0),
            Probe::command([""]),
            Probe::command(Vec::<String>::new()),
            Probe::tcp(1).every(0),
            Probe::tcp(1).within(0),
            Probe::tcp(1).giving_up_after(u32::MAX),
        ] {
            let error = Probes::new().with_readiness(probe.clone()).fragment().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{probe:?}");
        }
    }
}

//! Reading a path as it is.

use std::time::Duration;

use pipe_core::secrets::{Secret, SecretVersion};
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::session::Token;
use serde::Deserialize;
use serde_json::value::RawValue;
use vaultrs::api::EndpointResult;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::{Answer, Call};
use crate::value::Incoming;

/// What [`OpenBao::read_secret`](crate::OpenBao::read_secret) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadSecret {
    /// The data and, from KV v2, its version.
    pub secret: Secret,
    /// How long the secret holds, when the server made it for us.
    pub lease: Option<Lease>,
}

/// The server's promise of how long a secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// What the server calls it, for `sys/leases/renew` and `sys/leases/revoke`.
    pub id: String,
    /// How long it holds from now.
    pub duration: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// The form of a KV v2 answer, and of nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned {
    data: Option<Incoming>,
    metadata: VersionMetadata,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "the fields are what tells a KV v2 answer from others")]
struct VersionMetadata {
    created_time: String,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

/// Refuses what is no path, or would lead out of its folder.
pub(crate) fn legal_path(path: &str) -> Result<()> {
    if path.is_empty()
        || path.split('/').any(|part| matches!(part, "" | "." | ".."))
        || path.contains(char::is_control)
    {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a path of the server")
            .with("path", path)
            .hint("use the mount and the path below it, without empty, `.` or `..` parts"));
    }
    Ok(())
}

/// A path as operators write it, without what stands around it in URLs.
pub(crate) fn bare_path(path: &str) -> Result<&str> {
    let path = path.strip_prefix("v1/").unwrap_or(path).trim_matches('/');
    legal_path(path)?;
    Ok(path)
}

pub(crate) async fn read(client: &Client, path: &str) -> Result<Option<ReadSecret>> {
    let path = bare_path(path)?;
    let call = Call::get(path);
    let (answer, token) = client.send_with_token(None, Policy::Reconsider, || call.clone()).await?;
    if answer.0.error_kind().is_some() {
        return match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => Ok(None),
            fault => Err(fault.error(&answer.0).with("path", path)),
        };
    }
    told(&answer, token.as_deref(), path).map(Some)
}

/// What an answer holds. A token that it was given a lease for is marked.
pub(crate) fn told(answer: &Answer, token: Option<&Token>, path: &str) -> Result<ReadSecret> {
    let parsed = answer.parse::<&RawValue>()?;
    let lease = Lease::of(&parsed);
    if let Some(token) = token.filter(|_| lease.is_some()) {
        token.has_lease();
    }
    let data = parsed.data.map_or("null", RawValue::get);
    let secret = match serde_json::from_str::<Versioned>(data) {
        Ok(versioned) => Secret::new(versioned.data.map(|data| data.0).unwrap_or_default())
            .with_version(SecretVersion::new(versioned.metadata.version)),
        Err(_) => {
            let plain = serde_json::from_str::<Option<Incoming>>(data);
            let plain = plain.map_err(|_| {
                Error::new(ErrorKind::Unexpected, "the answer's data is not a map")
                    .with("path", path)
                    .hint("read a path that holds keys and values")
            })?;
            Secret::new(plain.map(|data| data.0).unwrap_or_default())
        }
    };
    Ok(ReadSecret { secret, lease })
}

impl Lease {
    /// The lease of an answer, where it has one.
    pub(crate) fn of<T>(answer: &EndpointResult<T>) -> Option<Self> {
        (!answer.lease_id.is_empty()).then(|| Self {
            id: answer.lease_id.clone(),
            duration: Duration::from_secs(answer.lease_duration.into()),
            renewable: answer.renewable,
        })
    }
}

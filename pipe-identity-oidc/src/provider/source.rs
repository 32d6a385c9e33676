//! Where key sets are loaded from.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use http::header::{ETAG, HeaderValue};
use pipe_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::discovery::Discovery;
use super::fetch::{Fetch, lifetime, object};
use super::ring::Version;

/// No server needs more to tell two documents apart.
const LONGEST_ETAG: usize = 512;

/// What looking for keys found.
pub(super) enum Loaded {
    /// The version that we have is the current one.
    Unchanged { version: Option<Version>, lifetime: Option<Duration> },
    /// A document.
    Document { body: Zeroizing<Vec<u8>>, version: Option<Version>, lifetime: Option<Duration> },
}

/// Looks for keys once.
#[async_trait]
pub(super) trait Load: Send + Sync + 'static {
    async fn load(&self, have: Option<Version>) -> Result<Loaded>;
}

/// A key set on a server.
pub(super) struct Remote {
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) at: At,
}

pub(super) enum At {
    Url(String),
    Discovered(Arc<Discovery>),
}

impl Remote {
    async fn url(&self) -> Result<String> {
        let discovery = match &self.at {
            At::Url(url) => return Ok(url.clone()),
            At::Discovered(discovery) => discovery,
        };
        discovery.metadata().await?.jwks_uri.clone().ok_or_else(|| {
            discovery.doubt();
            Error::new(ErrorKind::Unexpected, "the discovery document has no `jwks_uri`")
                .hint("set `keys.jwks_uri`, or check that `issuer` is an OpenID provider")
        })
    }
}

#[async_trait]
impl Load for Remote {
    async fn load(&self, have: Option<Version>) -> Result<Loaded> {
        let url = self.url().await?;
        let known = match &have {
            Some(Version::Etag { url: of, etag }) if *of == url => Some(etag),
            _ => None,
        };
        let response = self.fetch.get(&url, known).await?;
        let lifetime = lifetime(&response.headers);
        if response.status == 304 && known.is_some() {
            return Ok(Loaded::Unchanged { version: have, lifetime });
        }
        if let At::Discovered(discovery) = &self.at
            && matches!(response.status, 404 | 410)
        {
            discovery.doubt();
        }
        let version = etag(&response.headers).map(|etag| Version::Etag { url, etag });
        let body = object(response, "the key set")?;
        Ok(Loaded::Document { body, version, lifetime })
    }
}

fn etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|etag| !etag.is_empty() && etag.len() <= LONGEST_ETAG).cloned()
}

/// A key set in a file. Every failure is one of the configuration.
pub(super) struct KeyFile {
    path: PathBuf,
    max_document: usize,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf, max_document: usize) -> Self {
        Self { path, max_document }
    }

    pub(super) fn read(&self, have: Option<&Version>) -> Result<Loaded> {
        read(&self.path, self.max_document, have)
    }
}

#[async_trait]
impl Load for KeyFile {
    async fn load(&self, have: Option<Version>) -> Result<Loaded> {
        let (path, limit) = (self.path.clone(), self.max_document);
        tokio::task::spawn_blocking(move || read(&path, limit, have.as_ref())).await.unwrap_or_else(
            |_| Err(Error::new(ErrorKind::Unavailable, "the read ended with its runtime")),
        )
    }
}

fn read(path: &Path, limit: usize, have: Option<&Version>) -> Result<Loaded> {
    let fault = |why: String| {
        Error::new(ErrorKind::ConfigInvalid, "the file of the key set is not usable")
            .with("keys.file", format!("{}: {why}", path.display()))
            .hint("set `keys.file` to a readable file with a JSON Web Key Set")
    };
    let failed = |error: std::io::Error| fault(error.kind().to_string());
    // Before it is opened: opening a pipe would wait for somebody to write to it.
    let meta = path.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(fault("is not a file".to_owned()));
    }
    let version = meta.modified().ok().map(|written| Version::File(written, meta.len()));
    if version.is_some() && version.as_ref() == have {
        return Ok(Loaded::Unchanged { version, lifetime: None });
    }
    let mut body = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut body))
        .map_err(failed)?;
    if body.len() > limit {
        return Err(fault(format!("is longer than {limit} bytes")));
    }
    Ok(Loaded::Document { body, version, lifetime: None })
}

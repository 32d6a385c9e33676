//! A copy of all that a cluster stores (REQ 001-75).

use std::io::{self, Write};
use std::time::Duration;

use flate2::write::GzDecoder;
use pipe_core::{Error, ErrorKind, Result};
use pipe_http::HttpStream;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use crate::client::Policy;
use crate::error::{Asked, Fault};
use crate::plugin::OpenBao;
use crate::transport::{Answer, Call, Verdict};

const PATH: &str = "sys/storage/raft/snapshot";
/// The leader writes what it has, without a pause in it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl OpenBao {
    /// Writes a snapshot of the cluster's raft storage, and tells its size in bytes. It is what
    /// `bao operator raft snapshot restore` takes: encrypted as the storage is, so that it is worth
    /// nothing without the unseal keys, which are needed to restore it.
    ///
    /// The policy needs `read` on `sys/storage/raft/snapshot`, in the root namespace.
    ///
    /// # Errors
    /// `Unsupported` when the storage is not raft; `Unavailable` when no active node can be
    /// reached, or the snapshot ended too early: then what was written is worth nothing, and has
    /// to be thrown away; `Unexpected` when `writer` fails.
    pub async fn snapshot(&self, writer: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64> {
        self.take(writer).await.map_err(|error| self.locate(error, "snapshot"))
    }

    async fn take(&self, writer: &mut (impl AsyncWrite + Unpin + Send)) -> Result<u64> {
        let mut answer = self.begin_snapshot().await?;
        // A connection may end as if all were there. Only the archive itself tells that it is whole.
        let mut whole = GzDecoder::new(io::sink());
        let mut size = 0;
        let cut = |_| {
            Error::new(ErrorKind::Unavailable, "the snapshot is not whole")
                .hint("throw away what was written, and take another")
        };
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Unexpected, "the snapshot cannot be written")
                .with("cause", error.kind())
                .hint("check the space and the permissions where the snapshot is written to")
        };
        while let Some(piece) = answer.next(LONGEST_PAUSE).await? {
            whole.write_all(&piece).map_err(cut)?;
            writer.write_all(&piece).await.map_err(failed)?;
            size += piece.len() as u64;
        }
        whole.try_finish().map_err(cut)?;
        writer.flush().await.map_err(failed)?;
        Ok(size)
    }

    /// The answer of the first node that gives one: standbys point to the active node.
    async fn begin_snapshot(&self) -> Result<HttpStream> {
        let client = self.client();
        // Makes sure that the token is good, and replaces it if it is not.
        drop(client.send(None, Policy::Accept, || LookupTokenSelfRequest {}).await?);
        let headers = client.headers().await?;
        let mut last = None;
        for node in client.transport().nodes() {
            let answer = client.transport().stream_from(node, &Call::get(PATH), &headers).await;
            let answer = match answer {
                Ok(answer) if answer.status() == 200 => return Ok(answer),
                Ok(answer) => answer.whole().await.map(Answer),
                Err(error) => Err(error),
            };
            let is_elsewhere = Verdict::on(&answer).is_some();
            let error = match answer {
                Ok(answer) => self.refused(&answer),
                Err(error) => error,
            };
            if !is_elsewhere {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| Fault::NoActiveNode.alone()))
    }

    fn refused(&self, answer: &Answer) -> Error {
        let fault = match Fault::of(&answer.0, Asked::Engine("raft")) {
            // Of other storages, and of other namespaces than the root.
            Fault::Absent | Fault::PathUnsupported | Fault::MountMissing | Fault::BadRequest => {
                Fault::NoRaft
            }
            fault => fault,
        };
        let error = fault.error(&answer.0).with("path", PATH);
        match fault {
            Fault::Denied => error.hint(format!(
                "grant `read` on \"{PATH}\" in a policy of {}",
                self.client().identity()
            )),
            _ => error,
        }
    }
}

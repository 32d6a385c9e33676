//! Requests of engines other than KV, below their mount.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use pipe_core::{Error, ErrorKind, Namespace, Result, SecretName};
use pipe_http::session::Token;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::client::Policy;
use crate::error::{Asked, Fault};
use crate::plugin::OpenBao;
use crate::transport::{Answer, Call};

/// An engine of one kind at a mount, with the plugin's login.
#[derive(Clone)]
pub(crate) struct Engine {
    bao: OpenBao,
    kind: &'static str,
    /// The server itself when absent: paths below `sys` and `auth`.
    mount: Option<SecretName>,
    namespace: Option<Namespace>,
    policy: Policy,
}

impl Engine {
    /// What every server has.
    pub(crate) fn system(bao: &OpenBao, kind: &'static str) -> Self {
        let policy = Policy::Reconsider;
        Self { bao: bao.clone(), kind, mount: None, namespace: None, policy }
    }

    /// An engine of this kind, which is what an operator calls it: `transit`, `pki`.
    pub(crate) fn new(bao: &OpenBao, kind: &'static str, mount: &str) -> Result<Self> {
        let mount = SecretName::new(mount.trim_matches('/')).map_err(|_| {
            Error::new(ErrorKind::InvalidArgument, "not the path of a mount")
                .hint("use segments of A-Z a-z 0-9 . _ - joined by single slashes")
                .at(bao.name_of_instance(), kind)
        })?;
        let policy = Policy::Reconsider;
        Ok(Self { bao: bao.clone(), kind, mount: Some(mount), namespace: None, policy })
    }

    /// The same engine in a namespace below the plugin's own.
    pub(crate) fn in_namespace(self, namespace: Namespace) -> Self {
        Self { namespace: Some(namespace), ..self }
    }

    /// The same engine; a denial is the answer, and leads to no login.
    pub(crate) fn accepting_denials(&self) -> Self {
        Self { policy: Policy::Accept, ..self.clone() }
    }

    pub(crate) fn bao(&self) -> &OpenBao {
        &self.bao
    }

    /// Reads; `None` when nothing is there.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Answer>> {
        Ok(self.read_with_token(path).await?.map(|(answer, _)| answer))
    }

    /// As [`read`](Self::read), and tells with which token: what the server makes may end with it.
    pub(crate) async fn read_with_token(
        &self,
        path: &str,
    ) -> Result<Option<(Answer, Option<Arc<Token>>)>> {
        let call = Call::get(self.path(path));
        let (answer, token) = self.send(call).await?;
        match answer.0.error_kind() {
            None => Ok(Some((answer, token))),
            Some(_) if self.fault(&answer) == Fault::Absent => Ok(None),
            Some(_) => Err(self.error(&answer, path, "read")),
        }
    }

    /// Whether nothing is there; what the policy hides may be there.
    pub(crate) async fn is_absent(&self, path: &str) -> Result<bool> {
        let call = Call::get(self.path(path));
        let namespace = self.namespace.as_ref();
        let answer = self.bao.client().send(namespace, Policy::Accept, || call.clone()).await?;
        match answer.0.error_kind() {
            None => Ok(false),
            Some(_) => match self.fault(&answer) {
                Fault::Absent => Ok(true),
                Fault::Denied => Ok(false),
                _ => Err(self.error(&answer, path, "read")),
            },
        }
    }

    /// Writes, and tells with which token: what the server makes may end with it.
    pub(crate) async fn write(
        &self,
        path: &str,
        content: &impl Serialize,
    ) -> Result<(Answer, Option<Arc<Token>>)> {
        let (answer, token) = self.try_write(path, content).await?;
        match answer.0.error_kind() {
            None => Ok((answer, token)),
            Some(_) => Err(self.error(&answer, path, "update")),
        }
    }

    /// As [`write`](Self::write); what the server refuses is an answer.
    pub(crate) async fn try_write(
        &self,
        path: &str,
        content: &impl Serialize,
    ) -> Result<(Answer, Option<Arc<Token>>)> {
        self.send(Call::post(self.path(path), body(content)?)).await
    }

    async fn send(&self, call: Call) -> Result<(Answer, Option<Arc<Token>>)> {
        let namespace = self.namespace.as_ref();
        self.bao.client().send_with_token(namespace, self.policy, || call.clone()).await
    }

    fn path(&self, below: &str) -> String {
        match &self.mount {
            Some(mount) => format!("{mount}/{below}"),
            None => below.to_owned(),
        }
    }

    pub(crate) fn fault(&self, answer: &Answer) -> Fault {
        Fault::of(&answer.0, Asked::Engine(self.kind))
    }

    /// What a refusal amounts to, with the path and the policy that would have allowed it.
    pub(crate) fn error(&self, answer: &Answer, below: &str, capability: &str) -> Error {
        let fault = self.fault(answer);
        let mut path = self.path(below);
        if let Some(namespace) = &self.namespace {
            path = format!("{namespace}/{path}");
        }
        let error = fault.error(&answer.0);
        let error = match fault {
            Fault::Denied => error.hint(format!(
                "grant `{capability}` on \"{}\" in a policy of {}",
                self.bao.client().policy_path(&path),
                self.bao.client().identity()
            )),
            Fault::MountMissing | Fault::PathUnsupported if self.mount.is_none() => {
                error.hint("begin the path with the mount of an engine, and check the namespace")
            }
            Fault::MountMissing | Fault::PathUnsupported | Fault::NotKv2 => error.hint(format!(
                "name the mount of a `{}` engine, and the namespace that it is in",
                self.kind
            )),
            Fault::BadRequest => error.hint(format!(
                "check what was asked for against the settings of the `{}` engine and its role",
                self.kind
            )),
            _ => error,
        };
        error.with("path", path)
    }

    /// The data of an answer.
    pub(crate) fn data<'a, T: Deserialize<'a>>(&self, answer: &'a Answer) -> Result<T> {
        answer.parse::<T>()?.data.ok_or_else(|| self.foreign())
    }

    /// The answer is none of such an engine.
    pub(crate) fn foreign(&self) -> Error {
        Error::new(ErrorKind::Unexpected, "the answer is not that of the engine")
            .with("engine", self.kind)
            .hint(format!("name the mount of a `{}` engine", self.kind))
    }

    /// Says where an error happened.
    pub(crate) fn locate(&self, error: Error, operation: &'static str) -> Error {
        error.at(self.bao.name_of_instance(), operation)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("kind", &self.kind)
            .field("mount", &self.mount)
            .field("namespace", &self.namespace)
            .field("bao", &self.bao)
            .finish()
    }
}

/// The name of a role or a key: one segment of a path.
pub(crate) fn segment(what: &'static str, name: &str) -> Result<String> {
    match SecretName::new(name) {
        Ok(name) if !name.as_str().contains('/') => Ok(name.into()),
        _ => Err(Error::new(ErrorKind::InvalidArgument, "the name cannot stand in a path")
            .with("what", what)
            .hint("use A-Z a-z 0-9 . _ -")),
    }
}

/// How many bytes it takes as JSON.
pub(crate) fn body_size(content: &impl Serialize) -> Result<usize> {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut size = Count(0);
    serde_json::to_writer(&mut size, content).map_err(unwritable)?;
    Ok(size.0)
}

/// A request's body, in a buffer that never grows: growing would leave copies behind.
pub(crate) fn body(content: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(body_size(content)?));
    serde_json::to_writer(&mut *body, content).map_err(unwritable)?;
    Ok(body)
}

/// What serde has to say is left out: it quotes values.
fn unwritable(_: serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, "the request cannot be written as JSON")
}

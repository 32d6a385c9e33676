//! Response wrapping: an answer that waits at the server behind a token which can be used once.

use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind, Result, SecretData, SecretValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vaultrs::api::AuthInfo;

use crate::engine::{Engine, body};
use crate::error::{Asked, refusal};
use crate::kv::time;
use crate::plugin::OpenBao;
use crate::raw::legal_path;
use crate::transport::{Answer, Call, Headers, token_header};
use crate::value::{Incoming, Outgoing};

/// The server keeps whole seconds, and would take less for none.
const SHORTEST: Duration = Duration::from_secs(1);

/// Hands secrets over through the server: whoever gets the token reads what it holds, once.
///
/// ```no_run
/// # use std::time::Duration;
/// # use pipe_core::{Result, SecretData};
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> Result<()> {
/// let wrapping = bao.wrapping();
/// let wrapped = wrapping
///     .wrap_write("auth/approle/role/bots/secret-id", &SecretData::new(), Duration::from_secs(60))
///     .await?;
/// // Elsewhere: that it was made where it should have been is checked before it is opened.
/// let held = wrapping.unwrap(&wrapped.token, "auth/approle/role/bots/secret-id").await?;
/// # drop(held);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Wrapping {
    engine: Engine,
}

/// What a wrapping token holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Unwrapped {
    /// Keys and values, as of any read.
    Data(SecretData),
    /// A token of the server, as of a login.
    Token {
        /// The token.
        token: SecretValue,
        /// How long it lives; `None` for ever.
        lifetime: Option<Duration>,
        /// Whether it can be renewed.
        renewable: bool,
    },
}

/// A token that can be unwrapped once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WrappedToken {
    /// The token itself. Whoever has it can read what it holds.
    pub token: SecretValue,
    /// Names the token without opening it: with it, an operator can revoke it.
    pub accessor: String,
    /// What it is and how long it holds.
    pub info: WrapInfo,
}

/// What is known of a wrapping token without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrapInfo {
    /// The path whose answer it holds.
    pub creation_path: String,
    /// When it was made, by the server's clock.
    pub created_at: Option<SystemTime>,
    /// How long it holds from then on.
    pub ttl: Duration,
}

impl OpenBao {
    /// Response wrapping, in the plugin's namespace.
    #[must_use]
    pub fn wrapping(&self) -> Wrapping {
        Wrapping { engine: Engine::system(self, "wrapping") }
    }
}

impl Wrapping {
    /// Wraps these values. The policy needs `update` on `sys/wrapping/wrap`, which `default` grants.
    ///
    /// # Errors
    /// `InvalidArgument` for a lifetime of less than a second; else as for any request.
    pub async fn wrap(&self, data: &SecretData, ttl: Duration) -> Result<WrappedToken> {
        self.wrap_write("sys/wrapping/wrap", data, ttl).await
    }

    /// Wraps what reading a path would tell. The values do not pass through this program.
    ///
    /// # Errors
    /// As for [`wrap`](Self::wrap), and `NotFound` when nothing is there.
    pub async fn wrap_read(&self, path: &str, ttl: Duration) -> Result<WrappedToken> {
        let wrapped = self.request(Call::get(path), path, "read", ttl).await;
        wrapped.map_err(|error| self.engine.locate(error, "wrap_read"))
    }

    /// Wraps what a write to a path answers, such as the secret id that an AppRole makes, or the
    /// token of a login.
    ///
    /// # Errors
    /// As for [`wrap`](Self::wrap).
    pub async fn wrap_write(
        &self,
        path: &str,
        data: &SecretData,
        ttl: Duration,
    ) -> Result<WrappedToken> {
        let wrapped = async {
            let call = Call::post(path, body(&Outgoing(data))?);
            self.request(call, path, "update", ttl).await
        };
        wrapped.await.map_err(|error| self.engine.locate(error, "wrap_write"))
    }

    async fn request(
        &self,
        call: Call,
        path: &str,
        capability: &str,
        ttl: Duration,
    ) -> Result<WrappedToken> {
        legal_path(path)?;
        if ttl < SHORTEST {
            return Err(Error::new(ErrorKind::InvalidArgument, "the lifetime is too short")
                .hint("give wrapping tokens a lifetime of a second or more"));
        }
        let client = self.engine.bao().client();
        // The refusal of a login reads like that of a token, of which it needs none.
        let is_login = path.starts_with("auth/") && path.split('/').any(|part| part == "login");
        let answer = match is_login {
            true => {
                let headers = Headers::in_namespace(client.namespace()).wrapped(ttl);
                client.transport().send(call, &headers).await?
            }
            false => client.send_wrapped(ttl, || call.clone()).await?,
        };
        if answer.0.error_kind().is_some() {
            return Err(match is_login {
                true => refusal(&answer.0, Asked::Login("wrapped")).with("path", path),
                false => self.engine.error(&answer, path, capability),
            });
        }
        if answer.0.body.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "there was no answer to wrap")
                .with("path", path)
                .with("done", "yes")
                .hint("wrap what is answered: a read, a secret id, a login"));
        }
        self.wrapped(&answer)
    }

    fn wrapped(&self, answer: &Answer) -> Result<WrappedToken> {
        #[derive(Deserialize)]
        struct Wrapped {
            wrap_info: Option<Info>,
        }
        #[derive(Deserialize)]
        struct Info {
            token: SecretValue,
            accessor: String,
            ttl: u64,
            creation_time: String,
            creation_path: String,
        }
        let wrapped: Wrapped = answer.parse_as()?;
        let info = wrapped.wrap_info.ok_or_else(|| self.engine.foreign())?;
        Ok(WrappedToken {
            token: info.token,
            accessor: info.accessor,
            info: WrapInfo {
                creation_path: info.creation_path,
                created_at: time(&info.creation_time),
                ttl: Duration::from_secs(info.ttl),
            },
        })
    }

    /// What is known of a token; it stays closed. It needs no login.
    ///
    /// # Errors
    /// `NotFound` when it has been opened, or has ended.
    pub async fn lookup(&self, token: &SecretValue) -> Result<WrapInfo> {
        self.look(token).await.map_err(|error| self.engine.locate(error, "lookup"))
    }

    async fn look(&self, token: &SecretValue) -> Result<WrapInfo> {
        #[derive(Serialize)]
        struct Lookup<'a> {
            token: &'a str,
        }
        #[derive(Deserialize)]
        struct Info {
            creation_path: String,
            creation_time: String,
            creation_ttl: u64,
        }
        let request = Lookup { token: text(token)? };
        let answer = self.send_as(token, "sys/wrapping/lookup", &request).await?;
        let info: Info = self.engine.data(&answer)?;
        Ok(WrapInfo {
            creation_path: info.creation_path,
            created_at: time(&info.creation_time),
            ttl: Duration::from_secs(info.creation_ttl),
        })
    }

    /// Opens a token that was made at this path, which is checked first: a token that somebody put
    /// in the place of ours was made elsewhere. It needs no login.
    ///
    /// The path is one in the token's namespace. A token of the root namespace is not taken for one of
    /// the plugin's namespace, nor the other way round; which of several other namespaces it is of
    /// is not told, so whoever may wrap in one of them can make a token that passes.
    ///
    /// It can be done once. When the answer is lost on the way, what the token held is lost too.
    ///
    /// # Errors
    /// `NotFound` when it was opened before, which may be an interception, or has ended;
    /// `PermissionDenied` when it was made elsewhere, and then it stays closed.
    pub async fn unwrap(&self, token: &SecretValue, creation_path: &str) -> Result<Unwrapped> {
        let opened = self.open(token, creation_path).await;
        opened.map_err(|error| self.engine.locate(error, "unwrap"))
    }

    async fn open(&self, token: &SecretValue, creation_path: &str) -> Result<Unwrapped> {
        #[derive(Serialize)]
        struct Nothing {}
        // The token of a namespace ends in the namespace's id, that of the root namespace in nothing.
        let is_elsewhere = token.expose_str().is_some_and(|token| {
            let is_of_root = token.matches('.').count() < 2;
            is_of_root != self.engine.bao().client().namespace().is_none()
        });
        let info = self.look(token).await?;
        if info.creation_path != creation_path || is_elsewhere {
            let error = Error::new(ErrorKind::PermissionDenied, "the token was made elsewhere");
            return Err(error
                .with("expected", creation_path)
                .with("found", info.creation_path)
                .hint("do not open it: somebody may have put it in the place of yours"));
        }
        let answer = self.send_as(token, "sys/wrapping/unwrap", &Nothing {}).await?;
        self.opened(&answer)
    }

    fn opened(&self, answer: &Answer) -> Result<Unwrapped> {
        let held = answer.parse::<&RawValue>()?;
        if let Some(auth) = held.auth {
            let auth: AuthInfo = auth;
            let lifetime = (auth.lease_duration > 0).then_some(auth.lease_duration);
            return Ok(Unwrapped::Token {
                token: auth.client_token.into(),
                lifetime: lifetime.map(Duration::from_secs),
                renewable: auth.renewable,
            });
        }
        let data = held.data.map_or("null", RawValue::get);
        let data = serde_json::from_str::<Option<Incoming>>(data);
        let data = data.map_err(|_| self.engine.foreign())?;
        Ok(Unwrapped::Data(data.map(|data| data.0).unwrap_or_default()))
    }

    /// Closes it anew: the same content behind another token of the same lifetime. The policy needs
    /// `update` on `sys/wrapping/rewrap`, which `default` does not grant.
    ///
    /// # Errors
    /// As for [`lookup`](Self::lookup).
    pub async fn rewrap(&self, token: &SecretValue) -> Result<WrappedToken> {
        #[derive(Serialize)]
        struct Rewrap<'a> {
            token: &'a str,
        }
        let rewrapped = async {
            let request = Rewrap { token: text(token)? };
            let (answer, _) = self.engine.write("sys/wrapping/rewrap", &request).await?;
            self.wrapped(&answer)
        };
        rewrapped.await.map_err(|error| self.engine.locate(error, "rewrap"))
    }

    /// A request that the wrapping token itself allows.
    async fn send_as(
        &self,
        token: &SecretValue,
        path: &str,
        content: &impl Serialize,
    ) -> Result<Answer> {
        let client = self.engine.bao().client();
        let headers = Headers::in_namespace(client.namespace());
        let headers = headers.with_token(token_header(token.expose())?);
        let answer = client.transport().send(Call::post(path, body(content)?), &headers).await?;
        match answer.0.error_kind() {
            None => Ok(answer),
            Some(_) => Err(self.engine.error(&answer, path, "update")),
        }
    }
}

fn text(token: &SecretValue) -> Result<&str> {
    token.expose_str().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the token is not text")
            .hint("give the token as it was told")
    })
}

//! Requests with a token, which is replaced once when the server refuses it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipe_core::{Error, ErrorKind, Namespace, Result};
use rustify::endpoint::Endpoint;

use crate::auth::Auth;
use crate::error::{Asked, Fault};
use crate::inline::Inline;
use crate::login::ServerLogin;
use crate::transport::{Answer, Headers, Transport};
use pipe_http::session::{Session, Token};

/// What to do about a denial by policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Log in anew, now and then: the role may have been given new policies.
    Reconsider,
    /// Take it as the answer.
    Accept,
}

/// The server, for somebody who is logged in.
pub(crate) struct Client {
    transport: Transport,
    pub(crate) session: Session<ServerLogin>,
    /// Instead of the session.
    inline: Option<Inline>,
    is_closed: AtomicBool,
    /// The namespace of the login.
    home: Option<Namespace>,
    /// Where we work, as the namespace of the login sees it.
    below_login: Option<String>,
    namespace: Option<Namespace>,
    identity: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("transport", &self.transport)
            .field("session", &self.session)
            .field("is_inline", &self.is_inline())
            .field("namespace", &self.namespace)
            .field("identity", &self.identity)
            .finish()
    }
}

impl Client {
    pub(crate) fn new(
        transport: Transport,
        namespace: Option<Namespace>,
        home: Option<&Namespace>,
        login: ServerLogin,
        inline: Option<ServerLogin>,
        auth: &Auth,
        timeout: Duration,
    ) -> Self {
        let identity = match auth {
            Auth::Token(_) => "the token".to_owned(),
            Auth::Kubernetes(auth) => format!("role `{}` of auth/{}", auth.role, auth.mount),
            Auth::AppRole(auth) => format!("the role behind auth/{}", auth.mount),
            Auth::Jwt(auth) => match &auth.role {
                Some(role) => format!("role `{role}` of auth/{}", auth.mount),
                None => format!("the default role of auth/{}", auth.mount),
            },
            Auth::Cert(auth) => match &auth.role {
                Some(role) => format!("role `{role}` of auth/{}", auth.mount),
                None => format!("the role of our certificate at auth/{}", auth.mount),
            },
            Auth::Userpass(auth) => format!("user `{}` of auth/{}", auth.username, auth.mount),
        };
        let (session, inline) =
            (Session::new(login, timeout), inline.map(|login| Inline::new(login, timeout)));
        let below = namespace.as_ref().map(Namespace::as_str).unwrap_or_default();
        let below = below.strip_prefix(home.map(Namespace::as_str).unwrap_or_default());
        let below = below.map(|rest| rest.trim_start_matches('/')).filter(|rest| !rest.is_empty());
        let (below_login, is_closed) = (below.map(str::to_owned), AtomicBool::new(false));
        let home = home.cloned();
        Self { transport, session, inline, is_closed, home, below_login, namespace, identity }
    }

    /// A path of our namespace, as a policy of the login's namespace has it.
    pub(crate) fn policy_path(&self, path: &str) -> String {
        match &self.below_login {
            Some(namespace) => format!("{namespace}/{path}"),
            None => path.to_owned(),
        }
    }

    /// No request is sent from now on.
    pub(crate) async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Relaxed);
        self.session.close().await
    }

    fn check_open(&self) -> Result<()> {
        match self.is_closed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::Unavailable, "the plugin is closed")
                .hint("use the plugin only while it is open")),
        }
    }

    /// Whether requests log themselves in, and there is no token.
    pub(crate) fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The node that is asked first, in words for an operator.
    pub(crate) fn address(&self) -> String {
        let first = self.transport.nodes().next();
        first.map(|node| node.address().to_string()).unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// Whose policies decide, in words for an operator.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Sends a request in a namespace below our own. Whatever the server decided is an answer; a
    /// token that it refused is replaced first, once.
    pub(crate) async fn send<E: Endpoint>(
        &self,
        namespace: Option<&Namespace>,
        policy: Policy,
        request: impl Fn() -> E,
    ) -> Result<Answer> {
        self.send_with_token(namespace, policy, request).await.map(|(answer, _)| answer)
    }

    /// As `send`, and tells with which token; there is none when requests log themselves in.
    pub(crate) async fn send_with_token<E: Endpoint>(
        &self,
        namespace: Option<&Namespace>,
        policy: Policy,
        request: impl Fn() -> E,
    ) -> Result<(Answer, Option<Arc<Token>>)> {
        let headers = Headers::in_namespace(self.joined(namespace)?.as_ref());
        self.exchange(&headers, policy, request).await
    }

    /// As `send`, in the namespace of the login, whose policies they are.
    pub(crate) async fn send_at_home<E: Endpoint>(
        &self,
        request: impl Fn() -> E,
    ) -> Result<Answer> {
        let headers = Headers::in_namespace(self.home.as_ref());
        self.exchange(&headers, Policy::Accept, request).await.map(|(answer, _)| answer)
    }

    /// As `send`, in our own namespace; the answer is to wait at the server.
    pub(crate) async fn send_wrapped<E: Endpoint>(
        &self,
        ttl: Duration,
        request: impl Fn() -> E,
    ) -> Result<Answer> {
        let headers = Headers::in_namespace(self.namespace.as_ref()).wrapped(ttl);
        let (answer, token) = self.exchange(&headers, Policy::Reconsider, request).await?;
        // What was made ends with the token, as a lease does.
        if let Some(token) = token.filter(|_| answer.0.error_kind().is_none()) {
            token.has_lease();
        }
        Ok(answer)
    }

    async fn exchange<E: Endpoint>(
        &self,
        headers: &Headers,
        policy: Policy,
        request: impl Fn() -> E,
    ) -> Result<(Answer, Option<Arc<Token>>)> {
        if let Some(inline) = &self.inline {
            self.check_open()?;
            let answer = inline.send(&self.transport, headers.clone(), request).await?;
            return Ok((answer, None));
        }
        let (answer, token) = self.exchange_by_token(headers, policy, request).await?;
        Ok((answer, Some(token)))
    }

    async fn exchange_by_token<E: Endpoint>(
        &self,
        headers: &Headers,
        policy: Policy,
        request: impl Fn() -> E,
    ) -> Result<(Answer, Arc<Token>)> {
        let send = async |token: &Token| {
            self.transport.send(request(), &headers.clone().with_token(token.header())).await
        };
        let token = self.session.token().await?;
        let answer = send(&token).await?;
        if answer.0.status != 403 {
            return Ok((answer, token));
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::BadToken => {
                let token = self.session.replace(&token).await?;
                let answer = send(&token).await?;
                if answer.0.status == 403 && Fault::of(&answer.0, Asked::Work) == Fault::BadToken {
                    self.session.distrust(&token);
                }
                Ok((answer, token))
            }
            Fault::Denied if policy == Policy::Reconsider => {
                match self.session.reconsider(&token).await {
                    Some(token) => Ok((send(&token).await?, token)),
                    None => Ok((answer, token)),
                }
            }
            _ => Ok((answer, token)),
        }
    }

    /// The headers of a request that is sent without [`send`](Self::send): nothing is replaced that
    /// the server refuses.
    pub(crate) async fn headers(&self) -> Result<Headers> {
        let headers = Headers::in_namespace(self.namespace.as_ref());
        match &self.inline {
            Some(inline) => {
                self.check_open()?;
                inline.headers(headers).await
            }
            None => Ok(headers.with_token(self.session.token().await?.header())),
        }
    }

    pub(crate) fn joined(&self, namespace: Option<&Namespace>) -> Result<Option<Namespace>> {
        match (&self.namespace, namespace) {
            (Some(ours), Some(below)) => Namespace::new(format!("{ours}/{below}")).map(Some),
            (ours, below) => Ok(below.or(ours.as_ref()).cloned()),
        }
    }
}

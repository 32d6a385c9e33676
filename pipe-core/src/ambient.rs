//! What goes with a call without being an argument of it: who asked, why, and in which trace.
//!
//! It belongs to the task. A spawned task starts without it, unless its future is wrapped in
//! [`in_current_context`].

use std::sync::Arc;

use crate::{SecurityContext, TraceContext};

#[derive(Clone, Debug, Default)]
pub(crate) struct Ambient {
    pub(crate) caller: Option<Arc<SecurityContext>>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) trace: Option<TraceContext>,
}

tokio::task_local! {
    static AMBIENT: Ambient;
}

impl Ambient {
    pub(crate) fn current() -> Self {
        AMBIENT.try_with(Self::clone).unwrap_or_default()
    }

    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        AMBIENT.scope(self, future).await
    }
}

impl SecurityContext {
    /// Runs a future on behalf of this caller (REQ 004-75.4): [`current`](Self::current) tells
    /// everything it calls who asked.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// use pipe_core::SecurityContext;
    /// # use pipe_core::identity::{Principal, PrincipalId};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let now = SystemTime::now();
    /// # let bot = Principal::service(PrincipalId::new("bot")?);
    /// # let context = SecurityContext::new(bot, "issuer", now, now + Duration::from_secs(60));
    /// assert!(SecurityContext::current().is_none());
    /// SecurityContext::scope(context, async {
    ///     let caller = SecurityContext::current().expect("we are in the scope");
    ///     assert_eq!(caller.principal.id.as_str(), "bot");
    /// })
    /// .await;
    /// # Ok::<(), pipe_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// The scope is the task's: wrap what is spawned in [`in_current_context`].
    pub async fn scope<F: Future>(context: impl Into<Arc<Self>>, future: F) -> F::Output {
        let caller = Some(context.into());
        Ambient { caller, ..Ambient::current() }.scope(future).await
    }

    /// On whose behalf the current task works. It may have expired meanwhile: whoever decides by
    /// it asks [`get_security_context`](crate::IdentityPlugin::get_security_context).
    #[must_use]
    pub fn current() -> Option<Arc<Self>> {
        AMBIENT.try_with(|ambient| ambient.caller.clone()).ok().flatten()
    }
}

impl TraceContext {
    /// Runs a future as a part of this trace.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        Ambient { trace: Some(self), ..Ambient::current() }.scope(future).await
    }

    /// The trace that the current task belongs to.
    #[must_use]
    pub fn current() -> Option<Self> {
        AMBIENT.try_with(|ambient| ambient.trace.clone()).ok().flatten()
    }
}

/// Runs a future for a stated reason, which the audit lines of its calls repeat: a ticket, the
/// name of a job. It is not secret.
pub async fn with_reason<F: Future>(reason: impl Into<Arc<str>>, future: F) -> F::Output {
    let reason = Some(reason.into());
    Ambient { reason, ..Ambient::current() }.scope(future).await
}

/// Gives a future the caller, the reason and the trace of the current task, so that it keeps them
/// where it is spawned: `tokio::spawn(in_current_context(work()))`.
pub fn in_current_context<F: Future>(future: F) -> impl Future<Output = F::Output> {
    Ambient::current().scope(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reason() -> Option<String> {
        Ambient::current().reason.as_deref().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_spawned_task_has_only_what_it_was_given() {
        with_reason("nightly export", async {
            assert_eq!(reason().await.as_deref(), Some("nightly export"));
            assert_eq!(tokio::spawn(reason()).await.unwrap(), None);
            let kept = tokio::spawn(in_current_context(reason())).await.unwrap();
            assert_eq!(kept.as_deref(), Some("nightly export"));
        })
        .await;
        assert_eq!(reason().await, None);
    }

    #[tokio::test]
    async fn an_inner_scope_changes_only_what_it_names() {
        let trace = TraceContext::new();
        trace
            .clone()
            .scope(with_reason("export", async {
                assert_eq!(TraceContext::current(), Some(trace.clone()));
                let inner = trace.child();
                let seen = inner.clone().scope(async { TraceContext::current() }).await;
                assert_eq!(seen, Some(inner));
                assert_eq!(TraceContext::current(), Some(trace.clone()));
                assert_eq!(reason().await.as_deref(), Some("export"));
            }))
            .await;
    }
}

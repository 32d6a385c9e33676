//! Runs one case against one fresh plugin.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No case may take longer: a plugin that hangs fails its case instead of the whole run. It includes
/// the start of a real server, which on a machine that others use takes minutes.
const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// A case that can still be stopped is stopped before its thread is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Makes a plugin, runs the case, and drops the guard after the plugin.
///
/// # Panics
/// When the case fails or hangs, and when the backend is absent although `PIPE_TESTKIT_REQUIRE`
/// demands it.
pub fn case<P, G, F, C>(
    name: &'static str,
    factory: impl FnOnce() -> F + Send + 'static,
    body: impl FnOnce(P) -> C + Send + 'static,
) where
    F: Future<Output = Option<(P, G)>>,
    C: Future<Output = ()>,
{
    if let Err(panic) = alone(name, move || whole(name, factory, body)) {
        resume_unwind(panic);
    }
}

/// As [`case`], on a runtime whose clock the factory may pause.
///
/// # Panics
/// As [`case`].
pub fn expiring<P, G, F, C>(
    name: &'static str,
    factory: impl FnOnce() -> F + Send + 'static,
    body: impl FnOnce(P) -> C + Send + 'static,
) where
    F: Future<Output = Option<(P, G)>>,
    C: Future<Output = ()>,
{
    if let Err(panic) = alone_in_time(name, move || whole(name, factory, body)) {
        resume_unwind(panic);
    }
}

async fn whole<P, G, F, C>(
    name: &'static str,
    factory: impl FnOnce() -> F,
    body: impl FnOnce(P) -> C,
) where
    F: Future<Output = Option<(P, G)>>,
    C: Future<Output = ()>,
{
    let Some((plugin, guard)) = factory().await else {
        absent(name);
        return;
    };
    body(plugin).await;
    drop(guard);
}

/// Runs a future on a thread and a runtime of its own: the panic with which it ended, if any.
///
/// # Errors
/// The payload of the panic; a message when the future does not end, whether it waits or blocks its
/// thread.
///
/// # Panics
/// When the system gives no thread.
pub fn alone<F: Future<Output = ()>>(
    name: &str,
    start: impl FnOnce() -> F + Send + 'static,
) -> thread::Result<()> {
    within(DEADLINE, name, start)
}

/// As [`case`], for a plugin that trusts an issuer, on a runtime whose time can be set forward.
///
/// # Panics
/// As [`case`].
#[cfg(feature = "issuer")]
pub fn trusting<P, G, F, C>(
    name: &'static str,
    factory: impl Fn(crate::Trust) -> F + Send + 'static,
    features: crate::Features,
    body: impl FnOnce(crate::Stage) -> C + Send + 'static,
) where
    P: pipe_core::IdentityPlugin + 'static,
    G: 'static,
    F: Future<Output = Option<(P, G)>> + 'static,
    C: Future<Output = ()>,
{
    staged(name, move || crate::Stage::set(factory, features), body);
}

/// As [`trusting`], for a plugin that logs people in.
///
/// # Panics
/// As [`case`].
#[cfg(feature = "issuer")]
pub fn login<P, G, F, C>(
    name: &'static str,
    factory: impl Fn(crate::LoginTrust) -> F + Send + 'static,
    features: crate::LoginFeatures,
    body: impl FnOnce(crate::LoginStage) -> C + Send + 'static,
) where
    P: pipe_core::identity::UserLogin + 'static,
    G: 'static,
    F: Future<Output = Option<(P, G)>> + 'static,
    C: Future<Output = ()>,
{
    staged(name, move || crate::LoginStage::set(factory, features), body);
}

/// Sets the stage, and runs the case on it.
#[cfg(feature = "issuer")]
fn staged<S, F, C>(
    name: &'static str,
    set: impl FnOnce() -> F + Send + 'static,
    body: impl FnOnce(S) -> C + Send + 'static,
) where
    F: Future<Output = Option<S>>,
    C: Future<Output = ()>,
{
    let ended = alone_in_time(name, move || async move {
        match set().await {
            Some(stage) => body(stage).await,
            None => absent(name),
        }
    });
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

/// As [`alone`], on a runtime whose time can be set forward.
///
/// # Errors
/// As [`alone`].
///
/// # Panics
/// As [`alone`].
pub fn alone_in_time<F: Future<Output = ()>>(
    name: &str,
    start: impl FnOnce() -> F + Send + 'static,
) -> thread::Result<()> {
    let (report, reported) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                // No timeout of tokio's: the case sets its time forward.
                tokio::select! {
                    () = start() => {}
                    _ = stopped => panic!("no end within {DEADLINE:?}"),
                }
            });
        }));
        runtime.shutdown_background();
        let _ = report.send(ended);
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread can be started");
    match reported.recv_timeout(DEADLINE) {
        Ok(ended) => ended,
        Err(_) => {
            drop(stop);
            reported.recv_timeout(GRACE).unwrap_or_else(|_| {
                let message =
                    format!("{name}: no end within {DEADLINE:?}, and its thread is blocked");
                say(&message);
                Err(Box::new(message))
            })
        }
    }
}

fn absent(name: &str) {
    let required = std::env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|v| v == "1");
    assert!(!required, "{name}: the backend is required, and absent");
    say(&format!("SKIPPED {name}: the backend is absent"));
}

fn within<F: Future<Output = ()>>(
    deadline: Duration,
    name: &str,
    start: impl FnOnce() -> F + Send + 'static,
) -> thread::Result<()> {
    let (report, reported) = mpsc::channel();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let ended = runtime.block_on(async { tokio::time::timeout(deadline, start()).await });
            assert!(ended.is_ok(), "no end within {deadline:?}");
        }));
        // A task that blocks its thread must not block this one too.
        runtime.shutdown_background();
        let _ = report.send(ended);
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread can be started");
    match reported.recv_timeout(deadline + GRACE) {
        Ok(ended) => ended,
        Err(_) => {
            let message = format!("{name}: no end within {deadline:?}, and its thread is blocked");
            say(&message);
            Err(Box::new(message))
        }
    }
}

/// Past the test runner, which keeps back what a passing test prints with the macros.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the message of the case")]
    fn a_case_that_fails_fails_with_its_message() {
        case("x", || async { Some(((), ())) }, |()| async { panic!("the message of the case") });
    }

    #[test]
    fn a_case_that_waits_for_ever_fails() {
        let ended = within(Duration::from_millis(10), "x", std::future::pending);
        assert!(ended.is_err());
    }

    #[test]
    fn a_case_that_blocks_its_thread_fails() {
        let ended = within(Duration::from_millis(10), "x", || async { thread::park() });
        assert!(ended.is_err());
    }

    #[test]
    fn a_blocked_task_does_not_keep_a_case_from_ending() {
        let ended = within(DEADLINE, "x", || async {
            tokio::spawn(async { thread::park() });
        });
        assert!(ended.is_ok());
    }

    #[test]
    fn the_guard_is_dropped_after_the_plugin() {
        struct Part(&'static str, mpsc::Sender<&'static str>);
        impl Drop for Part {
            fn drop(&mut self) {
                let _ = self.1.send(self.0);
            }
        }
        let (dropped, order) = mpsc::channel();
        let make =
            move || async move { Some((Part("plugin", dropped.clone()), Part("guard", dropped))) };
        case("x", make, |plugin| async { drop(plugin) });
        assert_eq!(order.iter().collect::<Vec<_>>(), ["plugin", "guard"]);
    }
}

//! Runs one case against one fresh plugin.

use std::time::Duration;

/// No case may take longer: a plugin that hangs fails its case instead of the whole run.
const DEADLINE: Duration = Duration::from_secs(120);

/// Makes a plugin, runs the case, and drops the guard after the plugin.
///
/// # Panics
/// When the case fails or hangs, and when the backend is absent although `PIPE_TESTKIT_REQUIRE`
/// demands it.
#[allow(clippy::print_stderr, reason = "a skipped test has to be seen")]
pub fn case<P, G, F, C>(name: &str, factory: impl FnOnce() -> F, body: impl FnOnce(P) -> C)
where
    F: Future<Output = Option<(P, G)>>,
    C: Future<Output = ()>,
{
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(async {
            let run = async {
                let Some((plugin, guard)) = factory().await else {
                    let required =
                        std::env::var_os("PIPE_TESTKIT_REQUIRE").is_some_and(|v| v == "1");
                    assert!(!required, "{name}: the backend is required, and absent");
                    eprintln!("SKIPPED {name}: the backend is absent");
                    return;
                };
                body(plugin).await;
                drop(guard);
            };
            let ended = tokio::time::timeout(DEADLINE, run).await;
            assert!(ended.is_ok(), "{name}: no end within {DEADLINE:?}");
        });
}

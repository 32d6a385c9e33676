//! The suites are tested themselves: for every case there is a plugin with one defect that fails
//! this case and no other, and no case lacks its catch.

#[path = "catches/identity.rs"]
mod identity;
#[path = "catches/secrets.rs"]
mod secrets;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether a case fails: it panics, or does not end.
fn fails(case: impl Future<Output = ()>) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(case))).is_err()
}

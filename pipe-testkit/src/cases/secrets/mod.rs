//! The behaviours of a [`SecretsPlugin`].
//!
//! Each case uses names that no other case and no other run uses, so that many may share a
//! backend. All names begin with `pipe-testkit`.

#[macro_use]
mod list;
mod absence;
mod concurrency;
mod deleting;
mod faults;
mod general;
mod leaks;
mod limits;
mod listing;
mod manifests;
mod namespaces;
mod round_trips;
mod versions;
mod watching;
mod writing;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pipe_core::secrets::WriteOutcome;
use pipe_core::{ErrorKind, Namespace, SecretData, SecretRef, SecretsPlugin};

use crate::cases::expect_kind;

pub use self::absence::*;
pub use self::concurrency::*;
pub use self::deleting::*;
pub use self::faults::*;
pub use self::general::*;
pub use self::leaks::*;
pub use self::limits::*;
pub use self::listing::*;
pub use self::manifests::*;
pub use self::namespaces::*;
pub use self::round_trips::*;
pub use self::versions::*;
pub use self::watching::*;
pub use self::writing::*;

/// A name that nobody used before: `pipe-testkit/<label>-<nonce>`, or flat where names are flat.
fn unused(plugin: &dyn SecretsPlugin, label: &str) -> SecretRef {
    static RUN: OnceLock<u32> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| getrandom::u32().expect("the system has random numbers"));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let separator = if plugin.capabilities().hierarchy { '/' } else { '-' };
    named(&format!("pipe-testkit{separator}{label}-{run:08x}{count}"))
}

fn named(name: &str) -> SecretRef {
    SecretRef::new(name).expect("the suite's names are legal")
}

/// One of the two namespaces that the suite uses, `a` or `b`.
fn namespace(which: &str) -> Namespace {
    Namespace::new(format!("pipe-testkit-{which}")).expect("the suite's names are legal")
}

fn child(parent: &SecretRef, name: &str) -> SecretRef {
    named(&format!("{}/{name}", parent.name))
}

fn value(value: &str) -> SecretData {
    SecretData::new().with("value", value)
}

/// Whether the plugin writes; most cases have to store something first.
fn writes(plugin: &dyn SecretsPlugin) -> bool {
    plugin.capabilities().write
}

async fn write(plugin: &dyn SecretsPlugin, at: &SecretRef, data: SecretData) -> WriteOutcome {
    match plugin.create_secret(at, data).await {
        Ok(outcome) => outcome,
        Err(error) => panic!("create_secret of {at} failed: {error:#}"),
    }
}

async fn read(plugin: &dyn SecretsPlugin, at: &SecretRef) -> Option<SecretData> {
    match plugin.get_secret(at).await {
        Ok(found) => found.map(|secret| secret.data),
        Err(error) => panic!("get_secret of {at} failed: {error:#}"),
    }
}

async fn delete(plugin: &dyn SecretsPlugin, at: &SecretRef) -> bool {
    match plugin.delete_secret(at).await {
        Ok(deleted) => deleted,
        Err(error) => panic!("delete_secret of {at} failed: {error:#}"),
    }
}

/// Stores the data and expects exactly it back. The data itself is not shown when it differs.
async fn round_trip(plugin: &dyn SecretsPlugin, at: &SecretRef, data: SecretData) {
    write(plugin, at, data.clone()).await;
    let found = read(plugin, at).await;
    assert!(found == Some(data), "{at} came back changed: {found:?}");
}

/// Stores the data and expects exactly it back, or expects both the write and nothing else to be
/// refused as an invalid argument, with nothing stored.
async fn round_trip_or_refusal(plugin: &dyn SecretsPlugin, at: &SecretRef, data: SecretData) {
    match plugin.create_secret(at, data.clone()).await {
        Ok(_) => {
            let found = read(plugin, at).await;
            assert!(found == Some(data), "{at} came back changed: {found:?}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}");
            match plugin.get_secret(at).await {
                Ok(found) => assert!(found.is_none(), "{at} was refused, and stored"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}"),
            }
        }
    }
}

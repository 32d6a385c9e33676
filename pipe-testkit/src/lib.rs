#![doc = include_str!("../README.md")]

pub mod cases;
#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "issuer")]
pub mod issuer;
pub mod leak;
#[cfg(feature = "issuer")]
mod login;
pub mod reference;
#[doc(hidden)]
pub mod run;
#[cfg(feature = "issuer")]
mod stage;
#[cfg(feature = "issuer")]
mod time;
pub mod wrapped;

pub use self::cases::{
    IDENTITY_CASES, IdentityCase, MEMORY_CASES, MemoryCase, Needs, SECRETS_CASES,
    SESSION_STORE_CASES, SecretsCase, SessionStoreCase,
};
#[cfg(feature = "issuer")]
pub use self::cases::{LOGIN_CASES, LoginCase, TRUSTING_CASES, TrustingCase};
#[cfg(feature = "issuer")]
pub use self::login::{Attempt, LoginFeatures, LoginStage, LoginTrust};
#[cfg(feature = "issuer")]
pub use self::stage::{Features, Stage, Trust};

/// One `#[test]` per behaviour of a [`SecretsPlugin`](pipe_core::SecretsPlugin).
///
/// The first argument names an `async fn() -> Option<(Plugin, Guard)>` that makes a fresh plugin
/// and whatever must outlive it; `None` says that the backend is absent.
///
/// Two more such functions may follow, for the cases that need them: `denied` makes a plugin whose
/// identity may do nothing, `unavailable` one whose backend does not answer.
///
/// A plugin that declares `namespaces` is asked for `pipe-testkit-a` and `pipe-testkit-b`: they
/// must exist. Apart from its own namespace, the suite writes nowhere else; all names begin with
/// `pipe-testkit`, and are left behind.
///
/// Most cases have to store something first: a plugin that does not declare `write` is held to few
/// of them, and the others pass without looking at it.
///
/// The tests are in a module `secrets_compliance`: two invocations need a `mod` of their own each.
///
/// ```
/// # use pipe_testkit::reference::InMemorySecrets;
/// async fn memory() -> Option<(InMemorySecrets, ())> {
///     Some((InMemorySecrets::new(), ()))
/// }
///
/// pipe_testkit::secrets_compliance!(memory);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! secrets_compliance {
    ($plugin:path $(, denied = $denied:path)? $(, unavailable = $unavailable:path)? $(,)?) => {
        mod secrets_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__secrets_fresh_cases! { __tests ! (secrets $plugin) }
            $($crate::__secrets_denied_cases! { __tests ! (secrets $denied) })?
            $($crate::__secrets_unavailable_cases! { __tests ! (secrets $unavailable) })?
        }
    };
}

/// One `#[test]` per behaviour of an [`IdentityPlugin`](pipe_core::IdentityPlugin).
///
/// The argument names an `async fn() -> Option<(Plugin, Guard)>`, as for [`secrets_compliance!`].
///
/// The suite knows only tokens that the plugin makes itself: one that does not declare `issue` is
/// held to few cases. The tests are in a module `identity_compliance`: two invocations need a `mod`
/// of their own each.
///
/// # Tokens of an issuer
///
/// With the feature `issuer`, `trusting` names an `async fn(Trust) -> Option<(Plugin, Guard)>` that makes
/// a plugin which trusts an issuer in the process: `Trust` says how it has to be configured. The plugin is
/// then held to tokens that a real issuer makes, and to a great many that it never would. `features` says
/// what the plugin does not offer (`Features::ALL` unless given).
///
/// ```ignore
/// use pipe_testkit::{Features, Trust};
///
/// async fn acme(trust: Trust) -> Option<(AcmeIdentity, ())> {
///     Some((AcmeIdentity::new(&trust.issuer).with_clock(trust.clock), ()))
/// }
///
/// pipe_testkit::identity_compliance!(trusting = acme, features = Features::ALL.without_dpop());
/// ```
#[macro_export]
macro_rules! identity_compliance {
    (trusting = $trusting:path $(,)?) => {
        $crate::identity_compliance!(trusting = $trusting, features = $crate::Features::ALL);
    };
    (trusting = $trusting:path, features = $features:expr $(,)?) => {
        mod identity_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__identity_trusting_cases! { __trusting_tests ! ($trusting, $features) }
        }
    };
    ($plugin:path $(,)?) => {
        mod identity_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__identity_cases! { __tests ! (identity $plugin) }
        }
    };
    ($plugin:path, trusting = $trusting:path $(,)?) => {
        $crate::identity_compliance!(
            $plugin,
            trusting = $trusting,
            features = $crate::Features::ALL
        );
    };
    ($plugin:path, trusting = $trusting:path, features = $features:expr $(,)?) => {
        mod identity_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__identity_cases! { __tests ! (identity $plugin) }
            $crate::__identity_trusting_cases! { __trusting_tests ! ($trusting, $features) }
        }
    };
}

/// One `#[test]` per behaviour of a [`GovernanceMemory`](pipe_core::GovernanceMemory).
///
/// The arguments name functions as for [`secrets_compliance!`]: one that makes a fresh memory, and
/// `denied` and `unavailable` for the cases that need them. Many cases may share a memory; all keys
/// begin with `pipe-testkit`, and are left behind. The tests are in a module `memory_compliance`:
/// two invocations need a `mod` of their own each.
///
/// ```
/// # use pipe_testkit::reference::InMemoryGovernance;
/// async fn memory() -> Option<(InMemoryGovernance, ())> {
///     Some((InMemoryGovernance::new(), ()))
/// }
///
/// pipe_testkit::memory_compliance!(memory);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! memory_compliance {
    ($memory:path $(, denied = $denied:path)? $(, unavailable = $unavailable:path)? $(,)?) => {
        mod memory_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__memory_fresh_cases! { __tests ! (memory $memory) }
            $($crate::__memory_denied_cases! { __tests ! (memory $denied) })?
            $($crate::__memory_unavailable_cases! { __tests ! (memory $unavailable) })?
        }
    };
}

/// One `#[test]` per behaviour of a [`SessionStore`](pipe_core::identity::SessionStore).
///
/// The first argument names an `async fn() -> Option<(Store, Guard)>` that makes a store and whatever
/// must outlive it; `None` says that the backend is absent. Many cases may share a store. Three more
/// such functions may follow:
///
/// - `expiring` makes a store for the cases that wait until records are over, which is the first one
///   unless it is given. They sleep for two seconds and a little, by tokio's clock and on a
///   runtime of one thread: a store that goes by that clock too need not wait if its function
///   calls `tokio::time::pause`.
/// - `small` makes a store without room for 1,024 records of 32 KiB, which no other case uses.
/// - `unavailable` makes a store whose backend does not answer. Its errors must not be marked as
///   exhausted.
///
/// The tests are in a module `session_store_compliance`: two invocations need a `mod` of their own
/// each.
///
/// ```
/// use pipe_core::identity::MemorySessions;
///
/// async fn store() -> Option<(MemorySessions, ())> {
///     Some((MemorySessions::new(), ()))
/// }
/// async fn small() -> Option<(MemorySessions, ())> {
///     Some((MemorySessions::new().with_max_sessions(8).with_max_logins(8).with_max_used(8), ()))
/// }
///
/// pipe_testkit::session_store_compliance!(store, small = small);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! session_store_compliance {
    ($store:path $(, small = $small:path)? $(, unavailable = $unavailable:path)? $(,)?) => {
        $crate::session_store_compliance!(
            $store, expiring = $store $(, small = $small)? $(, unavailable = $unavailable)?
        );
    };
    (
        $store:path, expiring = $expiring:path
        $(, small = $small:path)? $(, unavailable = $unavailable:path)? $(,)?
    ) => {
        mod session_store_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__sessions_fresh_cases! { __tests ! (sessions $store) }
            $crate::__sessions_expiring_cases! { __expiring_tests ! ($expiring) }
            $($crate::__sessions_small_cases! { __tests ! (sessions $small) })?
            $($crate::__sessions_unavailable_cases! { __tests ! (sessions $unavailable) })?
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expiring_tests {
    ($factory:path ; $($case:ident,)*) => {$(
        #[test]
        fn $case() {
            $crate::run::expiring(stringify!($case), $factory, |store| {
                $crate::cases::sessions::$case(::std::sync::Arc::new(store))
            });
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __trusting_tests {
    ($factory:path, $features:expr ; $($case:ident,)*) => {$(
        #[test]
        fn $case() {
            $crate::run::trusting(
                stringify!($case),
                $factory,
                $features,
                $crate::cases::trusting::$case,
            );
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($suite:ident $factory:path ; $($case:ident,)*) => {$(
        #[test]
        fn $case() {
            $crate::run::case(stringify!($case), $factory, |plugin| {
                $crate::cases::$suite::$case(::std::sync::Arc::new(plugin))
            });
        }
    )*};
}

/// One `#[test]` per case that hands the case's name to a function: for tests of the suites.
#[doc(hidden)]
#[macro_export]
macro_rules! __checks {
    ($check:ident ; $($case:ident,)*) => {$(
        #[test]
        fn $case() {
            $check(stringify!($case));
        }
    )*};
}

//! The behaviours that the suites test: one function each, to be called by the macros, by a table
//! or by hand. A case panics when the plugin lacks the behaviour.
#![allow(
    clippy::missing_panics_doc,
    reason = "every case panics when the plugin lacks the behaviour"
)]

use std::pin::Pin;
use std::sync::Arc;

use pipe_core::identity::SessionStore;
use pipe_core::{Error, ErrorKind, GovernanceMemory, IdentityPlugin, Result, SecretsPlugin};

#[macro_use]
pub mod identity;
#[cfg(feature = "issuer")]
#[macro_use]
pub mod login;
#[macro_use]
pub mod memory;
#[macro_use]
pub mod secrets;
#[macro_use]
pub mod sessions;
#[cfg(feature = "issuer")]
#[macro_use]
pub mod trusting;

/// What kind of plugin a case has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// A fresh plugin that works.
    Fresh,
    /// A plugin whose identity may do nothing.
    Denied,
    /// A plugin whose backend does not answer.
    Unavailable,
    /// A store of sessions that works; the case waits until records are over.
    Expiring,
    /// A store of sessions without room for 1,024 records of 32 KiB.
    Small,
}

type Body<P> = fn(Arc<P>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// A case of the secrets suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SecretsCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of plugin it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn SecretsPlugin>,
}

/// A case of the identity suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IdentityCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: Body<dyn IdentityPlugin>,
}

/// A case of the memory suite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MemoryCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of memory it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn GovernanceMemory>,
}

/// A case of the suite of session stores.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionStoreCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// What kind of store it has to be given.
    pub needs: Needs,
    /// Runs it.
    pub run: Body<dyn SessionStore>,
}

/// A trusting case of the identity suite.
#[cfg(feature = "issuer")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrustingCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(crate::Stage) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// A case of the login suite.
#[cfg(feature = "issuer")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LoginCase {
    /// The claim that the case tests.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(crate::LoginStage) -> Pin<Box<dyn Future<Output = ()>>>,
}

#[track_caller]
fn expect_kind<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Err(error) if error.kind() == kind => error,
        Err(error) => panic!("expected {kind:?}, got {error:#}"),
        Ok(_) => panic!("expected {kind:?}, got a success"),
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __secrets_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(SecretsCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |plugin| Box::pin(secrets::$case(plugin)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __memory_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(MemoryCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |plugin| Box::pin(memory::$case(plugin)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sessions_table {
    ($needs:ident ; $($case:ident,)*) => { &[$(SessionStoreCase {
        name: stringify!($case),
        needs: Needs::$needs,
        run: |store| Box::pin(sessions::$case(store)),
    }),*] };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __identity_table {
    (; $($case:ident,)*) => { &[$(IdentityCase {
        name: stringify!($case),
        run: |plugin| Box::pin(identity::$case(plugin)),
    }),*] };
}

#[cfg(feature = "issuer")]
#[doc(hidden)]
#[macro_export]
macro_rules! __trusting_table {
    (; $($case:ident,)*) => { &[$(TrustingCase {
        name: stringify!($case),
        run: |stage| Box::pin(trusting::$case(stage)),
    }),*] };
}

#[cfg(feature = "issuer")]
#[doc(hidden)]
#[macro_export]
macro_rules! __login_table {
    (; $($case:ident,)*) => { &[$(LoginCase {
        name: stringify!($case),
        run: |stage| Box::pin(login::$case(stage)),
    }),*] };
}

/// Every case of the secrets suite, grouped by what it needs.
pub const SECRETS_CASES: [&[SecretsCase]; 3] = [
    __secrets_fresh_cases! { __secrets_table ! (Fresh) },
    __secrets_denied_cases! { __secrets_table ! (Denied) },
    __secrets_unavailable_cases! { __secrets_table ! (Unavailable) },
];

/// Every case of the memory suite, grouped by what it needs.
pub const MEMORY_CASES: [&[MemoryCase]; 3] = [
    __memory_fresh_cases! { __memory_table ! (Fresh) },
    __memory_denied_cases! { __memory_table ! (Denied) },
    __memory_unavailable_cases! { __memory_table ! (Unavailable) },
];

/// Every case of the suite of session stores, grouped by what it needs.
pub const SESSION_STORE_CASES: [&[SessionStoreCase]; 4] = [
    __sessions_fresh_cases! { __sessions_table ! (Fresh) },
    __sessions_expiring_cases! { __sessions_table ! (Expiring) },
    __sessions_small_cases! { __sessions_table ! (Small) },
    __sessions_unavailable_cases! { __sessions_table ! (Unavailable) },
];

/// Every case of the identity suite.
pub const IDENTITY_CASES: &[IdentityCase] = __identity_cases! { __identity_table ! () };

/// Every trusting case of the identity suite.
#[cfg(feature = "issuer")]
pub const TRUSTING_CASES: &[TrustingCase] = __identity_trusting_cases! { __trusting_table ! () };

/// Every case of the login suite.
#[cfg(feature = "issuer")]
pub const LOGIN_CASES: &[LoginCase] = __login_cases! { __login_table ! () };

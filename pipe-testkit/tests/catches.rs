//! The suites are tested themselves: for every case there is a plugin with one defect that fails
//! this case and no other, and no case lacks its catch.

#[path = "catches/identity.rs"]
mod identity;
#[cfg(feature = "issuer")]
#[path = "catches/login.rs"]
mod login;
#[path = "catches/memory.rs"]
mod memory;
#[cfg(feature = "issuer")]
#[path = "party/mod.rs"]
mod party;
#[path = "catches/secrets.rs"]
mod secrets;
#[path = "catches/sessions.rs"]
mod sessions;
#[cfg(feature = "issuer")]
#[path = "catches/trusting.rs"]
mod trusting;
#[cfg(feature = "issuer")]
#[path = "verifier/mod.rs"]
mod verifier;

/// Whether a case fails.
fn fails(name: &'static str, case: impl Future<Output = ()> + Send + 'static) -> bool {
    pipe_testkit::run::alone(name, || case).is_err()
}

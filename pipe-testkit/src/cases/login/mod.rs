//! The behaviours of a [`UserLogin`](pipe_core::identity::UserLogin), by the ids of the family's list of
//! threats: G1 state and browser, G2 nonce, G3 PKCE, G4 mix-up, G5 redirect URI, G6 codes that come
//! twice, G7 renewal, G8 refusals, G9 odd token answers, G12 back-channel logout, H output. The names
//! without an id are of what the standards and the contract say besides.

mod answer;
mod back_channel;
mod browser;
mod callback;
mod crosstalk;
mod groups;
mod id_token;
mod id_token_form;
#[macro_use]
mod list;
mod logout;
mod logout_token;
mod outage;
mod output;
mod refusal;
mod renewal;
mod renewed_person;
mod request;
mod revoked;
mod sessions;
mod state;
mod verifier;

use pipe_core::{Error, ErrorKind, LoginFault, Result, TokenFault};

pub use self::answer::*;
pub use self::back_channel::*;
pub use self::browser::*;
pub use self::callback::*;
pub use self::crosstalk::*;
pub use self::groups::*;
pub use self::id_token::*;
pub use self::id_token_form::*;
pub use self::logout::*;
pub use self::logout_token::*;
pub use self::outage::*;
pub use self::output::*;
pub use self::refusal::*;
pub use self::renewal::*;
pub use self::renewed_person::*;
pub use self::request::*;
pub use self::revoked::*;
pub use self::sessions::*;
pub use self::state::*;
pub use self::verifier::*;
use crate::issuer::Person;

/// Somebody with everything.
fn alice() -> Person {
    Person::new("alice")
        .name("Alice Liddell")
        .email("alice.liddell@corp.test")
        .groups(["platform-admins", "bni-editors"])
        .roles(["domain-admin"])
        .tenant("bni")
        .acr("mfa")
}

/// Somebody else.
fn bob() -> Person {
    Person::new("bob").name("Bob").groups(["readers"]).roles(["viewer"]).tenant("bnp")
}

/// The person is not logged in, for this reason.
#[track_caller]
fn expect_login<T>(result: Result<T>, fault: LoginFault, what: &str) -> Error {
    expect_login_of(result, &[fault], what)
}

/// As [`expect_login`], for one of these reasons, where the standards leave room.
#[track_caller]
fn expect_login_of<T>(result: Result<T>, faults: &[LoginFault], what: &str) -> Error {
    match result {
        Err(error) => {
            let is_right =
                faults.iter().any(|fault| error.kind() == ErrorKind::LoginRefused(*fault));
            assert!(is_right, "{what}: expected {faults:?}, got {error:#}");
            error
        }
        Ok(_) => panic!("{what}: expected {faults:?}, got a success"),
    }
}

/// The provider's own token is refused, for one of these reasons.
#[track_caller]
fn expect_token<T>(result: Result<T>, faults: &[TokenFault], what: &str) {
    match result {
        Err(error) => {
            let is_right =
                faults.iter().any(|fault| error.kind() == ErrorKind::TokenRejected(*fault));
            assert!(is_right, "{what}: expected {faults:?}, got {error:#}");
        }
        Ok(_) => panic!("{what}: expected {faults:?}, got a success"),
    }
}

/// It could not be found out: nobody is let in, and nobody is refused.
#[track_caller]
fn expect_outage<T>(result: Result<T>, what: &str) {
    match result {
        Err(error) => assert!(is_outage(&error), "{what}: expected an outage, got {error:#}"),
        Ok(_) => panic!("{what}: expected an outage, got a success"),
    }
}

fn is_outage(error: &Error) -> bool {
    use ErrorKind::{RateLimited, Timeout, Unavailable};
    matches!(error.kind(), RateLimited | Timeout | Unavailable)
}

/// What was answered breaks the protocol, or the provider cannot serve: the person is not to blame.
#[track_caller]
fn expect_no_answer<T>(result: Result<T>, what: &str) {
    match result {
        Err(error) => {
            let is_right = is_outage(&error) || error.kind() == ErrorKind::Unexpected;
            assert!(is_right, "{what}: expected that it is no answer, got {error:#}");
        }
        Ok(_) => panic!("{what}: a success"),
    }
}

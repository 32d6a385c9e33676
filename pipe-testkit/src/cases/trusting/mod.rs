//! The behaviours of an [`IdentityPlugin`](pipe_core::IdentityPlugin) that trusts an issuer, by the ids of
//! the family's list of threats: A signature and algorithm, B header, C encoding and parser, D claims,
//! E keys, F the provider and the network, H output.

#[macro_use]
mod list;
mod binding;
mod claims;
mod context;
mod encoding;
mod header;
mod identity;
mod keys;
mod network;
mod opaque;
mod output;
mod signature;
mod time;
mod weak_keys;

use pipe_core::{ErrorKind, Result, SecurityContext};

pub use self::binding::*;
pub use self::claims::*;
pub use self::context::*;
pub use self::encoding::*;
pub use self::header::*;
pub use self::identity::*;
pub use self::keys::*;
pub use self::network::*;
pub use self::opaque::*;
pub use self::output::*;
pub use self::signature::*;
pub use self::time::*;
pub use self::weak_keys::*;

/// Nobody is let in, and nobody is taken for an intruder: it could not be found out.
#[track_caller]
fn expect_outage(checked: Result<SecurityContext>, what: &str) {
    match checked {
        Err(error) if !matches!(error.kind(), ErrorKind::TokenRejected(_)) => {}
        Err(error) => panic!("{what}: an outage is no refusal: {error:#}"),
        Ok(_) => panic!("{what}: a success"),
    }
}

/// Nobody is let in.
#[track_caller]
fn expect_nobody(checked: Result<SecurityContext>, what: &str) {
    assert!(checked.is_err(), "{what}: a success");
}

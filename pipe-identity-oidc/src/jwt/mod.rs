//! JSON Web Tokens: what is checked of one, with which keys, and how one is signed.

mod algorithm;
mod key_set;
pub(crate) mod sign;

pub use self::algorithm::Algorithm;
pub use self::key_set::{KeySet, SkippedKey};
pub use self::sign::{Signer, SigningKey};

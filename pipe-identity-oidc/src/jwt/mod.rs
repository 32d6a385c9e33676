//! JSON Web Tokens: what is checked of one, with which keys, and how one is signed.
//!
//! Verification is pure: no clock, no I/O, no state. It goes in two steps, so that a token can be
//! routed to its issuer in between: [`Jwt::parse`] checks the form, [`TokenPolicy::verify`] the rest.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use pipe_core::TokenFault;
//! use pipe_identity_oidc::jwt::{Algorithm, Jwt, KeySet, TokenPolicy, TokenType, TrustedIssuer};
//!
//! let keys = KeySet::hmac(b"a shared secret of 32 bytes, min", Algorithm::Hs256)?;
//! let policy = TokenPolicy::builder(TrustedIssuer::exact("https://issuer.example"))
//!     .algorithms([Algorithm::Hs256])
//!     .token_type(TokenType::Lenient)
//!     .build()?;
//!
//! // {"alg":"HS256"}.{"iss":"https://issuer.example"}
//! let token = b"eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.c2lnbmF0dXJl";
//! let jwt = Jwt::parse(token, policy.limits()).unwrap();
//! let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let refused = policy.verify(&jwt, &keys, &["https://api.example"], now);
//! assert_eq!(refused.unwrap_err(), TokenFault::BadSignature);
//! # Ok::<(), pipe_core::Error>(())
//! ```

mod algorithm;
mod claims;
pub mod json;
mod key;
mod key_set;
mod policy;
pub(crate) mod sign;
mod token;
mod verify;

pub use self::algorithm::Algorithm;
pub(crate) use self::claims::Times;
pub use self::claims::{Claims, Confirmation};
pub use self::key::{VerifyingKey, public_jwk_of_pem};
pub use self::key_set::{KeySet, MAX_KEYS, SkippedKey};
pub use self::policy::{
    DEFAULT_ALGORITHMS, KeyHeaders, TokenPolicy, TokenPolicyBuilder, TokenType, TrustedIssuer,
};
pub use self::sign::{Signer, SigningKey};
pub use self::token::{Jws, Jwt, Limits};
pub(crate) use self::verify::numeric_date;

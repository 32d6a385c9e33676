//! What a provider means in ways of its own.

use std::fmt;

use pipe_core::{Result, SecurityContext};

use crate::jwt::Claims;

/// Reads more out of verified claims than a [`ClaimMapping`](crate::ClaimMapping) can say: it is shown
/// what the mapping made of them, and returns what is to be believed.
///
/// It is asked once for each token, before it is remembered.
pub trait ClaimsReader: fmt::Debug + Send + Sync + 'static {
    /// The context of the token's bearer.
    ///
    /// # Errors
    /// `TokenRejected` when the token is refused after all. No claim's value may be in the error.
    fn read(&self, context: SecurityContext, claims: &Claims) -> Result<SecurityContext>;
}

/// A token that was found good, with all that it says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedToken {
    /// Who its bearer is.
    pub context: SecurityContext,
    /// Its claims, or the members of the issuer's answer about it.
    pub claims: Claims,
}

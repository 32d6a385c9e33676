//! A presented token, and what the receiver expects of it.

use crate::{Error, ErrorKind, Result, SecretValue, TokenFault};

use super::TenantId;

/// A token as it was presented. It may be anything; only a plugin says what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerToken(SecretValue);

impl BearerToken {
    /// A token that came from somewhere.
    pub fn new(token: impl Into<SecretValue>) -> Self {
        Self(token.into())
    }

    /// The token of an `Authorization: Bearer …` header (RFC 6750 2.1).
    ///
    /// # Errors
    /// `TokenRejected(Malformed)` when the header has another form.
    pub fn from_authorization(header: &str) -> Result<Self> {
        header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim_start_matches(' '))
            .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
            .map(Self::new)
            .ok_or_else(|| {
                let kind = ErrorKind::TokenRejected(TokenFault::Malformed);
                Error::new(kind, "the authorization header holds no bearer token")
            })
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The token as text, when it is UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        self.0.expose_str()
    }
}

/// The proof that came with a DPoP-bound token (RFC 9449), and the request it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DpopProof {
    /// The `DPoP` header.
    pub proof: SecretValue,
    /// The request's method.
    pub method: String,
    /// The request's URI without query and fragment.
    pub uri: String,
}

impl DpopProof {
    /// The proof for this request.
    pub fn new(
        proof: impl Into<SecretValue>,
        method: impl Into<String>,
        uri: impl Into<String>,
    ) -> Self {
        Self { proof: proof.into(), method: method.into(), uri: uri.into() }
    }
}

/// What the receiver of a token expects of it.
///
/// A token that is bound to a certificate or key (`cnf`) is accepted only with the matching
/// [`peer_certificate`](Self::peer_certificate) or [`dpop`](Self::dpop).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenExpectation {
    /// The token must be meant for at least one of these.
    pub audiences: Vec<String>,
    /// The token must belong to this tenant.
    pub tenant: Option<TenantId>,
    /// The certificate (DER) with which the caller's connection was authenticated.
    pub peer_certificate: Option<Vec<u8>>,
    /// The DPoP proof that came with the token.
    pub dpop: Option<DpopProof>,
}

impl TokenExpectation {
    /// A token that is meant for us.
    pub fn audience(audience: impl Into<String>) -> Self {
        Self { audiences: vec![audience.into()], tenant: None, peer_certificate: None, dpop: None }
    }

    /// Or for this audience.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// The token must belong to this tenant.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// The certificate (DER) with which the caller's connection was authenticated.
    #[must_use]
    pub fn with_peer_certificate(self, der: Vec<u8>) -> Self {
        Self { peer_certificate: Some(der), ..self }
    }

    /// The DPoP proof that came with the token.
    #[must_use]
    pub fn with_dpop(self, dpop: DpopProof) -> Self {
        Self { dpop: Some(dpop), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_header_is_understood_and_nothing_else() {
        for header in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(BearerToken::from_authorization(header).unwrap().expose(), b"abc");
        }
        for header in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer a b", "Bearer a\u{e9}"]
        {
            let error = BearerToken::from_authorization(header).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenRejected(TokenFault::Malformed), "{header:?}");
        }
    }
}

//! What a request presents to prove who sent it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use pipe_core::identity::{BearerToken, DpopProof};
use pipe_core::{Error, ErrorKind, Result, TokenFault};

use crate::refusal::Refusal;

/// The certificate (DER) with which the caller's connection was authenticated.
///
/// Whoever accepts TLS connections puts it into the extensions of each request. A token that is
/// bound to a certificate (RFC 8705) is accepted only with it.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificate(Arc<[u8]>);

impl PeerCertificate {
    /// The leaf of the chain that the TLS handshake verified. A header that says which
    /// certificate it was is no proof, unless a proxy removes it from what clients send.
    pub fn new(der: impl Into<Arc<[u8]>>) -> Self {
        Self(der.into())
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerCertificate({} bytes)", self.0.len())
    }
}

/// The credentials of one request.
pub(crate) struct Presented {
    pub(crate) token: BearerToken,
    pub(crate) dpop: Option<DpopProof>,
    pub(crate) peer_certificate: Option<Vec<u8>>,
}

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The header in which a service sends the context of its caller along, as
/// [`ContextSigner::sign`](pipe_core::identity::ContextSigner::sign) made it.
pub const SIGNED_CONTEXT: HeaderName = HeaderName::from_static("x-pipe-context");

/// All that proves something.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, DPOP, SIGNED_CONTEXT];

/// The context that the service in front of us signed.
pub(crate) fn signed_context(parts: &Parts) -> Result<BearerToken, Refusal> {
    let token = one(&parts.headers, &SIGNED_CONTEXT)?.ok_or(Refusal::NoCredentials)?;
    Ok(BearerToken::new(token))
}

impl Presented {
    /// The credentials of this request. The DPoP scheme is understood where the origin is known.
    pub(crate) fn by(parts: &Parts, origin: Option<&Origin>) -> Result<Self, Refusal> {
        let header = one(&parts.headers, &AUTHORIZATION)?.ok_or(Refusal::NoCredentials)?;
        let scheme = header.split(' ').next().unwrap_or_default();
        let (token, dpop) = if scheme.eq_ignore_ascii_case("bearer") {
            // A proof beside it is not looked at: a bound token is not to be accepted as a bearer
            // token (RFC 9449 7.2), and the plugin refuses one that comes without its proof.
            (BearerToken::from_authorization(header)?, None)
        } else if let Some(origin) = origin.filter(|_| scheme.eq_ignore_ascii_case("dpop")) {
            let token = BearerToken::from_authorization(&format!("Bearer{}", &header[4..]))?;
            (token, Some(proof(parts, origin)?))
        } else {
            // "An unsupported authentication method" is no credential (RFC 6750 3.1).
            return Err(Refusal::NoCredentials);
        };
        let peer_certificate = parts.extensions.get::<PeerCertificate>().map(|der| der.0.to_vec());
        Ok(Self { token, dpop, peer_certificate })
    }
}

pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in &CREDENTIALS {
        headers.remove(name);
    }
}

pub(crate) fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if CREDENTIALS.contains(name) {
            value.set_sensitive(true);
        }
    }
}

/// What clients call this service: `https://api.example.org`, without a slash in the end.
#[derive(Clone, Debug)]
pub(crate) struct Origin(Box<str>);

impl FromStr for Origin {
    type Err = Error;

    fn from_str(origin: &str) -> Result<Self> {
        parse_origin(origin).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the public origin is none")
                .hint("use a scheme, a host and a port as the origin: https://api.example.org")
        })
    }
}

fn parse_origin(origin: &str) -> Option<Origin> {
    let uri: Uri = origin.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "https" | "http"))?;
    let authority = uri.authority()?.as_str();
    let is_bare = uri.path_and_query().is_none_or(|path| path == "/") && !authority.contains('@');
    is_bare.then(|| Origin(format!("{scheme}://{authority}").to_ascii_lowercase().into()))
}

fn proof(parts: &Parts, origin: &Origin) -> Result<DpopProof> {
    let proof = one(&parts.headers, &DPOP)?.ok_or_else(|| {
        let kind = ErrorKind::TokenRejected(TokenFault::NotBound);
        Error::new(kind, "the request has no proof of possession")
    })?;
    let uri = format!("{}{}", origin.0, parts.uri.path());
    Ok(DpopProof::new(proof, parts.method.as_str(), uri))
}

/// The header, when there is one. Of two, nobody can say which one counts.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let malformed = |message| {
        let kind = ErrorKind::TokenRejected(TokenFault::Malformed);
        Error::new(kind, message).with("header", name)
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("a header occurs more than once"));
    }
    value.to_str().map(Some).map_err(|_| malformed("a header is not printable ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_an_authority_and_nothing_else() {
        for origin in ["https://API.example.org", "https://api.example.org/"] {
            assert_eq!(&*origin.parse::<Origin>().unwrap().0, "https://api.example.org");
        }
        assert_eq!(&*"http://localhost:80".parse::<Origin>().unwrap().0, "http://localhost:80");
        for origin in [
            "",
            "api.example.org",
            "ftp://api.example.org",
            "https://",
            "https://api.example.org/v1",
            "https://api.example.org?x",
            "https://bot@api.example.org",
            "https://api.example.org\n",
        ] {
            assert!(origin.parse::<Origin>().is_err(), "{origin:?}");
        }
    }
}

//! What a refused token means to whoever operates the service.

use pipe_core::{Error, ErrorKind, TokenFault};

/// A token of this issuer was refused.
pub(crate) fn refused(fault: TokenFault, issuer: &str) -> Error {
    let (message, hint) = meaning(fault);
    Error::new(ErrorKind::TokenRejected(fault), message).with("issuer", issuer).hint(hint)
}

/// What happened, and what can be changed about it.
fn meaning(fault: TokenFault) -> (&'static str, &'static str) {
    match fault {
        TokenFault::AlgorithmRefused => (
            "the token is signed with an algorithm that is not allowed",
            "let the issuer sign with one of `algorithms`, or add its algorithm there",
        ),
        TokenFault::BadSignature => (
            "the signature does not verify",
            "the token was changed or forged, or another issuer uses the same key name",
        ),
        TokenFault::Expired => (
            "the token has expired",
            "let the caller refresh its token; check the clocks of both machines, and `leeway`",
        ),
        TokenFault::Inactive => {
            ("the issuer says that the token is not active", "let the caller obtain another token")
        }
        TokenFault::IssuedInFuture => (
            "the token was issued in the future",
            "check the clocks of the issuer and of this machine, and `leeway`",
        ),
        TokenFault::LifetimeTooLong => (
            "the token lives longer than is accepted",
            "let the issuer give shorter tokens, or raise `max_lifetime`",
        ),
        TokenFault::MissingClaim => (
            "a required claim is absent",
            "tokens need iss, aud, exp and sub, and by RFC 9068 iat, jti and client_id; where the \
             issuer leaves the latter out, choose its `preset`, or `types = \"lenient\"`",
        ),
        TokenFault::NotBound => (
            "the token is bound to a certificate or key whose proof did not come with it",
            "pass the peer's certificate or the DPoP proof on in the expectation",
        ),
        TokenFault::NotYetValid => (
            "the token is not valid yet",
            "check the clocks of the issuer and of this machine, and `leeway`",
        ),
        TokenFault::Replayed => {
            ("the proof was used before", "let the caller make a proof for each request")
        }
        TokenFault::TenantMismatch => (
            "the token belongs to another tenant",
            "add the tenant to `tenants`, or check which tenant the caller logs in to",
        ),
        TokenFault::TooOld => (
            "the person proved who they are too long ago",
            "let the person log in again with the prompt `login`, or raise `max_age`",
        ),
        TokenFault::UnknownKey => (
            "no key of the issuer is the one that signed the token",
            "check that the issuer publishes the key that it signs with, each under one name, and \
             that `keys` leads to that issuer",
        ),
        TokenFault::Unsupported => (
            "the token needs something that is not supported",
            "let the issuer give signed tokens without encryption, compression or critical \
             extensions, or set `introspection`",
        ),
        TokenFault::WrongAssurance => (
            "the person proved who they are in another way than is asked for",
            "let the provider offer one of `assurance`, or add its `acr` there",
        ),
        TokenFault::WrongAudience => (
            "the token is meant for somebody else",
            "let the caller ask for a token for this service, or expect the audience that it asks \
             for",
        ),
        TokenFault::WrongHash => (
            "the ID token belongs to another access token",
            "somebody mixed the tokens of two logins; read the provider's log",
        ),
        TokenFault::WrongIssuer => (
            "the token is from another issuer",
            "compare `issuer` with what the issuer writes into `iss`, byte by byte: a slash at the \
             end counts; and a key that names an `issuer` of its own is for that one alone",
        ),
        TokenFault::WrongNonce => (
            "the ID token belongs to another login",
            "somebody put the code of one login into another; let the person log in again",
        ),
        TokenFault::WrongSubject => (
            "the token is about another person than the one who logged in",
            "read the provider's log; let the person log in again",
        ),
        TokenFault::WrongType => (
            "the token is of another kind than an access token",
            "let the caller present its access token; where the issuer does not mark these as \
             at+jwt, choose its `preset`, or `types = \"lenient\"`",
        ),
        _ => (
            "this is not a token of the expected form",
            "let the caller present the token as the issuer gave it; set `introspection` for \
             tokens that are not JWTs",
        ),
    }
}

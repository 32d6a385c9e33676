//! Tokens that only their owner can use: bound to a certificate (RFC 8705) or to a key (RFC 9449).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{BearerToken, DpopProof, TokenExpectation};
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::jwt::{Algorithm, Confirmation, Jwt, Limits, VerifyingKey, numeric_date};

/// How old a proof may be, on top of what clocks may differ.
const LONGEST_LIFE: Duration = Duration::from_secs(60);
/// How many proofs are remembered for each [`LONGEST_LIFE`].
const MOST_PROOFS: usize = 100_000;
/// A proof is small: its key, four claims, a signature.
const LARGEST_PROOF: usize = 8 << 10;

/// What a proof may be signed with. There is no secret that both sides know.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256];

/// Checks proofs of possession, and that none is used twice.
#[derive(Debug, Default)]
pub(crate) struct ProofChecker {
    seen: Mutex<Seen>,
}

impl ProofChecker {
    /// Refuses a bound token without all of its proofs, and an unbound one that came with a proof:
    /// its sender believes that it is bound (RFC 9449 7.1).
    pub(crate) fn check(
        &self,
        binding: Option<Confirmation<'_>>,
        token: &BearerToken,
        expect: &TokenExpectation,
        now: SystemTime,
        leeway: Duration,
    ) -> Result<()> {
        let not_bound = |message: &'static str| {
            Error::new(ErrorKind::TokenRejected(TokenFault::NotBound), message)
        };
        let Some(binding) = binding else {
            return match expect.dpop {
                None => Ok(()),
                Some(_) => Err(not_bound("a token came with a proof, and is bound to no key")),
            };
        };
        if !binding.is_complete {
            return Err(not_bound("the token is bound in a way that is not known here"));
        }
        if let Some(thumbprint) = binding.certificate {
            let certificate = expect.peer_certificate.as_deref();
            if !certificate.is_some_and(|der| is_digest_of(thumbprint, der)) {
                return Err(not_bound("the token is bound to another certificate"));
            }
        }
        match (binding.key, &expect.dpop) {
            (None, None) => Ok(()),
            (Some(thumbprint), Some(proof)) => {
                let id = verify(proof, thumbprint, token, now, leeway)
                    .ok_or_else(|| not_bound("the proof is not one for this token and request"))?;
                self.only_once(id, leeway)
            }
            _ => Err(not_bound("the token is bound to a key, and no proof of it came")),
        }
    }

    fn only_once(&self, id: [u8; 32], leeway: Duration) -> Result<()> {
        // From as far ahead as clocks may differ, to as old as a proof may be.
        let window = LONGEST_LIFE + 2 * leeway;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.insert(id, Instant::now(), window) {
            Some(true) => Ok(()),
            Some(false) => {
                let kind = ErrorKind::TokenRejected(TokenFault::Replayed);
                Err(Error::new(kind, "the proof was used before"))
            }
            None => Err(Error::new(ErrorKind::RateLimited, "too many proofs at once")
                .with("limit", MOST_PROOFS)
                .hint("spread the load over more instances")),
        }
    }
}

/// Proofs of this window and of the one before.
#[derive(Debug, Default)]
struct Seen {
    since: Option<Instant>,
    current: HashSet<[u8; 32]>,
    previous: HashSet<[u8; 32]>,
}

impl Seen {
    /// Whether it is new; `None` when there is no room to remember it.
    fn insert(&mut self, id: [u8; 32], now: Instant, window: Duration) -> Option<bool> {
        let age = self.since.map(|since| now.duration_since(since));
        if age.is_none_or(|age| age >= window) {
            self.previous = std::mem::take(&mut self.current);
            if age.is_some_and(|age| age >= 2 * window) {
                self.previous.clear();
            }
            self.since = Some(now);
        }
        if self.current.contains(&id) || self.previous.contains(&id) {
            return Some(false);
        }
        if self.current.len() >= MOST_PROOFS {
            return None;
        }
        self.current.insert(id);
        Some(true)
    }
}

/// RFC 9449 4.3: what makes the proof one of a kind, when it is good.
fn verify(
    proof: &DpopProof,
    thumbprint: &str,
    token: &BearerToken,
    now: SystemTime,
    leeway: Duration,
) -> Option<[u8; 32]> {
    let limits = Limits::new().with_token_bytes(LARGEST_PROOF);
    let jwt = Jwt::parse(proof.proof.expose(), &limits).ok()?;
    if !jwt.typ()?.eq_ignore_ascii_case("dpop+jwt") {
        return None;
    }
    let key = VerifyingKey::from_jwk(jwt.jws().embedded_key()?).ok()?;
    if !equal(&key.thumbprint()?, thumbprint) {
        return None;
    }
    let claims = jwt.verify(&key, &ALGORITHMS).ok()?;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let is_for_the_request = text("htm")? == proof.method && same_uri(text("htu")?, &proof.uri);
    let is_for_the_token = is_digest_of(text("ath")?, token.expose());
    if !is_for_the_request || !is_for_the_token || !is_recent(claims, now, leeway) {
        return None;
    }
    let jti = text("jti").filter(|jti| !jti.is_empty())?;
    let id = digest(&SHA256, format!("{thumbprint} {jti}").as_bytes());
    id.as_ref().try_into().ok()
}

fn is_recent(claims: &Map<String, Value>, now: SystemTime, leeway: Duration) -> bool {
    let issued = numeric_date(claims, "iat").ok().flatten();
    let Some(issued) = issued.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at))) else {
        return false;
    };
    match now.duration_since(issued) {
        Ok(age) => age <= LONGEST_LIFE + leeway,
        Err(ahead) => ahead.duration() <= leeway,
    }
}

/// Scheme, host, port and path, without query and fragment.
fn same_uri(one: &str, other: &str) -> bool {
    let parts = |uri: &str| {
        let url = Url::parse(uri).ok()?;
        let host = url.host_str()?.to_owned();
        Some((url.scheme().to_owned(), host, url.port_or_known_default(), url.path().to_owned()))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}

fn is_digest_of(encoded: &str, data: &[u8]) -> bool {
    equal(encoded, &URL_SAFE_NO_PAD.encode(digest(&SHA256, data)))
}

fn equal(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

//! The checks, in the order in which their faults may be told: form, algorithm, key, signature, and
//! only then the claims.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pipe_core::TokenFault;
use serde_json::{Map, Value};

use super::claims::{CERTIFICATE, Claims, KEY, Times, check_audience};
use super::policy::{KeyHeaders, PLACEHOLDER, Rule, TokenPolicy, TokenType};
use super::token::is_media_type;
use super::{Jwt, KeySet, VerifyingKey};

type Members = Map<String, Value>;

impl TokenPolicy {
    /// Verifies a token: its signature with the one key it can be, then its claims.
    ///
    /// # Errors
    /// The first fault, in this order: `Unsupported` for refused key headers; `AlgorithmRefused`;
    /// `UnknownKey`; `BadSignature`; then the claims: `iss` (`WrongIssuer`, `TenantMismatch`), `aud`
    /// (`WrongAudience`), the times (`Expired`, `NotYetValid`, `IssuedInFuture`, `LifetimeTooLong`),
    /// the kind of token (`WrongType`), and the rest. A claim that is absent is `MissingClaim`, one
    /// with the wrong type or an impossible value `Malformed`, each in its place.
    pub fn verify<S: AsRef<str>>(
        &self,
        jwt: &Jwt<'_>,
        keys: &KeySet,
        audiences: &[S],
        now: SystemTime,
    ) -> Result<Claims, TokenFault> {
        let jws = jwt.jws();
        if self.key_headers == KeyHeaders::Reject && jws.has_key_headers() {
            return Err(TokenFault::Unsupported);
        }
        let algorithm = jws.allowed(self.algorithms)?;
        let key = keys.select(jws.kid(), algorithm)?;
        jws.verify_as(key, algorithm)?;

        let claims = &**jwt.claims();
        self.check_issuer(claims)?;
        // The same key may be published once for each of several issuers.
        let mut same = keys.candidates(jws.kid(), algorithm).filter(|other| other.is_same_key(key));
        if !same.any(|key| is_issuers_key(key, claims)) {
            return Err(TokenFault::WrongIssuer);
        }
        check_audience_form(claims)?;
        check_audience(claims.get("aud"), audiences)?;
        let times = self.read_times(claims)?;
        if times.issued_at.is_none() && self.token_type == TokenType::Strict {
            return Err(TokenFault::MissingClaim);
        }
        self.check_times(times, now)?;
        self.check_type(jwt)?;
        // RFC 9068 2.2
        let required: &[&str] = match self.token_type {
            TokenType::Strict => &["sub", "jti", "client_id"],
            _ if self.needs_subject => &["sub"],
            _ => &[],
        };
        self.check_rest(claims, required)?;
        Ok(Claims::verified(jwt.claims().clone(), times))
    }

    /// Checks what an issuer says about a token that only it can read (RFC 7662 2.2). Whom the token
    /// is meant for and whether its time is now is left to [`Claims::check_audience`] and
    /// [`check_time`](Self::check_time).
    pub(crate) fn accept_introspected(&self, members: Members) -> Result<Claims, TokenFault> {
        self.check_issuer(&members)?;
        if members.contains_key("aud") {
            check_audience_form(&members)?;
        }
        let times = self.read_times(&members)?;
        self.check_rest(&members, &["sub"])?;
        Ok(Claims::verified(Arc::new(members), times))
    }

    /// Checks the times of claims once more, which were verified earlier.
    ///
    /// # Errors
    /// `Expired`, `NotYetValid`, `IssuedInFuture`, `LifetimeTooLong`.
    pub fn check_time(&self, claims: &Claims, now: SystemTime) -> Result<(), TokenFault> {
        self.check_times(claims.times(), now)
    }

    fn check_issuer(&self, claims: &Members) -> Result<(), TokenFault> {
        let issuer = required_text(claims, "iss")?;
        match &self.issuer.0 {
            Rule::Exact(spellings) if spellings.iter().any(|spelling| spelling == issuer) => Ok(()),
            Rule::Exact(_) | Rule::Unsound => Err(TokenFault::WrongIssuer),
            Rule::Template { before, after, tenants } => {
                let named = issuer
                    .strip_prefix(&**before)
                    .and_then(|rest| rest.strip_suffix(&**after))
                    .ok_or(TokenFault::WrongIssuer)?;
                let tenant = required_text(claims, "tid")?;
                if named != tenant {
                    return Err(TokenFault::WrongIssuer);
                }
                if tenants.contains(tenant) { Ok(()) } else { Err(TokenFault::TenantMismatch) }
            }
        }
    }

    fn read_times(&self, claims: &Members) -> Result<Times, TokenFault> {
        let expires_at = numeric_date(claims, "exp")?.ok_or(TokenFault::MissingClaim)?;
        let not_before = numeric_date(claims, "nbf")?;
        let issued_at = numeric_date(claims, "iat")?;
        Ok(Times { expires_at, not_before, issued_at })
    }

    /// The same, of the times alone.
    pub(crate) fn check_times(&self, times: Times, now: SystemTime) -> Result<(), TokenFault> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let Times { expires_at, not_before, issued_at } = times;
        let latest = now.saturating_add(self.leeway);
        if now >= expires_at.saturating_add(self.leeway) {
            return Err(TokenFault::Expired);
        }
        if not_before.is_some_and(|not_before| latest < not_before) {
            return Err(TokenFault::NotYetValid);
        }
        if issued_at.is_some_and(|issued_at| latest < issued_at) {
            return Err(TokenFault::IssuedInFuture);
        }
        if issued_at.is_some_and(|issued_at| expires_at <= issued_at) {
            return Err(TokenFault::Malformed);
        }
        if expires_at.saturating_sub(issued_at.unwrap_or(now)) > self.max_lifetime {
            return Err(TokenFault::LifetimeTooLong);
        }
        Ok(())
    }

    fn check_type(&self, jwt: &Jwt<'_>) -> Result<(), TokenFault> {
        let is = |subtype: &str| jwt.typ().is_some_and(|typ| is_media_type(typ, subtype));
        // Only for `at+jwt` is the long form one that somebody uses (RFC 9068 2.1).
        let is_plain = || jwt.typ().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"));
        let untyped = || !jwt.jws().has_typ() || is_plain();
        let fits = match &self.token_type {
            TokenType::Strict => is(ACCESS_TOKEN),
            TokenType::Lenient => {
                let of_another_kind = ["at_hash", "c_hash", "events"];
                (is(ACCESS_TOKEN) || untyped())
                    && !of_another_kind.iter().any(|name| jwt.claims().contains_key(*name))
            }
            TokenType::Exactly(subtype) => is(subtype),
            TokenType::Untyped => untyped(),
        };
        if fits { Ok(()) } else { Err(TokenFault::WrongType) }
    }

    fn check_rest(&self, claims: &Members, required: &[&str]) -> Result<(), TokenFault> {
        let mut required =
            required.iter().copied().chain(self.required_claims.iter().map(|s| &**s));
        if required.any(|name| !claims.contains_key(name)) {
            return Err(TokenFault::MissingClaim);
        }
        // OpenID Connect Core 2
        numeric_date(claims, "auth_time")?;
        let sound = is_name(claims.get("sub"), MAX_SUBJECT_BYTES)
            && is_name(claims.get("jti"), usize::MAX)
            && is_name(claims.get("client_id"), usize::MAX)
            && self
                .required_claims
                .iter()
                .all(|name| claims.get(name).is_some_and(|c| !c.is_null()))
            && claims.get("scope").is_none_or(is_text)
            && claims.get("scp").is_none_or(is_text_or_texts)
            && claims.get("cnf").is_none_or(is_confirmation);
        if sound { Ok(()) } else { Err(TokenFault::Malformed) }
    }
}

const ACCESS_TOKEN: &str = "at+jwt";

/// OpenID Connect Core 2 has 255 ASCII characters.
const MAX_SUBJECT_BYTES: usize = 255;

fn required_text<'c>(claims: &'c Members, name: &str) -> Result<&'c str, TokenFault> {
    claims.get(name).ok_or(TokenFault::MissingClaim)?.as_str().ok_or(TokenFault::Malformed)
}

/// A key that names its issuer is for that one alone.
fn is_issuers_key(key: &VerifyingKey, claims: &Members) -> bool {
    let text = |name| claims.get(name).and_then(Value::as_str);
    let (Some(named), Some(issuer)) = (key.issuer(), text("iss")) else {
        return key.issuer().is_none();
    };
    match named.split_once(PLACEHOLDER) {
        None => named == issuer,
        Some((before, after)) => text("tid").is_some_and(|tenant| {
            let rest = issuer.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            rest == Some(tenant)
        }),
    }
}

/// A text or a list of at least one (RFC 7519 4.1.3), and nothing empty among them.
fn check_audience_form(claims: &Members) -> Result<(), TokenFault> {
    let filled = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let sound = match claims.get("aud").ok_or(TokenFault::MissingClaim)? {
        Value::Array(audiences) => !audiences.is_empty() && audiences.iter().all(filled),
        audience => filled(audience),
    };
    if sound { Ok(()) } else { Err(TokenFault::Malformed) }
}

/// Seconds since 1970, without their fraction (RFC 7519 2).
pub(crate) fn numeric_date(claims: &Members, name: &str) -> Result<Option<u64>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    // 2^64 is the first that a u64 does not hold; a cast would make it the last that it does.
    let seconds = value.as_f64().filter(|seconds| (0.0..TWO_TO_64).contains(seconds));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    seconds.map(|seconds| Some(seconds as u64)).ok_or(TokenFault::Malformed)
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Absent, or a text that can become part of an identity: not empty, not too long, and without NUL,
/// at which some systems would cut it.
fn is_name(value: Option<&Value>, max_bytes: usize) -> bool {
    let Some(value) = value else { return true };
    value
        .as_str()
        .is_some_and(|text| !text.is_empty() && text.len() <= max_bytes && !text.contains('\0'))
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.contains('\0'))
}

fn is_text_or_texts(value: &Value) -> bool {
    value.as_array().map_or_else(|| is_text(value), |texts| texts.iter().all(is_text))
}

fn is_confirmation(value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    [CERTIFICATE, KEY].iter().all(|name| members.get(*name).is_none_or(Value::is_string))
}

//! What stands in a token.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use pipe_core::identity::{JwtRequest, RESERVED_CLAIMS, Role};
use pipe_core::{Error, ErrorKind, Namespace, Result, SecurityContext, TokenFault};
use serde::Serialize;
use serde_json::Value;

/// What our own verifier accepts of a token.
const SUBJECT_LIMIT: usize = 255;
const MEMBER_LIMIT: usize = 256;
const DEPTH_LIMIT: usize = 32;

/// What a token is made of.
pub(super) struct Facts<'a> {
    pub(super) request: &'a JwtRequest,
    pub(super) issuer: &'a str,
    pub(super) default_audiences: &'a BTreeSet<String>,
    pub(super) id: &'a str,
    pub(super) issued_at: u64,
    pub(super) expires_at: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'a str>,
    #[serde(flatten)]
    own: &'a BTreeMap<String, Value>,
}

/// Text when there is one, as most verifiers expect (RFC 7519 4.1.3).
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Several(&'a BTreeSet<String>),
}

/// The claims as JSON.
pub(super) fn payload(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let Facts { request, issuer, default_audiences, id, issued_at, expires_at } = *facts;
    let sub = request.subject.as_str();
    if sub.len() > SUBJECT_LIMIT {
        return Err(fault("the subject is longer than 255 bytes").hint("use a shorter id"));
    }
    check_own(request.claims())?;
    let claims = Claims {
        iss: issuer,
        sub,
        aud: audience(request, default_audiences)?,
        client_id: sub,
        iat: issued_at,
        nbf: issued_at,
        exp: expires_at,
        jti: id,
        namespace: request.namespace.as_ref().map(Namespace::as_str),
        roles: request.roles.iter().map(Role::as_str).collect(),
        own: request.claims(),
    };
    serde_json::to_vec(&claims)
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the claims could not be written out"))
}

/// `exp`: whole seconds, so that a token never lives longer than was asked for.
pub(super) fn expiry(request: &JwtRequest, issued_at: u64, most: Duration) -> Result<u64> {
    let lifetime = request.lifetime;
    if lifetime < Duration::from_secs(1) || lifetime > most {
        return Err(fault("the lifetime is out of bounds")
            .with("least seconds", 1)
            .with("most seconds", most.as_secs())
            .hint("ask for a lifetime within the bounds, or raise the issuer's maximum lifetime"));
    }
    // What is beyond this no verifier of ours could read.
    issued_at
        .checked_add(lifetime.as_secs())
        .filter(|end| i64::try_from(*end).is_ok())
        .ok_or_else(|| fault("the token would end too late to be written down"))
}

/// A random UUID (RFC 9562 5.4).
pub(super) fn new_id() -> Result<String> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| {
        Error::new(ErrorKind::Unavailable, "the system gives no random bytes")
            .hint("check that the process may read from the system's random source")
    })?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        id.push(HEX[usize::from(byte >> 4)].into());
        id.push(HEX[usize::from(byte & 0x0f)].into());
    }
    Ok(id)
}

/// A token gives nothing that the caller, on whose behalf it is issued, has not (I6).
pub(super) fn check_caller(
    request: &JwtRequest,
    caller: &SecurityContext,
    now: SystemTime,
) -> Result<()> {
    if caller.is_expired_at(now) {
        let kind = ErrorKind::TokenRejected(TokenFault::Expired);
        return Err(Error::new(kind, "the caller's context has expired"));
    }
    let denied = |claim: &'static str| {
        Error::new(ErrorKind::PermissionDenied, "the token would give more than the caller has")
            .with("claim", claim)
            .hint("ask for roles and namespaces of the caller only, or issue outside of its scope")
    };
    if !request.roles.is_subset(&caller.roles) {
        return Err(denied("roles"));
    }
    if request.namespace.as_ref().is_some_and(|namespace| !caller.namespaces.contains(namespace)) {
        return Err(denied("namespace"));
    }
    Ok(())
}

fn audience<'a>(request: &'a JwtRequest, default: &'a BTreeSet<String>) -> Result<Audience<'a>> {
    let audiences = if request.audiences.is_empty() { default } else { &request.audiences };
    if audiences.iter().any(String::is_empty) {
        return Err(fault("an audience is empty").hint("name the service that the token is for"));
    }
    let mut several = audiences.iter();
    match (several.next(), several.next()) {
        (None, _) => Err(fault("the token is meant for nobody")
            .hint("name an audience in the request, or give the issuer a default one")),
        (Some(one), None) => Ok(Audience::One(one)),
        _ => Ok(Audience::Several(audiences)),
    }
}

fn check_own(claims: &BTreeMap<String, Value>) -> Result<()> {
    if claims.len() + 10 > MEMBER_LIMIT {
        return Err(fault("the token has too many claims")
            .with("most claims of your own", MEMBER_LIMIT - 10)
            .hint("put several values into one claim"));
    }
    // The request refuses them too; a second look is cheap, and forging `sub` is not.
    if let Some(name) = claims.keys().find(|name| RESERVED_CLAIMS.contains(&name.as_str())) {
        return Err(fault("the claim is set by the signer").with("claim", name));
    }
    if claims.values().any(|value| is_deeper_than(value, DEPTH_LIMIT - 1)) {
        return Err(fault("a claim is nested too deeply")
            .with("most levels", DEPTH_LIMIT - 1)
            .hint("flatten the claim"));
    }
    Ok(())
}

/// It looks no further down than the limit, however deep the value is.
fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => {
            levels == 0 || values.iter().any(|value| is_deeper_than(value, levels - 1))
        }
        Value::Object(members) => {
            levels == 0 || members.values().any(|value| is_deeper_than(value, levels - 1))
        }
        _ => false,
    }
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

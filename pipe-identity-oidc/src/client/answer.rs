//! What the token endpoint gave (RFC 6749 5.1), read strictly.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::BearerToken;
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use pipe_http::HttpResponse;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::{Number, Value};
use zeroize::Zeroizing;

use super::{SilentScope, TokenExchange, refused};

/// How long a token is taken to live when the provider does not say (RFC 6749 5.1 lets it be silent).
pub(crate) const ASSUMED_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// No token is used for longer than this, whatever the provider says.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What is longer fits in no header.
const LONGEST_TOKEN: usize = 64 << 10;

/// A token that was granted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) token: BearerToken,
    /// From when it was asked for.
    pub(crate) lifetime: Duration,
    /// The scopes that were asked for, all of which were granted.
    pub(crate) scopes: BTreeSet<String>,
    /// What a person's login brings besides.
    pub(crate) login: LoginTokens,
}

/// What the answer holds where a person logged in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LoginTokens {
    pub(crate) id_token: Option<SecretValue>,
    pub(crate) refresh_token: Option<SecretValue>,
    /// The scopes that the answer names.
    pub(crate) scopes: Option<BTreeSet<String>>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) scopes: &'a BTreeSet<String>,
    pub(crate) silent_scope: SilentScope,
    pub(crate) exchange: Option<&'a TokenExchange>,
}

/// Reads the answer to a request.
///
/// A provider may add scopes of its own; they are not reported, as nobody asked for them. One that
/// leaves some out without saying so has not granted what the caller relies on: that is refused.
///
/// # Errors
/// - As the provider refuses, see [`refused`].
/// - `PermissionDenied`: not all scopes were granted.
/// - `Unexpected`: this is no answer with a bearer token that lives.
pub(crate) fn granted(response: &HttpResponse, expected: Expected<'_>) -> Result<Granted> {
    let Expected { scopes, exchange, .. } = expected;
    if response.status != 200 {
        return Err(refused(response));
    }
    // serde's own error may repeat a piece of the body.
    let answer: Answer = serde_json::from_slice(&response.body)
        .map_err(|_| unexpected("the answer of the token endpoint cannot be read"))?;
    let token = answer
        .access_token
        .map(|token| token.0)
        .ok_or_else(|| unexpected("the answer of the token endpoint holds no token"))?;
    let is_sound = token.len() <= LONGEST_TOKEN && token.expose().iter().all(u8::is_ascii_graphic);
    if token.is_empty() || !is_sound {
        return Err(unexpected("the token that was granted can stand in no header"));
    }
    check_type(answer.token_type.as_deref(), exchange)?;
    if let Some((exchange, issued)) = exchange.zip(answer.issued_token_type)
        && !exchange.is_wanted(&issued)
    {
        return Err(unexpected("another kind of token was issued than was asked for")
            .hint("check `client.token_exchange.requested_token_type`"));
    }
    let lifetime = lifetime(answer.expires_in.as_ref())?;
    let told = answer.scope.as_deref();
    let missing = missing(expected, told, &token);
    if !missing.is_empty() {
        return Err(Error::new(ErrorKind::PermissionDenied, "not all scopes were granted")
            .with("missing", missing.join(" "))
            .hint(
                "grant them to the client `client.id` on the provider, or ask for less; if it \
                 grants them and does not say so, set `client.silent_scope` to granted",
            ));
    }
    let login = LoginTokens {
        id_token: answer.id_token.map(|token| token.0),
        refresh_token: answer.refresh_token.map(|token| token.0).filter(|token| !token.is_empty()),
        scopes: told.map(words),
    };
    Ok(Granted { token: BearerToken::new(token), lifetime, scopes: scopes.clone(), login })
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<Token>,
    token_type: Option<String>,
    issued_token_type: Option<String>,
    expires_in: Option<Value>,
    scope: Option<String>,
    id_token: Option<Token>,
    refresh_token: Option<Token>,
}

/// A token, copied once into memory that is wiped.
struct Token(SecretValue);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Token;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                Ok(Token(text.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn check_type(kind: Option<&str>, exchange: Option<&TokenExchange>) -> Result<()> {
    match kind {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => Ok(()),
        // RFC 8693 2.2.1: what is issued is no access token, as was asked for.
        Some(kind)
            if kind.eq_ignore_ascii_case("n_a")
                && exchange.is_some_and(|exchange| exchange.requested_token_type.is_some()) =>
        {
            Ok(())
        }
        Some(kind) if kind.eq_ignore_ascii_case("dpop") => Err(unexpected(
            "the token is bound to a DPoP key, which we do not have",
        )
        .hint("turn DPoP-bound tokens off for the client `client.id`, or use tls_client_auth")),
        Some(_) => Err(unexpected("the token is of a type that is not known")),
        None => Err(unexpected("the answer of the token endpoint names no token type")),
    }
}

/// How long the token lives. Some providers write the number as text.
fn lifetime(expires_in: Option<&Value>) -> Result<Duration> {
    let whole = |number: &Number| {
        number.as_u64().or_else(|| {
            let seconds = number.as_f64().filter(|seconds| *seconds >= 1.0)?;
            Some(seconds.min(LONGEST_LIFETIME.as_secs_f64()) as u64)
        })
    };
    let seconds = match expires_in {
        None => return Ok(ASSUMED_LIFETIME),
        Some(Value::Number(number)) => whole(number),
        Some(Value::String(text))
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            // All digits and yet no number: larger than any.
            Some(text.parse().unwrap_or(u64::MAX))
        }
        Some(_) => None,
    };
    match seconds {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds).min(LONGEST_LIFETIME)),
        _ => Err(unexpected("the token that was granted does not live")),
    }
}

/// The scopes that were asked for and are not granted.
///
/// Where the answer is silent, the token itself may tell: a real provider that drops every scope
/// leaves `scope` out of both. A token of RFC 9068 carries the scopes that it was asked for, so that
/// its silence means that there are none.
fn missing<'a>(expected: Expected<'a>, told: Option<&str>, token: &SecretValue) -> Vec<&'a str> {
    if expected.scopes.is_empty() {
        return Vec::new();
    }
    let told = told.map(words).or_else(|| token.expose_str().and_then(scopes_inside));
    let granted = match (told, expected.silent_scope) {
        (Some(granted), _) => granted,
        (None, SilentScope::Granted) => return Vec::new(),
        (None, SilentScope::Refused) => BTreeSet::new(),
    };
    expected
        .scopes
        .iter()
        // Entra ID's word for all that was consented to; the answer names the single ones.
        .filter(|scope| !granted.contains(*scope) && !scope.ends_with("/.default"))
        .map(String::as_str)
        .collect()
}

fn words(scope: &str) -> BTreeSet<String> {
    scope.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The scopes in a JWT; `None` when the token is no JWT, or one that need not carry them. Nothing
/// is verified: the provider itself has just handed us the token.
fn scopes_inside(token: &str) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Header {
        typ: Option<String>,
    }
    #[derive(Deserialize)]
    struct Claims {
        scope: Option<Scopes>,
        scp: Option<Scopes>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scopes {
        Text(String),
        List(Vec<String>),
    }
    let mut parts = token.split('.');
    let header: Header = decode(parts.next()?)?;
    let claims: Claims = decode(parts.next()?)?;
    match claims.scope.or(claims.scp) {
        Some(Scopes::Text(text)) => Some(words(&text)),
        Some(Scopes::List(list)) => Some(list.into_iter().collect()),
        None => {
            let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
            matches!(typ.as_str(), "at+jwt" | "application/at+jwt").then(BTreeSet::new)
        }
    }
}

fn decode<T: de::DeserializeOwned>(part: &str) -> Option<T> {
    let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(part).ok()?);
    serde_json::from_slice(&json).ok()
}

fn unexpected(message: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, message)
        .hint("check that `client.token_endpoint` is the token endpoint of an OAuth 2.0 provider")
}

#[cfg(test)]
mod tests;

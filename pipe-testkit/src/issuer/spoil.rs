//! Lies that a provider never tells, for suites that have to catch clients that believe them.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::answers::encoded;
use super::issue::token_hash;
use super::{SigningAlgorithm, SigningKey, TestIssuer, TokenBuilder};

/// What is wrong with the next callback, `id_token` or token answer ([`TestIssuer::spoil`]).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Spoil {
    /// The callback has this `iss` (RFC 9207).
    CallbackIssuer(String),
    /// The callback has no `iss`.
    CallbackWithoutIssuer,
    /// The callback has this `state`.
    CallbackState(String),
    /// The callback has no `state`.
    CallbackWithoutState,
    /// The callback has an error instead of a code.
    CallbackError {
        /// `error`.
        error: String,
        /// `error_description`, which can be HTML.
        description: String,
    },

    /// The `id_token` has a `nonce` that nobody asked for.
    WrongNonce,
    /// The `id_token` has no `nonce`.
    NoNonce,
    /// The `id_token` is for another client.
    WrongAudience,
    /// The `id_token` is for the client, and says that another was authorized (`azp`).
    OtherAuthorizedParty,
    /// The `id_token` is for the client and another, and does not say which was authorized.
    SeveralAudiences,
    /// The `id_token` has the `at_hash` of another access token.
    WrongAtHash,
    /// The `id_token` expired an hour ago.
    Expired,
    /// The `id_token` was made in an hour from now.
    IssuedInFuture,
    /// The `id_token` is of another issuer.
    WrongIssuer,
    /// The `id_token` is about somebody else.
    WrongSubject,
    /// The `id_token` has no signature (`alg` `none`).
    AlgNone,
    /// The `id_token` is signed by a key that nobody published, under the name of one that is.
    ForeignKey,
    /// The `id_token` is an access token (`typ` `at+jwt`) with all claims of an `id_token`.
    AccessTokenAsIdToken,
    /// The person logged in ten days before they did.
    OldAuthTime,
    /// The `id_token` does not say when they logged in.
    NoAuthTime,
    /// The person logged in another way than they did.
    WrongAcr,
    /// The `id_token` does not say how they logged in.
    NoAcr,
    /// Anything else: [`TestIssuer::spoil_id_token`].
    IdToken(Edit),

    /// The token answer has no `id_token`.
    NoIdToken,
    /// The token answer has no `access_token`.
    NoAccessToken,
    /// The token answer has this `token_type`.
    TokenType(String),
    /// The token answer has this `expires_in`; `null` is none.
    ExpiresIn(Value),
    /// The token answer has no refresh token. A refresh leaves the one that was used as it is.
    NoRefreshToken,
    /// The token answer has this `scope`; `null` is none.
    Scope(Value),
}

/// A change to an `id_token` before it is signed.
#[derive(Clone)]
pub struct Edit(Arc<dyn Fn(TokenBuilder) -> TokenBuilder + Send + Sync>);

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edit")
    }
}

/// What a lie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Callback,
    IdToken,
    Answer,
}

impl TestIssuer {
    /// The next callback, `id_token` or token answer of a person is wrong in this way, and those after it
    /// are right again. What concerns different things of one answer adds up; of several lies about the same
    /// thing, each waits for its turn.
    pub fn spoil(&self, spoil: Spoil) {
        self.provider.lock().logins.spoils.push(spoil);
    }

    /// The next `id_token` is changed in this way before it is signed.
    pub fn spoil_id_token(
        &self,
        edit: impl Fn(TokenBuilder) -> TokenBuilder + Send + Sync + 'static,
    ) {
        self.spoil(Spoil::IdToken(Edit(Arc::new(edit))));
    }
}

impl Spoil {
    fn place(&self) -> Place {
        match self {
            Self::CallbackIssuer(_)
            | Self::CallbackWithoutIssuer
            | Self::CallbackState(_)
            | Self::CallbackWithoutState
            | Self::CallbackError { .. } => Place::Callback,
            Self::NoIdToken
            | Self::NoAccessToken
            | Self::TokenType(_)
            | Self::ExpiresIn(_)
            | Self::NoRefreshToken
            | Self::Scope(_) => Place::Answer,
            _ => Place::IdToken,
        }
    }

    /// The next lie about this, which is then told.
    pub(super) fn next(waiting: &mut Vec<Self>, place: Place) -> Option<Self> {
        let index = waiting.iter().position(|it| it.place() == place)?;
        Some(waiting.remove(index))
    }

    pub(super) fn callback<'a>(&'a self, parameters: &mut Vec<(&'a str, &'a str)>) {
        match self {
            Self::CallbackIssuer(issuer) => replace(parameters, "iss", Some(issuer)),
            Self::CallbackWithoutIssuer => replace(parameters, "iss", None),
            Self::CallbackState(state) => replace(parameters, "state", Some(state)),
            Self::CallbackWithoutState => replace(parameters, "state", None),
            Self::CallbackError { error, description } => {
                replace(parameters, "code", None);
                parameters.insert(0, ("error", error));
                parameters.insert(1, ("error_description", description));
            }
            _ => {}
        }
    }

    pub(super) fn id_token(
        &self,
        token: TokenBuilder,
        now: u64,
        algorithm: SigningAlgorithm,
        client: &str,
        own_key: &SigningKey,
    ) -> TokenBuilder {
        const OTHER: &str = "another-client";
        match self {
            Self::WrongNonce => token.claim("nonce", "another-nonce"),
            Self::NoNonce => token.without("nonce"),
            Self::WrongAudience => token.claim("aud", OTHER),
            Self::OtherAuthorizedParty => token.claim("azp", OTHER),
            Self::SeveralAudiences => token.claim("aud", vec![client, OTHER]),
            Self::WrongAtHash => token.claim("at_hash", token_hash(algorithm, "another-token")),
            Self::Expired => {
                token.claim("iat", now.saturating_sub(7200)).claim("exp", now.saturating_sub(3600))
            }
            Self::IssuedInFuture => token.claim("iat", now + 3600).claim("exp", now + 7200),
            Self::WrongIssuer => token.claim("iss", "https://another-issuer.test"),
            Self::WrongSubject => token.claim("sub", "somebody-else"),
            Self::AlgNone => {
                token.header("alg", "none").without_header("kid").signature(Vec::new())
            }
            Self::ForeignKey => token.signed_by(&foreign_key(own_key)),
            Self::AccessTokenAsIdToken => {
                let token = token.header("typ", "at+jwt").claim("client_id", client);
                token.claim("jti", encoded(client)).claim("scope", "openid")
            }
            Self::OldAuthTime => token.claim("auth_time", now.saturating_sub(10 * 24 * 3600)),
            Self::NoAuthTime => token.without("auth_time"),
            Self::WrongAcr => token.claim("acr", "another-acr"),
            Self::NoAcr => token.without("acr"),
            Self::IdToken(edit) => (edit.0)(token),
            _ => token,
        }
    }

    pub(super) fn answer(&self, answer: &mut Value) {
        let (member, value) = match self {
            Self::NoIdToken => ("id_token", Value::Null),
            Self::NoAccessToken => ("access_token", Value::Null),
            Self::TokenType(name) => ("token_type", name.as_str().into()),
            Self::ExpiresIn(value) => ("expires_in", value.clone()),
            Self::Scope(value) => ("scope", value.clone()),
            _ => return,
        };
        if let Some(members) = answer.as_object_mut() {
            members.insert(member.to_owned(), value);
            members.retain(|_, value| !value.is_null());
        }
    }
}

fn replace<'a>(parameters: &mut Vec<(&'a str, &'a str)>, name: &'a str, value: Option<&'a str>) {
    parameters.retain(|(it, _)| *it != name);
    parameters.extend(value.map(|value| (name, value)));
}

/// Another key of the same kind. Few keys take turns, so the first that comes can be the same.
fn foreign_key(own: &SigningKey) -> SigningKey {
    loop {
        let key = SigningKey::generate(own.algorithm(), own.kid());
        if key.bare_jwk() != own.bare_jwk() {
            return key;
        }
    }
}

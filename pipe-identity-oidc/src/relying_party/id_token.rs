//! What the provider says about a person (OpenID Connect Core 2, 3.1.3.7, 12.2).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{ConfigFaults, Error, Result, SecretValue, TokenFault};
use serde_json::{Map, Value};

use super::record::{self, Hidden, Person, seconds};
use crate::config::Foundation;
use crate::error::refused;
use crate::jwt::{Algorithm, Claims, Jwt, TokenPolicy, TokenType};
use crate::keys::KeySource;
use crate::mapping::Mapper;
use crate::{ClaimsReader, IssuerConfig, Preset};

/// Reads the ID tokens of one provider.
#[derive(Debug)]
pub(super) struct IdTokens {
    issuer: String,
    client: String,
    policy: TokenPolicy,
    pub(super) keys: Arc<KeySource>,
    pub(super) mapper: Mapper,
    preset: Preset,
    reader: Option<Arc<dyn ClaimsReader>>,
    /// In which ways people have to prove who they are; in any when empty.
    assurance: BTreeSet<String>,
}

/// What a token has to say.
pub(super) struct Expected<'a> {
    /// The login's own; none where a session is renewed.
    pub(super) nonce: Option<&'a str>,
    pub(super) max_age: Option<u64>,
    /// What the login has said already, where a session is renewed.
    pub(super) before: Option<&'a Person>,
    /// The access token that came along.
    pub(super) access_token: &'a [u8],
}

impl IdTokens {
    pub(super) fn new(
        config: &IssuerConfig,
        client: &str,
        assurance: BTreeSet<String>,
        resolves_roles: bool,
        faults: &mut ConfigFaults,
    ) -> Option<Self> {
        // OpenID Connect Core 2 requires it, unlike RFC 7519.
        let policy = config.policy(TokenType::Untyped).require_claim("iat").build();
        let policy = faults.keep_below("issuer", policy);
        let Foundation { keys, mapper } = config.foundation("issuer", faults);
        Some(Self {
            issuer: config.issuer.clone(),
            client: client.to_owned(),
            policy: policy?,
            keys: Arc::new(keys?),
            mapper: mapper?.resolving_roles(resolves_roles),
            preset: config.preset,
            reader: config.reader.clone(),
            assurance,
        })
    }

    /// As it is set.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// # Errors
    /// `TokenRejected` with the first fault; `Unavailable` when the keys cannot be had.
    pub(super) async fn verify(
        &self,
        token: &SecretValue,
        expected: Expected<'_>,
        now: SystemTime,
    ) -> Result<Claims> {
        let about = |fault| self.refused(fault);
        let jwt = Jwt::parse(token.expose(), self.policy.limits()).map_err(about)?;
        let audiences = [&self.client];
        let (claims, _) = self.keys.verify(&self.policy, &jwt, &audiences, now).await?;
        let claims = claims.map_err(about)?;
        self.check(&claims, jwt.algorithm(), &expected, now).map_err(about)?;
        Ok(claims)
    }

    /// The claims of a token that was verified when the session began, or when it was renewed.
    pub(super) fn kept(&self, token: &SecretValue) -> Result<Claims> {
        let jwt = Jwt::parse(token.expose(), self.policy.limits());
        jwt.and_then(|jwt| Claims::kept(&jwt)).map_err(|fault| self.refused(fault))
    }

    fn check(
        &self,
        claims: &Claims,
        algorithm: Option<Algorithm>,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<(), TokenFault> {
        let members = claims.members();
        let has_others = claims.audiences().any(|audience| audience != self.client);
        match members.get("azp") {
            Some(party) if party.as_str() != Some(&self.client) => {
                return Err(TokenFault::WrongAudience);
            }
            None if has_others => return Err(TokenFault::WrongAudience),
            _ => {}
        }
        // Keycloak signs every kind of token with the same key.
        let is_keycloaks = self.preset == Preset::Keycloak;
        if is_keycloaks && members.get("typ").is_some_and(|typ| typ.as_str() != Some("ID")) {
            return Err(TokenFault::WrongType);
        }
        if members.contains_key("events") {
            return Err(TokenFault::WrongType);
        }
        if let Some(nonce) = expected.nonce {
            let given = members.get("nonce").and_then(Value::as_str).unwrap_or_default();
            verify_slices_are_equal(given.as_bytes(), nonce.as_bytes())
                .map_err(|_| TokenFault::WrongNonce)?;
        }
        if let Some(hash) = members.get("at_hash") {
            let own = algorithm.map(|algorithm| half_hash(algorithm, expected.access_token));
            if hash.as_str().is_none() || hash.as_str() != own.as_deref() {
                return Err(TokenFault::WrongHash);
            }
        }
        if let Some(max_age) = expected.max_age {
            let at = auth_time(members).ok_or(TokenFault::MissingClaim)?;
            let leeway = self.policy.leeway().as_secs();
            if seconds(now) > at.saturating_add(max_age).saturating_add(leeway) {
                return Err(TokenFault::TooOld);
            }
        }
        // OpenID Connect Core 12.2: a renewal need not repeat it.
        let acr = match members.get("acr") {
            Some(acr) => acr.as_str(),
            None => expected.before.and_then(|before| before.assurance.as_deref()),
        };
        if !self.assurance.is_empty() && !acr.is_some_and(|acr| self.assurance.contains(acr)) {
            return Err(TokenFault::WrongAssurance);
        }
        Ok(())
    }

    /// Who it is, by an ID token and by what the userinfo endpoint says besides.
    ///
    /// # Errors
    /// `TokenRejected` when a mapped claim is absent or cannot be used.
    pub(super) fn person(
        &self,
        claims: &Claims,
        more: Option<Map<String, Value>>,
    ) -> Result<Person> {
        let mut members = more.unwrap_or_default();
        members.extend(claims.members().clone());
        let about = |error: Error| error.with("issuer", &self.issuer);
        let caller = self.mapper.caller(&members, BTreeSet::new()).map_err(about)?;
        let groups = self.mapper.groups(&members).map_err(about)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let authenticated_at = auth_time(&members).or(claims.issued_at()).unwrap_or_default();
        let mut person = Person {
            issuer: claims.issuer().to_owned(),
            subject: claims.subject().to_owned(),
            sid: text("sid"),
            nonce: text("nonce").map(|nonce| Hidden(nonce.into())),
            kind: caller.principal.kind,
            id: caller.principal.id,
            tenant: caller.tenant,
            namespaces: caller.namespaces,
            roles: caller.roles,
            cluster_groups: caller.groups,
            groups_elsewhere: caller.groups_elsewhere,
            groups,
            token_id: claims.token_id().map(str::to_owned),
            authenticated_at,
            assurance: text("acr"),
            name: text("name"),
            username: text("preferred_username"),
            email: text("email"),
            // Some providers write it as text.
            email_verified: matches!(members.get("email_verified"), Some(Value::Bool(true)))
                || text("email_verified").as_deref() == Some("true"),
        };
        if let Some(reader) = &self.reader {
            let until = record::time(claims.expires_at());
            let context = person.context(BTreeSet::new(), until);
            let context = reader.read(context, claims).map_err(about)?;
            person.kind = context.principal.kind;
            person.id = context.principal.id;
            person.tenant = context.tenant;
            person.namespaces = context.namespaces;
            person.roles = context.roles;
            person.cluster_groups = context.groups;
        }
        Ok(person)
    }

    /// A token of the provider was refused that is about a person.
    pub(super) fn refused(&self, fault: TokenFault) -> Error {
        let error = refused(fault, &self.issuer).with("token", "id_token");
        match fault {
            TokenFault::WrongAudience => error.hint(
                "check that `client.id` is the client which `redirect_uri` is registered for",
            ),
            TokenFault::WrongType => {
                error.hint("let the provider give an ID token of OpenID Connect")
            }
            TokenFault::MissingClaim => error.hint(
                "let the provider write the claims that are mapped, and `auth_time` where `max_age` \
                 is set, into ID tokens; or set `user_info`",
            ),
            _ => error,
        }
    }
}

/// OpenID Connect Core 3.1.3.6: the left half of the hash that the signature is made with.
fn half_hash(algorithm: Algorithm, token: &[u8]) -> String {
    use Algorithm::{EdDsa, Es384, Hs384, Hs512, Ps384, Ps512, Rs384, Rs512};
    let hash = match algorithm {
        Es384 | Hs384 | Ps384 | Rs384 => &SHA384,
        EdDsa | Hs512 | Ps512 | Rs512 => &SHA512,
        _ => &SHA256,
    };
    let digest = digest::digest(hash, token);
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2])
}

fn auth_time(members: &Map<String, Value>) -> Option<u64> {
    crate::jwt::numeric_date(members, "auth_time").ok().flatten()
}

//! An issuer whose tokens are taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::identity::{BearerToken, SecurityContext};
use pipe_core::{Error, ErrorKind, Result, TokenFault};
use serde_json::{Map, Value};

use crate::cache::Digest;
use crate::error::refused;
use crate::introspection::{Answer, Introspector};
use crate::jwt::{Claims, Confirmation, Jwt, Times, TokenPolicy};
use crate::keys::KeySource;
use crate::mapping::Mapper;
use crate::preset::Preset;
use crate::reader::ClaimsReader;

/// An issuer, how its tokens are checked, and what they mean.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// The configured name, for errors.
    pub(crate) issuer: String,
    pub(crate) policy: TokenPolicy,
    pub(crate) keys: KeySource,
    pub(crate) mapper: Mapper,
    pub(crate) preset: Preset,
    pub(crate) reader: Option<Arc<dyn ClaimsReader>>,
    pub(crate) keeps_claims: bool,
    pub(crate) introspector: Option<Introspector>,
}

/// A token that was found good, and whose it is. Whom it is meant for, and when it ends, is looked
/// at again each time. It has what is needed for that and no more, close together, because many are
/// remembered.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) context: SecurityContext,
    /// Whether a resolver has to say which groups its bearer is in.
    pub(crate) groups_elsewhere: bool,
    /// For whom it is meant; `None` when it does not say, and we were told not to mind.
    audiences: Option<Box<[Box<str>]>>,
    times: Times,
    /// The claims of a token that is bound (`cnf`), or whose claims are kept.
    claims: Option<Claims>,
    /// The place of its issuer among those that are trusted.
    pub(crate) trusted: usize,
}

/// What was found out, and for how long it may be taken as known.
pub(crate) struct Found {
    pub(crate) verified: Verified,
    /// The keys that it was found out with.
    pub(crate) generation: Option<u64>,
    pub(crate) ttl: Duration,
}

impl Verified {
    /// What the bearer must prove to have.
    pub(crate) fn confirmation(&self) -> Option<Confirmation<'_>> {
        self.claims.as_ref().and_then(Claims::confirmation)
    }

    /// The claims, where they are kept.
    pub(crate) fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }
}

impl Trusted {
    /// Verifies a JWT with the keys of this issuer.
    pub(crate) async fn verify(
        &self,
        jwt: &Jwt<'_>,
        audiences: &[String],
        now: SystemTime,
        trusted: usize,
        ttl: Duration,
    ) -> Result<Found> {
        let (checked, generation) = self.keys.verify(&self.policy, jwt, audiences, now).await?;
        let claims = checked.map_err(|fault| refused(fault, &self.issuer))?;
        let verified = self.verified(claims, trusted, true)?;
        Ok(Found { verified, generation: Some(generation), ttl })
    }

    /// What the issuer says about a token that is active; `None` when tokens of its kind are for us
    /// to verify.
    pub(crate) async fn ask(
        &self,
        introspector: &Introspector,
        token: &BearerToken,
    ) -> Result<Option<Map<String, Value>>> {
        let digest = Digest::of(token.expose());
        let inactive = || refused(TokenFault::Inactive, &self.issuer);
        if introspector.is_known_inactive(&digest) {
            return Err(inactive());
        }
        match self.keys.introspect(introspector, token, digest).await? {
            Answer::Active(members) if is_of_another_kind(&members) => {
                Err(refused(TokenFault::WrongType, &self.issuer))
            }
            Answer::Active(members) => Ok(Some(members)),
            Answer::Inactive => Err(inactive()),
            Answer::NotAsked => Ok(None),
        }
    }

    /// Asks the issuer about a token that only it can read; `None` when tokens of its kind are for
    /// us to verify.
    pub(crate) async fn introspect(
        &self,
        introspector: &Introspector,
        token: &BearerToken,
        now: SystemTime,
        trusted: usize,
    ) -> Result<Option<Found>> {
        let Some(members) = self.ask(introspector, token).await? else {
            return Ok(None);
        };
        let has_audience = members.contains_key("aud");
        if !is_access_token(&members, has_audience) {
            return Err(refused(TokenFault::WrongType, &self.issuer));
        }
        if !has_audience && !introspector.accepts_missing_audience {
            return Err(refused(TokenFault::WrongAudience, &self.issuer).hint(
                "the issuer does not say for whom the token is meant: let the caller ask for one \
                 for this service, or set `introspection.accept_missing_audience`",
            ));
        }
        let claims = self
            .policy
            .accept_introspected(self.completed(members, now, introspector.active_ttl()))
            .map_err(|fault| refused(fault, &self.issuer))?;
        let verified = self.verified(claims, trusted, has_audience)?;
        Ok(Some(Found { verified, generation: None, ttl: introspector.active_ttl() }))
    }

    /// What RFC 7662 2.2 lets an issuer leave out, because it follows from whom we asked.
    fn completed(
        &self,
        mut members: Map<String, Value>,
        now: SystemTime,
        ttl: Duration,
    ) -> Map<String, Value> {
        if !members.contains_key("iss") {
            members.insert("iss".to_owned(), self.issuer.as_str().into());
        }
        // A client that speaks for itself has no other subject.
        if !members.contains_key("sub")
            && let Some(client) = members.get("client_id").cloned()
        {
            members.insert("sub".to_owned(), client);
        }
        // Without an end, nothing is known beyond this answer.
        if !members.contains_key("exp") {
            let end = now.duration_since(UNIX_EPOCH).unwrap_or_default() + ttl;
            members.insert("exp".to_owned(), end.as_secs().max(1).into());
        }
        members
    }

    fn verified(&self, claims: Claims, trusted: usize, has_audience: bool) -> Result<Verified> {
        let members = claims.members();
        if let Some((fault, hint)) = self.preset.refuses(members) {
            return Err(refused(fault, &self.issuer).hint(hint));
        }
        let scopes: BTreeSet<String> = claims.scopes().map(str::to_owned).collect();
        let caller = self
            .mapper
            .caller(members, scopes)
            .map_err(|error| error.with("issuer", &self.issuer))?;
        let expires_at = time(claims.expires_at())
            .ok_or_else(|| refused(TokenFault::LifetimeTooLong, &self.issuer))?;
        // When a person proved who they are (OpenID Connect Core 2), or a client did.
        let auth_time = members.get("auth_time").and_then(Value::as_u64);
        let authenticated_at = auth_time.or(claims.issued_at()).and_then(time);
        let authenticated_at = authenticated_at.unwrap_or(UNIX_EPOCH).min(expires_at);
        let issuer = match self.policy.issuer().is_template() {
            true => claims.issuer(),
            // One name for each issuer, however it spells itself.
            false => &self.issuer,
        };
        let mut context =
            SecurityContext::new(caller.principal, issuer, authenticated_at, expires_at);
        context.tenant = caller.tenant;
        context.namespaces = caller.namespaces;
        context.roles = caller.roles;
        context.groups = caller.groups;
        context.scopes = caller.scopes;
        context.token_id = claims.token_id().map(str::to_owned);
        if let Some(reader) = &self.reader {
            context = reader
                .read(context, &claims)
                .map_err(|error| error.with("issuer", &self.issuer))?;
        }
        let audiences = has_audience.then(|| claims.audiences().map(Into::into).collect());
        let times = claims.times();
        let is_kept = self.keeps_claims || claims.confirmation().is_some();
        let claims = is_kept.then_some(claims);
        let groups_elsewhere = caller.groups_elsewhere;
        Ok(Verified { context, groups_elsewhere, audiences, times, claims, trusted })
    }

    /// Whether a context with this issuer came from here.
    pub(crate) fn is_of(&self, issuer: &str) -> bool {
        self.issuer == issuer || self.policy.issuer().may_be(issuer)
    }

    /// What has to hold each time, however the token was found good.
    pub(crate) fn check_again(
        &self,
        verified: &Verified,
        audiences: &[String],
        now: SystemTime,
    ) -> Result<()> {
        let is_expected = |one: &str| audiences.iter().any(|name| name == one);
        let is_meant =
            verified.audiences.as_ref().is_none_or(|all| all.iter().any(|one| is_expected(one)));
        let checked = match is_meant {
            true => self.policy.check_times(verified.times, now),
            false => Err(TokenFault::WrongAudience),
        };
        checked.map_err(|fault| refused(fault, &self.issuer))
    }

    pub(crate) fn malformed(&self) -> Error {
        refused(TokenFault::Malformed, &self.issuer)
    }
}

/// Issuers are asked about refresh tokens too, and say that these are active. Ory Hydra calls them so
/// in `token_use`, others in `token_type`, which RFC 6749 has for how a token is used.
fn is_of_another_kind(members: &Map<String, Value>) -> bool {
    ["token_use", "token_type"].iter().filter_map(|name| members.get(*name)?.as_str()).any(|kind| {
        ["refresh_token", "refresh", "id_token"].iter().any(|one| kind.eq_ignore_ascii_case(one))
    })
}

/// A refresh token is good for longer and for nobody in particular: the certified provider leaves both
/// type and audience out of its answer about one.
fn is_access_token(members: &Map<String, Value>, has_audience: bool) -> bool {
    let is_type =
        |kind: &str| kind.eq_ignore_ascii_case("bearer") || kind.eq_ignore_ascii_case("dpop");
    match members.get("token_type") {
        Some(kind) => kind.as_str().is_some_and(is_type),
        None => has_audience,
    }
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Of a plugin that trusts nobody.
pub(crate) fn nobody() -> Error {
    Error::new(ErrorKind::TokenRejected(TokenFault::WrongIssuer), "no issuer is trusted")
        .hint("add one to `issuers`, or set `signing`")
}

//! What the settings amount to.

use std::sync::Arc;
use std::time::Duration;

use pipe_core::rbac::GroupRights;
use pipe_core::{Clock, ConfigFaults, Error, ErrorKind, Result};

use super::{IssuerConfig, Keys, OidcConfig, SigningConfig, TENANT_PLACE};
use crate::binding::ProofChecker;
use crate::cache::TokenCache;
use crate::client::Credentials;
use crate::endpoints::ProviderEndpoints;
use crate::flights::Flights;
use crate::introspection::Introspector;
use crate::issue::TokenIssuer;
use crate::jwt::{
    Algorithm, DEFAULT_ALGORITHMS, KeyHeaders, KeySet, Signer, SigningKey, TokenPolicy,
    TokenPolicyBuilder, TokenType, TrustedIssuer, VerifyingKey, json,
};
use crate::keys::{KeySource, OwnKeys, Ring};
use crate::mapping::Mapper;
use crate::plugin::Inner;
use crate::provider::{self, Provider, ProviderSettings, TTL_RANGE};
use crate::trusted::Trusted;
use crate::{ClaimMapping, ClaimPointer, ClientConfig, IntrospectionConfig, Preset};

/// Nothing is remembered longer than keys are.
const LONGEST_MEMORY: Duration = TTL_RANGE.1;
const TOO_LONG: &str = "must be 24 hours at most";

impl OidcConfig {
    /// Everything that can be checked without asking a provider, all faults at once.
    pub(crate) fn build(self) -> Result<Inner> {
        let mut faults = ConfigFaults::new();
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            faults.add("name", "must not be empty or have spaces in it");
        }
        if self.cache_ttl > LONGEST_MEMORY {
            faults.add("cache_ttl", TOO_LONG);
        }
        let mut trusted = Vec::new();
        for (place, issuer) in self.issuers.iter().enumerate() {
            let at = format!("issuers[{place}]");
            trusted.extend(issuer.build(&at, &self, &mut faults));
        }
        let issuer = self
            .signing
            .as_ref()
            .and_then(|signing| faults.keep("signing", signing.build(&self.clock)).map(Arc::new));
        if let Some(issuer) = &issuer {
            trusted.extend(faults.keep("signing", own(issuer)));
        }
        self.check_together(&mut faults);
        let credentials =
            self.client.as_ref().and_then(|client| self.client(client, &trusted, &mut faults));
        faults.into_result()?;
        // An issuer that is asked has its own say on how long its answers are good for.
        let remembers =
            !self.cache_ttl.is_zero() || trusted.iter().any(|one| one.introspector.is_some());
        Ok(Inner {
            name: self.name,
            trusted,
            issuer,
            credentials,
            roles: self.roles,
            clock: self.clock,
            cache: TokenCache::new(if remembers { self.cache_size } else { 0 }),
            cache_ttl: self.cache_ttl,
            proofs: ProofChecker::default(),
            flights: Flights::default(),
        })
    }

    /// What cannot be said of one issuer alone.
    fn check_together(&self, faults: &mut ConfigFaults) {
        for (place, issuer) in self.issuers.iter().enumerate() {
            let own = self.signing.iter().map(|own| own.issuer.clone());
            let others = self.issuers[..place].iter().flat_map(IssuerConfig::spellings);
            let taken: Vec<_> = own.chain(others).collect();
            if issuer.spellings().any(|spelling| taken.contains(&spelling)) {
                let at = format!("issuers[{place}].issuer");
                faults.add(at, "is named twice; whose keys would count?");
            }
        }
        // What is wrong with one alone was told with it.
        let rights = |issuer: &IssuerConfig| GroupRights::new(issuer.group_mapping()).ok();
        let rights: Vec<_> = self.issuers.iter().map(rights).collect();
        for (place, own) in rights.iter().enumerate() {
            let at = format!("issuers[{place}].claims");
            let others = rights[..place].iter().flatten();
            let met = own
                .iter()
                .find_map(|own| others.clone().find_map(|other| own.check_beside(other).err()));
            met.map(|error| faults.keep_below::<()>(&at, Err(error)));
        }
        let asked = self.issuers.iter().filter(|issuer| issuer.introspection.is_some());
        if asked.count() > 1 {
            faults.add(
                "issuers",
                "have `introspection` more than once: an opaque token does not say whose it is, \
                 and would be shown to all of them; make a plugin for each",
            );
        }
    }

    /// The credentials of a client at the issuer that it names, or at the first.
    fn client(
        &self,
        client: &ClientConfig,
        trusted: &[Trusted],
        faults: &mut ConfigFaults,
    ) -> Option<Credentials> {
        for (setting, fault) in client.faults() {
            faults.add(setting, fault);
        }
        let at = client.issuer.as_ref().or(self.issuers.first().map(|one| &one.issuer));
        let Some(at) = at else {
            faults.add("client.issuer", "must be set where there are no `issuers`");
            return None;
        };
        let config = self.issuers.iter().find(|one| one.issuer == *at);
        let known = trusted.iter().find(|one| one.issuer == *at).map(|one| &one.keys);
        let provider = match known {
            Some(KeySource::Provider { provider, .. }) => provider.clone(),
            // Known otherwise, or not trusted: asked for credentials all the same.
            _ => {
                let settings = match config {
                    Some(config) => config.settings(provider::KeySource::Discovery),
                    None => ProviderSettings::new(at, provider::KeySource::Discovery),
                };
                faults.keep_below("client", Provider::new(settings))?
            }
        };
        let patience = config.map_or(super::default_http(), |one| one.http.clone()).timeout;
        let endpoints = ProviderEndpoints::new(at, provider, client.token_endpoint.clone(), None);
        let endpoints = faults.keep("client.token_endpoint", endpoints)?;
        let clock = self.clock.clone();
        // Learning the endpoint takes an exchange, and so does asking it.
        Some(Credentials::new(
            client.clone(),
            Arc::new(endpoints),
            clock,
            patience.saturating_mul(2),
        ))
    }
}

/// What tokens of an issuer are read with, as far as the settings are sound.
pub(crate) struct Foundation {
    pub(crate) keys: Option<KeySource>,
    pub(crate) mapper: Option<Mapper>,
}

impl IssuerConfig {
    /// What is the same for access tokens and for ID tokens: where the keys are, what the claims mean.
    pub(crate) fn foundation(&self, at: &str, faults: &mut ConfigFaults) -> Foundation {
        let setting = |name: &str| format!("{at}.{name}");
        if let Some((name, fault)) = self.preset.faults(&self.issuer, !self.tenants.is_empty()) {
            faults.add(setting(name), fault);
        }
        if self.is_template() && !self.also_known_as.is_empty() {
            faults.add(setting("also_known_as"), "is for an issuer without {tenantid}");
        }
        let keys = faults.keep_below(at, self.key_source());
        let mapping = self.mapping();
        // A template's tenants are checked by the policy, against `tid`.
        let tenants = match self.is_template() {
            true => Default::default(),
            false => self.tenants.clone(),
        };
        if !tenants.is_empty() && mapping.tenant.is_none() {
            faults.add(setting("tenants"), "cannot be told apart: set `claims.tenant`");
        }
        let mapper = faults.keep_below(&setting("claims"), Mapper::new(mapping, tenants));
        Foundation { keys, mapper }
    }

    fn build(&self, at: &str, config: &OidcConfig, faults: &mut ConfigFaults) -> Option<Trusted> {
        let before = faults.len();
        let setting = |name: &str| format!("{at}.{name}");
        let types = self.types.unwrap_or_else(|| self.preset.types()).into();
        let policy = self.policy(types).build();
        let policy = faults.keep_below(at, policy);
        let Foundation { keys, mapper } = self.foundation(at, faults);
        let introspector = self.introspection.as_ref().map(|introspection| {
            if let Some((name, fault)) = introspection.authentication.fault() {
                let name = name.replacen("client", "introspection", 1);
                faults.add(setting(&name), fault);
            }
            for (name, ttl) in [
                ("introspection.active_ttl", introspection.active_ttl),
                ("introspection.inactive_ttl", introspection.inactive_ttl),
            ] {
                if ttl > LONGEST_MEMORY {
                    faults.add(setting(name), TOO_LONG);
                }
            }
            let is_static = matches!(self.keys, Keys::File(_) | Keys::Inline(_));
            if is_static && introspection.endpoint.is_none() {
                faults.add(
                    setting("introspection.endpoint"),
                    "must be set where keys are given, because nothing is discovered then",
                );
            }
            if !matches!(&keys, Some(KeySource::Provider { .. }) | None) {
                faults.add(setting("introspection"), "needs an issuer that can be asked");
            }
            Introspector::new(introspection, config.clock.clone())
        });
        let (policy, keys) = (policy?, keys?);
        let mapper = mapper?.resolving_roles(config.roles.is_some());
        (faults.len() == before).then(|| Trusted {
            issuer: self.issuer.clone(),
            policy,
            keys,
            mapper,
            preset: self.preset,
            reader: self.reader.clone(),
            keeps_claims: self.keep_claims,
            introspector,
        })
    }

    fn is_template(&self) -> bool {
        self.issuer.contains(TENANT_PLACE)
    }

    /// Everything that `iss` may say; one that is a template counts as it is written.
    fn spellings(&self) -> impl Iterator<Item = String> {
        let others = self.preset.spellings(&self.issuer).into_iter();
        std::iter::once(self.issuer.clone()).chain(others).chain(self.also_known_as.iter().cloned())
    }

    /// The rules for tokens of this type.
    pub(crate) fn policy(&self, token_type: TokenType) -> TokenPolicyBuilder {
        let issuer = match self.is_template() {
            true => {
                let tenants = self.tenants.iter().map(|tenant| tenant.as_str());
                TrustedIssuer::template(&self.issuer, tenants)
            }
            false => {
                self.spellings().skip(1).fold(TrustedIssuer::exact(&self.issuer), TrustedIssuer::or)
            }
        };
        let algorithms = match &self.algorithms {
            Some(algorithms) => algorithms.iter().copied().collect(),
            None => DEFAULT_ALGORITHMS.to_vec(),
        };
        let key_headers = match self.reject_key_headers {
            true => KeyHeaders::Reject,
            false => KeyHeaders::Ignore,
        };
        TokenPolicy::builder(issuer)
            .algorithms(algorithms)
            .token_type(token_type)
            .leeway(self.leeway)
            .max_lifetime(self.max_lifetime)
            .key_headers(key_headers)
    }

    fn key_source(&self) -> Result<KeySource> {
        let source = match &self.keys {
            Keys::Discovery(_) => provider::KeySource::Discovery,
            Keys::JwksUri(url) => provider::KeySource::JwksUri(url.clone()),
            Keys::File(path) => provider::KeySource::File(path.clone()),
            Keys::Inline(document) => provider::KeySource::Inline(document.clone().into_bytes()),
            Keys::Secret(secret) => {
                let about = |error| ConfigFaults::about("keys.secret", error);
                let secret = secret.read_once().map_err(about)?;
                let algorithms = self.algorithms.iter().flatten();
                let keys: Result<Vec<_>> = algorithms
                    .map(|algorithm| VerifyingKey::from_secret(secret.expose(), *algorithm))
                    .collect();
                let keys = keys.map_err(about)?;
                if keys.is_empty() {
                    return Err(wrong(
                        "algorithms",
                        "must name HS256, HS384 or HS512, because `keys` is a secret",
                    ));
                }
                return Ok(KeySource::Secret(Arc::new(Ring::new(0, KeySet::from_keys(keys)?))));
            }
        };
        if self.algorithms.iter().flatten().any(|algorithm| algorithm.is_symmetric()) {
            return Err(wrong(
                "keys",
                "are public, and `algorithms` names those of a shared secret: give the secret",
            ));
        }
        let provider = Provider::new(self.settings(source))?;
        let introspection = self.introspection.as_ref();
        let endpoint =
            introspection.and_then(|config: &IntrospectionConfig| config.endpoint.clone());
        let endpoints = ProviderEndpoints::new(&self.issuer, provider.clone(), None, endpoint)
            .map_err(|error| ConfigFaults::about("introspection.endpoint", error))?;
        Ok(KeySource::Provider { provider, endpoints: Arc::new(endpoints) })
    }

    fn settings(&self, keys: provider::KeySource) -> ProviderSettings {
        let mut settings = ProviderSettings::new(&self.issuer, keys);
        settings.discovery_url = match &self.keys {
            Keys::Discovery(Some(url)) => Some(url.clone()),
            _ => self.preset.discovery(&self.issuer),
        };
        settings.http = self.http.clone();
        settings.ttl = self.key_times.ttl;
        settings.min_refresh = self.key_times.min_refresh;
        settings.stale_bound = self.key_times.stale;
        settings.allowed_hosts = self.allowed_hosts.iter().cloned().collect();
        settings.bearer = self.bearer.clone();
        settings
    }
}

impl SigningConfig {
    fn build(&self, clock: &Clock) -> Result<TokenIssuer> {
        let signer = match (&self.signer, &self.key, self.algorithm) {
            (Some(signer), None, _) => Arc::clone(signer),
            (None, Some(key), Some(algorithm)) => {
                let key = signing_key(algorithm, &key.read_once()?)?;
                let key = match &self.key_id {
                    Some(key_id) => key.with_key_id(key_id)?,
                    None => key,
                };
                Arc::new(key) as Arc<dyn Signer>
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    "needs `key` and `algorithm`, or a signer instead of both",
                ));
            }
        };
        let issuer = TokenIssuer::new(&self.issuer, signer)?
            .with_max_lifetime(self.max_lifetime)?
            .with_clock(clock.clone());
        if let Some(previous) = &self.previous_keys {
            let jwks = json::parse_object(previous.as_bytes()).ok_or_else(|| {
                Error::new(ErrorKind::ConfigInvalid, "`previous_keys` is no JSON object")
            })?;
            issuer.keep_published(&jwks.into())?;
        }
        let audiences = self.audiences.iter();
        Ok(audiences.fold(issuer, |issuer, audience| issuer.with_default_audience(audience)))
    }
}

fn signing_key(algorithm: Algorithm, key: &pipe_core::SecretValue) -> Result<SigningKey> {
    match algorithm.is_symmetric() {
        true => SigningKey::from_secret(algorithm, key),
        false => SigningKey::from_pem(algorithm, key),
    }
}

fn wrong(setting: &'static str, fault: &'static str) -> Error {
    let mut faults = ConfigFaults::new();
    faults.add(setting, fault);
    faults.into_error()
}

/// We trust our own tokens, and what we wrote into them.
fn own(issuer: &Arc<TokenIssuer>) -> Result<Trusted> {
    // Whatever it is replaced by, its kind stays.
    let is_symmetric = issuer.is_symmetric();
    let family = Algorithm::ALL.into_iter().filter(|one| one.is_symmetric() == is_symmetric);
    let policy = TokenPolicy::builder(TrustedIssuer::exact(issuer.issuer()))
        .algorithms(family)
        .token_type(TokenType::Strict)
        .max_lifetime(issuer.max_lifetime())
        .build()?;
    let mapping = ClaimMapping::new()
        .with_roles(ClaimPointer::claim("roles"))
        .with_namespaces(ClaimPointer::claim("namespace"));
    Ok(Trusted {
        issuer: issuer.issuer().to_owned(),
        policy,
        keys: KeySource::Own(OwnKeys::new(Arc::clone(issuer))),
        mapper: Mapper::new(mapping, Default::default())?,
        preset: Preset::Generic,
        reader: None,
        keeps_claims: false,
        introspector: None,
    })
}

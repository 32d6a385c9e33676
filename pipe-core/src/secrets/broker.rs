//! Late binding: the developer's name of a secret becomes its place when the environment and the
//! caller are known (REQ 003-04, 003-09).

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Deserialize;

use super::{
    AppId, ArtifactPath, Environment, LogicalKey, Secret, SecretDeclaration, SecretRef,
    SecretSchema, SecretScope, SecretsPlugin,
};
use crate::clock::Clock;
use crate::identity::{PrincipalKind, TenantId};
use crate::{Error, ErrorKind, Namespace, Result, SecretName, SecurityContext, TokenFault};

/// Where the secrets of an environment are in their store: `{ "namespace": "sales-prod" }` or
/// `{ "prefix": "prod" }`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecretPlace {
    /// A namespace of their own.
    Namespace(Namespace),
    /// Names below this one.
    Prefix(SecretName),
}

/// What a key means for one caller in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolvedSecret {
    /// Its address.
    pub path: ArtifactPath,
    /// Where its store keeps it.
    pub secret: SecretRef,
    /// Whether the application cannot work without it.
    pub required: bool,
}

/// Says which secret an application means, and that only its own user gets a private one.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use pipe_core::secrets::{AppId, Environment, SecretBroker, SecretPlace, SecretSchema};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let schema: SecretSchema = serde_json::from_str(r#"[{ "key": "db", "scope": "public" }]"#)?;
/// let places = BTreeMap::from([
///     (Environment::Staging, SecretPlace::Prefix("staging".parse()?)),
///     (Environment::Production, SecretPlace::Prefix("prod".parse()?)),
/// ]);
/// let broker = SecretBroker::new(AppId::new("crm")?, schema, places)?;
/// let db = broker.resolve("db", Environment::Production)?;
/// assert_eq!(db.path.to_string(), "/artifacts/crm/public/secrets/db");
/// assert_eq!(db.secret.to_string(), "prod/artifacts/crm/public/secrets/db");
/// # Ok(()) }
/// ```
///
/// The user of a private secret is never an argument: it is the caller, as a [`SecurityContext`]
/// names them. Principals of two issuers, of two tenants, or a person and a service, may have the
/// same id; a service that accepts several says who has secrets here, with
/// [`with_issuer`](Self::with_issuer), [`with_tenant`](Self::with_tenant) and
/// [`with_kind`](Self::with_kind).
#[derive(Clone, Debug)]
pub struct SecretBroker {
    app: AppId,
    schema: SecretSchema,
    places: BTreeMap<Environment, SecretPlace>,
    issuer: Option<String>,
    tenant: Option<TenantId>,
    kind: Option<PrincipalKind>,
    clock: Clock,
}

impl SecretBroker {
    /// The secrets of this application, in the environments that have a place.
    ///
    /// # Errors
    /// `ConfigInvalid` when two environments share a place.
    pub fn new(
        app: AppId,
        schema: SecretSchema,
        places: BTreeMap<Environment, SecretPlace>,
    ) -> Result<Self> {
        let mut seen = BTreeMap::new();
        for (environment, place) in &places {
            if let Some(other) = seen.insert(place, environment) {
                return Err(Error::new(ErrorKind::ConfigInvalid, "two environments share a place")
                    .with("environment", environment)
                    .with("other", other)
                    .hint("give each environment its own namespace or prefix"));
            }
        }
        Ok(Self {
            app,
            schema,
            places,
            issuer: None,
            tenant: None,
            kind: None,
            clock: Clock::default(),
        })
    }

    /// Callers for whom another issuer vouches have no private secrets here.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Callers of another tenant have no private secrets here.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Callers of another kind have no private secrets here: where an issuer lets services choose
    /// their ids, one could be that of a person.
    #[must_use]
    pub fn with_kind(self, kind: PrincipalKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Clock::new(now), ..self }
    }

    /// What a key means for the [current](SecurityContext::current) caller. A public one needs
    /// none.
    ///
    /// # Errors
    /// - `NotFound` for a key that is not declared, or not in this environment
    /// - `ConfigInvalid` for an environment without a place
    /// - `TokenRejected` for a caller whose context has expired, and for a private key when they
    ///   are of another issuer or tenant
    /// - `PermissionDenied` for a private key when nobody is known to ask
    /// - `InvalidArgument` when the secret would have a name that is too long
    pub fn resolve(&self, key: &str, environment: Environment) -> Result<ResolvedSecret> {
        self.resolve_for_any(SecurityContext::current().as_deref(), key, environment)
    }

    /// What a key means for this caller.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub fn resolve_for(
        &self,
        caller: &SecurityContext,
        key: &str,
        environment: Environment,
    ) -> Result<ResolvedSecret> {
        self.resolve_for_any(Some(caller), key, environment)
    }

    /// Reads the secret that a key means for the [current](SecurityContext::current) caller;
    /// `None` when it is optional and not there.
    ///
    /// # Errors
    /// `NotFound` when it is required and not there; as for [`resolve`](Self::resolve); and as for
    /// [`SecretsPlugin::get_secret`].
    pub async fn fetch(
        &self,
        store: &dyn SecretsPlugin,
        key: &str,
        environment: Environment,
    ) -> Result<Option<Secret>> {
        read(store, key, &self.resolve(key, environment)?).await
    }

    /// Reads the secret that a key means for this caller.
    ///
    /// # Errors
    /// As for [`fetch`](Self::fetch).
    pub async fn fetch_for(
        &self,
        caller: &SecurityContext,
        store: &dyn SecretsPlugin,
        key: &str,
        environment: Environment,
    ) -> Result<Option<Secret>> {
        read(store, key, &self.resolve_for(caller, key, environment)?).await
    }

    /// The required public secrets that are not there, all at once: what a service asks when it
    /// starts.
    ///
    /// # Errors
    /// As for [`SecretsPlugin::get_secret`]: what cannot be read is not missing.
    pub async fn missing(
        &self,
        store: &dyn SecretsPlugin,
        environment: Environment,
    ) -> Result<Vec<LogicalKey>> {
        let mut missing = Vec::new();
        for declared in self.schema.iter() {
            let is_looked_for = declared.required
                && declared.scope == SecretScope::Public
                && declared.environments.contains(&environment);
            if !is_looked_for {
                continue;
            }
            let path = ArtifactPath::public(self.app.clone(), declared.secret_id());
            if store.get_secret(&self.place(&path, environment)?).await?.is_none() {
                missing.push(declared.key.clone());
            }
        }
        Ok(missing)
    }

    /// Whether the [current](SecurityContext::current) caller may use a path that came from
    /// outside: a public one of this application, or a private one of their own.
    ///
    /// # Errors
    /// `PermissionDenied` for any other path, and for a private one when nobody is known to ask;
    /// `TokenRejected` for a caller whose context does not count.
    pub fn authorize(&self, path: &ArtifactPath) -> Result<()> {
        self.authorize_any(SecurityContext::current().as_deref(), path)
    }

    /// Whether this caller may use a path that came from outside.
    ///
    /// # Errors
    /// As for [`authorize`](Self::authorize).
    pub fn authorize_for(&self, caller: &SecurityContext, path: &ArtifactPath) -> Result<()> {
        self.authorize_any(Some(caller), path)
    }

    fn resolve_for_any(
        &self,
        caller: Option<&SecurityContext>,
        key: &str,
        environment: Environment,
    ) -> Result<ResolvedSecret> {
        self.refuse_expired(caller)?;
        let declared = self.declaration(key, environment)?;
        let (app, id) = (self.app.clone(), declared.secret_id());
        let path = match declared.scope {
            SecretScope::Public => ArtifactPath::public(app, id),
            SecretScope::Private => {
                ArtifactPath::private(app, self.initiator(caller)?.principal.id.clone(), id)?
            }
        };
        let secret = self.place(&path, environment)?;
        Ok(ResolvedSecret { path, secret, required: declared.required })
    }

    fn authorize_any(&self, caller: Option<&SecurityContext>, path: &ArtifactPath) -> Result<()> {
        self.refuse_expired(caller)?;
        if *path.app() != self.app {
            return Err(Error::new(ErrorKind::PermissionDenied, "a secret of another application")
                .with("app", path.app())
                .hint("ask the application that the secret belongs to"));
        }
        let Some(user) = path.user() else { return Ok(()) };
        let initiator = &self.initiator(caller)?.principal.id;
        if user == initiator {
            return Ok(());
        }
        Err(Error::new(ErrorKind::PermissionDenied, "a private secret of somebody else")
            .with("principal", initiator)
            .hint("use a path of the caller's own, or make the secret public"))
    }

    fn declaration(&self, key: &str, environment: Environment) -> Result<&SecretDeclaration> {
        let Some(declared) = self.schema.get(key) else {
            let known: Vec<_> = self.schema.keys().map(LogicalKey::as_str).collect();
            return Err(Error::new(ErrorKind::NotFound, "the key is not declared")
                .with("key", format_args!("{key:?}"))
                .with("known", known.join(" "))
                .hint("use one of the known keys, or declare this one in the schema"));
        };
        if declared.environments.contains(&environment) {
            return Ok(declared);
        }
        let known: Vec<_> = declared.environments.iter().map(|place| place.name()).collect();
        Err(Error::new(ErrorKind::NotFound, "the key does not exist in this environment")
            .with("key", key)
            .with("environment", environment)
            .with("environments", known.join(" "))
            .hint("add the environment to the declaration of the key"))
    }

    fn place(&self, path: &ArtifactPath, environment: Environment) -> Result<SecretRef> {
        match self.places.get(&environment) {
            Some(SecretPlace::Namespace(namespace)) => {
                Ok(path.secret_ref().with_namespace(namespace.clone()))
            }
            Some(SecretPlace::Prefix(prefix)) => {
                SecretRef::new(format!("{prefix}/{}", path.secret_name()))
            }
            None => Err(Error::new(ErrorKind::ConfigInvalid, "the environment has no place")
                .with("environment", environment)
                .hint("give the environment a namespace or a prefix")),
        }
    }

    fn refuse_expired(&self, caller: Option<&SecurityContext>) -> Result<()> {
        if caller.is_none_or(|caller| !caller.is_expired_at(self.clock.now())) {
            return Ok(());
        }
        Err(refused(TokenFault::Expired, "the caller's context has expired"))
    }

    /// On whose behalf a private secret is used (REQ 003-06).
    fn initiator<'a>(&self, caller: Option<&'a SecurityContext>) -> Result<&'a SecurityContext> {
        let caller = caller.ok_or_else(|| {
            Error::new(ErrorKind::PermissionDenied, "nobody is known to ask for a private secret")
                .hint("run the task within `SecurityContext::scope`, or name the caller")
        })?;
        if self.issuer.as_ref().is_some_and(|issuer| *issuer != caller.issuer) {
            let message = "the caller is another issuer's, who has no private secrets here";
            return Err(refused(TokenFault::WrongIssuer, message));
        }
        if let Some(tenant) = &self.tenant {
            caller.require_tenant(tenant)?;
        }
        if self.kind.is_some_and(|kind| kind != caller.principal.kind) {
            let message = "callers of this kind have no private secrets here";
            return Err(Error::new(ErrorKind::PermissionDenied, message)
                .with("principal", &caller.principal.id)
                .hint("make the secret public, or let a caller of the other kind ask"));
        }
        Ok(caller)
    }
}

fn refused(fault: TokenFault, message: &'static str) -> Error {
    Error::new(ErrorKind::TokenRejected(fault), message)
}

async fn read(
    store: &dyn SecretsPlugin,
    key: &str,
    resolved: &ResolvedSecret,
) -> Result<Option<Secret>> {
    let found = store.get_secret(&resolved.secret).await?;
    if found.is_none() && resolved.required {
        return Err(Error::new(ErrorKind::NotFound, "a required secret does not exist")
            .at(store.name(), "get_secret")
            .with("key", key)
            .with("secret", &resolved.secret)
            .hint("create the secret, or declare the key as not required"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

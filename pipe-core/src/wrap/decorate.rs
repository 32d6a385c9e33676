//! All four traits for a decorator that does the same around every operation.

use std::fmt;

use crate::memory::MemoryKey;

/// What is about to be done.
pub(super) struct Operation<'a> {
    pub(super) name: &'static str,
    /// What it is done to, or for whom. A name, never a secret.
    pub(super) subject: Option<&'a (dyn fmt::Display + Send + Sync)>,
    pub(super) repeat: Repeat,
}

/// The two domains that a suggestion is about.
pub(super) struct Pair<'a> {
    pub(super) source: &'a MemoryKey,
    pub(super) target: &'a MemoryKey,
}

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.target)
    }
}

/// What may be done again when it is not known whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Always,
    /// Only when the backend said that it did nothing.
    WhenNothingHappened,
    /// It uses up what it is given, whatever comes of it.
    Never,
}

impl<'a> Operation<'a> {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, subject: None, repeat: Repeat::Always }
    }

    pub(super) fn on(self, subject: &'a (dyn fmt::Display + Send + Sync)) -> Self {
        Self { subject: Some(subject), ..self }
    }

    pub(super) fn unless_unknown(self) -> Self {
        Self { repeat: Repeat::WhenNothingHappened, ..self }
    }

    pub(super) fn once(self) -> Self {
        Self { repeat: Repeat::Never, ..self }
    }
}

/// Implements all four traits by `self.around(operation, attempt)`. An attempt is made by calling a
/// closure, so that it can be made again.
macro_rules! decorate {
    ($wrapper:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: $crate::SecretsPlugin> $crate::SecretsPlugin for $wrapper<P> {
            fn capabilities(&self) -> $crate::secrets::SecretsCapabilities {
                self.inner.capabilities()
            }

            async fn get_secret(
                &self,
                secret: &$crate::SecretRef,
            ) -> $crate::Result<Option<$crate::secrets::Secret>> {
                let operation = Operation::new("get_secret").on(secret);
                self.around(operation, || self.inner.get_secret(secret)).await
            }

            async fn create_secret(
                &self,
                secret: &$crate::SecretRef,
                data: $crate::SecretData,
            ) -> $crate::Result<$crate::secrets::WriteOutcome> {
                // Storing the same data twice is storing it once.
                let operation = Operation::new("create_secret").on(secret);
                self.around(operation, || self.inner.create_secret(secret, data.clone())).await
            }

            fn inject_env_vars(
                &self,
                injection: &$crate::pod::EnvInjection,
            ) -> $crate::Result<$crate::pod::PodFragment> {
                self.inner.inject_env_vars(injection)
            }

            fn generate_secret_mounts(
                &self,
                mount: &$crate::pod::SecretMount,
            ) -> $crate::Result<$crate::pod::PodFragment> {
                self.inner.generate_secret_mounts(mount)
            }

            async fn delete_secret(&self, secret: &$crate::SecretRef) -> $crate::Result<bool> {
                // A second attempt could not tell any more whether something was there.
                let operation = Operation::new("delete_secret").on(secret).unless_unknown();
                self.around(operation, || self.inner.delete_secret(secret)).await
            }

            async fn list_secrets(
                &self,
                query: &$crate::secrets::ListQuery,
            ) -> $crate::Result<Vec<$crate::SecretRef>> {
                let operation = Operation::new("list_secrets").on(query);
                self.around(operation, || self.inner.list_secrets(query)).await
            }

            async fn watch_secret(
                &self,
                secret: &$crate::SecretRef,
            ) -> $crate::Result<$crate::secrets::SecretStream> {
                let operation = Operation::new("watch_secret").on(secret);
                self.around(operation, || self.inner.watch_secret(secret)).await
            }
        }

        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: $crate::IdentityPlugin> $crate::IdentityPlugin for $wrapper<P> {
            fn capabilities(&self) -> $crate::identity::IdentityCapabilities {
                self.inner.capabilities()
            }

            async fn authenticate_service(
                &self,
                request: &$crate::identity::ServiceAuthRequest,
            ) -> $crate::Result<$crate::identity::ServiceCredentials> {
                let operation = Operation::new("authenticate_service").on(&request.service);
                self.around(operation, || self.inner.authenticate_service(request)).await
            }

            async fn generate_jwt(
                &self,
                request: &$crate::identity::JwtRequest,
            ) -> $crate::Result<$crate::identity::SignedJwt> {
                let operation = Operation::new("generate_jwt").on(&request.subject);
                self.around(operation, || self.inner.generate_jwt(request)).await
            }

            async fn validate_token(
                &self,
                token: &$crate::identity::BearerToken,
                expect: &$crate::identity::TokenExpectation,
            ) -> $crate::Result<$crate::SecurityContext> {
                let operation = Operation::new("validate_token");
                self.around(operation, || self.inner.validate_token(token, expect)).await
            }

            async fn get_security_context(
                &self,
                request: &$crate::identity::ContextRequest,
            ) -> $crate::Result<$crate::SecurityContext> {
                let operation =
                    Operation::new("get_security_context").on(&request.context.principal.id);
                self.around(operation, || self.inner.get_security_context(request)).await
            }
        }

        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: $crate::GovernanceMemory> $crate::GovernanceMemory for $wrapper<P> {
            async fn add_datapoints(
                &self,
                points: &[$crate::memory::DataPoint],
                relations: &[$crate::memory::Relation],
            ) -> $crate::Result<$crate::memory::AddReport> {
                // Adding the same data twice is adding it once.
                let operation = Operation::new("add_datapoints");
                self.around(operation, || self.inner.add_datapoints(points, relations)).await
            }

            async fn search_integrations(
                &self,
                query: &$crate::memory::SearchQuery,
            ) -> $crate::Result<Vec<$crate::memory::Hit>> {
                // What somebody looks for is a text of theirs, and no name.
                let operation = Operation::new("search_integrations");
                self.around(operation, || self.inner.search_integrations(query)).await
            }

            async fn suggest_integration_path(
                &self,
                source: &$crate::memory::MemoryKey,
                target: &$crate::memory::MemoryKey,
            ) -> $crate::Result<Option<$crate::memory::PathSuggestion>> {
                let pair = super::decorate::Pair { source, target };
                let operation = Operation::new("suggest_integration_path").on(&pair);
                self.around(operation, || self.inner.suggest_integration_path(source, target)).await
            }
        }

        // Ids of browsers and sessions are secrets, and no subjects.
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: $crate::identity::UserLogin> $crate::identity::UserLogin for $wrapper<P> {
            async fn begin_login(
                &self,
                request: &$crate::identity::LoginRequest,
            ) -> $crate::Result<$crate::identity::LoginStart> {
                let operation = Operation::new("begin_login");
                self.around(operation, || self.inner.begin_login(request)).await
            }

            async fn finish_login(
                &self,
                callback: &$crate::identity::LoginCallback,
            ) -> $crate::Result<$crate::identity::LoggedIn> {
                let operation = Operation::new("finish_login").once();
                self.around(operation, || self.inner.finish_login(callback)).await
            }

            async fn session(
                &self,
                id: &$crate::identity::SessionId,
            ) -> $crate::Result<Option<$crate::identity::UserSession>> {
                self.around(Operation::new("session"), || self.inner.session(id)).await
            }

            async fn access_token(
                &self,
                id: &$crate::identity::SessionId,
            ) -> $crate::Result<Option<$crate::identity::UserToken>> {
                self.around(Operation::new("access_token"), || self.inner.access_token(id)).await
            }

            async fn log_out(
                &self,
                id: &$crate::identity::SessionId,
            ) -> $crate::Result<$crate::identity::LoggedOut> {
                self.around(Operation::new("log_out"), || self.inner.log_out(id)).await
            }

            async fn back_channel_logout(
                &self,
                logout_token: &$crate::identity::BearerToken,
            ) -> $crate::Result<u64> {
                let operation = Operation::new("back_channel_logout").unless_unknown();
                self.around(operation, || self.inner.back_channel_logout(logout_token)).await
            }
        }
    };
}
pub(super) use decorate;

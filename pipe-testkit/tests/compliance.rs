//! The reference plugins keep the contract: bare, boxed, and with hardly any power declared.

use std::sync::Arc;

use pipe_core::identity::{MemorySessions, SessionStore};
use pipe_core::secrets::SecretsCapabilities;
use pipe_core::{ErrorKind, GovernanceMemory, IdentityPlugin, SecretsPlugin};
use pipe_testkit::reference::{InMemoryGovernance, InMemoryIdentity, InMemorySecrets};

async fn denied() -> Option<(InMemorySecrets, ())> {
    let secrets = InMemorySecrets::new();
    secrets.fail_with(ErrorKind::PermissionDenied);
    Some((secrets, ()))
}

async fn unavailable() -> Option<(InMemorySecrets, ())> {
    let secrets = InMemorySecrets::new();
    secrets.fail_with(ErrorKind::Unavailable);
    Some((secrets, ()))
}

mod governance {
    use super::*;
    async fn failing(kind: ErrorKind) -> Option<(InMemoryGovernance, ())> {
        let memory = InMemoryGovernance::new();
        memory.fail_with(kind);
        Some((memory, ()))
    }
    async fn memory() -> Option<(InMemoryGovernance, ())> {
        Some((InMemoryGovernance::new(), ()))
    }
    async fn denied() -> Option<(InMemoryGovernance, ())> {
        failing(ErrorKind::PermissionDenied).await
    }
    async fn unavailable() -> Option<(InMemoryGovernance, ())> {
        failing(ErrorKind::Unavailable).await
    }
    pipe_testkit::memory_compliance!(memory, denied = denied, unavailable = unavailable);

    mod boxed {
        use super::*;
        async fn boxed() -> Option<(Box<dyn GovernanceMemory>, ())> {
            Some((Box::new(InMemoryGovernance::new()), ()))
        }
        pipe_testkit::memory_compliance!(boxed);
    }

    mod wrapped {
        use pipe_testkit::wrapped::{
            MemoryStack, MemoryStackWithoutRetry, memory_stack, memory_stack_without_retry,
        };

        use super::*;

        async fn memory() -> Option<(MemoryStack<InMemoryGovernance>, ())> {
            Some((memory_stack(InMemoryGovernance::new()), ()))
        }

        async fn denied() -> Option<(MemoryStack<InMemoryGovernance>, ())> {
            let (memory, ()) = super::denied().await?;
            Some((memory_stack(memory), ()))
        }

        async fn unavailable() -> Option<(MemoryStackWithoutRetry<InMemoryGovernance>, ())> {
            let (memory, ()) = super::unavailable().await?;
            Some((memory_stack_without_retry(memory), ()))
        }

        pipe_testkit::memory_compliance!(memory, denied = denied, unavailable = unavailable);
    }
}

/// Not a reference, but what a process keeps its sessions in.
mod sessions {
    use super::*;
    async fn store() -> Option<(MemorySessions, ())> {
        Some((MemorySessions::new(), ()))
    }
    async fn paused() -> Option<(Box<dyn SessionStore>, ())> {
        tokio::time::pause();
        Some((Box::new(MemorySessions::new()), ()))
    }
    async fn small() -> Option<(Arc<MemorySessions>, ())> {
        let small = MemorySessions::new().with_max_sessions(8).with_max_logins(8);
        Some((Arc::new(small.with_max_used(8)), ()))
    }
    pipe_testkit::session_store_compliance!(store, expiring = paused, small = small);
}

mod bare {
    use super::*;
    async fn memory() -> Option<(InMemorySecrets, ())> {
        Some((InMemorySecrets::new(), ()))
    }
    async fn identity() -> Option<(InMemoryIdentity, ())> {
        Some((InMemoryIdentity::new(), ()))
    }
    pipe_testkit::secrets_compliance!(memory, denied = denied, unavailable = unavailable);
    pipe_testkit::identity_compliance!(identity);
}

mod boxed {
    use super::*;
    async fn memory() -> Option<(Box<dyn SecretsPlugin>, ())> {
        Some((Box::new(InMemorySecrets::new()), ()))
    }
    async fn identity() -> Option<(Arc<dyn IdentityPlugin>, ())> {
        Some((Arc::new(InMemoryIdentity::new()), ()))
    }
    pipe_testkit::secrets_compliance!(memory);
    pipe_testkit::identity_compliance!(identity);
}

mod read_only {
    use super::*;
    async fn memory() -> Option<(InMemorySecrets, ())> {
        Some((InMemorySecrets::new().with_capabilities(SecretsCapabilities::READ_ONLY), ()))
    }
    pipe_testkit::secrets_compliance!(memory);
}

mod flat_text {
    use super::*;
    async fn memory() -> Option<(InMemorySecrets, ())> {
        let few = SecretsCapabilities::READ_ONLY.with_write().with_delete().with_list();
        Some((InMemorySecrets::new().with_capabilities(few), ()))
    }
    pipe_testkit::secrets_compliance!(memory);
}

/// With all decorators around, as a service would have it. `Retry` marks an outage as exhausted, which
/// the suite's `unavailable` plugins must not be: these have no `Retry`.
mod wrapped {
    use pipe_testkit::wrapped::{Stack, StackWithoutRetry, stack, stack_without_retry};

    use super::*;

    async fn memory() -> Option<(Stack<InMemorySecrets>, ())> {
        Some((stack(InMemorySecrets::new()), ()))
    }

    async fn identity() -> Option<(Stack<InMemoryIdentity>, ())> {
        Some((stack(InMemoryIdentity::new()), ()))
    }

    async fn denied() -> Option<(Stack<InMemorySecrets>, ())> {
        let (secrets, ()) = super::denied().await?;
        Some((stack(secrets), ()))
    }

    async fn unavailable() -> Option<(StackWithoutRetry<InMemorySecrets>, ())> {
        let (secrets, ()) = super::unavailable().await?;
        Some((stack_without_retry(secrets), ()))
    }

    pipe_testkit::secrets_compliance!(memory, denied = denied, unavailable = unavailable);
    pipe_testkit::identity_compliance!(identity);
}

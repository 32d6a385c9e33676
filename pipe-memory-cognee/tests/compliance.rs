//! Every memory of this crate keeps the contract, offline: the server is a fake that answers as a real
//! one does.

use pipe_core::SecretSource;
use pipe_core::memory::GovernanceMemory;
use pipe_memory_cognee::{Auth, Cognee, CogneeConfig};
use pipe_testkit::fake;

fn memory_of(server: &fake::Cognee, auth: Auth) -> Cognee {
    Cognee::new(CogneeConfig::new(server.address(), auth)).expect("the settings are sound")
}

async fn with_key() -> (Cognee, fake::Cognee) {
    let server = fake::Cognee::start().await;
    let key = SecretSource::Value(server.create_api_key().as_str().into());
    (memory_of(&server, Auth::api_key(key)), server)
}

async fn denied() -> Option<(Cognee, fake::Cognee)> {
    let (memory, server) = with_key().await;
    let domain = pipe_core::memory::Domain::new("a".parse().expect("legal"));
    memory.add_datapoints(&[domain.into()], &[]).await.expect("it is allowed yet");
    server.revoke_api_keys();
    Some((memory, server))
}

async fn unavailable() -> Option<(Cognee, fake::Cognee)> {
    let (memory, server) = with_key().await;
    server.stop().await;
    Some((memory, server))
}

mod api_key {
    use super::*;

    async fn cognee() -> Option<(Cognee, fake::Cognee)> {
        Some(with_key().await)
    }

    pipe_testkit::memory_compliance!(cognee, denied = denied, unavailable = unavailable);
}

/// With all decorators around, as a service would have it.
mod wrapped {
    use pipe_testkit::wrapped::{
        MemoryStack, MemoryStackWithoutRetry, memory_stack, memory_stack_without_retry,
    };

    use super::*;

    async fn cognee() -> Option<(MemoryStack<Cognee>, fake::Cognee)> {
        let (memory, server) = with_key().await;
        Some((memory_stack(memory), server))
    }

    async fn denied() -> Option<(MemoryStack<Cognee>, fake::Cognee)> {
        let (memory, server) = super::denied().await?;
        Some((memory_stack(memory), server))
    }

    async fn unavailable() -> Option<(MemoryStackWithoutRetry<Cognee>, fake::Cognee)> {
        let (memory, server) = super::unavailable().await?;
        Some((memory_stack_without_retry(memory), server))
    }

    pipe_testkit::memory_compliance!(cognee, denied = denied, unavailable = unavailable);
}

mod login {
    use super::*;

    async fn cognee() -> Option<(Cognee, fake::Cognee)> {
        let server = fake::Cognee::start().await;
        let (username, password) = server.credentials();
        let auth = Auth::login(username, SecretSource::Value(password.as_str().into()));
        Some((memory_of(&server, auth), server))
    }

    pipe_testkit::memory_compliance!(cognee);
}

/// Its searches answer in another shape.
mod without_access_control {
    use super::*;

    async fn cognee() -> Option<(Box<dyn GovernanceMemory>, fake::Cognee)> {
        let server = fake::Cognee::start_open().await;
        Some((Box::new(memory_of(&server, Auth::None)), server))
    }

    pipe_testkit::memory_compliance!(cognee);
}

/// A server that was restarted does not know our types any more.
mod restarted {
    use super::*;

    async fn cognee() -> Option<(Cognee, fake::Cognee)> {
        let (memory, server) = with_key().await;
        server.start_again().await;
        Some((memory, server))
    }

    pipe_testkit::memory_compliance!(cognee);
}

mod local {
    use pipe_memory_cognee::LocalMemory;

    async fn local() -> Option<(LocalMemory, ())> {
        Some((LocalMemory::new(), ()))
    }

    pipe_testkit::memory_compliance!(local);
}

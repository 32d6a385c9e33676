//! The store keeps the contract: against a server that works, one that is full, and none.

use std::net::TcpListener;
use std::time::Duration;

use pipe_core::SecretValue;
use pipe_identity_oidc::{RedisConfig, RedisSessions};

use crate::server::{Server, shared};

async fn store() -> Option<(RedisSessions, ())> {
    Some((shared()?.store(), ()))
}

async fn small() -> Option<(RedisSessions, Server)> {
    let server = Server::start(&["--maxmemory", "6mb", "--maxmemory-policy", "noeviction"])?;
    Some((server.store(), server))
}

async fn unavailable() -> Option<(RedisSessions, ())> {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let config = RedisConfig::new(format!("redis://127.0.0.1:{port}"))
        .with_password(SecretValue::from("x"))
        .with_timeout(Duration::from_secs(5));
    Some((RedisSessions::new(config).unwrap(), ()))
}

pipe_testkit::session_store_compliance!(store, small = small, unavailable = unavailable);

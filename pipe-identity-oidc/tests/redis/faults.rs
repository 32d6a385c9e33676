//! Servers that end, hang, refuse us, or are not who they should be.

use std::time::{Duration, Instant};

use pipe_core::identity::{SessionKey, SessionRecord, SessionStore, SessionTag};
use pipe_core::{ErrorKind, SecretValue};
use pipe_http::CaBundle;
use pipe_identity_oidc::{RedisConfig, RedisSessions};

use crate::server::{PASSWORD, Server};

const KEY: SessionKey = SessionKey::Session([1; 32]);

fn record() -> SessionRecord {
    SessionRecord::new("ruby-slippers", Duration::from_secs(60)).with_tag(SessionTag::new([9; 32]))
}

#[tokio::test]
async fn a_server_that_ended_is_an_outage_and_one_that_is_back_serves() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = server.store();
    assert!(store.insert(&KEY, record()).await.unwrap());
    let version = store.get(&KEY).await.unwrap().unwrap().version;
    for round in 0..3 {
        server.kill();
        let error = store.get(&KEY).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{round}: {error:#}");
        assert!(error.is_retryable());
        server.start_again();
        // All is forgotten, and nothing comes back.
        assert_eq!(store.get(&KEY).await.unwrap(), None);
        assert!(!store.replace(&KEY, version, record()).await.unwrap());
        assert!(store.insert(&KEY, record()).await.unwrap());
        assert!(!store.replace(&KEY, version, record()).await.unwrap(), "an old version fits");
    }
}

#[tokio::test]
async fn a_restart_between_two_calls_goes_unnoticed() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = server.store();
    for call in 0..5 {
        store.insert(&KEY, record()).await.unwrap();
        server.kill();
        server.start_again();
        // Time to notice that the connection was closed, for what may not be sent twice.
        tokio::time::sleep(Duration::from_millis(200)).await;
        match call {
            0 => assert_eq!(store.get(&KEY).await.unwrap(), None),
            1 => assert!(store.insert(&KEY, record()).await.unwrap()),
            2 => assert!(!store.replace(&KEY, 1, record()).await.unwrap()),
            3 => assert_eq!(store.take(&KEY).await.unwrap(), None),
            _ => assert_eq!(store.remove_tagged(&SessionTag::new([9; 32])).await.unwrap(), 0),
        }
    }
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    assert!(store.insert(&KEY, record()).await.unwrap());
    server.ask("SCRIPT FLUSH");
    assert!(store.take(&KEY).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let Some(server) = Server::start(&[]) else { return };
    let config = server
        .config()
        .with_timeout(Duration::from_millis(500))
        .with_connect_timeout(Duration::from_millis(700));
    let (connected, fresh) =
        (RedisSessions::new(config.clone()).unwrap(), RedisSessions::new(config).unwrap());
    assert!(connected.insert(&KEY, record()).await.unwrap());
    server.signal("STOP");
    for store in [&connected, &fresh, &connected] {
        let tag = SessionTag::new([9; 32]);
        let start = Instant::now();
        let errors = [
            store.get(&KEY).await.unwrap_err(),
            store.take(&KEY).await.unwrap_err(),
            store.insert(&KEY, record()).await.unwrap_err(),
            store.replace(&KEY, 1, record()).await.unwrap_err(),
            store.remove_tagged(&tag).await.unwrap_err(),
        ];
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
        }
    }
    server.signal("CONT");
    fresh.get(&KEY).await.unwrap();
    connected.get(&KEY).await.unwrap();
}

#[tokio::test]
async fn callers_that_come_at_once_share_a_connection() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&SessionKey::Session([n; 32])).await.unwrap() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), None);
    }
    let info = server.ask("INFO stats");
    // Ours, that of the question, and those that saw the server start.
    let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    assert!(count.unwrap().parse::<u32>().unwrap() <= 4, "{count:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Server::start(&[]) else { return };
    let wrong = server.config().with_password(SecretValue::from("ruby-slippers"));
    let user = wrong.clone().with_username(SecretValue::from("ruby-user"));
    let none = RedisConfig::new(format!("redis://127.0.0.1:{}", server.port()));
    for config in [wrong, user, none] {
        let store = RedisSessions::new(config).unwrap();
        let error = store.get(&KEY).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:#}");
        let shown = format!("{error:#} {error:?} {store:?}");
        assert!(!shown.contains("ruby"), "{shown}");
        assert!(error.hint_text().contains("password"), "{error}");
    }
}

#[tokio::test]
async fn a_user_who_may_do_what_is_documented_may_do_all() {
    let Some(server) = Server::start(&[]) else { return };
    let commands = "+ping +get +getrange +set +del +zadd +zrem +zrange +zrevrange +zremrangebyscore \
                    +pexpireat +time +evalsha +script|load +select";
    let said = server.ask(&format!("ACL SETUSER shop on >pw ~shop:* {commands}"));
    assert_eq!(said, "", "beyond the OK");
    let config = RedisConfig::new(format!("redis://127.0.0.1:{}/1", server.port()))
        .with_username(SecretValue::from("shop"))
        .with_password(SecretValue::from("pw"))
        .with_prefix("shop");
    let store = RedisSessions::new(config.clone()).unwrap();
    assert!(store.insert(&KEY, record()).await.unwrap());
    let version = store.get(&KEY).await.unwrap().unwrap().version;
    assert!(store.replace(&KEY, version, record()).await.unwrap());
    assert_eq!(store.remove_tagged(&SessionTag::new([9; 32])).await.unwrap(), 1);
    assert!(store.take(&KEY).await.unwrap().is_none());
    let other = RedisSessions::new(config.with_prefix("other")).unwrap();
    let error = other.get(&KEY).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    let error = other.insert(&KEY, record()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
}

#[tokio::test]
async fn a_full_server_refuses_changes_and_keeps_what_it_has() {
    let Some(server) = Server::start(&["--maxmemory-policy", "noeviction"]) else { return };
    let store = server.store();
    assert!(store.insert(&KEY, record()).await.unwrap());
    let before = store.get(&KEY).await.unwrap().unwrap();
    server.ask("CONFIG SET maxmemory 1");
    let other = SessionKey::Session([2; 32]);
    for refused in [
        store.insert(&other, record()).await,
        store.replace(&KEY, before.version, SessionRecord::new("y", Duration::from_secs(1))).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:#}");
        assert!(error.hint_text().contains("maxmemory"), "{error}");
        assert!(!format!("{error:?}").contains("ruby"));
    }
    // Old or new, as a whole, with its tag; and what ends may end.
    assert_eq!(store.get(&KEY).await.unwrap(), Some(before));
    assert_eq!(store.remove_tagged(&SessionTag::new([9; 32])).await.unwrap(), 1);
}

#[tokio::test]
async fn what_somebody_else_keeps_under_our_keys_is_an_error() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    for command in ["SET", "LPUSH"] {
        server.ask(&format!("{command} pipe:{KEY} x"));
        let error = store.get(&KEY).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{error:#}");
        server.ask(&format!("DEL pipe:{KEY}"));
    }
}

#[tokio::test]
async fn through_tls_the_server_has_to_be_who_it_is_said_to_be() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = std::env::temp_dir().join(format!("pipe-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = certificate.cert.pem();
    let cert = file("cert.pem", &ca);
    let key = file("key.pem", &certificate.signing_key.serialize_pem());
    let settings = [
        ["--tls-port", "PORT"],
        ["--tls-cert-file", &cert],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &cert],
        ["--tls-auth-clients", "no"],
    ];
    let Some(server) = Server::start(&settings.concat()) else { return };
    let config = |host: &str, ca: &str| {
        RedisConfig::new(format!("rediss://{host}:{}", server.port()))
            .with_password(SecretValue::from(PASSWORD))
            .with_ca(CaBundle::pem(ca))
            .with_timeout(Duration::from_secs(20))
            .with_connect_timeout(Duration::from_secs(20))
    };
    let store = RedisSessions::new(config("localhost", &ca)).unwrap();
    assert!(store.insert(&KEY, record()).await.unwrap());
    assert!(store.take(&KEY).await.unwrap().is_some());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    for config in [config("localhost", &other), config("127.0.0.1", &ca)] {
        let error = RedisSessions::new(config).unwrap().get(&KEY).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
        assert!(error.hint_text().contains("certificate"), "{error:#}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

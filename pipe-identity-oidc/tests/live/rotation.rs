//! The provider's keys come and go, as the plugin sees it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use pipe_core::{ErrorKind, Plugin as _, TokenFault};
use pipe_identity_oidc::Oidc;
use tokio::task::JoinSet;

use crate::admin::Fault;
use crate::oauth::{basic_token, header};
use crate::plugin::{MIN_REFRESH, fault, forgetful, trusting, validate};
use crate::server::{EDDSA, ES256, PS256, RS256, Server};

/// A token of a key that nobody has, which has the keys asked for again.
async fn look_for_new_keys(server: &Server, plugin: &Oidc) {
    tokio::time::sleep(MIN_REFRESH).await;
    let stranger = rcgen::KeyPair::generate().unwrap();
    let claims = crate::oauth::claims(&basic_token(server, ES256).await);
    let made_up = format!("made-up-{:x}", fastrand::u64(..));
    let token = crate::oauth::jwt(&made_up, &stranger, &claims);
    assert_eq!(fault(validate(plugin, token, ES256).await), TokenFault::UnknownKey);
}

/// E1
#[tokio::test]
async fn a_new_key_is_known_at_once_and_the_old_one_while_it_is_published() {
    let Some(server) = Server::start().await else { return };
    let plugin = forgetful(trusting(&server));
    let old = basic_token(&server, RS256).await;
    validate(&plugin, old.clone(), RS256).await.unwrap();

    server.admin().rotate().await;
    tokio::time::sleep(MIN_REFRESH).await;
    let new = basic_token(&server, RS256).await;
    assert_ne!(header(&old)["kid"], header(&new)["kid"]);
    validate(&plugin, new.clone(), RS256).await.unwrap();
    validate(&plugin, old.clone(), RS256).await.unwrap();
    assert_eq!(server.admin().hits("/jwks").await, 2, "one fetch for each set of keys");

    // E3: what is dropped stops verifying with the next look at the keys.
    server.admin().drop_old().await;
    look_for_new_keys(&server, &plugin).await;
    assert_eq!(fault(validate(&plugin, old, RS256).await), TokenFault::UnknownKey);
    validate(&plugin, new, RS256).await.unwrap();
}

/// E1: keys that were published beforehand need no fetch when they begin to sign.
#[tokio::test]
async fn a_key_that_was_published_beforehand_needs_no_fetch() {
    let Some(server) = Server::start().await else { return };
    let plugin = forgetful(trusting(&server));
    validate(&plugin, basic_token(&server, EDDSA).await, EDDSA).await.unwrap();
    server.admin().publish_next().await;
    look_for_new_keys(&server, &plugin).await;

    server.admin().fault("/jwks", Fault::Html500).await;
    let before = server.admin().hits("/jwks").await;
    let old = basic_token(&server, EDDSA).await;
    server.admin().promote_next().await;
    let new = basic_token(&server, EDDSA).await;
    assert_ne!(header(&old)["kid"], header(&new)["kid"]);
    for token in [old, new] {
        validate(&plugin, token, EDDSA).await.unwrap();
    }
    assert_eq!(server.admin().hits("/jwks").await, before);
}

/// E3: keys that were replaced for a reason, such as a theft, take their tokens with them, and what
/// was remembered of these.
#[tokio::test]
async fn replaced_keys_take_their_tokens_with_them() {
    let Some(server) = Server::start().await else { return };
    let config = pipe_identity_oidc::OidcConfig::new().with_issuer(trusting(&server));
    let plugin = Oidc::new(config).unwrap();
    let old = basic_token(&server, PS256).await;
    validate(&plugin, old.clone(), PS256).await.unwrap();
    server.admin().replace().await;
    tokio::time::sleep(MIN_REFRESH).await;
    let new = basic_token(&server, PS256).await;
    validate(&plugin, new, PS256).await.unwrap();
    assert_eq!(fault(validate(&plugin, old, PS256).await), TokenFault::UnknownKey);
}

/// E2: with overlap, no valid token is refused while keys rotate under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_under_load_refuse_no_valid_token() {
    const ROTATIONS: usize = 20;
    let Some(server) = Server::start().await else { return };
    let plugin = forgetful(trusting(&server));
    let tokens = Arc::new(RwLock::new(Vec::new()));
    let (done, validated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));

    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (plugin, tokens) = (plugin.clone(), Arc::clone(&tokens));
        let (done, validated) = (Arc::clone(&done), Arc::clone(&validated));
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let token: Option<(String, &str)> =
                    fastrand::choice(&*tokens.read().unwrap()).cloned();
                if let Some((token, audience)) = token {
                    let kid = header(&token)["kid"].clone();
                    let accepted = validate(&plugin, token, audience).await;
                    accepted.unwrap_or_else(|error| panic!("{kid}: {error:#}"));
                    validated.fetch_add(1, Ordering::Relaxed);
                }
                // The provider needs a processor too.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    for rotation in 0..=ROTATIONS {
        if rotation > 0 {
            server.admin().rotate().await;
            // Keys are asked for again so soon after an answer, not sooner.
            tokio::time::sleep(MIN_REFRESH).await;
        }
        let mut newest = Vec::new();
        for audience in [RS256, ES256] {
            newest.push((basic_token(&server, audience).await, audience));
        }
        tokens.write().unwrap().extend(newest.clone());
        for (token, audience) in newest {
            validate(&plugin, token, audience).await.unwrap();
        }
        let enough = (rotation + 1) * 50;
        while validated.load(Ordering::Relaxed) < enough && !load.is_empty() {
            if let Some(ended) = load.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    assert!(validated.load(Ordering::Relaxed) >= ROTATIONS * 50);
    // One fetch for each set of keys, however many wanted one.
    assert_eq!(server.admin().hits("/jwks").await, ROTATIONS as u64 + 1);
}

/// F2: what is known is judged, what is new cannot be, and that is not the token's fault.
#[tokio::test]
async fn a_provider_that_died_is_missed_by_tokens_of_new_keys_alone() {
    let Some(mut server) = Server::start().await else { return };
    let plugin = forgetful(trusting(&server));
    let known = basic_token(&server, ES256).await;
    validate(&plugin, known.clone(), ES256).await.unwrap();
    server.admin().rotate().await;
    let new = basic_token(&server, ES256).await;
    server.kill();
    tokio::time::sleep(MIN_REFRESH).await;
    for _ in 0..10 {
        validate(&plugin, known.clone(), ES256).await.unwrap();
        let error = validate(&plugin, new.clone(), ES256).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert!(plugin.health().await.is_serving(), "it serves, though degraded");
}

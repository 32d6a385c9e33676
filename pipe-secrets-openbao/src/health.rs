//! How the server and our login are just now.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pipe_core::{Error, Health};
use pipe_http::HttpClient;
use serde::Deserialize;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault};
use crate::transport::{Call, Headers};

const DEADLINE: Duration = Duration::from_secs(5);

/// Asks the server, then whether it takes our token. vaultrs' own health request fails on OpenBao.
pub(crate) async fn check(client: &Client) -> Health {
    tokio::time::timeout(DEADLINE, ask(client)).await.unwrap_or_else(|_| {
        Health::unhealthy(
            format!("{} does not answer within 5 seconds", client.address()),
            "check that the server runs and is reachable, and its load",
        )
    })
}

async fn ask(client: &Client) -> Health {
    // All at once: one that is silent must not keep the others from being heard.
    let mut states: FuturesUnordered<_> = client
        .transport()
        .nodes()
        .enumerate()
        .map(async |(place, node)| (place, node, node_state(client, node).await))
        .collect();
    let mut worst: Option<(usize, Health)> = None;
    loop {
        match states.next().await {
            Some((place, node, None)) => {
                if place > 0 && worst.as_ref().is_some_and(|(first, _)| *first == 0) {
                    client.transport().prefer(node);
                }
                break;
            }
            // That of the node which is asked first is told.
            Some((place, _, Some(state))) => {
                if worst.as_ref().is_none_or(|(other, _)| place < *other) {
                    worst = Some((place, state));
                }
            }
            None => return worst.map_or_else(foreign, |(_, state)| state),
        }
    }
    drop(states);
    // A request that logs itself in has no token that could look at itself; that a path is denied
    // says as well that the login is good.
    let answer = match client.is_inline() {
        true => {
            client.send(None, Policy::Accept, || Call::get("sys/internal/ui/resultant-acl")).await
        }
        false => client.send(None, Policy::Accept, || LookupTokenSelfRequest {}).await,
    };
    match answer {
        Ok(answer) if answer.0.error_kind().is_none() => {
            match answer.parse::<serde::de::IgnoredAny>() {
                Ok(_) => Health::healthy(),
                Err(error) => unhealthy(&error),
            }
        }
        Ok(answer) => match Fault::of(&answer.0, Asked::Work) {
            // A token without the default policy may not look at itself, and is valid all the same.
            Fault::Denied => Health::healthy(),
            fault => unhealthy(&fault.error(&answer.0)),
        },
        Err(error) => unhealthy(&error),
    }
}

/// What keeps a node from serving.
async fn node_state(client: &Client, node: &HttpClient) -> Option<Health> {
    // Asked in the root namespace and without a token: others are refused the answer.
    let call = Call::get("sys/health");
    match client.transport().send_to(node, &call, &Headers::default()).await {
        // Active, standby, and a standby that answers reads itself: all of them serve.
        Ok(answer) if matches!(answer.0.status, 200 | 429 | 473 | 501 | 503) => {
            let Some(state) = ServerState::of(&answer.0.body) else { return Some(foreign()) };
            if !state.initialized {
                let hint = "run `bao operator init`";
                return Some(Health::unhealthy("the server is not initialised", hint));
            }
            state.sealed.then(|| Health::unhealthy("the server is sealed", "unseal the server"))
        }
        Ok(_) => Some(foreign()),
        Err(error) => Some(unhealthy(&error)),
    }
}

/// What `sys/health` says, whatever its status.
#[derive(Deserialize)]
struct ServerState {
    initialized: bool,
    sealed: bool,
}

impl ServerState {
    fn of(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

fn foreign() -> Health {
    Health::unhealthy(
        "the address does not answer like OpenBao",
        "check `address`, and what stands in front of the server",
    )
}

fn unhealthy(error: &Error) -> Health {
    Health::from(error)
}

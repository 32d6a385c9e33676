//! How the server and our login are just now.

use std::time::Duration;

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
    let mut worst = None;
    let mut serves = false;
    for node in client.transport().nodes() {
        match node_state(client, node).await {
            None => {
                serves = true;
                break;
            }
            // The first one's state is told: it is the one that is asked first.
            Some(state) => worst = worst.or(Some(state)),
        }
    }
    if let (false, Some(state)) = (serves, worst) {
        return state;
    }
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

//! How the server and our login are just now.

use std::time::Duration;

use pipe_core::{Error, Health};
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
            format!("{} does not answer within 5 seconds", client.transport().address()),
            "check that the server runs and is reachable, and its load",
        )
    })
}

async fn ask(client: &Client) -> Health {
    // Asked in the root namespace and without a token: others are refused the answer.
    match client.transport().send(Call::get("sys/health"), &Headers::default()).await {
        // Active, standby, and a standby that answers reads itself: all of them serve.
        Ok(answer) if matches!(answer.0.status, 200 | 429 | 473 | 501 | 503) => {
            let Some(state) = ServerState::of(&answer.0.body) else { return foreign() };
            if !state.initialized {
                let hint = "run `bao operator init`";
                return Health::unhealthy("the server is not initialised", hint);
            }
            if state.sealed {
                return Health::unhealthy("the server is sealed", "unseal the server");
            }
        }
        Ok(_) => return foreign(),
        Err(error) => return unhealthy(&error),
    }
    match client.send(None, Policy::Accept, || LookupTokenSelfRequest {}).await {
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

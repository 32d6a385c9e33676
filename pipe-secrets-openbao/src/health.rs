//! How the server and our login are just now.

use std::time::Duration;

use pipe_core::{Error, Health};
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use crate::client::{Client, Policy};
use crate::error::{Asked, Fault, refusal};
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
        Ok(answer) => match answer.0.status {
            // Active, standby, and a standby that answers reads itself: all of them serve.
            200 | 429 | 473 => {}
            501 => {
                return Health::unhealthy(
                    "the server is not initialised",
                    "run `bao operator init`",
                );
            }
            503 => return Health::unhealthy("the server is sealed", "unseal the server"),
            _ => {
                let error = answer.0.error("the address does not answer like OpenBao");
                return Health::unhealthy(error.message(), "set `address` to an OpenBao server");
            }
        },
        Err(error) => return unhealthy(&error),
    }
    match client.send(None, Policy::Accept, || LookupTokenSelfRequest {}).await {
        Ok(answer) => match (answer.0.error_kind(), Fault::of(&answer.0, Asked::Work)) {
            // A token without the default policy may not look at itself, and is valid all the same.
            (None, _) | (Some(_), Fault::Denied) => Health::healthy(),
            _ => unhealthy(&refusal(&answer.0, Asked::Work)),
        },
        Err(error) => unhealthy(&error),
    }
}

fn unhealthy(error: &Error) -> Health {
    Health::from(error)
}

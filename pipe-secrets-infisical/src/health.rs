//! How the server, our login and the environment are just now.

use std::time::Duration;

use http::Method;
use pipe_core::{Error, Health, Result};
use serde::Deserialize;

use crate::error::{Asked, malformed, refusal};
use crate::plugin::Inner;

const DEADLINE: Duration = Duration::from_secs(5);

/// Asks the server, logs in, and looks whether the environment is there.
pub(crate) async fn check(inner: &Inner) -> Health {
    tokio::time::timeout(DEADLINE, ask(inner)).await.map_or_else(
        |_| {
            Health::unhealthy(
                format!("{} does not answer within 5 seconds", inner.api.http().address()),
                "check that the server runs and is reachable, and its load",
            )
        },
        |asked| asked.map_or_else(|error: Error| Health::from(&error), |()| Health::healthy()),
    )
}

async fn ask(inner: &Inner) -> Result<()> {
    let request = inner.api.http().request(Method::GET, ["api", "status"])?;
    let answer = request.send().await?;
    if answer.error_kind().is_some() {
        return Err(refusal(&answer, Asked::Work));
    }
    #[derive(Deserialize)]
    struct Status {
        #[serde(rename = "message")]
        _message: String,
    }
    serde_json::from_slice::<Status>(&answer.body).map_err(|_| malformed(&answer))?;
    let root = inner.home.root(None)?;
    // Asked again each time: an environment can be deleted, and a token revoked.
    inner.unlearn(&root);
    inner.check_environment(&root).await
}

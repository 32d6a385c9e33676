//! Serves the fake Infisical for programs in other languages.
//!
//! Prints a line of JSON with where it is and who may log in, and ends when its input does.

use std::io::Read as _;

use pipe_testkit::fake::{Infisical, InfisicalIdentity, InfisicalRelease, InfisicalRights};

#[tokio::main]
async fn main() {
    let server = Infisical::start(InfisicalRelease::June2025).await;
    let (id, secret) = server.create_identity(InfisicalIdentity::new(InfisicalRights::All));
    let line = serde_json::json!({
        "url": server.address(),
        "project": server.project(),
        "client_id": id,
        "client_secret": secret,
    });
    println!("{line}");
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input.await.expect("the thread ends").expect("the input can be read");
}

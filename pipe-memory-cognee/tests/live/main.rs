//! The memory on a real Cognee server, with a stub in the place of its models.

mod crashes;
mod logins;
mod scale;
mod server;
mod texts;

use pipe_memory_cognee::Cognee;

async fn cognee() -> Option<(Cognee, ())> {
    Some((server::shared().await?.memory(), ()))
}

pipe_testkit::memory_compliance!(cognee);

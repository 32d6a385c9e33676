//! The memory on a real Cognee server, with a stub in the place of its models.

mod crashes;
mod logins;
mod patient;
mod scale;
mod server;
mod texts;

use pipe_memory_cognee::Cognee;

use crate::patient::Patient;

async fn cognee() -> Option<(Patient, ())> {
    Some((Patient(server::shared().await?.memory()), ()))
}

async fn denied() -> Option<(Cognee, ())> {
    Some((server::shared().await?.denied().await, ()))
}

async fn unavailable() -> Option<(Cognee, ())> {
    Some((server::killed().await?, ()))
}

pipe_testkit::memory_compliance!(cognee, denied = denied, unavailable = unavailable);

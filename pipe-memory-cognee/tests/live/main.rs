//! The memory on a real Cognee server, with a stub in the place of its models.

mod crashes;
mod logins;
mod patient;
mod scale;
mod server;
mod texts;

use std::sync::Mutex;

use pipe_memory_cognee::Cognee;

use crate::patient::Patient;

/// A dataset that one case has at a time: the cases disturb each other in none, and a server has two
/// processes of its own for each dataset, which take seconds to start.
struct Place(String);

static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Place {
    fn take() -> Self {
        let free = FREE.lock().expect("nobody panics with it").pop();
        Self(free.unwrap_or_else(|| format!("pipe-live-{:016x}", fastrand::u64(..))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        FREE.lock().expect("nobody panics with it").push(std::mem::take(&mut self.0));
    }
}

async fn cognee() -> Option<(Patient, Place)> {
    let (server, place) = (server::shared().await?, Place::take());
    Some((Patient(server.memory_in(&place.0)), place))
}

async fn denied() -> Option<(Cognee, ())> {
    Some((server::shared().await?.denied().await, ()))
}

async fn unavailable() -> Option<(Cognee, ())> {
    Some((server::killed().await?, ()))
}

pipe_testkit::memory_compliance!(cognee, denied = denied, unavailable = unavailable);

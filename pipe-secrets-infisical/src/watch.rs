//! Following a secret by asking the server now and then whether it is still the same.

use async_trait::async_trait;
use pipe_core::Result;
use pipe_core::secrets::{PolledStore, Secret, SecretEvent};

use crate::place::Place;
use crate::plugin::Inner;

#[async_trait]
impl PolledStore for Inner {
    type Place = Place;

    /// The server tells by a tag of its answer that nothing has changed, which the reading knows.
    async fn look(&self, place: &Place, _: Option<&SecretEvent>) -> Result<SecretEvent> {
        let found = self.read(place).await?;
        Ok(found.map_or(SecretEvent::Absent, |data| SecretEvent::Present(Secret::new(data))))
    }
}

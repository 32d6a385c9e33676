//! Following a secret by asking the server now and then whether it is still the same.

use async_trait::async_trait;
use pipe_core::secrets::{PolledStore, SecretEvent};
use pipe_core::{Result, SecretRef};

use crate::plugin::Inner;

#[async_trait]
impl PolledStore for Inner {
    type Place = SecretRef;

    /// Its metadata tell that it is the same, so that the values travel only when they changed. Where
    /// the policy does not show the metadata, the secret itself is read.
    async fn look(&self, secret: &SecretRef, known: Option<&SecretEvent>) -> Result<SecretEvent> {
        if let Some(SecretEvent::Present(known)) = known
            && self.kv.is_current(&self.client, secret, known).await?
        {
            return Ok(SecretEvent::Present(known.clone()));
        }
        let found = self.kv.get(&self.client, secret).await?;
        Ok(found.map_or(SecretEvent::Absent, SecretEvent::Present))
    }
}

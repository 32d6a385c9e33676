//! The KV engine of version 1: one state of each secret, no check-and-set, no way back.

use pipe_core::secrets::Secret;
use pipe_core::{Error, ErrorKind, Namespace, Result, SecretData, SecretRef};

use super::{Found, Kv, Place, SecretState};
use crate::client::{Client, Policy};
use crate::engine::body;
use crate::error::{Asked, Fault};
use crate::transport::Call;
use crate::value::{Incoming, Outgoing};

impl Kv {
    /// The engine has become one of version 2: what was known of it is forgotten.
    fn upgraded(&self, namespace: Option<&Namespace>) -> Error {
        match self.version {
            Some(_) => Fault::NotKv2.alone(),
            None => {
                self.forget(namespace);
                Fault::Upgrading.alone()
            }
        }
    }

    fn place_v1<'a>(&self, secret: &'a SecretRef) -> Place<'a> {
        Place { namespace: secret.namespace.as_ref(), kind: "", name: secret.name.as_str() }
    }

    fn path_v1(&self, secret: &SecretRef) -> String {
        format!("{}/{}", self.mount, secret.name)
    }

    pub(super) async fn read_v1(&self, client: &Client, secret: &SecretRef) -> Result<Found> {
        if secret.version.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "the engine keeps no old versions")
                .hint("leave the version out, or use a mount of KV version 2"));
        }
        let call = Call::get(self.path_v1(secret));
        let namespace = secret.namespace.as_ref();
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        if answer.0.error_kind().is_none() {
            return Ok(Found::Secret(Secret::new(answer.data::<Incoming>()?.0), None));
        }
        match Fault::of(&answer.0, Asked::Work) {
            Fault::Absent => {
                // The cubbyhole says it too, and so does whatever has come in the mount's place.
                self.detect(client, namespace).await?;
                Ok(Found::Nothing(SecretState::Absent, None))
            }
            Fault::NotKv2 => Err(self.upgraded(namespace)),
            _ => Err(self.fault(client, &answer, &self.place_v1(secret), "read")),
        }
    }

    pub(super) async fn write_v1(
        &self,
        client: &Client,
        secret: &SecretRef,
        data: &SecretData,
    ) -> Result<()> {
        if data.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the engine stores no empty secret",
            )
            .hint("store at least one key, or use a mount of KV version 2"));
        }
        let call = Call::post(self.path_v1(secret), body(&Outgoing(data))?);
        let namespace = secret.namespace.as_ref();
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        match answer.0.error_kind() {
            None => Ok(()),
            Some(_) => {
                let place = self.place_v1(secret);
                Err(self.fault(client, &answer, &place, "create` and `update"))
            }
        }
    }

    pub(super) async fn delete_v1(&self, client: &Client, secret: &SecretRef) -> Result<bool> {
        let call = Call::delete(self.path_v1(secret));
        let namespace = secret.namespace.as_ref();
        let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
        match answer.0.error_kind() {
            None => Ok(true),
            Some(_) => Err(self.fault(client, &answer, &self.place_v1(secret), "delete")),
        }
    }
}

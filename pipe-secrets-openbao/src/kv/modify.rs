//! Changing a part of a secret.

use std::collections::BTreeMap;

use pipe_core::secrets::{Change, SecretVersion, WriteOutcome};
use pipe_core::{Error, ErrorKind, Result, SecretData, SecretRef, SecretValue};
use serde::Serialize;

use super::{Form, Found, Kv, Place, Version, outcome, wait_for_turn};
use crate::client::{Client, Policy};
use crate::engine::body;
use crate::error::{Asked, Fault};
use crate::transport::Call;
use crate::value::Outgoing;

/// Which keys of a secret to set and which to remove. The others stay as they are, unseen.
#[derive(Clone, Debug, Default)]
pub struct KeyChanges {
    set: SecretData,
    removed: Vec<String>,
}

impl KeyChanges {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<SecretValue>) -> Self {
        let key = key.into();
        self.removed.retain(|removed| *removed != key);
        self.set = self.set.with(key, value);
        self
    }

    /// Removes a key, if it is there.
    #[must_use]
    pub fn remove(mut self, key: impl Into<String>) -> Self {
        let key = key.into();
        let rest = self.set.iter().filter(|(set, _)| *set != key);
        self.set = rest.fold(SecretData::new(), |data, (k, value)| data.with(k, value.clone()));
        if !self.removed.contains(&key) {
            self.removed.push(key);
        }
        self
    }

    pub(crate) fn sets(&self) -> &SecretData {
        &self.set
    }

    fn apply(&self, data: &SecretData) -> SecretData {
        let kept = data.iter().filter(|(key, _)| !self.removed.iter().any(|gone| gone == key));
        let kept = kept.fold(SecretData::new(), |data, (key, value)| data.with(key, value.clone()));
        self.set.iter().fold(kept, |data, (key, value)| data.with(key, value.clone()))
    }
}

impl Kv {
    /// Reads, changes and writes; again when somebody else wrote meanwhile.
    pub(crate) async fn update(
        &self,
        client: &Client,
        secret: &SecretRef,
        mut change: impl FnMut(SecretData) -> Result<SecretData> + Send,
        check: impl Fn(&SecretData) -> Result<()> + Send,
    ) -> Result<WriteOutcome> {
        let mut attempt = 0;
        loop {
            let Found::Secret(stored, owner) = self.read(client, secret).await? else {
                return Err(absent(secret));
            };
            self.check_owner(secret, owner.as_deref())?;
            let changed = change(stored.data.clone())?;
            check(&changed)?;
            if changed == stored.data {
                return Ok(outcome(Change::Unchanged, stored.version));
            }
            if self.form(secret.namespace.as_ref()) == Form::V1 {
                self.write_v1(client, secret, &changed).await?;
                return Ok(outcome(Change::Updated, None));
            }
            let based_on = stored.version.map_or(0, SecretVersion::number);
            let answer = self.write(client, secret, &changed, based_on).await?;
            if answer.0.error_kind().is_none() {
                let version = answer.data::<Version<'_>>()?.version;
                return Ok(outcome(Change::Updated, Some(SecretVersion::new(version))));
            }
            match Fault::of(&answer.0, Asked::Work) {
                Fault::CasMismatch => {
                    let refused = || self.fault(client, &answer, &Place::data(secret), "update");
                    wait_for_turn(&mut attempt, refused).await?;
                }
                _ => return Err(self.fault(client, &answer, &Place::data(secret), "update")),
            }
        }
    }

    /// Changes some keys at the server, without reading the others.
    pub(crate) async fn patch(
        &self,
        client: &Client,
        secret: &SecretRef,
        changes: &KeyChanges,
    ) -> Result<WriteOutcome> {
        #[derive(Serialize)]
        struct Patch<'a> {
            data: Merged<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            options: Option<Options>,
        }
        #[derive(Serialize)]
        struct Options {
            cas: u64,
        }
        #[derive(Serialize)]
        struct Merged<'a> {
            #[serde(flatten)]
            set: Outgoing<'a>,
            #[serde(flatten)]
            removed: BTreeMap<&'a str, ()>,
        }
        let namespace = secret.namespace.as_ref();
        if self.detect(client, namespace).await? == Form::V1 {
            return self.update(client, secret, |data| Ok(changes.apply(&data)), |_| Ok(())).await;
        }
        let mut attempt = 0;
        // With an owner to look at, the secret has to be read.
        let mut is_read_first = self.owner.is_some();
        loop {
            let options = match is_read_first {
                false => None,
                true => match self.read(client, secret).await? {
                    Found::Nothing(..) => return Err(absent(secret)),
                    Found::Secret(found, owner) => {
                        self.check_owner(secret, owner.as_deref())?;
                        Some(Options { cas: found.version.map_or(0, SecretVersion::number) })
                    }
                },
            };
            let removed = changes.removed.iter().map(|key| (key.as_str(), ())).collect();
            let data = Merged { set: Outgoing(&changes.set), removed };
            let content = Patch { data, options };
            let call = Call::patch(self.path("data", secret.name.as_str()), body(&content)?);
            let answer = client.send(namespace, Policy::Reconsider, || call.clone()).await?;
            let refused = || self.fault(client, &answer, &Place::data(secret), "patch");
            match Fault::of(&answer.0, Asked::Work) {
                _ if answer.0.error_kind().is_none() => {
                    let version = answer.data::<Version<'_>>()?.version;
                    return Ok(outcome(Change::Updated, Some(SecretVersion::new(version))));
                }
                // Where it is asked for, what is changed has to be named.
                Fault::CasRequired | Fault::CasMismatch => {
                    is_read_first = true;
                    wait_for_turn(&mut attempt, refused).await?;
                }
                // Of a secret that is not there the answer is empty, of a deleted one its metadata.
                _ if answer.0.status == 404
                    && (answer.0.body.is_empty() || answer.data::<Version<'_>>().is_ok()) =>
                {
                    return Err(absent(secret));
                }
                _ => return Err(refused()),
            }
        }
    }
}

fn absent(secret: &SecretRef) -> Error {
    Error::new(ErrorKind::NotFound, "there is no secret to change")
        .with("secret", secret)
        .hint("create the secret first")
}

//! Writing and deleting: one batch for all keys of a secret.

use std::sync::atomic::Ordering;

use http::Method;
use pipe_core::secrets::{Change, WriteOutcome};
use pipe_core::{Error, ErrorKind, Result, SecretData, SecretValue};
use pipe_http::HttpResponse;
use serde::Deserialize;
use serde_json::json;

use crate::api::{Call, Version, json_body};
use crate::entry::{Batch, Entry, WriteOptions};
use crate::error::{Asked, Fault};
use crate::place::Place;
use crate::plugin::Inner;
use crate::read::{expect_success, switches};

/// How often to begin anew when others write meanwhile.
const ATTEMPTS: u32 = 4;

/// A key and its new value; none is deleted.
type KeyChange = (String, Option<SecretValue>);

/// How a batch ended.
enum Batched {
    Done,
    /// Somebody created or deleted a key of it meanwhile; nothing was stored.
    Overtaken,
}

impl Inner {
    /// Makes a folder hold exactly this data.
    pub(crate) async fn store(
        &self,
        place: &Place,
        data: &SecretData,
        options: &WriteOptions,
    ) -> Result<WriteOutcome> {
        for _ in 0..ATTEMPTS {
            if let Some(change) = self.store_once(place, data, options).await? {
                return Ok(WriteOutcome::new(change));
            }
        }
        Err(overtaken())
    }

    async fn store_once(
        &self,
        place: &Place,
        data: &SecretData,
        options: &WriteOptions,
    ) -> Result<Option<Change>> {
        let stored = self.own(place).await?;
        let is_same = |key: &str| stored.get(key) == data.get(key);
        let changed = |key: &&str| !is_same(key) || !options.is_empty();
        let (updated, created): (Vec<_>, Vec<_>) =
            data.keys().filter(changed).partition(|key| stored.get(key).is_some());
        let gone: Vec<_> = stored.keys().filter(|key| data.get(key).is_none()).collect();
        if updated.is_empty() && created.is_empty() && gone.is_empty() {
            return Ok(Some(Change::Unchanged));
        }
        if stored.is_empty() {
            self.create_folder(place).await?;
        }
        let batched = self.put(place, data, options, &updated, &created).await?;
        if matches!(batched, Batched::Overtaken) {
            return Ok(None);
        }
        if !gone.is_empty() && matches!(self.remove(place, &gone).await?, Batched::Overtaken) {
            return Ok(None);
        }
        Ok(Some(if stored.is_empty() { Change::Created } else { Change::Updated }))
    }

    /// Deletes all keys of a folder; `false` when it has none.
    pub(crate) async fn delete(&self, place: &Place) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let stored = self.own(place).await?;
            if stored.is_empty() {
                self.check_environment(place).await?;
                return Ok(false);
            }
            let keys: Vec<_> = stored.keys().collect();
            if matches!(self.remove(place, &keys).await?, Batched::Done) {
                return Ok(true);
            }
        }
        Err(overtaken())
    }

    /// What a folder itself holds, as it is stored.
    async fn own(&self, place: &Place) -> Result<SecretData> {
        let call = |version: Version| {
            Ok(Call::get(version.secrets(), version.query(place, &switches(false, false))))
        };
        let answer = self.api.send(call).await?;
        Ok(self.decode(&answer)?.unwrap_or_default())
    }

    /// Updates and creates, in one request where the server can.
    async fn put(
        &self,
        place: &Place,
        data: &SecretData,
        options: &WriteOptions,
        updated: &[&str],
        created: &[&str],
    ) -> Result<Batched> {
        let values = |keys: &[&str]| -> Vec<KeyChange> {
            keys.iter().map(|key| ((*key).to_owned(), data.get(key).cloned())).collect()
        };
        let (created, updated) = (values(created), values(updated));
        let is_mixed = !created.is_empty() && !updated.is_empty();
        let try_both = is_mixed && !self.no_upsert.load(Ordering::Relaxed);
        if try_both {
            let both: Vec<_> = updated.iter().chain(&created).cloned().collect();
            match self.batch(&Method::PATCH, place, &both, options, true).await? {
                Batched::Done => return Ok(Batched::Done),
                // It may be a server that does not know the mode: then nothing was stored.
                Batched::Overtaken => {}
            }
        }
        if !created.is_empty() {
            let batched = self.batch(&Method::POST, place, &created, options, false).await?;
            if matches!(batched, Batched::Overtaken) {
                return Ok(Batched::Overtaken);
            }
            // Nobody else had created them: it was the mode.
            self.no_upsert.fetch_or(try_both, Ordering::Relaxed);
        }
        if updated.is_empty() {
            return Ok(Batched::Done);
        }
        self.batch(&Method::PATCH, place, &updated, options, false).await
    }

    async fn remove(&self, place: &Place, keys: &[&str]) -> Result<Batched> {
        let entries: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), None)).collect();
        self.batch(&Method::DELETE, place, &entries, &WriteOptions::new(), false).await
    }

    async fn batch(
        &self,
        method: &Method,
        place: &Place,
        entries: &[KeyChange],
        options: &WriteOptions,
        upsert: bool,
    ) -> Result<Batched> {
        let call = |version: Version| {
            let entries = entries
                .iter()
                .map(|(key, value)| Entry { key, value: value.as_ref(), options })
                .collect();
            let batch = Batch { version, place, upsert, entries };
            let body = json_body(&batch, batch.room())?;
            Ok(Call::with_body(method.clone(), version.batch(), body))
        };
        let answer = self.api.send(call).await?;
        if answer.error_kind().is_some() {
            return match Fault::of(&answer, Asked::Work) {
                Fault::Exists | Fault::SecretMissing => Ok(Batched::Overtaken),
                fault => Err(fault.error(&answer)),
            };
        }
        check_stored(&answer)?;
        Ok(Batched::Done)
    }

    /// Makes a folder and those that it is in. Making one that is there is a success.
    async fn create_folder(&self, place: &Place) -> Result<()> {
        // The current API may not make the folders around it, the one before does.
        let mut missing = Vec::new();
        let mut path = place.path.as_str();
        while let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty())
        {
            if self.create_one(place, parent, name).await? {
                break;
            }
            missing.push((parent, name));
            path = parent;
        }
        if path.is_empty() {
            // Not even the root is there.
            let error = Fault::FolderMissing.without_answer();
            return Err(error.with("environment", &place.environment));
        }
        while let Some((parent, name)) = missing.pop() {
            if !self.create_one(place, parent, name).await? {
                return Err(overtaken());
            }
        }
        Ok(())
    }

    /// Whether the folder is there now; `false` when the one that it is in is not.
    async fn create_one(&self, place: &Place, parent: &str, name: &str) -> Result<bool> {
        let parent = if parent.is_empty() { "/" } else { parent };
        let call = |version: Version| {
            let body = json!({
                version.project(): place.project,
                "environment": place.environment,
                "name": name,
                "path": parent,
            });
            Ok(Call::with_body(Method::POST, version.folders(), json_body(&body, 512)?))
        };
        let answer = self.api.send(call).await?;
        if answer.error_kind().is_none() {
            return Ok(true);
        }
        match Fault::of(&answer, Asked::Work) {
            // Whatever it says is wrong with it: its name is legal, so it is there. If it is not, storing fails.
            Fault::Exists => Ok(true),
            Fault::Invalid if answer.status == 400 => Ok(true),
            Fault::FolderMissing => Ok(false),
            _ => expect_success(&answer).map(|()| true),
        }
    }
}

/// A success may say that the change waits for somebody's approval.
fn check_stored(answer: &HttpResponse) -> Result<()> {
    #[derive(Deserialize)]
    struct Answer {
        approval: Option<serde::de::IgnoredAny>,
    }
    match serde_json::from_slice::<Answer>(&answer.body) {
        Ok(Answer { approval: None }) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::PermissionDenied,
            "nothing was stored: the change waits for an approval",
        )
        .hint("have the change request approved, or let the machine identity bypass the policy")),
        Err(_) => Err(crate::error::malformed(answer)),
    }
}

fn overtaken() -> Error {
    Error::new(ErrorKind::Conflict, "others kept writing the secret meanwhile")
        .hint("try again, or let one writer at a time change the secret")
}

//! What OpenBao's KV engine can do beyond the contract of a secrets plugin.

use std::collections::BTreeMap;

use pipe_core::secrets::{SecretVersion, WriteOutcome};
use pipe_core::{Result, SecretData, SecretRef, SecretsPlugin as _};

use crate::kv::{FindQuery, FoundSecret, KeyChanges, SecretMetadata, SecretState};
use crate::plugin::{OpenBao, check_keys, current_only};

impl OpenBao {
    /// What a secret is just now: absent, deleted and destroyed are told apart. One read.
    ///
    /// # Errors
    /// As for [`get_secret`](pipe_core::SecretsPlugin::get_secret).
    pub async fn secret_state(&self, secret: &SecretRef) -> Result<SecretState> {
        let state = self.kv().state(self.client(), secret).await;
        state.map_err(|error| self.locate(error.with("secret", secret), "secret_state"))
    }

    /// The metadata of a secret, with all of its versions; `None` when there is none. The policy
    /// needs `read` on `<mount>/metadata/<name>`.
    ///
    /// # Errors
    /// `Unsupported` for an engine of version 1; as for `get_secret`.
    pub async fn secret_metadata(&self, secret: &SecretRef) -> Result<Option<SecretMetadata>> {
        let found = self.kv().metadata(self.client(), secret).await;
        found.map_err(|error| self.locate(error.with("secret", secret), "secret_metadata"))
    }

    /// Notes this in the custom metadata of a secret that is there. What was noted otherwise stays;
    /// `None` takes a note away. The policy needs `patch` on `<mount>/metadata/<name>`.
    ///
    /// # Errors
    /// `NotFound` when there is no such secret, `InvalidArgument` for a note that is empty or too
    /// long; as for [`secret_metadata`](Self::secret_metadata).
    pub async fn merge_metadata(
        &self,
        secret: &SecretRef,
        notes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let noted = match current_only(secret) {
            Ok(()) => self.kv().note(self.client(), secret, notes).await,
            Err(error) => Err(error),
        };
        noted.map_err(|error| self.locate(error.with("secret", secret), "merge_metadata"))
    }

    /// Reads a secret, changes it, and writes it on condition that nobody else wrote meanwhile;
    /// else it begins anew, up to ten times. `change` may so be called more than once.
    ///
    /// Numbers, lists and objects that others stored come as their JSON text, and are stored as text;
    /// [`patch_secret`](Self::patch_secret) leaves them as they are. An engine of version 1 knows no
    /// such condition.
    ///
    /// # Errors
    /// `NotFound` when there is no such secret, `Conflict` when others wrote all the time; what
    /// `change` says; as for `create_secret`.
    pub async fn update_secret(
        &self,
        secret: &SecretRef,
        change: impl FnMut(SecretData) -> Result<SecretData> + Send,
    ) -> Result<WriteOutcome> {
        let updated = async {
            current_only(secret)?;
            let _turn = self.turn(secret).await?;
            let check = |data: &SecretData| {
                self.capabilities().check(data)?;
                check_keys(data)
            };
            let updated = self.kv().update(self.client(), secret, change, check).await;
            self.wake(secret);
            updated
        };
        let updated: Result<_> = updated.await;
        updated.map_err(|error| self.locate(error.with("secret", secret), "update_secret"))
    }

    /// Sets and removes keys at the server, without reading the others (a JSON merge patch). The
    /// policy needs `patch` on `<mount>/data/<name>`, and no `read`.
    ///
    /// With an `owner`, and where the mount asks for check-and-set, the version is read before. On an
    /// engine of version 1 it is an [`update`](Self::update_secret). The limits on the size of a
    /// secret are held against the changes alone.
    ///
    /// # Errors
    /// `NotFound` when there is no such secret; as for `create_secret`.
    pub async fn patch_secret(
        &self,
        secret: &SecretRef,
        changes: &KeyChanges,
    ) -> Result<WriteOutcome> {
        let patched = async {
            current_only(secret)?;
            self.capabilities().check(changes.sets())?;
            check_keys(changes.sets())?;
            let _turn = self.turn(secret).await?;
            let patched = self.kv().patch(self.client(), secret, changes).await;
            self.wake(secret);
            patched
        };
        let patched: Result<_> = patched.await;
        patched.map_err(|error| self.locate(error.with("secret", secret), "patch_secret"))
    }

    /// Brings deleted versions back, and tells which it brought back: not those that are not there,
    /// not deleted, or destroyed.
    ///
    /// # Errors
    /// As for [`secret_metadata`](Self::secret_metadata); the policy needs `update` on
    /// `<mount>/undelete/<name>` as well.
    pub async fn undelete_secret(
        &self,
        secret: &SecretRef,
        versions: &[SecretVersion],
    ) -> Result<Vec<SecretVersion>> {
        let undeleted = match current_only(secret) {
            Ok(()) => self.kv().undelete(self.client(), secret, versions).await,
            Err(error) => Err(error),
        };
        self.wake(secret);
        undeleted.map_err(|error| self.locate(error.with("secret", secret), "undelete_secret"))
    }

    /// Destroys versions for ever, and tells which it destroyed.
    ///
    /// # Errors
    /// As for [`secret_metadata`](Self::secret_metadata); the policy needs `update` on
    /// `<mount>/destroy/<name>` as well.
    pub async fn destroy_versions(
        &self,
        secret: &SecretRef,
        versions: &[SecretVersion],
    ) -> Result<Vec<SecretVersion>> {
        let destroyed = match current_only(secret) {
            Ok(()) => self.kv().destroy(self.client(), secret, versions).await,
            Err(error) => Err(error),
        };
        self.wake(secret);
        destroyed.map_err(|error| self.locate(error.with("secret", secret), "destroy_versions"))
    }

    /// Removes a secret for ever, with all versions and metadata, and tells whether there was one.
    ///
    /// # Errors
    /// As for [`secret_metadata`](Self::secret_metadata); the policy needs `delete` there as well.
    pub async fn purge_secret(&self, secret: &SecretRef) -> Result<bool> {
        let purged = match current_only(secret) {
            Ok(()) => self.kv().purge(self.client(), secret).await,
            Err(error) => Err(error),
        };
        self.wake(secret);
        purged.map_err(|error| self.locate(error.with("secret", secret), "purge_secret"))
    }

    /// Finds secrets by their names and by what was noted on them, sorted by name. Where the policy
    /// grants `scan` on `<mount>/detailed-metadata/*`, it is one call.
    ///
    /// # Errors
    /// As for `list_secrets`.
    pub async fn find_secrets(&self, query: &FindQuery) -> Result<Vec<FoundSecret>> {
        let found = self.kv().find(self.client(), query).await;
        found.map_err(|error| self.locate(error, "find_secrets"))
    }
}

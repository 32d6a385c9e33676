//! Old versions of single keys: a folder has none as a whole.

use pipe_core::secrets::SecretVersion;
use pipe_core::{Error, ErrorKind, Result, SecretRef, SecretValue};

use crate::api::{Call, Version};
use crate::error::{Asked, Fault, malformed};
use crate::names::check_key;
use crate::plugin::Inner;
use crate::row::{self, Single};

impl Inner {
    /// A version of one key; `None` when there is none.
    pub(crate) async fn read_version(
        &self,
        secret: &SecretRef,
        key: &str,
        wanted: SecretVersion,
    ) -> Result<Option<SecretValue>> {
        check_key(key)?;
        let place = self.home.place(secret)?;
        let switches = format!(
            "version={}&viewSecretValue=true&expandSecretReferences=false&include_imports=false\
             &includeImports=false",
            wanted.number()
        );
        let call = |version: Version| {
            let query = version.query(&place, &switches);
            Ok(Call::get(version.secrets(), query).about(key))
        };
        let answer = self.api.send(call).await?;
        if answer.error_kind().is_some() {
            return match Fault::of(&answer, Asked::Work) {
                Fault::SecretMissing => Ok(None),
                Fault::FolderMissing => self.check_environment(&place).await.map(|()| None),
                fault => Err(fault.error(&answer)),
            };
        }
        let row = row::parse::<Single<'_>>(&answer).ok_or_else(|| malformed(&answer))?.secret;
        if row.version != Some(wanted.number()) {
            // Servers of 2024 answer with the current version whichever is asked for.
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the server does not give old versions",
            )
            .with("version", wanted)
            .hint("update the server, or read the current version"));
        }
        row.value()?.map(Some).ok_or_else(|| malformed(&answer))
    }
}

//! What a secrets plugin offers beyond reading.

/// The powers and limits of a [`SecretsPlugin`](super::SecretsPlugin).
///
/// The compliance suite tests both halves of each: declared means it works, undeclared means that
/// the plugin answers `Unsupported` (or refuses before any request).
///
/// ```
/// use pipe_core::secrets::SecretsCapabilities;
///
/// let capabilities = SecretsCapabilities::READ_ONLY.with_write().with_delete().with_list();
/// assert!(capabilities.write && !capabilities.watch);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretsCapabilities {
    /// `create_secret` stores.
    pub write: bool,
    /// `delete_secret` deletes.
    pub delete: bool,
    /// `list_secrets` lists.
    pub list: bool,
    /// `watch_secret` follows.
    pub watch: bool,
    /// Old versions can be read ([`SecretRef::with_version`](super::SecretRef::with_version)).
    pub versions: bool,
    /// A reference may name a namespace.
    pub namespaces: bool,
    /// Names may have several segments, as in `apps/db`.
    pub hierarchy: bool,
    /// Values need not be UTF-8 text.
    pub binary: bool,
    /// The largest sum of all values of one secret, in bytes.
    pub max_secret_bytes: usize,
    /// The most keys of one secret.
    pub max_keys: usize,
}

impl SecretsCapabilities {
    /// Only `get_secret`, of flat names and text values of up to 64 KiB in up to 64 keys.
    pub const READ_ONLY: Self = Self {
        write: false,
        delete: false,
        list: false,
        watch: false,
        versions: false,
        namespaces: false,
        hierarchy: false,
        binary: false,
        max_secret_bytes: 64 << 10,
        max_keys: 64,
    };

    /// Declares [`write`](Self::write).
    #[must_use]
    pub const fn with_write(self) -> Self {
        Self { write: true, ..self }
    }

    /// Declares [`delete`](Self::delete).
    #[must_use]
    pub const fn with_delete(self) -> Self {
        Self { delete: true, ..self }
    }

    /// Declares [`list`](Self::list).
    #[must_use]
    pub const fn with_list(self) -> Self {
        Self { list: true, ..self }
    }

    /// Declares [`watch`](Self::watch).
    #[must_use]
    pub const fn with_watch(self) -> Self {
        Self { watch: true, ..self }
    }

    /// Declares [`versions`](Self::versions).
    #[must_use]
    pub const fn with_versions(self) -> Self {
        Self { versions: true, ..self }
    }

    /// Declares [`namespaces`](Self::namespaces).
    #[must_use]
    pub const fn with_namespaces(self) -> Self {
        Self { namespaces: true, ..self }
    }

    /// Declares [`hierarchy`](Self::hierarchy).
    #[must_use]
    pub const fn with_hierarchy(self) -> Self {
        Self { hierarchy: true, ..self }
    }

    /// Declares [`binary`](Self::binary).
    #[must_use]
    pub const fn with_binary(self) -> Self {
        Self { binary: true, ..self }
    }

    /// Sets the limits of one secret.
    #[must_use]
    pub const fn with_limits(self, max_secret_bytes: usize, max_keys: usize) -> Self {
        Self { max_secret_bytes, max_keys, ..self }
    }

    /// Refuses data past the limits, or binary values where only text can be stored.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the limit.
    pub fn check(&self, data: &crate::SecretData) -> crate::Result<()> {
        let fault = |message: &'static str, limit: usize| {
            Err(crate::Error::new(crate::ErrorKind::InvalidArgument, message)
                .with("limit", limit)
                .hint("split the secret, or store less in it"))
        };
        if data.size() > self.max_secret_bytes {
            return fault("the secret is larger than the backend allows", self.max_secret_bytes);
        }
        if data.len() > self.max_keys {
            return fault("the secret has more keys than the backend allows", self.max_keys);
        }
        match data.iter().find(|(_, value)| !self.binary && value.expose_str().is_none()) {
            None => Ok(()),
            Some((key, _)) => Err(crate::Error::new(
                crate::ErrorKind::InvalidArgument,
                "the value is not UTF-8 text",
            )
            .with("key", key)
            .hint("encode the value, for example as base64")),
        }
    }
}

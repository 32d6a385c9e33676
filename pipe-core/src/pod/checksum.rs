//! A rollout when a secret changes.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::PodFragment;
use crate::hex::hex;
use crate::secrets::{SecretRef, SecretVersion};

/// Which versions of its secrets a pod was made with, as one annotation of the pod: when it
/// changes, a Deployment, StatefulSet or DaemonSet replaces its pods, which read the secrets anew.
///
/// It is made of names and versions. A digest of the values would let everybody who may read the
/// annotation try passwords against it.
///
/// ```
/// use pipe_core::pod::SecretChecksum;
/// use pipe_core::secrets::{SecretRef, SecretVersion};
///
/// let db = SecretRef::new("apps/db")?;
/// let before = SecretChecksum::new().with(&db, SecretVersion::new(1)).fragment();
/// let after = SecretChecksum::new().with(&db, SecretVersion::new(2)).fragment();
/// assert_ne!(before.annotations["checksum/secret"], after.annotations["checksum/secret"]);
/// # Ok::<(), pipe_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretChecksum(BTreeMap<String, u64>);

impl SecretChecksum {
    /// The annotation's name.
    pub const ANNOTATION: &str = "checksum/secret";

    /// Of no secret yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also of this version of this secret; the order does not matter.
    #[must_use]
    pub fn with(mut self, secret: &SecretRef, version: SecretVersion) -> Self {
        let current = SecretRef { version: None, ..secret.clone() };
        self.0.insert(current.to_string(), version.number());
        self
    }

    /// The pod with the annotation. Made of other versions, it replaces the one that a manifest
    /// has: this annotation alone is meant to change.
    #[must_use]
    pub fn fragment(&self) -> PodFragment {
        let annotations = BTreeMap::from([(Self::ANNOTATION.to_owned(), self.value())]);
        PodFragment { annotations, ..PodFragment::default() }
    }

    /// The annotation's value.
    #[must_use]
    pub fn value(&self) -> String {
        let mut digest = Sha256::new();
        for (secret, version) in &self.0 {
            digest.update(format!("{secret}\n{version}\n"));
        }
        let digest: [u8; 32] = digest.finalize().into();
        format!("sha256:{}", hex(&digest))
    }
}

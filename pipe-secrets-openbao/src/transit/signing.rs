//! Signatures by a key that never leaves the server.

use pipe_core::{Namespace, Result};
use serde::{Deserialize, Serialize};

use super::key::Verified;
use super::{Base64, Key, KeyInfo, batch};
use crate::plugin::OpenBao;

/// Signs and verifies with a named key of a transit engine. Clones are cheap.
///
/// ```no_run
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> pipe_core::Result<()> {
/// let key = bao.signing_key("transit", "releases")?;
/// let signature = key.sign(b"release 1.4").await?;
/// assert!(key.verify(b"release 1.4", &signature).await?);
/// # Ok(())
/// # }
/// ```
///
/// It needs `update` on `<mount>/sign/<key>` and `<mount>/verify/<key>`. With the feature `oidc`,
/// `jwt_signer` makes it a signer of tokens.
#[derive(Clone, Debug)]
pub struct SigningKey {
    pub(super) key: Key,
    hash: Hash,
}

/// What is signed of a message. Ed25519 keys sign the message itself, whatever is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha2-256",
            Self::Sha384 => "sha2-384",
            Self::Sha512 => "sha2-512",
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    input: Base64<'a>,
}

#[derive(Serialize)]
struct SignedMessage<'a> {
    input: Base64<'a>,
    signature: &'a str,
}

/// RSA signs with PSS unless it is told otherwise, with a salt as long as the hash.
#[derive(Serialize)]
struct How {
    hash_algorithm: &'static str,
    salt_length: &'static str,
}

#[derive(Serialize)]
struct One<'a, M> {
    #[serde(flatten)]
    message: M,
    #[serde(flatten)]
    how: &'a How,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

impl OpenBao {
    /// A key of the transit engine at this mount, for signatures.
    ///
    /// # Errors
    /// `InvalidArgument` for a mount or a key that cannot stand in a path.
    pub fn signing_key(&self, mount: &str, key: &str) -> Result<SigningKey> {
        Ok(SigningKey { key: Key::new(self, mount, key)?, hash: Hash::default() })
    }
}

impl SigningKey {
    /// The key of that name in a namespace below the plugin's own.
    #[must_use]
    pub fn in_namespace(self, namespace: Namespace) -> Self {
        Self { key: self.key.in_namespace(namespace), ..self }
    }

    /// Signs this hash of the message; SHA-256 unless it is set.
    #[must_use]
    pub fn with_hash(self, hash: Hash) -> Self {
        Self { hash, ..self }
    }

    fn how(&self) -> How {
        How { hash_algorithm: self.hash.name(), salt_length: "hash" }
    }

    /// Signs with the newest version of the key. The text tells the version.
    ///
    /// # Errors
    /// `NotFound` when there is no such key, `Unsupported` when it is not one that signs, and as
    /// for any request.
    pub async fn sign(&self, message: &[u8]) -> Result<String> {
        let signed = async {
            let request = One { message: Message { input: Base64(message) }, how: &self.how() };
            let answer = self.key.write("sign", &request).await?;
            Ok(self.key.engine.data::<Signed>(&answer)?.signature)
        };
        signed.await.map_err(|error| self.key.engine.locate(error, "sign"))
    }

    /// Whether a signature of this engine is that of the message, by any version of the key that
    /// is still allowed.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no signature of this engine; and as for [`sign`](Self::sign).
    pub async fn verify(&self, message: &[u8], signature: &str) -> Result<bool> {
        let verified = async {
            let message = SignedMessage { input: Base64(message), signature };
            let answer = self.key.write("verify", &One { message, how: &self.how() }).await?;
            Ok(self.key.engine.data::<Verified>(&answer)?.valid)
        };
        verified.await.map_err(|error| self.key.engine.locate(error, "verify"))
    }

    /// As [`sign`](Self::sign), for many at once: a request for each few hundred.
    ///
    /// # Errors
    /// As for [`sign`](Self::sign): all of them, or none is told.
    pub async fn sign_all(&self, messages: &[impl AsRef<[u8]>]) -> Result<Vec<String>> {
        let signed = async {
            batch::refuse_empty(messages)?;
            let items: Vec<_> = messages
                .iter()
                .map(|message| Message { input: Base64(message.as_ref()) })
                .collect();
            batch::all(self.key.batch::<_, Signed>("sign", &items, 2, &self.how()).await?)
        };
        let signed: Result<Vec<Signed>> = signed.await;
        match signed {
            Ok(all) => Ok(all.into_iter().map(|one| one.signature).collect()),
            Err(error) => Err(self.key.engine.locate(error, "sign_all")),
        }
    }

    /// As [`verify`](Self::verify), for many pairs of message and signature at once.
    ///
    /// # Errors
    /// What concerns all of them. What is no signature at all has its error in its place.
    pub async fn verify_all(
        &self,
        signed: &[(impl AsRef<[u8]>, impl AsRef<str>)],
    ) -> Result<Vec<Result<bool>>> {
        let verified = async {
            batch::refuse_empty(signed)?;
            let items: Vec<_> = signed
                .iter()
                .map(|(message, signature)| SignedMessage {
                    input: Base64(message.as_ref()),
                    signature: signature.as_ref(),
                })
                .collect();
            let results = self.key.batch::<_, Verified>("verify", &items, 4, &self.how()).await?;
            Ok(results
                .into_iter()
                .map(|one| one.map(|one| one.valid))
                .map(|one| one.map_err(|error| self.key.engine.locate(error, "verify_all")))
                .collect())
        };
        verified.await.map_err(|error| self.key.engine.locate(error, "verify_all"))
    }

    /// Makes another version of the key, which signs from then on.
    ///
    /// # Errors
    /// As for [`sign`](Self::sign).
    pub async fn rotate(&self) -> Result<KeyInfo> {
        self.key.rotate().await
    }

    /// What the server says of the key, with the public half of each version.
    ///
    /// # Errors
    /// As for [`sign`](Self::sign).
    pub async fn describe(&self) -> Result<KeyInfo> {
        self.key.describe("describe").await
    }
}

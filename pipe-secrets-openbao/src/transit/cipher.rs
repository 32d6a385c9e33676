//! Encryption by a key that never leaves the server.

use std::fmt;
use std::sync::Arc;

use pipe_core::{Namespace, Result, SecretValue};
use serde::{Deserialize, Serialize};

use super::{Base64, Key, batch, decoded};
use crate::plugin::OpenBao;

/// Encrypts and decrypts with a named key of a transit engine. The key stays at the server; what is
/// encrypted is kept wherever the caller likes. Clones are cheap.
///
/// ```no_run
/// # use pipe_core::{Result, SecretValue};
/// # async fn example(bao: pipe_secrets_openbao::OpenBao) -> Result<()> {
/// let cipher = bao.cipher("transit", "invoices")?.bound_to("tenant-7");
/// let ciphertext = cipher.encrypt(&SecretValue::from("4111 1111 1111 1111")).await?;
/// let card = cipher.decrypt(&ciphertext).await?;
/// # drop(card);
/// # Ok(())
/// # }
/// ```
///
/// It needs `update` on `<mount>/encrypt/<key>` and so on. Grant no `create` there: with it, the
/// server makes a new key of every name that it is asked to encrypt with. As far as `read` on
/// `<mount>/keys/<key>` is granted, a name that no key has is refused beforehand.
#[derive(Clone)]
pub struct Cipher {
    key: Key,
    bound_to: Option<Arc<[u8]>>,
    context: Option<Arc<[u8]>>,
}

/// A key for encrypting here, as it is and as it can be kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DataKey {
    /// 256 random bits.
    pub plaintext: SecretValue,
    /// The same, encrypted: [`Cipher::decrypt`] opens it again.
    pub ciphertext: String,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: SecretValue,
}

/// What the engine derives a key from, and what it binds a ciphertext to.
#[derive(Serialize)]
struct Terms<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_data: Option<Base64<'a>>,
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: Base64<'a>,
    #[serde(flatten)]
    terms: Terms<'a>,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    #[serde(flatten)]
    terms: Terms<'a>,
}

/// Items of a batch bring their own terms.
#[derive(Serialize)]
struct Nothing {}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it is bound to may be somebody's name, or a secret.
        f.debug_struct("Cipher")
            .field("key", &self.key)
            .field("is_bound", &self.bound_to.is_some())
            .field("is_derived", &self.context.is_some())
            .finish()
    }
}

impl OpenBao {
    /// A key of the transit engine at this mount, for encryption.
    ///
    /// # Errors
    /// `InvalidArgument` for a mount or a key that cannot stand in a path.
    pub fn cipher(&self, mount: &str, key: &str) -> Result<Cipher> {
        Ok(Cipher { key: Key::new(self, mount, key)?, bound_to: None, context: None })
    }
}

impl Cipher {
    /// The key of that name in a namespace below the plugin's own.
    #[must_use]
    pub fn in_namespace(self, namespace: Namespace) -> Self {
        Self { key: self.key.in_namespace(namespace), ..self }
    }

    /// Binds ciphertexts to this: they are decrypted only by a cipher that is bound to the same, so
    /// that none can be put in the place of another (associated data of AEAD).
    #[must_use]
    pub fn bound_to(self, what: impl AsRef<[u8]>) -> Self {
        Self { bound_to: Some(what.as_ref().into()), ..self }
    }

    /// Derives a key of its own from this, which the key must be made for (`derived`).
    #[must_use]
    pub fn derived_for(self, context: impl AsRef<[u8]>) -> Self {
        Self { context: Some(context.as_ref().into()), ..self }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            context: self.context.as_deref().map(Base64),
            associated_data: self.bound_to.as_deref().map(Base64),
        }
    }

    /// Two strings for each pair of an item.
    fn strings(&self) -> usize {
        2 + 2 * usize::from(self.context.is_some()) + 2 * usize::from(self.bound_to.is_some())
    }

    /// Encrypts with the newest version of the key. The text tells the version.
    ///
    /// # Errors
    /// `NotFound` when there is no such key, `Unsupported` when it is not one that encrypts, and
    /// as for any request.
    pub async fn encrypt(&self, plaintext: &SecretValue) -> Result<String> {
        let encrypted = async {
            self.key.check_exists().await?;
            let request = Encrypt { plaintext: Base64(plaintext.expose()), terms: self.terms() };
            let answer = self.key.write("encrypt", &request).await?;
            Ok(self.key.engine.data::<Encrypted>(&answer)?.ciphertext)
        };
        encrypted.await.map_err(|error| self.key.engine.locate(error, "encrypt"))
    }

    /// Decrypts what any version of the key has encrypted that is still allowed.
    ///
    /// # Errors
    /// `InvalidArgument` when the text is none of this key, was changed, or is bound to something
    /// else; and as for [`encrypt`](Self::encrypt).
    pub async fn decrypt(&self, ciphertext: &str) -> Result<SecretValue> {
        let decrypted = async {
            let request = Decrypt { ciphertext, terms: self.terms() };
            let answer = self.key.write("decrypt", &request).await?;
            let decrypted = self.key.engine.data::<Decrypted>(&answer)?;
            decoded(&self.key.engine, &decrypted.plaintext)
        };
        decrypted.await.map_err(|error| self.key.engine.locate(error, "decrypt"))
    }

    /// The same with the newest version of the key. What it says does not leave the server, unless
    /// the cipher is [bound](Self::bound_to): the engine rewraps no bound text, so it is decrypted
    /// and encrypted again.
    ///
    /// # Errors
    /// As for [`decrypt`](Self::decrypt).
    pub async fn rewrap(&self, ciphertext: &str) -> Result<String> {
        if self.bound_to.is_some() {
            return self.encrypt(&self.decrypt(ciphertext).await?).await;
        }
        let rewrapped = async {
            let request = Decrypt { ciphertext, terms: self.terms() };
            let answer = self.key.write("rewrap", &request).await?;
            Ok(self.key.engine.data::<Encrypted>(&answer)?.ciphertext)
        };
        rewrapped.await.map_err(|error| self.key.engine.locate(error, "rewrap"))
    }

    /// As [`encrypt`](Self::encrypt), for many at once: a request for each few hundred.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt): all of them, or none is told.
    pub async fn encrypt_all(&self, plaintexts: &[SecretValue]) -> Result<Vec<String>> {
        let encrypted = async {
            batch::refuse_empty(plaintexts)?;
            self.key.check_exists().await?;
            let items: Vec<_> = plaintexts
                .iter()
                .map(|text| Encrypt { plaintext: Base64(text.expose()), terms: self.terms() })
                .collect();
            let results =
                self.key.batch::<_, Encrypted>("encrypt", &items, self.strings(), &Nothing {});
            batch::all(results.await?)
        };
        let encrypted: Result<Vec<Encrypted>> = encrypted.await;
        match encrypted {
            Ok(all) => Ok(all.into_iter().map(|one| one.ciphertext).collect()),
            Err(error) => Err(self.key.engine.locate(error, "encrypt_all")),
        }
    }

    /// As [`decrypt`](Self::decrypt), for many at once. One that cannot be decrypted does not keep
    /// the others back: its error stands in its place.
    ///
    /// # Errors
    /// What concerns all of them: a missing key, a denial, an outage.
    pub async fn decrypt_all(
        &self,
        ciphertexts: &[impl AsRef<str>],
    ) -> Result<Vec<Result<SecretValue>>> {
        let decrypted = async {
            batch::refuse_empty(ciphertexts)?;
            let items: Vec<_> = ciphertexts
                .iter()
                .map(|text| Decrypt { ciphertext: text.as_ref(), terms: self.terms() })
                .collect();
            let results =
                self.key.batch::<_, Decrypted>("decrypt", &items, self.strings(), &Nothing {});
            let results = results.await?.into_iter();
            Ok(results
                .map(|one| decoded(&self.key.engine, &one?.plaintext))
                .map(|one| one.map_err(|error| self.key.engine.locate(error, "decrypt_all")))
                .collect())
        };
        decrypted.await.map_err(|error| self.key.engine.locate(error, "decrypt_all"))
    }

    /// A new key for encrypting large data here, with its encrypted form to keep beside the data.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt).
    pub async fn data_key(&self) -> Result<DataKey> {
        #[derive(Deserialize)]
        struct Made {
            plaintext: SecretValue,
            ciphertext: String,
        }
        let made = async {
            let answer = self.key.write("datakey/plaintext", &self.terms()).await?;
            let made = self.key.engine.data::<Made>(&answer)?;
            let plaintext = decoded(&self.key.engine, &made.plaintext)?;
            Ok(DataKey { plaintext, ciphertext: made.ciphertext })
        };
        made.await.map_err(|error| self.key.engine.locate(error, "data_key"))
    }

    /// A new key in its encrypted form alone, for somebody else to open.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt).
    pub async fn wrapped_data_key(&self) -> Result<String> {
        let made = async {
            let answer = self.key.write("datakey/wrapped", &self.terms()).await?;
            Ok(self.key.engine.data::<Encrypted>(&answer)?.ciphertext)
        };
        made.await.map_err(|error| self.key.engine.locate(error, "wrapped_data_key"))
    }

    /// A keyed hash of the message, with the newest version of the key, such as an index of what is
    /// encrypted.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt).
    pub async fn hmac(&self, message: &[u8]) -> Result<String> {
        self.key.hmac(message).await
    }

    /// Whether a keyed hash is that of the message.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no keyed hash of this engine, or one of a version of the key
    /// that is not allowed any more; and as for [`encrypt`](Self::encrypt).
    pub async fn verify_hmac(&self, message: &[u8], hmac: &str) -> Result<bool> {
        self.key.verify_hmac(message, hmac).await
    }

    /// Makes another version of the key, which encrypts from then on.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt).
    pub async fn rotate(&self) -> Result<super::KeyInfo> {
        self.key.rotate().await
    }

    /// What the server says of the key.
    ///
    /// # Errors
    /// As for [`encrypt`](Self::encrypt).
    pub async fn describe(&self) -> Result<super::KeyInfo> {
        self.key.describe("describe").await
    }
}

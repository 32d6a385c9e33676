//! What a key is, whatever it does.

use std::collections::BTreeMap;
use std::time::SystemTime;

use pipe_core::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Base64, Key};
use crate::error::Fault;
use crate::kv::time;

/// What the server says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its type, such as `aes256-gcm96` or `ed25519`.
    pub kind: String,
    /// The version that encrypts and signs.
    pub latest_version: u32,
    /// The oldest version whose ciphertexts and signatures are accepted.
    pub min_decryption_version: u32,
    /// Whether the key can leave the server.
    pub exportable: bool,
    /// The versions that are there.
    pub versions: BTreeMap<u32, KeyVersion>,
}

/// One version of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyVersion {
    /// When it was made, where the server says so.
    pub created_at: Option<SystemTime>,
    /// The public half in PEM, of keys that have one.
    pub public_key: Option<String>,
}

impl KeyVersion {
    fn of(kind: &str, told: &Value) -> Self {
        let text = |name| told.get(name).and_then(Value::as_str);
        let seconds = told.as_u64().map(std::time::Duration::from_secs);
        let public_key = text("public_key").filter(|key| !key.is_empty());
        Self {
            created_at: match seconds {
                Some(seconds) => SystemTime::UNIX_EPOCH.checked_add(seconds),
                None => text("creation_time").and_then(time),
            },
            public_key: public_key.map(|key| match kind {
                // Told as the bare point. The base64 of RFC 8410's prefix ends where the point begins.
                "ed25519" => format!(
                    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{key}\n-----END PUBLIC KEY-----\n"
                ),
                _ => key.to_owned(),
            }),
        }
    }
}

impl Key {
    pub(super) async fn describe(&self, operation: &'static str) -> Result<KeyInfo> {
        let described = async {
            match self.engine.read(&self.path("keys")).await? {
                Some(answer) => self.info(&answer),
                None => Err(Fault::KeyUnknown.alone().with("key", &self.name)),
            }
        };
        described.await.map_err(|error| self.engine.locate(error, operation))
    }

    pub(super) async fn rotate(&self) -> Result<KeyInfo> {
        #[derive(Serialize)]
        struct Nothing {}
        let rotated = async {
            let (answer, _) =
                self.engine.write(&format!("{}/rotate", self.path("keys")), &Nothing {}).await?;
            self.info(&answer)
        };
        rotated.await.map_err(|error| self.engine.locate(error, "rotate"))
    }

    fn info(&self, answer: &crate::transport::Answer) -> Result<KeyInfo> {
        #[derive(Deserialize)]
        struct Told {
            r#type: String,
            latest_version: u32,
            min_decryption_version: u32,
            exportable: bool,
            keys: BTreeMap<u32, Value>,
        }
        let told: Told = self.engine.data(answer)?;
        let versions = told.keys.iter();
        Ok(KeyInfo {
            latest_version: told.latest_version,
            min_decryption_version: told.min_decryption_version,
            exportable: told.exportable,
            versions: versions.map(|(n, key)| (*n, KeyVersion::of(&told.r#type, key))).collect(),
            kind: told.r#type,
        })
    }

    pub(super) async fn hmac(&self, message: &[u8]) -> Result<String> {
        #[derive(Serialize)]
        struct Hmac<'a> {
            input: Base64<'a>,
        }
        #[derive(Deserialize)]
        struct Made {
            hmac: String,
        }
        let made = async {
            let answer = self.write("hmac", &Hmac { input: Base64(message) }).await?;
            Ok(self.engine.data::<Made>(&answer)?.hmac)
        };
        made.await.map_err(|error| self.engine.locate(error, "hmac"))
    }

    pub(super) async fn verify_hmac(&self, message: &[u8], hmac: &str) -> Result<bool> {
        #[derive(Serialize)]
        struct Verify<'a> {
            input: Base64<'a>,
            hmac: &'a str,
        }
        let verified = async {
            let answer = self.write("verify", &Verify { input: Base64(message), hmac }).await?;
            Ok(self.engine.data::<Verified>(&answer)?.valid)
        };
        verified.await.map_err(|error| self.engine.locate(error, "verify_hmac"))
    }
}

#[derive(Deserialize)]
pub(super) struct Verified {
    pub(super) valid: bool,
}

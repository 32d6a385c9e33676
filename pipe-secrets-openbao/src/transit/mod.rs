//! The transit engine: keys that never leave the server.

mod batch;
mod cipher;
#[cfg(feature = "oidc")]
mod jwt;
mod key;
mod signing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipe_core::{Namespace, Result, SecretValue};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::cipher::{Cipher, DataKey};
#[cfg(feature = "oidc")]
pub use self::jwt::JwtSigner;
pub use self::key::{KeyInfo, KeyVersion};
pub use self::signing::{Hash, SigningKey};
use crate::engine::{Engine, segment};
use crate::error::Fault;
use crate::plugin::OpenBao;
use crate::transport::Answer;

/// One key of the engine, as both the ciphers and the signatures use it.
#[derive(Clone)]
struct Key {
    engine: Engine,
    name: Arc<str>,
    /// Whether the key has been seen: the server makes one of a misspelt name when it is asked to
    /// encrypt with it.
    seen: Arc<AtomicBool>,
}

impl Key {
    fn new(bao: &OpenBao, mount: &str, name: &str) -> Result<Self> {
        let engine = Engine::new(bao, "transit", mount)?;
        let name = segment("key", name).map_err(|error| engine.locate(error, "transit"))?;
        Ok(Self { engine, name: name.into(), seen: Arc::default() })
    }

    fn in_namespace(self, namespace: Namespace) -> Self {
        Self { engine: self.engine.in_namespace(namespace), seen: Arc::default(), ..self }
    }

    fn path(&self, operation: &str) -> String {
        format!("{operation}/{}", self.name)
    }

    async fn write(&self, operation: &str, content: &impl Serialize) -> Result<Answer> {
        let (answer, _) = self.engine.write(&self.path(operation), content).await?;
        self.seen.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    /// Refuses a name that no key has, as far as the policy lets us see it.
    async fn check_exists(&self) -> Result<()> {
        if self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.engine.is_absent(&self.path("keys")).await? {
            let error = Fault::KeyUnknown.alone();
            return Err(error.with("key", &self.name));
        }
        self.seen.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

/// Bytes in base64, as the engine wants them, written without a copy that would stay behind.
#[derive(Clone, Copy)]
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0)))
    }
}

fn decoded(engine: &Engine, text: &SecretValue) -> Result<SecretValue> {
    match STANDARD.decode(text.expose()) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(engine.foreign()),
    }
}

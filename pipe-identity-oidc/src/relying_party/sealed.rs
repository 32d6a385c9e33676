//! Records that only whoever holds their key can read: neither the store, nor anybody who copies it.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use pipe_core::identity::{SessionKey, SessionTag};
use pipe_core::{Error, ErrorKind, Result, SecretValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// What leads to a record: where it is, and how to open it. Neither tells the other.
pub(super) struct Seal {
    pub(super) key: SessionKey,
    cipher: LessSafeKey,
}

/// What a seal is for. Of the same secret, each use has its own place and its own key.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Login,
    Session,
}

impl Seal {
    /// Derived from what is random and known to the browser alone, and from whose login it is.
    pub(super) fn of(usage: Use, secrets: &[&str]) -> Result<Self> {
        let name: &[u8] = match usage {
            Use::Login => b"pipe login",
            Use::Session => b"pipe session",
        };
        // At once, so that no copy is left behind.
        let room = secrets.iter().map(|part| 4 + part.len()).sum();
        let mut secret = Zeroizing::new(Vec::with_capacity(room));
        for part in secrets {
            secret.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            secret.extend_from_slice(part.as_bytes());
        }
        let derived = Salt::new(HKDF_SHA256, name).extract(&secret);
        let mut digest = [0; 32];
        let expand = |purpose: &'static [u8], into: &mut [u8; 32]| {
            derived
                .expand(&[purpose], HKDF_SHA256)
                .and_then(|okm| okm.fill(into))
                .map_err(|_| broken())
        };
        expand(b"place", &mut digest)?;
        let mut bytes = Zeroizing::new([0; 32]);
        expand(b"cipher", &mut bytes)?;
        let cipher = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| broken())?;
        let key = match usage {
            Use::Login => SessionKey::Login(digest),
            Use::Session => SessionKey::Session(digest),
        };
        Ok(Self { key, cipher: LessSafeKey::new(cipher) })
    }

    /// The value, for nobody else to read.
    pub(super) fn close(&self, value: &impl Serialize) -> Result<SecretValue> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, value).map_err(|_| broken())?;
        let room = NONCE_LEN + length.0 + AES_256_GCM.tag_len();
        let mut sealed = Zeroizing::new(Vec::with_capacity(room));
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| broken())?;
        sealed.extend_from_slice(&nonce);
        serde_json::to_writer(&mut *sealed, value).map_err(|_| broken())?;
        let tag = self
            .cipher
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.key.to_string()),
                &mut sealed[NONCE_LEN..],
            )
            .map_err(|_| broken())?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(SecretValue::from(std::mem::take(&mut *sealed)))
    }

    /// What was sealed under this key; `None` when it was not, or was changed, or is of another
    /// version of this crate.
    pub(super) fn open<T: DeserializeOwned>(&self, sealed: &SecretValue) -> Option<T> {
        let (nonce, rest) = sealed.expose().split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(rest.to_vec());
        let text =
            self.cipher.open_in_place(nonce, Aad::from(self.key.to_string()), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }
}

/// What records have in common, in a form that tells nothing.
pub(super) fn tag(kind: &str, parts: &[&str]) -> SessionTag {
    SessionTag::new(hashed(kind, parts))
}

/// Something that may be used once.
pub(super) fn used(kind: &str, parts: &[&str]) -> SessionKey {
    SessionKey::Used(hashed(kind, parts))
}

/// A hash of parts, each with its length, so that no two lists are the same text.
pub(super) fn hashed(kind: &str, parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in std::iter::once(&kind).chain(parts) {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Counts what is written, so that it fits the first time and leaves no copies behind.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Unexpected, "a record of a session cannot be sealed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(secret: &str) -> Seal {
        Seal::of(Use::Session, &[secret]).unwrap()
    }

    #[test]
    fn what_was_sealed_is_opened_with_the_same_secret_alone() {
        let sealed = seal("a").close(&"do-not-print").unwrap();
        assert_eq!(seal("a").open::<String>(&sealed).as_deref(), Some("do-not-print"));
        assert_eq!(seal("b").open::<String>(&sealed), None);
        let other = Seal::of(Use::Login, &["a"]).unwrap();
        assert_eq!(other.open::<String>(&sealed), None);
    }

    #[test]
    fn the_sealed_text_tells_nothing_and_cannot_be_changed() {
        let sealed = seal("a").close(&"do-not-print").unwrap();
        assert!(!String::from_utf8_lossy(sealed.expose()).contains("print"));
        for at in 0..sealed.len() {
            let mut changed = sealed.expose().to_vec();
            changed[at] ^= 1;
            assert_eq!(seal("a").open::<String>(&changed.into()), None, "{at}");
        }
        for length in 0..sealed.len() {
            let cut = sealed.expose()[..length].to_vec();
            assert_eq!(seal("a").open::<String>(&cut.into()), None, "{length}");
        }
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        assert_ne!(seal("a").close(&1).unwrap(), seal("a").close(&1).unwrap());
    }

    #[test]
    fn the_place_depends_on_each_part() {
        let place = |secrets: &[&str]| Seal::of(Use::Login, secrets).unwrap().key;
        assert_eq!(place(&["ab", "c"]), place(&["ab", "c"]));
        assert_ne!(place(&["ab", "c"]), place(&["a", "bc"]));
        assert_ne!(place(&["ab", "c"]), place(&["abc"]));
        assert_ne!(tag("sub", &["a", "b"]), tag("sid", &["a", "b"]));
    }
}

//! The keys of an issuer, and their rotation (I5).
//!
//! Whoever issues reads one pointer and takes no lock. Before a token is signed, its end is noted
//! with the key; a key that was replaced is dropped only after the latest end that was noted.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::{any::Any, fmt};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use pipe_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::TokenIssuer;
use crate::jwt::sign::{Header, is_key_id, published, signature_len};
use crate::jwt::{Algorithm, Signer, SigningKey};

/// The type of the tokens (RFC 9068 2.1).
const TYPE: &str = "at+jwt";

#[derive(Debug)]
pub(super) struct Keys {
    ring: ArcSwap<Ring>,
    /// Held by whoever replaces the ring.
    writer: Mutex<()>,
}

/// What verifies tokens. It has no half that signs, but for a secret.
#[derive(Debug)]
pub(crate) struct IssuedKey {
    pub(crate) algorithm: Algorithm,
    /// `None` for a secret that nobody named.
    pub(crate) key_id: Option<String>,
    pub(crate) material: Material,
    /// The latest `exp` of a token of this key.
    last_expiry: AtomicU64,
}

pub(crate) enum Material {
    /// A JWK without private members.
    Public(Value),
    /// A secret of this process.
    Secret(Arc<hmac::Key>),
    /// A secret that never leaves its backend: this process cannot verify.
    Elsewhere,
}

/// The keys at one moment.
#[derive(Debug)]
pub(crate) struct VerificationKeys {
    /// Another number for other keys.
    pub(crate) generation: u64,
    pub(crate) keys: Vec<Arc<IssuedKey>>,
}

/// A key that signs or will, with what is the same in all its tokens.
#[derive(Debug)]
pub(super) struct SigningState {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) header: Header,
    pub(super) signature_len: usize,
    key: Arc<IssuedKey>,
}

#[derive(Debug)]
struct Ring {
    generation: u64,
    current: Arc<SigningState>,
    next: Option<Arc<SigningState>>,
    /// The newest first.
    retired: Vec<Arc<IssuedKey>>,
}

impl Keys {
    pub(super) fn new(signer: Arc<dyn Signer>) -> Result<Self> {
        let current = Arc::new(SigningState::new(signer)?);
        let ring = Ring { generation: 0, current, next: None, retired: Vec::new() };
        Ok(Self { ring: ArcSwap::from_pointee(ring), writer: Mutex::new(()) })
    }

    /// The key that signs now. It stays published until a token has ended that ends at `expiry`.
    pub(super) fn key_for_token_until(&self, expiry: u64) -> Arc<SigningState> {
        loop {
            let state = Arc::clone(&self.ring.load().current);
            state.key.note(expiry);
            // Either we see that the key was replaced, or whoever replaces it sees our note.
            fence(Ordering::SeqCst);
            if Arc::ptr_eq(&state, &self.ring.load().current) {
                return state;
            }
        }
    }

    pub(super) fn publish_next(&self, signer: Arc<dyn Signer>, unneeded: u64) -> Result<()> {
        let next = Arc::new(SigningState::new(signer)?);
        self.replace(unneeded, |ring| {
            ring.check_other_key(&next)?;
            Ok(Ring { next: Some(next), ..ring })
        })
    }

    /// Publishes keys that signed before this process did, until tokens that end at `expiry` have.
    pub(super) fn keep(&self, jwks: &Value, expiry: u64, unneeded: u64) -> Result<()> {
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or_else(|| {
            fault("this is no key set").hint("pass what `jwks` returned before: {\"keys\": [...]}")
        })?;
        let kept: Result<Vec<_>> = keys.iter().map(|jwk| IssuedKey::of_jwk(jwk, expiry)).collect();
        let kept = kept?;
        self.replace(unneeded, |mut ring| {
            if ring.current.key.algorithm.is_symmetric() {
                return Err(fault("a public key cannot stand beside a secret")
                    .hint("tokens that a secret signs are verified with that secret alone"));
            }
            for key in kept {
                if ring.keys().all(|other| other.key_id != key.key_id) {
                    ring.retired.push(Arc::new(key));
                }
            }
            Ok(ring)
        })
    }

    pub(super) fn promote(&self, unneeded: u64) -> Result<()> {
        self.replace(unneeded, |mut ring| match ring.next.take() {
            Some(next) => Ok(ring.sign_with(next)),
            None => Err(Error::new(ErrorKind::InvalidArgument, "no next key was published")
                .hint("publish one first, or rotate to a key at once")),
        })
    }

    pub(super) fn rotate(&self, signer: Arc<dyn Signer>, unneeded: u64) -> Result<()> {
        let state = Arc::new(SigningState::new(signer)?);
        self.replace(unneeded, |mut ring| {
            ring.check_other_key(&state)?;
            ring.next = ring.next.filter(|next| next.key.key_id != state.key.key_id);
            Ok(ring.sign_with(state))
        })
    }

    pub(super) fn is_symmetric(&self) -> bool {
        self.ring.load().current.key.algorithm.is_symmetric()
    }

    pub(super) fn generation(&self, unneeded: u64) -> u64 {
        self.drop_those_over(unneeded);
        self.ring.load().generation
    }

    pub(super) fn verification(&self, unneeded: u64) -> VerificationKeys {
        self.drop_those_over(unneeded);
        let ring = self.ring.load();
        VerificationKeys { generation: ring.generation, keys: ring.keys().cloned().collect() }
    }

    fn drop_those_over(&self, unneeded: u64) {
        if self.ring.load().retired.iter().any(|key| key.is_over(unneeded)) {
            // Only what is over is dropped, which cannot fail.
            let _ = self.replace(unneeded, Ok);
        }
    }

    /// Replaces the ring by what `change` makes of it, without the keys that are over.
    fn replace(&self, unneeded: u64, change: impl FnOnce(Ring) -> Result<Ring>) -> Result<()> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring.load();
        let changed = change(Ring {
            generation: ring.generation.wrapping_add(1),
            current: Arc::clone(&ring.current),
            next: ring.next.clone(),
            retired: ring.without_those_over(unneeded),
        })?;
        if changed.keys().count() > TokenIssuer::MAX_KEYS {
            return Err(Error::new(ErrorKind::Conflict, "all keys of the issuer are still needed")
                .with("most keys", TokenIssuer::MAX_KEYS)
                .hint("rotate less often, or issue tokens that live shorter"));
        }
        self.ring.store(Arc::new(changed));
        Ok(())
    }
}

impl Ring {
    fn keys(&self) -> impl Iterator<Item = &Arc<IssuedKey>> {
        let next = self.next.iter().map(|next| &next.key);
        std::iter::once(&self.current.key).chain(next).chain(&self.retired)
    }

    fn without_those_over(&self, unneeded: u64) -> Vec<Arc<IssuedKey>> {
        self.retired.iter().filter(|key| !key.is_over(unneeded)).cloned().collect()
    }

    /// The former key comes among the retired whether it signed or not: whether anybody is about
    /// to, is only certain when the new ring is in its place.
    fn sign_with(mut self, state: Arc<SigningState>) -> Self {
        self.retired.insert(0, Arc::clone(&self.current.key));
        Self { current: state, ..self }
    }

    /// Verifiers find keys by their names, and never mix secrets with public keys.
    fn check_other_key(&self, state: &SigningState) -> Result<()> {
        let (current, new) = (&self.current.key, &state.key);
        if current.algorithm.is_symmetric() != new.algorithm.is_symmetric() {
            return Err(fault("a secret cannot follow a public key, nor the other way round")
                .hint("use another issuer for the other kind of key"));
        }
        if current.key_id.is_none() || new.key_id.is_none() {
            return Err(fault("a key without a name cannot be rotated")
                .hint("give both keys an id with `with_key_id`"));
        }
        let mut others = std::iter::once(current).chain(&self.retired);
        if others.any(|key| key.key_id == new.key_id) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "a key of the issuer has this name already",
            )
            .hint("use a new key, under a name that was not used before"));
        }
        Ok(())
    }
}

impl SigningState {
    fn new(signer: Arc<dyn Signer>) -> Result<Self> {
        let key = IssuedKey::new(&*signer)?;
        let jwk = match &key.material {
            Material::Public(jwk) => Some(jwk),
            _ => None,
        };
        let signature_len = signature_len(key.algorithm, jwk);
        let header = Header::new(&*signer, TYPE)?;
        Ok(Self { signer, header, signature_len, key: Arc::new(key) })
    }
}

impl IssuedKey {
    fn new(signer: &dyn Signer) -> Result<Self> {
        let (algorithm, key_id) = (signer.algorithm(), signer.key_id());
        if key_id.is_some_and(|id| !is_key_id(id)) {
            return Err(fault("the signer's key id is not a name")
                .hint("use 1 to 256 bytes without control and format characters"));
        }
        let any: &dyn Any = signer;
        let secret = any.downcast_ref::<SigningKey>().and_then(SigningKey::hmac_key);
        let material = match (algorithm.is_symmetric(), secret) {
            (true, Some(secret)) => Material::Secret(Arc::clone(secret)),
            (true, None) => Material::Elsewhere,
            (false, _) => key_id
                .zip(signer.public_jwk())
                .and_then(|(id, jwk)| published(algorithm, id, &jwk))
                .map(Material::Public)
                .ok_or_else(|| {
                    fault("the signer has no public key that fits its algorithm and key id")
                        .with("algorithm", algorithm)
                        .hint("check which key the signer uses")
                })?,
        };
        let key_id = key_id.map(str::to_owned);
        Ok(Self { algorithm, key_id, material, last_expiry: AtomicU64::new(0) })
    }

    fn of_jwk(jwk: &Value, expiry: u64) -> Result<Self> {
        let text = |member: &str| jwk.get(member).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::from_name);
        let key_id = text("kid").filter(|id| is_key_id(id));
        let public = algorithm
            .zip(key_id)
            .and_then(|(algorithm, id)| Some((algorithm, id, published(algorithm, id, jwk)?)));
        let (algorithm, id, jwk) = public.ok_or_else(|| {
            fault("a key of the set is no public key with `alg` and `kid`")
                .hint("pass what `jwks` returned before")
        })?;
        Ok(Self {
            algorithm,
            key_id: Some(id.to_owned()),
            material: Material::Public(jwk),
            last_expiry: AtomicU64::new(expiry),
        })
    }

    fn note(&self, expiry: u64) {
        // Most tokens end when another one does, and threads that only read do not wait.
        if self.last_expiry.load(Ordering::SeqCst) < expiry {
            self.last_expiry.fetch_max(expiry, Ordering::SeqCst);
        }
    }

    /// A token is accepted until its end plus the leeway, exclusive.
    fn is_over(&self, unneeded: u64) -> bool {
        // The other half of the fence in `key_for_token_until`.
        fence(Ordering::SeqCst);
        self.last_expiry.load(Ordering::SeqCst) <= unneeded
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public(_) => "Public",
            Self::Secret(_) => "Secret",
            Self::Elsewhere => "Elsewhere",
        })
    }
}

fn fault(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

//! A transit key that signs tokens of the identity crates.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Error, ErrorKind, Result};
use pipe_identity_oidc::jwt::{Algorithm, Signer, public_jwk_of_pem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Base64, Hash, Key, SigningKey};

/// One version of a transit key, as a [`Signer`]: tokens are signed at the server, and the key
/// never leaves it.
///
/// After [`SigningKey::rotate`], another signer has to be made, and given to
/// `TokenIssuer::rotate`: what is published as the key's public half is that of one version.
#[derive(Debug)]
pub struct JwtSigner {
    key: Key,
    version: u32,
    algorithm: Algorithm,
    jwk: Value,
    key_id: String,
}

impl SigningKey {
    /// The newest version of this key, as a signer of tokens. An RSA key signs `RS256` unless
    /// another of its algorithms is given.
    ///
    /// # Errors
    /// `Unsupported` for a key or an algorithm that does not sign tokens, and as for
    /// [`describe`](Self::describe).
    pub async fn jwt_signer(&self, algorithm: Option<Algorithm>) -> Result<JwtSigner> {
        let info = self.key.describe("jwt_signer").await?;
        let unsuitable = || {
            Error::new(ErrorKind::Unsupported, "a key of this type does not sign such tokens")
                .with("key", &self.key.name)
                .with("type", &info.kind)
                .hint("use a key of type `ed25519`, `ecdsa-p256`, `ecdsa-p384` or `rsa-2048` and its algorithm")
                .at(self.key.engine.bao().name_of_instance(), "jwt_signer")
        };
        let possible = match info.kind.as_str() {
            "ed25519" => vec![Algorithm::EdDsa],
            "ecdsa-p256" => vec![Algorithm::Es256],
            "ecdsa-p384" => vec![Algorithm::Es384],
            "rsa-2048" | "rsa-3072" | "rsa-4096" => vec![
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
            _ => return Err(unsuitable()),
        };
        let algorithm = algorithm.unwrap_or(possible[0]);
        if !possible.contains(&algorithm) {
            return Err(unsuitable());
        }
        let version = info.versions.get(&info.latest_version);
        let pem = version.and_then(|version| version.public_key.as_deref());
        let mut jwk = public_jwk_of_pem(pem.ok_or_else(unsuitable)?)?;
        jwk["alg"] = algorithm.name().into();
        let key_id = jwk["kid"].as_str().unwrap_or_default().to_owned();
        Ok(JwtSigner {
            key: self.key.clone(),
            version: info.latest_version,
            algorithm,
            jwk,
            key_id,
        })
    }
}

#[async_trait]
impl Signer for JwtSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    fn public_jwk(&self) -> Option<Value> {
        Some(self.jwk.clone())
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Sign<'a> {
            input: Base64<'a>,
            key_version: u32,
            hash_algorithm: &'static str,
            /// Of RSA keys.
            signature_algorithm: &'static str,
            salt_length: &'static str,
            /// The form of RFC 7518, in base64url.
            marshaling_algorithm: &'static str,
        }
        #[derive(Deserialize)]
        struct Signed {
            signature: String,
        }
        let (hash, scheme) = match self.algorithm {
            Algorithm::Rs384 => (Hash::Sha384, "pkcs1v15"),
            Algorithm::Rs512 => (Hash::Sha512, "pkcs1v15"),
            Algorithm::Ps256 => (Hash::Sha256, "pss"),
            Algorithm::Ps384 => (Hash::Sha384, "pss"),
            Algorithm::Ps512 => (Hash::Sha512, "pss"),
            Algorithm::Es384 => (Hash::Sha384, "pkcs1v15"),
            _ => (Hash::Sha256, "pkcs1v15"),
        };
        let request = Sign {
            input: Base64(message),
            key_version: self.version,
            hash_algorithm: hash.name(),
            signature_algorithm: scheme,
            salt_length: "hash",
            marshaling_algorithm: "jws",
        };
        let engine = &self.key.engine;
        let signed = async {
            let answer = self.key.write("sign", &request).await?;
            let signed: Signed = engine.data(&answer)?;
            // `vault:v1:` and the signature.
            let signature = signed.signature.rsplit(':').next().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(signature).map_err(|_| engine.foreign())
        };
        signed.await.map_err(|error| engine.locate(error, "sign"))
    }
}

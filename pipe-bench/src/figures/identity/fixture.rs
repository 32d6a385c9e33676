//! An issuer with one key, for both sides: no network, and no file.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, encode};
use pipe_core::SecretValue;
use pipe_core::identity::BearerToken;
use pipe_identity_oidc::jwt::{Algorithm, Signer, SigningKey};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, IssuerConfig, Keys, Oidc, OidcConfig, SigningConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Fault;

pub(super) const AUDIENCE: &str = "https://api.example";
pub(super) const SUBJECT: &str = "service-account:floe-job-runner";
pub(super) const NAMESPACE: &str = "sales";
pub(super) const ROLES: [&str; 2] = ["data_reader", "data_writer"];

const ISSUER: &str = "https://issuer.example/realms/floe";
const LIFETIME: Duration = Duration::from_secs(3600);

/// What the tokens say, as a service would read it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    namespace: String,
    roles: Vec<String>,
}

/// What a plugin remembers of tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    Nothing,
    Everything,
}

pub(super) struct Fixture {
    algorithm: Algorithm,
    signer: Arc<SigningKey>,
    jwk: Value,
    encoding_key: EncodingKey,
    decoding_key: DecodingKey,
}

impl Fixture {
    /// A new key for RS256 or ES256.
    pub(super) fn new(algorithm: Algorithm) -> Result<Self, Fault> {
        let (encoding_key, der) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
                // `jsonwebtoken` wants the key of RFC 8017 alone, which stands at the end.
                let der = pkcs8.as_ref()[PKCS8_BEFORE_RSA..].to_vec();
                (EncodingKey::from_rsa_der(&der), der)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                let der = pair.to_pkcs8v1()?.as_ref().to_vec();
                (EncodingKey::from_ec_der(&der), der)
            }
            _ => return Err(Fault::new("only RS256 and ES256 are measured")),
        };
        let signer = SigningKey::from_der(algorithm, &SecretValue::from(der))?;
        let jwk = signer.public_jwk().ok_or_else(|| Fault::new("the key has no public half"))?;
        let decoding_key = DecodingKey::from_jwk(&Jwk::deserialize(&jwk)?)?;
        Ok(Self { algorithm, signer: Arc::new(signer), jwk, encoding_key, decoding_key })
    }

    /// A plugin that takes the issuer's tokens, and reads roles and namespaces from them.
    pub(super) fn plugin(&self, memory: Memory) -> Result<Oidc, Fault> {
        let claims = ClaimMapping::new()
            .with_roles(ClaimPointer::claim("roles"))
            .with_namespaces(ClaimPointer::claim("namespace"));
        let issuer = IssuerConfig::new(ISSUER)
            .with_keys(Keys::Inline(json!({ "keys": [self.jwk] }).to_string()))
            .with_claims(claims);
        let config = OidcConfig::new().with_issuer(issuer).with_cache_ttl(match memory {
            Memory::Nothing => Duration::ZERO,
            Memory::Everything => LIFETIME,
        });
        Ok(Oidc::new(config)?)
    }

    /// A plugin that issues such tokens itself.
    pub(super) fn issuing(&self) -> Result<Oidc, Fault> {
        let signer = Arc::clone(&self.signer) as Arc<dyn Signer>;
        let config = OidcConfig::new().with_signing(SigningConfig::with_signer(ISSUER, signer));
        Ok(Oidc::new(config)?)
    }

    pub(super) fn tokens(&self, count: usize) -> Result<Vec<BearerToken>, Fault> {
        (0..count).map(|number| Ok(BearerToken::new(self.token(number)?))).collect()
    }

    /// A token that is good for an hour, another one for each number.
    pub(super) fn token(&self, number: usize) -> Result<String, Fault> {
        Ok(encode(&self.header(), &self.claims(number)?, &self.encoding_key)?)
    }

    pub(super) fn claims(&self, number: usize) -> Result<Claims, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Claims {
            iss: ISSUER.to_owned(),
            sub: SUBJECT.to_owned(),
            aud: AUDIENCE.to_owned(),
            client_id: SUBJECT.to_owned(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME.as_secs(),
            jti: format!("0191e5a6-7c1e-4c7f-9f0a-{number:012}"),
            namespace: NAMESPACE.to_owned(),
            roles: ROLES.map(str::to_owned).to_vec(),
        })
    }

    pub(super) fn header(&self) -> Header {
        let mut header = Header::new(self.baseline_algorithm());
        header.typ = Some("at+jwt".to_owned());
        header.kid = self.signer.key_id().map(str::to_owned);
        header
    }

    /// What a careful service demands of a token.
    pub(super) fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.baseline_algorithm());
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.validate_nbf = true;
        validation
    }

    pub(super) fn encoding_key(&self) -> &EncodingKey {
        &self.encoding_key
    }

    pub(super) fn decoding_key(&self) -> &DecodingKey {
        &self.decoding_key
    }

    fn baseline_algorithm(&self) -> jsonwebtoken::Algorithm {
        match self.algorithm {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            _ => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// How many bytes PKCS#8 (RFC 5208 5) puts before an RSA key of 2048 bits.
const PKCS8_BEFORE_RSA: usize = 26;

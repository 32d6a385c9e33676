//! Minting: good tokens, and such as no issuer would ever make.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::SigningKey;

/// A token in the making. What is not changed is right.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use pipe_testkit::issuer::TestIssuer;
///
/// let issuer = TestIssuer::start().await;
/// let good = issuer.token().sign();
/// let odd = issuer.token().claim("aud", 42).without("sub").header("typ", "JWT").sign();
/// # assert_ne!(good, odd);
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBuilder {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    more_header: String,
    more_claims: String,
    raw_header: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    seal: Seal,
}

#[derive(Clone, Debug)]
enum Seal {
    Key(SigningKey),
    Hmac(Vec<u8>),
    Bytes(Vec<u8>),
}

impl TokenBuilder {
    /// A token of this key, whose header says `alg`, `kid` and `typ`.
    pub fn new(key: &SigningKey, typ: &str, claims: Map<String, Value>) -> Self {
        let built = Self {
            header: Map::new(),
            claims,
            more_header: String::new(),
            more_claims: String::new(),
            raw_header: None,
            payload: None,
            seal: Seal::Bytes(Vec::new()),
        };
        built.header("typ", typ).key(key)
    }

    /// With this claim instead of any other of its name.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Without this claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// With a claim written as it stands, beside any other of its name: duplicates, numbers that do
    /// not fit, and what is no JSON.
    pub fn json_claim(mut self, name: &str, json: &str) -> Self {
        self.more_claims += &format!(",\"{name}\":{json}");
        self
    }

    /// With this header member instead of any other of its name.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Without this header member.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// As [`json_claim`](Self::json_claim), in the header.
    pub fn json_header(mut self, name: &str, json: &str) -> Self {
        self.more_header += &format!(",\"{name}\":{json}");
        self
    }

    /// Signed with another key, whose `alg` and `kid` the header says.
    pub fn key(self, key: &SigningKey) -> Self {
        let named = self.header("alg", key.algorithm().name()).header("kid", key.kid());
        named.signed_by(key)
    }

    /// Signed with another key, of which the header says nothing.
    pub fn signed_by(self, key: &SigningKey) -> Self {
        Self { seal: Seal::Key(key.clone()), ..self }
    }

    /// With an HMAC (SHA-256) under this secret, and `alg: HS256`.
    pub fn hmac(self, secret: &[u8]) -> Self {
        Self { seal: Seal::Hmac(secret.to_owned()), ..self.header("alg", "HS256") }
    }

    /// With these bytes in the place of the signature.
    pub fn signature(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { seal: Seal::Bytes(bytes.into()), ..self }
    }

    /// With these bytes as the header.
    pub fn raw_header(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw_header: Some(bytes.into()), ..self }
    }

    /// With these bytes as the payload.
    pub fn payload(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { payload: Some(bytes.into()), ..self }
    }

    /// The header's text.
    #[must_use]
    pub fn header_json(&self) -> Vec<u8> {
        self.raw_header.clone().unwrap_or_else(|| text(&self.header, &self.more_header))
    }

    /// The payload's text.
    #[must_use]
    pub fn claims_json(&self) -> Vec<u8> {
        self.payload.clone().unwrap_or_else(|| text(&self.claims, &self.more_claims))
    }

    /// The token in compact form.
    #[must_use]
    pub fn sign(&self) -> String {
        self.segments().join(".")
    }

    /// Its three segments.
    #[must_use]
    pub fn segments(&self) -> [String; 3] {
        self.seal(URL_SAFE_NO_PAD.encode(self.header_json()), self.encoded_claims())
    }

    /// The token with another way to write bytes as text, over which the signature is right.
    #[must_use]
    pub fn sign_written(&self, write: impl Fn(&[u8]) -> String) -> String {
        self.seal(write(&self.header_json()), write(&self.claims_json())).join(".")
    }

    fn encoded_claims(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.claims_json())
    }

    fn seal(&self, header: String, payload: String) -> [String; 3] {
        let message = format!("{header}.{payload}");
        let signature = match &self.seal {
            Seal::Key(key) => key.sign(message.as_bytes()),
            Seal::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            Seal::Bytes(bytes) => bytes.clone(),
        };
        [header, payload, URL_SAFE_NO_PAD.encode(signature)]
    }
}

fn text(members: &Map<String, Value>, more: &str) -> Vec<u8> {
    let mut text = serde_json::to_string(members).unwrap_or_default();
    text.pop();
    if members.is_empty() {
        text += more.strip_prefix(',').unwrap_or(more);
    } else {
        text += more;
    }
    text.push('}');
    text.into_bytes()
}

//! Putting a token together (RFC 7515 7.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::Signer;

/// The largest token that we accept, and so the largest that we make, in bytes.
pub(crate) const TOKEN_LIMIT: usize = 16 * 1024;

/// The first segment of a token with the dot behind it, written once for each key.
#[derive(Clone, Debug)]
pub(crate) struct Header(String);

impl Header {
    /// The header of tokens of this type, signed by this signer.
    ///
    /// # Errors
    /// `Unexpected` when it cannot be written out.
    pub(crate) fn new(signer: &dyn Signer, typ: &str) -> Result<Self> {
        #[derive(Serialize)]
        struct Members<'a> {
            alg: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
            typ: &'a str,
        }
        let members = Members { alg: signer.algorithm().name(), kid: signer.key_id(), typ };
        let json = serde_json::to_vec(&members).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "the token's header could not be written out")
        })?;
        let mut segment = URL_SAFE_NO_PAD.encode(json);
        segment.push('.');
        Ok(Self(segment))
    }
}

/// The token with these claims, which are JSON. `signature_len` is what room is made for.
///
/// # Errors
/// `InvalidArgument` when the token would be larger than 16 KiB; those of the signer.
pub(crate) async fn sign_compact(
    header: &Header,
    claims: &[u8],
    signer: &dyn Signer,
    signature_len: usize,
) -> Result<String> {
    let signed = header.0.len() + encoded_len(claims.len());
    let whole = signed + 1 + encoded_len(signature_len);
    // Before it is signed, for a signer may be far away.
    check_size(whole)?;
    let mut token = String::with_capacity(whole);
    token.push_str(&header.0);
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = signer.sign(token.as_bytes()).await?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    check_size(token.len())?;
    Ok(token)
}

fn check_size(size: usize) -> Result<()> {
    if size <= TOKEN_LIMIT {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "the token would be larger than 16 KiB")
        .with("bytes", size)
        .hint("put fewer roles, audiences and claims of your own into the token"))
}

const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

//! The behaviours of an [`IdentityPlugin`], as far as they can be tested with tokens that the
//! plugin makes itself.

#[macro_use]
mod list;
mod contexts;
mod credentials;
mod general;
mod issuing;
mod refusing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{JwtRequest, PrincipalId, Role, SignedJwt, TokenExpectation};
use pipe_core::{ErrorKind, IdentityPlugin, Namespace, Result, TokenFault};
use serde_json::{Map, Value};

use crate::cases::expect_kind;

pub use self::contexts::*;
pub use self::credentials::*;
pub use self::general::*;
pub use self::issuing::*;
pub use self::refusing::*;

const SUBJECT: &str = "service-account:floe-job-runner";
const AUDIENCE: &str = "pipe-testkit";

/// The example of REQ 004-73.6.
fn request() -> JwtRequest {
    JwtRequest::new(PrincipalId::new(SUBJECT).expect("legal"))
        .with_audience(AUDIENCE)
        .with_namespace(Namespace::new("sales").expect("legal"))
        .with_role(Role::new("data_reader").expect("legal"))
}

fn expectation() -> TokenExpectation {
    TokenExpectation::audience(AUDIENCE)
}

/// A token of the plugin's own, when it signs. One that does not declare it says `Unsupported`.
async fn issue(plugin: &dyn IdentityPlugin, request: &JwtRequest) -> Option<SignedJwt> {
    let signed = plugin.generate_jwt(request).await;
    if !plugin.capabilities().issue {
        expect_kind(signed, ErrorKind::Unsupported);
        return None;
    }
    match signed {
        Ok(jwt) => Some(jwt),
        Err(error) => panic!("generate_jwt failed: {error:#}"),
    }
}

/// The three segments of a token.
fn segments(jwt: &SignedJwt) -> [String; 3] {
    let text = jwt.token.expose_str().expect("a JWT is text");
    let segments: Vec<_> = text.split('.').map(str::to_owned).collect();
    segments.try_into().expect("a JWT has three segments")
}

fn object(segment: &str) -> Map<String, Value> {
    let json = URL_SAFE_NO_PAD.decode(segment).expect("a segment is base64url");
    serde_json::from_slice(&json).expect("a segment is a JSON object")
}

fn claims(jwt: &SignedJwt) -> Map<String, Value> {
    object(&segments(jwt)[1])
}

#[track_caller]
fn expect_refusal<T>(result: Result<T>) -> TokenFault {
    match result {
        Err(error) => match error.kind() {
            ErrorKind::TokenRejected(fault) => fault,
            _ => panic!("expected a refusal, got {error:#}"),
        },
        Ok(_) => panic!("expected a refusal, got a success"),
    }
}

//! The layer around services of every kind.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod answers;
mod axum;
mod bound_tokens;
mod handlers;
mod leaks;
mod logs;
mod readiness;
mod scripted;
mod signed_context;
mod tonic;

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use pipe_core::identity::{JwtRequest, Principal, PrincipalId, Role, TokenExpectation};
use pipe_core::{IdentityPlugin, SecurityContext};
use pipe_testkit::reference::InMemoryIdentity;
use pipe_tower::AuthenticateLayer;
use tower::{Layer, ServiceExt, service_fn};

use self::scripted::Scripted;

const AUDIENCE: &str = "reports";

fn layer(identity: impl IdentityPlugin) -> AuthenticateLayer {
    AuthenticateLayer::new(identity, TokenExpectation::audience(AUDIENCE))
}

fn context(id: &str) -> SecurityContext {
    let now = SystemTime::now();
    let principal = Principal::service(PrincipalId::new(id).unwrap());
    SecurityContext::new(principal, "issuer", now, now + Duration::from_secs(60))
}

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// A token that the layer's plugin accepts.
async fn token(identity: &InMemoryIdentity, id: &str) -> String {
    let request = JwtRequest::new(PrincipalId::new(id).unwrap()).with_audience(AUDIENCE);
    let jwt = identity.generate_jwt(&request.with_role(role("data_reader"))).await.unwrap();
    jwt.token.expose_str().unwrap().to_owned()
}

/// A request with these headers, in this order.
fn request(headers: &[(&str, &str)]) -> Request<String> {
    let request = Request::post("/a/b?c=d");
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(String::new()).unwrap()
}

fn with_token(token: &str) -> Request<String> {
    request(&[("authorization", &format!("Bearer {token}"))])
}

/// What a service behind the layer is asked, and answers: who is calling.
async fn who_am_i(_: Request<String>) -> Result<Response<String>, Infallible> {
    let caller = SecurityContext::current().expect("the layer lets in known callers only");
    Ok(Response::new(caller.principal.id.to_string()))
}

async fn ask(layer: &AuthenticateLayer, request: Request<String>) -> Response<String> {
    layer.layer(service_fn(who_am_i)).oneshot(request).await.unwrap()
}

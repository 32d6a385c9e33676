//! What people see who are logged in.

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use pipe_core::{Error, ErrorKind};
use pipe_http::{HttpClient, bearer};
use serde_json::{Value, json};

use super::failure::{Json, Page};
use super::{Application, pages};

/// `GET /`
pub(super) async fn home(
    State(app): State<Application>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let session = app.session(&headers).await?;
    Ok(pages::home(session.as_ref()))
}

/// `GET /profile`: whoever is not logged in is led to it, and back.
pub(super) async fn profile(
    State(app): State<Application>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    match app.session(&headers).await? {
        Some(session) => Ok(pages::profile(&session)),
        None => Ok(pages::see_other("/auth/login?return_to=/profile")?),
    }
}

/// `GET /api/orders`: what another service has for the person, whose own token it sees.
pub(super) async fn orders(
    State(app): State<Application>,
    headers: HeaderMap,
) -> Result<Response, Json> {
    let orders = app.orders.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "no other service is asked").hint("set `orders`")
    })?;
    let token = match app.cookies.session_of(&headers) {
        Some(id) => app.login.access_token(&id).await?,
        None => None,
    };
    let Some(token) = token else {
        return Ok(pages::json(StatusCode::UNAUTHORIZED, &json!({ "error": "not logged in" })));
    };
    Ok(pages::json(StatusCode::OK, &ask(orders, token.token.expose()).await?))
}

async fn ask(orders: &HttpClient, token: &[u8]) -> pipe_core::Result<Value> {
    let mut request = orders.request(Method::GET, ["orders"])?;
    request.headers_mut().insert(header::AUTHORIZATION, bearer(token)?);
    let answer = request.send().await?;
    if answer.status != 200 {
        return Err(answer.error("the other service did not answer as it should"));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        Error::new(ErrorKind::Unexpected, "the other service does not answer with JSON")
    })
}

//! An application in which people log in, of axum and a [`UserLogin`]; the binary `login` runs it.
//!
//! | Route | |
//! |---|---|
//! | `GET /` | the login page |
//! | `GET /auth/login?return_to=/profile` | leads the browser to the provider |
//! | `GET /auth/callback` | where it comes back: a session begins |
//! | `POST /auth/logout` | ends the session, for pages of this origin alone |
//! | `POST /auth/back-channel` | ends what the provider says has ended |
//! | `GET /profile` | who is logged in |
//! | `GET /api/orders` | asks another service, in the person's name |
//!
//! Nothing in the handlers knows OpenID Connect, and no token or claim leaves them: the browser holds
//! two opaque ids ([`LoginCookies`]). The application keeps nothing itself, so that any number of it
//! may run with one [`SessionStore`](pipe_core::identity::SessionStore).

mod auth;
pub mod demo;
mod failure;
mod pages;
mod profile;
mod settings;
mod visitor;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use pipe_core::identity::UserLogin;
use pipe_core::{Error, ErrorKind};
use pipe_http::{HttpClient, ServerAddress};
use pipe_tower::LoginCookies;

pub use self::settings::{BACK_CHANNEL, CALLBACK, LoginSettings};

/// How long an answer may take: the provider is asked meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the body of a request may be.
const LONGEST_BODY: usize = 64 << 10;

/// What the handlers share.
#[derive(Clone, Debug)]
struct Application {
    login: Arc<dyn UserLogin>,
    cookies: LoginCookies,
    /// As browsers write it.
    origin: HeaderValue,
    /// Whom it asks in a person's name.
    orders: Option<HttpClient>,
}

/// The application at this address, which people see, with this login. `orders` is the service that
/// it asks in a person's name, where there is one.
///
/// # Errors
/// `ConfigInvalid` for an address that is no origin.
pub fn application(
    login: Arc<dyn UserLogin>,
    address: &ServerAddress,
    orders: Option<HttpClient>,
) -> pipe_core::Result<Router> {
    let cookies = if address.is_https() { LoginCookies::https() } else { LoginCookies::loopback() };
    let origin = HeaderValue::from_str(address.as_str()).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "the application's address is no origin")
    })?;
    let application = Application { login, cookies, origin, orders };
    Ok(Router::new()
        .route("/", get(profile::home))
        .route("/profile", get(profile::profile))
        .route("/api/orders", get(profile::orders))
        // What follows a link to look at its head alone must not use up a login.
        .route("/auth/login", get(auth::begin).head(auth::not_allowed))
        .route("/auth/callback", get(auth::finish).head(auth::not_allowed))
        .route("/auth/logout", post(auth::log_out))
        .route("/auth/back-channel", post(auth::back_channel))
        .route("/style.css", get(pages::style))
        .fallback(async || pages::message(StatusCode::NOT_FOUND, "not found"))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(guard))
        .with_state(application))
}

/// Gives every answer a deadline, and the headers that every answer has.
async fn guard(request: Request, next: Next) -> Response {
    let is_style = request.method() == Method::GET && request.uri().path() == "/style.css";
    let answer = tokio::time::timeout(PATIENCE, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Timeout, "a request took too long");
        failure::Page(error).into_response()
    });
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_style {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

const HEADERS: [(HeaderName, &str); 4] = [
    // No `form-action`: browsers apply it to where a form is led on to as well, and logins and logouts
    // are led on to the provider.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: browsers then hide the origin of a form from its own site too.
    (header::REFERRER_POLICY, "same-origin"),
];

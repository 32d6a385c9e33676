//! How a person logs in and out.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pipe_core::identity::{BearerToken, LoginCallback, LoginRequest, ReturnTo};
use pipe_core::{Error, ErrorKind, Result};
use url::form_urlencoded;

use super::failure::{self, Page};
use super::{Application, pages};

/// `GET /auth/login?return_to=…`
pub(super) async fn begin(
    State(app): State<Application>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let mut request = LoginRequest::new();
    if let Some(path) = parameter(query.unwrap_or_default().as_bytes(), "return_to")? {
        request = request.with_return_to(ReturnTo::parse(&path)?);
    }
    if let Some(browser) = app.cookies.browser_of(&headers) {
        request = request.with_browser(browser);
    }
    let start = app.login.begin_login(&request).await?;
    let cookie = app.cookies.browser(&start.browser, start.expires_in);
    Ok(([(header::SET_COOKIE, cookie)], pages::see_other(&start.location)?).into_response())
}

/// `GET /auth/callback?code=…`
pub(super) async fn finish(
    State(app): State<Application>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Page> {
    let mut callback = LoginCallback::new(query.unwrap_or_default());
    if let Some(browser) = app.cookies.browser_of(&headers) {
        callback = callback.with_browser(browser);
    }
    if let Some(session) = app.cookies.session_of(&headers) {
        callback = callback.with_session(session);
    }
    let done = app.login.finish_login(&callback).await?;
    // Another login may be under way in another tab, so the browser's own id stays.
    let cookie = app.cookies.session(&done.id);
    Ok(([(header::SET_COOKIE, cookie)], pages::see_other(done.return_to.as_str())?).into_response())
}

/// `POST /auth/logout`
pub(super) async fn log_out(
    State(app): State<Application>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    if !is_of_own_page(&app, &headers) {
        let error =
            Error::new(ErrorKind::PermissionDenied, "a form of another site wants a logout")
                .hint("check that `redirect_uri` has the address that people see");
        return Err(error.into());
    }
    // When it fails, the session may go on, so the browser keeps its cookie and the person may try again.
    let location = match app.cookies.session_of(&headers) {
        Some(id) => app.login.log_out(&id).await?.location,
        None => None,
    };
    let away = pages::see_other(location.as_deref().unwrap_or("/"))?;
    Ok(([(header::SET_COOKIE, app.cookies.no_session())], away).into_response())
}

/// `POST /auth/back-channel`: OpenID Connect Back-Channel Logout 2.8 has one answer for all that
/// fails, after which the provider may try again.
pub(super) async fn back_channel(
    State(app): State<Application>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> StatusCode {
    let ended = match logout_token(&headers, &body.unwrap_or_default()) {
        Ok(token) => app.login.back_channel_logout(&token).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(sessions) => {
            tracing::info!(sessions, "the provider ended sessions");
            StatusCode::OK
        }
        Err(error) => {
            failure::log(&error);
            StatusCode::BAD_REQUEST
        }
    }
}

/// Whoever looks at the head of a page alone does not want to log in.
pub(super) async fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response()
}

fn logout_token(headers: &HeaderMap, body: &[u8]) -> Result<BearerToken> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    let token = match kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        true => parameter(body, "logout_token")?,
        false => None,
    };
    token.map(BearerToken::new).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "this is no form with a logout token")
            .with("argument", "logout_token")
    })
}

/// The parameter of a query or a form, which may be there once.
fn parameter(form: &[u8], name: &'static str) -> Result<Option<String>> {
    let pairs = form_urlencoded::parse(form).filter(|(it, _)| it == name);
    let mut values = pairs.map(|(_, value)| value.into_owned());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Error::new(ErrorKind::InvalidArgument, "a parameter is there twice")
            .with("argument", name)),
    }
}

/// Whether a form was sent by a page of this application. `SameSite=Lax` keeps the cookie from forms
/// of other sites; pages of the same site, such as those of another port or subdomain, are told apart
/// by their origin.
fn is_of_own_page(app: &Application, headers: &HeaderMap) -> bool {
    match headers.get(header::ORIGIN) {
        Some(origin) => origin == app.origin,
        None => headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin"),
    }
}

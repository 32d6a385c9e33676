//! The pages. They have no script in them, and nothing of a request.

use std::fmt::{self, Display, Write as _};
use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use pipe_core::identity::UserSession;
use pipe_core::{Error, ErrorKind};
use serde_json::Value;

const LOGIN: &str = "<form action=\"/auth/login\"><input type=\"hidden\" name=\"return_to\" value=\"/profile\">\
     <button id=\"login\">Log in</button></form>";

/// The login page, or who is logged in.
pub(super) fn home(session: Option<&UserSession>) -> Response {
    let Some(session) = session else {
        return page(StatusCode::OK, "Welcome", &format!("<p>You are not logged in.</p>{LOGIN}"));
    };
    let name = Escaped(name(session));
    let text =
        format!("<p>You are logged in as {name}.</p><p><a href=\"/profile\">Profile</a></p>");
    page(StatusCode::OK, "Welcome", &text)
}

/// What is known about the person and their session.
pub(super) fn profile(session: &UserSession) -> Response {
    let UserSession { context, profile, groups, assurance, idle_until, ends_at, .. } = session;
    let roles = context.roles.iter().map(|role| role.as_str());
    let email = profile.email.as_deref().unwrap_or("not known");
    let verified = if profile.email_verified { "" } else { " (not verified)" };
    let mut rows = String::new();
    for (id, label, value) in [
        ("subject", "Subject", context.principal.id.as_str()),
        ("email", "Email", &format!("{email}{verified}")),
        ("roles", "Roles", &list(roles)),
        ("groups", "Groups", &list(groups.iter().map(String::as_str))),
        ("assurance", "Assurance", assurance.as_deref().unwrap_or("not said")),
        ("authenticated", "Authenticated", &time(context.authenticated_at)),
        ("idle", "Ends unless used by", &time(*idle_until)),
        ("ends", "Ends in any case", &time(*ends_at)),
    ] {
        let value = Escaped(value);
        let _ = write!(rows, "<dt>{label}</dt><dd id=\"{id}\">{value}</dd>");
    }
    let text = format!(
        "<dl>{rows}</dl><form method=\"post\" action=\"/auth/logout\">\
         <button id=\"logout\">Log out</button></form>"
    );
    page(StatusCode::OK, name(session), &text)
}

/// What went wrong, in words that are always the same.
pub(super) fn message(status: StatusCode, message: &'static str) -> Response {
    let text = format!("<p id=\"error\">{message}</p><p><a href=\"/\">Begin again</a></p>");
    page(status, "That did not work", &text)
}

/// An answer for programs.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Leads the browser there, with GET.
pub(super) fn see_other(location: &str) -> pipe_core::Result<Response> {
    let mut location = HeaderValue::from_str(location)
        .map_err(|_| Error::new(ErrorKind::Unexpected, "a location is no header"))?;
    // The requests of logins and logouts are secrets.
    location.set_sensitive(true);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

pub(super) async fn style() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/css"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("style.css")).into_response()
}

/// A page with this title, and this body of HTML.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = Escaped(title);
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <link rel=\"stylesheet\" href=\"/style.css\">\
         <main><h1>{title}</h1>{body}</main></html>"
    );
    (status, Html(page)).into_response()
}

fn name(session: &UserSession) -> &str {
    let profile = &session.profile;
    let name = profile.name.as_deref().or(profile.username.as_deref());
    name.unwrap_or_else(|| session.context.principal.id.as_str())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { "none".to_owned() } else { names }
}

fn time(time: SystemTime) -> String {
    let mut text = String::new();
    // It knows four digits of a year.
    match write!(text, "{}", humantime::format_rfc3339_seconds(time)) {
        Ok(()) => text,
        Err(_) => "not known".to_owned(),
    }
}

/// Text that is no HTML, wherever in an element or a quoted attribute it stands.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

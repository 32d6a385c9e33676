//! What a browser holds of a login: two opaque ids.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pipe_core::identity::{BrowserId, SessionId};

/// The cookies of an application in which people log in with a
/// [`UserLogin`](pipe_core::identity::UserLogin): the session's id, and the id of a browser in which
/// logins are under way. They have nothing else in them.
///
/// They are `HttpOnly`, and `SameSite=Lax`: another site can lead a browser here, as the provider
/// does after a login, and can post nothing in the person's name. A session's cookie lasts as long
/// as the browser runs; when it ends is the session's own matter.
///
/// ```
/// use http::{HeaderMap, header};
/// use pipe_core::identity::SessionId;
/// use pipe_tower::LoginCookies;
///
/// # fn main() -> pipe_core::Result<()> {
/// let cookies = LoginCookies::https();
/// let id = SessionId::generate()?;
/// let set = cookies.session(&id);
/// assert!(set.to_str().unwrap().starts_with("__Host-session="));
///
/// let mut request = HeaderMap::new();
/// request.insert(header::COOKIE, format!("__Host-session={}", id.expose()).parse().unwrap());
/// assert_eq!(cookies.session_of(&request), Some(id));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginCookies {
    session: &'static str,
    browser: &'static str,
    attributes: &'static str,
}

impl LoginCookies {
    /// For an application at https, behind whatever ends TLS. The names begin with `__Host-`, so that
    /// no other host, and nobody without TLS, can set such a cookie.
    #[must_use]
    pub const fn https() -> Self {
        Self {
            session: "__Host-session",
            browser: "__Host-login",
            attributes: "Path=/; Secure; HttpOnly; SameSite=Lax",
        }
    }

    /// For an application at plain http on a loopback address, while it is developed.
    #[must_use]
    pub const fn loopback() -> Self {
        Self { session: "session", browser: "login", attributes: "Path=/; HttpOnly; SameSite=Lax" }
    }

    /// The session that a request comes with; `None` for everything that is no id, and for two
    /// cookies of the name, of which one is somebody else's.
    #[must_use]
    pub fn session_of(&self, headers: &HeaderMap) -> Option<SessionId> {
        SessionId::parse(only(headers, self.session)?).ok()
    }

    /// The browser that a request comes from, as [`session_of`](Self::session_of) reads it.
    #[must_use]
    pub fn browser_of(&self, headers: &HeaderMap) -> Option<BrowserId> {
        BrowserId::parse(only(headers, self.browser)?).ok()
    }

    /// `Set-Cookie` with the session that has begun.
    #[must_use]
    pub fn session(&self, id: &SessionId) -> HeaderValue {
        set(&[self.session, "=", id.expose(), "; ", self.attributes])
    }

    /// `Set-Cookie` with the browser in which a login has begun, for as long as the person has.
    #[must_use]
    pub fn browser(&self, id: &BrowserId, expires_in: Duration) -> HeaderValue {
        let seconds = expires_in.as_secs().to_string();
        set(&[self.browser, "=", id.expose(), "; ", self.attributes, "; Max-Age=", &seconds])
    }

    /// `Set-Cookie` that removes the session.
    #[must_use]
    pub fn no_session(&self) -> HeaderValue {
        set(&[self.session, "=; ", self.attributes, "; Max-Age=0"])
    }
}

/// The value of the only cookie of this name.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // Bytes: another cookie may be no text, and whoever sets one for a whole domain would end all sessions.
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| value_of(pair, name));
    let value = values.next()?;
    if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
}

/// What follows `name=`. Around a pair are the blanks that browsers put and drop there, and no other: a
/// name that begins with a blank of another kind is another name, whose prefix no browser watches.
fn value_of<'a>(mut pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// Marked as sensitive, so that no log of headers shows it.
fn set(parts: &[&str]) -> HeaderValue {
    // Ids are base64url and the rest is ours, so nothing here is no header.
    let mut value = HeaderValue::try_from(parts.concat()).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| (header::COOKIE, line.parse().unwrap()));
        lines.collect()
    }

    #[test]
    fn a_cookie_has_an_id_and_nothing_else() {
        let id = SessionId::generate().unwrap();
        for (cookies, expected) in [
            (LoginCookies::https(), "__Host-session=ID; Path=/; Secure; HttpOnly; SameSite=Lax"),
            (LoginCookies::loopback(), "session=ID; Path=/; HttpOnly; SameSite=Lax"),
        ] {
            let set = cookies.session(&id);
            assert_eq!(set.to_str().unwrap(), expected.replace("ID", id.expose()));
            assert!(set.is_sensitive());
        }
        let browser = BrowserId::generate().unwrap();
        let set = LoginCookies::https().browser(&browser, Duration::from_secs(600));
        let rest = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
        assert_eq!(set.to_str().unwrap(), format!("__Host-login={}; {rest}", browser.expose()));
    }

    #[test]
    fn a_removed_cookie_has_the_attributes_that_it_was_set_with() {
        let removed = "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
        assert_eq!(LoginCookies::https().no_session(), removed);
    }

    #[test]
    fn an_id_is_found_among_other_cookies() {
        let id = SessionId::generate().unwrap();
        let cookie = format!("session={}", id.expose());
        let cookies = LoginCookies::loopback();
        for lines in [
            vec![cookie.as_str()],
            vec!["a=b; other_session=x", &cookie],
            vec![&format!("a=b;{cookie}; c; d=e=f")],
        ] {
            assert_eq!(cookies.session_of(&request(&lines)), Some(id.clone()), "{lines:?}");
        }
    }

    #[test]
    fn another_cookie_may_be_anything() {
        let id = SessionId::generate().unwrap();
        let mut line = "theme=gr\u{fc}n; name=\u{e9}".as_bytes().to_vec();
        line.extend_from_slice(b"; raw=\xff\xfe; __Host-session=");
        line.extend_from_slice(id.expose().as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_bytes(&line).unwrap());
        assert_eq!(LoginCookies::https().session_of(&headers), Some(id));
    }

    /// Browsers watch over `__Host-` as it is written, and not behind what they take for a letter.
    #[test]
    fn a_name_behind_another_blank_is_another_name() {
        let id = SessionId::generate().unwrap();
        for blank in ["\u{a0}", "\u{85}", "\u{2003}", "\u{3000}"] {
            let line = format!("{blank}__Host-session={}", id.expose());
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            assert_eq!(LoginCookies::https().session_of(&headers), None, "{blank:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_no_session() {
        let (id, other) = (SessionId::generate().unwrap(), SessionId::generate().unwrap());
        let cookie = format!("session={}", id.expose());
        let twice = format!("{cookie}; session={}", other.expose());
        for line in ["", "session", "session=", "session=admin", "Session=x", &twice] {
            assert_eq!(LoginCookies::loopback().session_of(&request(&[line])), None, "{line}");
        }
        assert_eq!(LoginCookies::loopback().session_of(&request(&[&cookie, &cookie])), None);
        // At https, a cookie without the prefix may be anybody's.
        assert_eq!(LoginCookies::https().session_of(&request(&[&cookie])), None);
    }
}

//! Browsers, of which people have one each or several.

use std::fmt;
use std::sync::Arc;

use hyper::{HeaderMap, Method, header};

use super::Person;
use super::answers::encoded;
use super::logout::Xsrf;
use super::state::Provider;
use crate::fake::http::{Answer, Call, Handler};

/// A browser with its cookies, in which one person logs in when asked to. It never uses the network.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use pipe_testkit::issuer::{Client, Person, TestIssuer};
///
/// let issuer = TestIssuer::start().await;
/// issuer.add_client(Client::public("spa").redirect_uri("http://127.0.0.1:9/callback"));
/// let mut browser = issuer.browser(&Person::new("alice"));
/// let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// let url = format!(
///     "{}/auth?client_id=spa&response_type=code&scope=openid&state=s\
///      &code_challenge={challenge}&code_challenge_method=S256",
///     issuer.url(),
/// );
/// let callback = browser.authorize(&url);
/// assert!(callback.starts_with("http://127.0.0.1:9/callback?code="));
/// # });
/// ```
pub struct Browser {
    pub(super) provider: Arc<Provider>,
    person: Person,
    cookie: Option<String>,
}

impl Browser {
    pub(super) fn new(provider: Arc<Provider>, person: Person) -> Self {
        Self { provider, person, cookie: None }
    }

    /// Opens the address of an authorization request, logs in where a form asks for it, and goes on until
    /// it is led away. That is the callback, which it does not open.
    ///
    /// # Panics
    /// When it is not led away: the provider shows an error, or does not answer.
    pub fn authorize(&mut self, url: &str) -> String {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut answer = self.send(Method::GET, "/auth", query, "");
        if is_page(&answer) {
            let form = format!("login={}&password=x", encoded(&self.person.subject));
            answer = self.send(Method::POST, "/auth", query, &form);
        }
        location(&answer)
            .unwrap_or_else(|| panic!("the provider does not lead to a callback: {answer:?}"))
    }

    /// Opens the address of a logout (RP-initiated), confirms it, and goes on until it is led away. The
    /// clients are told meanwhile.
    ///
    /// # Panics
    /// When it is not led away: the provider shows an error, or does not answer. Outside of a Tokio
    /// runtime, when there are clients to tell.
    pub fn log_out(&mut self, url: &str) -> String {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let page = self.send(Method::GET, "/session/end", query, "");
        let asked = match &page {
            Answer::Response(response) => response.extensions().get::<Xsrf>(),
            _ => None,
        };
        let Some(Xsrf(xsrf)) = asked else {
            panic!("the provider does not ask whether to log out: {page:?}");
        };
        let form = format!("xsrf={xsrf}&logout=yes");
        let answer = self.send(Method::POST, "/session/end/confirm", "", &form);
        location(&answer).unwrap_or_else(|| panic!("the provider leads nowhere: {answer:?}"))
    }

    /// Whether somebody is logged in in it.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        let state = self.provider.lock();
        self.cookie.as_ref().is_some_and(|it| state.logins.sessions.contains_key(it))
    }

    /// Forgets its cookies.
    pub fn forget(&mut self) {
        self.cookie = None;
    }

    pub(super) fn send(&mut self, method: Method, path: &str, query: &str, form: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = &self.cookie
            && let Ok(value) = format!("_session={cookie}").parse()
        {
            headers.insert(header::COOKIE, value);
        }
        let call = Call {
            method,
            path: path.to_owned(),
            query: query.split('#').next().unwrap_or_default().to_owned(),
            headers,
            body: Some(form.to_owned().into()),
        };
        let mut answer = self.provider.answer(&call);
        while let Answer::Later(_, later) = answer {
            answer = *later;
        }
        if let Answer::Response(response) = &answer
            && let Some(set) = response.headers().get(header::SET_COOKIE)
            && let Ok(text) = set.to_str()
        {
            let value = text.split(';').next().and_then(|it| it.split_once('='));
            self.cookie = value.map(|(_, value)| value.to_owned());
        }
        answer
    }
}

fn is_page(answer: &Answer) -> bool {
    matches!(answer, Answer::Response(response) if response.status().is_success())
}

pub(super) fn location(answer: &Answer) -> Option<String> {
    let Answer::Response(response) = answer else { return None };
    Some(response.headers().get(header::LOCATION)?.to_str().ok()?.to_owned())
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("person", &self.person.subject).finish_non_exhaustive()
    }
}

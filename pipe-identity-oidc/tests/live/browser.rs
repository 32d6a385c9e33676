//! A browser that is none: it keeps cookies, follows redirects, and fills in the provider's forms.

use std::collections::BTreeMap;

use reqwest::{RequestBuilder, Response, StatusCode};

use crate::server::Server;
use crate::web::{client, form, send};

pub(crate) struct Browser<'a> {
    server: &'a Server,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    /// One that nobody has used.
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    /// Goes to the provider with an authorization request, logs this person in and consents where
    /// it asks: the URL of the callback.
    pub(crate) async fn log_in(&mut self, location: &str, person: &str) -> String {
        let mut at = self.get(location).await;
        while at.starts_with('/') || at.starts_with(self.server.issuer()) {
            at = match at.contains("/interaction/") {
                false => self.get(&at).await,
                true => self.answer(&at, person).await,
            };
        }
        at
    }

    /// As [`log_in`](Self::log_in), where the last page is the provider's own.
    pub(crate) async fn log_in_until_done(&mut self, location: &str, person: &str) {
        let mut at = location.to_owned();
        loop {
            at = match at.contains("/interaction/") {
                true => self.answer(&at, person).await,
                false => match self.visit(&at).await {
                    Some(next) => next,
                    None => return,
                },
            };
        }
    }

    /// Posts a form; where the answer leads is not looked at.
    pub(crate) async fn send(&mut self, location: &str, fields: &[(&str, &str)]) {
        let request = form(client().post(self.absolute(location)), fields);
        send(request.header("cookie", self.cookie())).await;
    }

    /// Where the page leads, if anywhere.
    async fn visit(&mut self, location: &str) -> Option<String> {
        let request = client().get(self.absolute(location)).header("cookie", self.cookie());
        let response = send(request).await;
        self.keep_cookies(&response);
        let leads_to = response.headers().get("location")?;
        Some(leads_to.to_str().expect("a location is text").to_owned())
    }

    /// Fills in the form of a page, whichever it is.
    async fn answer(&mut self, location: &str, person: &str) -> String {
        let request = client().get(self.absolute(location)).header("cookie", self.cookie());
        let response = send(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", self.server.log());
        self.keep_cookies(&response);
        let page = response.text().await.expect("a page");
        match page.contains("name=\"prompt\" value=\"consent\"") {
            true => self.post(location, &[("prompt", "consent")]).await,
            false => {
                let fields = [("prompt", "login"), ("login", person), ("password", "any")];
                self.post(location, &fields).await
            }
        }
    }

    /// Where the page leads.
    pub(crate) async fn get(&mut self, location: &str) -> String {
        let request = client().get(self.absolute(location));
        self.follow(request).await
    }

    pub(crate) async fn post(&mut self, location: &str, fields: &[(&str, &str)]) -> String {
        let request = form(client().post(self.absolute(location)), fields);
        self.follow(request).await
    }

    /// The page itself.
    pub(crate) async fn read(&mut self, location: &str) -> String {
        let request = client().get(self.absolute(location)).header("cookie", self.cookie());
        let response = send(request).await;
        self.keep_cookies(&response);
        response.text().await.expect("a page")
    }

    async fn follow(&mut self, request: RequestBuilder) -> String {
        let response = send(request.header("cookie", self.cookie())).await;
        assert!(response.status().is_redirection(), "{}", self.server.log());
        self.keep_cookies(&response);
        response.headers()["location"].to_str().expect("a location is text").to_owned()
    }

    fn cookie(&self) -> String {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        cookies.collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a cookie is text");
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    fn absolute(&self, location: &str) -> String {
        if location.starts_with('/') { self.server.url(location) } else { location.to_owned() }
    }
}

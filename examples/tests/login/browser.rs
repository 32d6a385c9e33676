//! A browser that keeps cookies, and all that it has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, redirect};

pub(crate) struct Browser<'a> {
    address: &'a str,
    client: Client,
    pub(crate) cookies: BTreeMap<String, String>,
    /// All answers, with the lines of their cookies.
    pub(crate) seen: Vec<Answer>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines.map(|line| line.to_str().expect("text")).collect()
    }

    /// Whether it leads whoever is not logged in to the provider.
    pub(crate) fn asks_to_log_in(&self) -> bool {
        self.status == 303 && self.location().starts_with("/auth/login")
    }
}

impl<'a> Browser<'a> {
    pub(crate) fn new(address: &'a str) -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        Self { address, client, cookies: BTreeMap::new(), seen: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    /// As a button of this site does.
    pub(crate) async fn log_out(&mut self) -> Answer {
        let request = self.request(Method::POST, "/auth/logout").header("origin", self.address);
        self.send(request).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = match path.starts_with('/') {
            true => format!("{}{path}", self.address),
            false => path.to_owned(),
        };
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        self.client.request(method, url).header("cookie", cookies)
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("it answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.expect("text");
        let answer = Answer { status, headers, body };
        for line in answer.set_cookies() {
            let (name, rest) = line.split_once('=').expect("a cookie has a value");
            match rest.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => {
                    let value = rest.split(';').next().unwrap_or_default();
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        self.seen.push(answer.clone());
        answer
    }
}

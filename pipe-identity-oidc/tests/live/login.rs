//! A person who logs in: the code flow in a browser that is none.

use std::collections::BTreeMap;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::server::{Options, Server};
use crate::web::{client, form, json, send};

/// The pair of RFC 7636 B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The tokens that `web` gets for this person: `access_token`, for the resource, `id_token` and
/// `refresh_token`.
pub(crate) async fn log_in(server: &Server, person: &str, resource: &str) -> Value {
    let redirect_uri = Options::default().redirect_uri;
    let query = Serializer::new(String::new())
        .append_pair("client_id", "web")
        .append_pair("response_type", "code")
        .append_pair("scope", "openid offline_access groups secrets:read")
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("resource", resource)
        // Without it, no refresh token is given (OpenID Connect Core 11).
        .append_pair("prompt", "consent")
        .append_pair("code_challenge", CHALLENGE)
        .append_pair("code_challenge_method", "S256")
        .finish();
    let mut browser = Browser { server, cookies: BTreeMap::new() };
    let login = browser.get(&format!("/auth?{query}")).await;
    let resumed =
        browser.post(&login, &[("prompt", "login"), ("login", person), ("password", "any")]).await;
    let consent = browser.get(&resumed).await;
    let resumed = browser.post(&consent, &[("prompt", "consent")]).await;
    let callback = Url::parse(&browser.get(&resumed).await).expect("a redirect to the client");
    let code = callback.query_pairs().find(|(name, _)| name == "code").expect("a code").1;

    let request = client().post(server.url("/token"));
    let request = request.basic_auth("web", Some(server.secret("web")));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", &redirect_uri),
        ("resource", resource),
    ];
    let (status, tokens) = json(form(request, &fields)).await;
    assert_eq!(status, StatusCode::OK, "{tokens} {}", server.log());
    tokens
}

struct Browser<'a> {
    server: &'a Server,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    /// Where the page leads.
    async fn get(&mut self, location: &str) -> String {
        let request = client().get(self.absolute(location));
        self.follow(request).await
    }

    async fn post(&mut self, location: &str, fields: &[(&str, &str)]) -> String {
        let request = form(client().post(self.absolute(location)), fields);
        self.follow(request).await
    }

    async fn follow(&mut self, request: RequestBuilder) -> String {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = send(request.header("cookie", cookies.join("; "))).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", self.server.log());
        self.keep_cookies(&response);
        response.headers()["location"].to_str().expect("a location is text").to_owned()
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

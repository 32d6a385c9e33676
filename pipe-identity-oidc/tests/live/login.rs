//! A person who logs in at the provider, without the library: what it is compared with.

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::browser::Browser;
use crate::server::{Options, Server};
use crate::web::{client, form, json};

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
    let callback = Browser::new(server).log_in(&format!("/auth?{query}"), person).await;
    let callback = Url::parse(&callback).expect("a redirect to the client");
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

//! People who log in with the library, on the certified provider.

use std::time::Duration;

use pipe_core::identity::{
    BrowserId, LoggedIn, LoginCallback, LoginRequest, ReturnTo, UserLogin as _,
};
use pipe_core::{ErrorKind, LoginFault, Result};
use pipe_identity_oidc::{
    ClaimMapping, ClaimPointer, ClientAuthentication, GroupGrant, LoginClient, PushedRequests,
    RelyingParty, RelyingPartyConfig, UserInfoUse,
};
use url::Url;

use crate::browser::Browser;
use crate::plugin::{trusting, value};
use crate::server::{Options, RS256, Server, shared};

/// The client `web`, with groups mapped.
pub(crate) fn config(server: &Server) -> RelyingPartyConfig {
    let role = |name| pipe_core::identity::Role::new(name).expect("a role");
    let claims = ClaimMapping::new()
        .with_groups(ClaimPointer::claim("groups"))
        .with_grant(GroupGrant::new("bni-editors").with_role(role("editor")));
    let authentication = ClientAuthentication::client_secret_basic(value(server.secret("web")));
    RelyingPartyConfig::new(
        trusting(server).with_claims(claims),
        LoginClient::new("web", authentication),
        Options::default().redirect_uri,
    )
    .with_scopes(["offline_access", "email", "profile", "groups"])
}

pub(crate) fn login(config: RelyingPartyConfig) -> RelyingParty {
    RelyingParty::new(config).expect("the settings are sound")
}

/// What the browser brings back, and the browser's id.
pub(crate) async fn callback_of(
    login: &RelyingParty,
    server: &Server,
    request: LoginRequest,
    person: &str,
) -> (String, BrowserId) {
    let start = login.begin_login(&request).await.expect("a login begins");
    let callback = Browser::new(server).log_in(&start.location, person).await;
    let callback = Url::parse(&callback).expect("a URL");
    (callback.query().expect("a query").to_owned(), start.browser)
}

pub(crate) async fn finish(
    login: &RelyingParty,
    query: &str,
    browser: &BrowserId,
) -> Result<LoggedIn> {
    login.finish_login(&LoginCallback::new(query).with_browser(browser.clone())).await
}

pub(crate) async fn log_in(login: &RelyingParty, server: &Server, person: &str) -> LoggedIn {
    let (query, browser) = callback_of(login, server, LoginRequest::new(), person).await;
    finish(login, &query, &browser).await.unwrap_or_else(|error| {
        panic!("{error:#} {}", server.log());
    })
}

fn fault<T: std::fmt::Debug>(result: Result<T>) -> LoginFault {
    match result.map_err(|error| error.kind()) {
        Err(ErrorKind::LoginRefused(fault)) => fault,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// REQ 002-24 to 002-30
#[tokio::test]
async fn a_person_logs_in_and_is_who_the_provider_says() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let request = LoginRequest::new().with_return_to(ReturnTo::parse("/orders?page=2").unwrap());
    let (query, browser) = callback_of(&login, server, request, "alice").await;
    let done = finish(&login, &query, &browser).await.unwrap();
    assert_eq!(done.return_to.as_str(), "/orders?page=2");
    let session = login.session(&done.id).await.unwrap().expect("a session");
    assert_eq!(session, done.session);
    assert_eq!(session.context.principal.id.as_str(), "alice");
    assert_eq!(
        session.context.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        ["editor"]
    );
    assert_eq!(session.profile.email.as_deref(), Some("alice@corp.test"));
    assert!(session.profile.email_verified);
    assert!(session.groups.contains("platform-admins"));
}

#[tokio::test]
async fn a_request_may_be_pushed_or_not() {
    let Some(server) = shared().await else { return };
    for (pushed, has_uri) in [
        (PushedRequests::Always, true),
        (PushedRequests::WhereOffered, true),
        (PushedRequests::Never, false),
    ] {
        let login = login(config(server).with_pushed_requests(pushed));
        let start = login.begin_login(&LoginRequest::new()).await.unwrap();
        assert_eq!(start.location.contains("request_uri="), has_uri);
        assert_eq!(start.location.contains("code_challenge="), !has_uri);
        assert_eq!(
            log_in(&login, server, "bob").await.session.context.principal.id.as_str(),
            "bob"
        );
    }
}

/// G1
#[tokio::test]
async fn a_login_is_finished_once_and_by_its_own_browser() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    let (query, browser) = callback_of(&login, server, LoginRequest::new(), "alice").await;
    let stranger = BrowserId::generate().unwrap();
    assert_eq!(fault(finish(&login, &query, &stranger).await), LoginFault::UnknownLogin);
    let without = login.finish_login(&LoginCallback::new(query.as_str())).await;
    assert_eq!(fault(without), LoginFault::UnknownLogin);
    let done = finish(&login, &query, &browser).await.unwrap();
    assert!(login.session(&done.id).await.unwrap().is_some());
    // G6: the second time, what came of it ends.
    assert_eq!(fault(finish(&login, &query, &browser).await), LoginFault::UnknownLogin);
    assert_eq!(login.session(&done.id).await.unwrap(), None);
}

/// G4
#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let Some(server) = shared().await else { return };
    let login = login(config(server));
    for iss in [Some("https://evil.example"), None] {
        let (query, browser) = callback_of(&login, server, LoginRequest::new(), "alice").await;
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let kept = pairs.filter(|(name, _)| name != "iss");
        let mut changed = url::form_urlencoded::Serializer::new(String::new());
        changed.extend_pairs(kept).extend_pairs(iss.map(|iss| ("iss", iss)));
        let refused = finish(&login, &changed.finish(), &browser).await;
        assert_eq!(fault(refused), LoginFault::WrongIssuer);
    }
}

/// REQ 002-31
#[tokio::test]
async fn tokens_are_renewed_once_for_all_who_ask() {
    let options = Options { token_lifetime: Duration::from_secs(2), ..Options::default() };
    let Some(server) = Server::start_with(options).await else { return };
    let login = login(config(&server).with_audience(RS256));
    let done = log_in(&login, &server, "alice").await;
    let first = login.access_token(&done.id).await.unwrap().expect("a token");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let asked = (0..50).map(|_| login.access_token(&done.id));
    let tokens = futures_util::future::try_join_all(asked).await.unwrap();
    let tokens: Vec<_> = tokens.into_iter().map(Option::unwrap).collect();
    assert!(tokens.iter().all(|token| token.token == tokens[0].token));
    assert_ne!(tokens[0].token, first.token);
    assert!(login.session(&done.id).await.unwrap().is_some());
}

#[tokio::test]
async fn the_userinfo_endpoint_is_asked_where_that_is_wanted() {
    let Some(server) = shared().await else { return };
    let login = login(config(server).with_user_info(UserInfoUse::Always));
    let done = log_in(&login, server, "alice").await;
    assert_eq!(done.session.profile.name.as_deref(), Some("alice"));
}

/// REQ 002-32
#[tokio::test]
async fn a_logout_ends_the_session_here_and_at_the_provider() {
    let Some(server) = shared().await else { return };
    let redirect_uri = Options::default().redirect_uri;
    let login = login(config(server).with_post_logout_redirect_uri(&redirect_uri));
    let start = login.begin_login(&LoginRequest::new()).await.unwrap();
    let mut browser = Browser::new(server);
    let callback = Url::parse(&browser.log_in(&start.location, "alice").await).unwrap();
    let done = finish(&login, callback.query().unwrap(), &start.browser).await.unwrap();
    let location = login.log_out(&done.id).await.unwrap().location.expect("a logout page");
    assert_eq!(login.session(&done.id).await.unwrap(), None);
    let page = browser.read(&location).await;
    let (_, rest) = page.split_once("name=\"xsrf\" value=\"").expect("a form");
    let xsrf = rest.split('"').next().unwrap_or_default();
    let left = browser.post("/session/end/confirm", &[("xsrf", xsrf), ("logout", "yes")]).await;
    assert!(left.starts_with(&redirect_uri), "{left}");
    assert_eq!(login.log_out(&done.id).await.unwrap().location, None);
}

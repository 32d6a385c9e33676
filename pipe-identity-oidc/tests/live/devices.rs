//! People who log in on a device without a browser, on the certified provider.

use pipe_core::identity::UserLogin as _;
use pipe_core::{ErrorKind, LoginFault};
use pipe_identity_oidc::{
    ClientAuthentication, DeviceLogin, LoginClient, RelyingParty, RelyingPartyConfig,
};

use crate::browser::Browser;
use crate::people::login;
use crate::plugin::trusting;
use crate::server::{Server, shared};

fn device(server: &Server) -> RelyingParty {
    let client = LoginClient::new("cli", ClientAuthentication::none());
    let config = RelyingPartyConfig::for_devices(trusting(server), client);
    login(config.with_scopes(["offline_access", "email"]))
}

/// What the person does on another device.
async fn decide(server: &Server, login: &DeviceLogin, person: Option<&str>) {
    let mut browser = Browser::new(server);
    let page = browser.read(login.verification_uri_complete.as_deref().unwrap()).await;
    let xsrf = field(&page, "xsrf");
    let fields = [("xsrf", xsrf.as_str()), ("user_code", &login.user_code)];
    match person {
        Some(person) => {
            let fields = [fields[0], fields[1], ("confirm", "yes")];
            let at = browser.post("/device", &fields).await;
            browser.log_in_until_done(&at, person).await;
        }
        None => {
            let fields = [fields[0], fields[1], ("abort", "yes")];
            browser.send("/device", &fields).await;
        }
    }
}

fn field(page: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&marker).expect("a form with the field");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// G13
#[tokio::test]
async fn a_person_logs_in_on_another_device() {
    let Some(server) = shared().await else { return };
    let login = device(server);
    let begun = login.begin_device_login().await.unwrap();
    let waiting = login.finish_device_login(&begun);
    let (done, ()) = tokio::join!(waiting, decide(server, &begun, Some("alice")));
    let done = done.unwrap_or_else(|error| panic!("{error:#} {}", server.log()));
    assert_eq!(done.session.context.principal.id.as_str(), "alice");
    assert!(login.access_token(&done.id).await.unwrap().is_some());
    let again = login.finish_device_login(&begun).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::LoginRefused(LoginFault::CodeRefused));
}

/// G13
#[tokio::test]
async fn a_person_who_says_no_is_not_logged_in() {
    let Some(server) = shared().await else { return };
    let login = device(server);
    let begun = login.begin_device_login().await.unwrap();
    decide(server, &begun, None).await;
    let refused = login.finish_device_login(&begun).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LoginRefused(LoginFault::AccessDenied));
}

#[tokio::test]
async fn a_device_is_no_browser() {
    let Some(server) = shared().await else { return };
    let refused = device(server).begin_login(&Default::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

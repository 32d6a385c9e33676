//! The program itself, on embedded defaults and with a document.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use pipe_core::ErrorKind;
use pipe_examples::login::LoginSettings;
use reqwest::Method;

use crate::browser::Browser;

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, and the address that it prints.
fn start() -> (Program, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_login"))
        .env_clear()
        .env("LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let output = child.stdout.take().expect("its output is piped");
    let program = Program(child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(output).read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = receiver.recv_timeout(Duration::from_secs(60)).expect("it says where it is");
    let address = line.split(' ').find(|word| word.starts_with("http://"));
    (program, address.unwrap_or_else(|| panic!("no address in {line}")).to_owned())
}

#[tokio::test]
async fn it_logs_somebody_in_where_nothing_is_installed() {
    let (_program, address) = start();
    let mut browser = Browser::new(&address);
    let to_provider = browser.get("/auth/login?return_to=/profile").await.location().to_owned();
    let form = browser.get(&to_provider).await.body;
    let action = form.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
    let provider = to_provider.split("/auth").next().unwrap();
    let post =
        browser.request(Method::POST, &format!("{provider}{}", action.replace("&amp;", "&")));
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    let callback = browser.send(post.body("login=alice&password=any")).await;
    let done = browser.get(callback.location()).await;
    assert_eq!(done.location(), "/profile", "{done:?}");
    let page = browser.get("/profile").await.body;
    assert!(page.contains("Alice Ashby") && page.contains("editor"), "{page}");
    let orders = browser.get("/api/orders").await;
    assert!(orders.body.contains("\"customer\":\"alice\""), "{orders:?}");
    assert_eq!(browser.log_out().await.status, 303);
    assert!(browser.get("/profile").await.asks_to_log_in());
}

#[test]
fn its_document_is_sound() {
    let document = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/login.toml"));
    let settings = LoginSettings::read(document).unwrap();
    assert_eq!(settings.login.client.id, "shop");
}

#[test]
fn a_document_that_is_wrong_is_refused_with_the_line_and_without_its_words() {
    let document = Path::new(env!("CARGO_TARGET_TMPDIR")).join("login-wrong.toml");
    std::fs::write(&document, "listen = \"127.0.0.1:1\"\norders = \"do-not-print\"\n").unwrap();
    let error = LoginSettings::read(&document).unwrap_err();
    assert_eq!((error.kind(), error.context("line")), (ErrorKind::ConfigInvalid, Some("2")));
    assert!(!format!("{error:#}").contains("do-not-print"));
    let missing = LoginSettings::read(Path::new("no-such-document.toml")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn a_document_has_no_secret_in_it() {
    let sound = include_str!("../../login.toml");
    let secret = "{ value = \"do-not-print\" }";
    let wrong = sound.replace("{ file = \"/var/run/secrets/oidc/secret\" }", secret);
    assert_ne!(wrong, sound);
    let document = Path::new(env!("CARGO_TARGET_TMPDIR")).join("login-secret.toml");
    std::fs::write(&document, wrong).unwrap();
    let error = LoginSettings::read(&document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(!format!("{error:#}").contains("do-not-print"));
}

#[test]
fn the_callback_has_to_be_where_the_application_has_it() {
    let document = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/login.toml"));
    for uri in [
        "https://shop.example/callback",
        "https://shop.example/auth/callback?a=b",
        "https://shop.example/shop/auth/callback",
        "http://shop.example/auth/callback",
    ] {
        let mut settings = LoginSettings::read(document).unwrap();
        settings.login.redirect_uri = Some(uri.to_owned());
        let error = settings.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{uri}");
        assert!(format!("{error}").contains("redirect_uri"), "{error}");
    }
}

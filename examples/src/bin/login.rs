//! People log in with a browser, see who they are, and log out.
//!
//! `login [document]`; the document is like `login.toml` beside this package's manifest. Without one,
//! a provider in the process logs in alice and bob, with any password, and `LISTEN` says where this
//! listens: 127.0.0.1:8080 unless it is set.

use std::path::PathBuf;

use axum::Router;
use pipe_core::{Error, ErrorKind, Result};
use pipe_examples::login::{CALLBACK, LoginSettings, demo};
use pipe_http::ServerAddress;
use pipe_testkit::issuer::TestIssuer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match std::env::args_os().nth(1).map(PathBuf::from) {
        Some(document) => {
            let settings = LoginSettings::read(&document)?;
            let listen_at = settings.listen.to_string();
            let address = settings.login.redirect_uri.clone().unwrap_or_default();
            let application = settings.build()?;
            let listener = listen(&listen_at).await?;
            println!("Log in at {}", address.trim_end_matches(CALLBACK));
            serve(listener, application).await
        }
        None => run_demo().await,
    }
}

async fn run_demo() -> Result<()> {
    let issuer = TestIssuer::start().await;
    let orders = listen("127.0.0.1:0").await?;
    let listener =
        listen(&std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned())).await?;
    let address = format!("http://{}", local(&listener)?);
    let settings = LoginSettings::new(demo::relying_party(&issuer, &address)?)
        .with_orders(ServerAddress::origin_of(&format!("http://{}", local(&orders)?))?);
    let (application, service) = (settings.build()?, demo::orders(&issuer)?);
    println!("Log in at {address} as alice or bob, with any password");
    tokio::select! {
        ended = serve(listener, application) => ended,
        ended = serve(orders, service) => ended,
        () = demo::run_clock(&issuer) => Ok(()),
    }
}

async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorKind::ConfigInvalid, "nothing can listen there")
            .hint("set `LISTEN`, or `listen` in the document, to an address that is free")
            .because(error)
    })
}

fn local(listener: &TcpListener) -> Result<std::net::SocketAddr> {
    listener.local_addr().map_err(stopped)
}

async fn serve(listener: TcpListener, router: Router) -> Result<()> {
    axum::serve(listener, router).await.map_err(stopped)
}

fn stopped(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the application cannot serve").because(error)
}

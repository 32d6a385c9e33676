//! A running application with a provider, and with a service that it asks in people's names.

use axum::Router;
use pipe_examples::login::{LoginSettings, demo};
use pipe_http::ServerAddress;
use pipe_testkit::issuer::{Person, TestIssuer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::browser::Browser;

pub(crate) struct Site {
    pub(crate) issuer: TestIssuer,
    /// Where it listens.
    pub(crate) address: String,
    servers: [JoinHandle<()>; 2],
}

impl Site {
    pub(crate) async fn start() -> Self {
        let issuer = TestIssuer::start().await;
        let orders = demo::orders(&issuer).expect("the settings are sound");
        Self::with(issuer, None, orders).await
    }

    /// Behind something that ends TLS for it.
    pub(crate) async fn start_behind(address: &str) -> Self {
        let issuer = TestIssuer::start().await;
        let orders = demo::orders(&issuer).expect("the settings are sound");
        Self::with(issuer, Some(address), orders).await
    }

    /// Which asks this service.
    pub(crate) async fn start_with(orders: Router) -> Self {
        Self::with(TestIssuer::start().await, None, orders).await
    }

    async fn with(issuer: TestIssuer, public: Option<&str>, orders: Router) -> Self {
        let (listener, address) = listen().await;
        let (orders_listener, orders_address) = listen().await;
        let config = demo::relying_party(&issuer, public.unwrap_or(&address));
        let settings = LoginSettings::new(config.unwrap())
            .with_orders(ServerAddress::origin_of(&orders_address).unwrap());
        let application = settings.build().expect("the settings are sound");
        let servers = [serve(listener, application), serve(orders_listener, orders)];
        Self { issuer, address, servers }
    }

    /// A browser that nobody has used.
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser::new(&self.address)
    }

    /// A browser in which this person has logged in, and the callback that did it.
    pub(crate) async fn logged_in(&self, person: &Person) -> (Browser<'_>, String) {
        let mut browser = self.browser();
        let callback = self.callback(&mut browser, person, "/profile").await;
        let answer = browser.get(&callback).await;
        assert_eq!((answer.status, answer.location()), (303, "/profile"), "{answer:?}");
        (browser, callback)
    }

    /// Where the provider leads this person, who wants to go to this path in the end.
    pub(crate) async fn callback(
        &self,
        browser: &mut Browser<'_>,
        person: &Person,
        return_to: &str,
    ) -> String {
        let start = browser.get(&format!("/auth/login?return_to={return_to}")).await;
        assert_eq!(start.status, 303, "{start:?}");
        let callback = self.issuer.authorize(start.location(), person);
        callback[callback.find("/auth/callback").expect("a callback")..].to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) fn alice() -> Person {
    Person::new("alice").name("Alice Ashby").groups(["editors", "oncall"])
}

pub(crate) fn bob() -> Person {
    Person::new("bob").name("Bob Birch").groups(["auditors"])
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("a port"));
    (listener, address)
}

fn serve(listener: TcpListener, router: Router) -> JoinHandle<()> {
    tokio::spawn(async { axum::serve(listener, router).await.expect("it serves") })
}

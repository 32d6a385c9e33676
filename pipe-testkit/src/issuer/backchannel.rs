//! How clients are told of logouts (OpenID Connect Back-Channel Logout).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::logout::end_session;
use super::{Person, TestIssuer};

/// A logout token on its way.
pub(super) struct Delivery {
    pub(super) uri: String,
    pub(super) token: String,
    pub(super) client: String,
    pub(super) sid: Option<String>,
}

/// What a client said when it was told of a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogoutNotice {
    /// The client.
    pub client: String,
    /// The session that ended.
    pub sid: Option<String>,
    /// The logout token.
    pub token: String,
    /// The status of the answer, when there was one.
    pub status: Option<u16>,
}

/// Tells the clients while the browser goes on.
pub(super) fn deliver_soon(deliveries: Vec<Delivery>) {
    if !deliveries.is_empty() {
        drop(tokio::spawn(deliver(deliveries)));
    }
}

async fn deliver(deliveries: Vec<Delivery>) -> Vec<LogoutNotice> {
    let mut notices = Vec::new();
    for Delivery { uri, token, client, sid } in deliveries {
        let status = post(&uri, &token).await.ok();
        notices.push(LogoutNotice { client, sid, token, status });
    }
    notices
}

/// The status of the answer.
async fn post(uri: &str, token: &str) -> io::Result<u16> {
    let unusable = || io::Error::from(io::ErrorKind::InvalidInput);
    let rest = uri.strip_prefix("http://").ok_or_else(unusable)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(address).await?;
    let body = format!("logout_token={token}");
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 200": what follows is of no interest.
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = head.get(9..).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).ok_or_else(unusable)
}

impl TestIssuer {
    /// Ends all sessions of this person, and tells their clients, one after the other, until each has
    /// answered. Grants with `offline_access` outlive it, as in oidc-provider.
    pub async fn log_out(&self, person: &Person) -> Vec<LogoutNotice> {
        let deliveries = {
            let mut state = self.provider.lock();
            let sessions = state.logins.sessions.iter();
            let of_person = sessions.filter(|(_, session)| session.subject == person.subject);
            let ids: Vec<_> = of_person.map(|(id, _)| id.clone()).collect();
            let now = self.clock().seconds();
            ids.iter().flat_map(|id| end_session(&mut state, now, id, None)).collect()
        };
        deliver(deliveries).await
    }

    /// Sends this logout token to the client's registered address, whatever it says. `None` when nobody
    /// answers.
    ///
    /// # Panics
    /// When the client has no such address.
    pub async fn send_logout_token(&self, client: &str, token: &str) -> Option<u16> {
        let uri = {
            let state = self.provider.lock();
            let client = state.logins.clients.get(client);
            client.and_then(|it| it.backchannel_logout_uri.clone()).expect("it has an address")
        };
        post(&uri, token).await.ok()
    }
}

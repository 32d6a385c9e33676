//! Logging people in on a device without a browser (RFC 8628).

use std::fmt;
use std::time::Duration;

use pipe_core::identity::LoggedIn;
use pipe_core::{Error, ErrorKind, LoginFault, Result, SecretValue};
use pipe_http::HttpResponse;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::callback::refused;
use super::tokens::{Answer, Grant};
use super::{Inner, RelyingParty};
use crate::client::{FormRequest, refused as refusal};
use crate::provider::{EndpointUrls, Location};

/// How long to wait between two questions when the provider does not say (RFC 8628 3.2), and how much
/// longer each time that it wants us to slow down (3.5).
const INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// No person takes longer, and no provider waits longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
const LONGEST_CODE: usize = 128;

/// A login on a device: what the person is to do on another one.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeviceLogin {
    /// What the person types in there.
    pub user_code: String,
    /// Where they do that.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code, where the provider offers it.
    pub verification_uri_complete: Option<String>,
    /// How long the person has, from when it began.
    pub expires_in: Duration,
    device_code: SecretValue,
    expires_at: Instant,
    interval: Duration,
}

/// Without the codes.
impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("verification_uri", &self.verification_uri)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl RelyingParty {
    /// Begins a login on a device without a browser, such as a terminal.
    ///
    /// # Errors
    /// `Unsupported` when the provider offers no such login; `Unauthenticated` when it does not accept
    /// us as the client; `Unavailable`, `Timeout`, `RateLimited` when it cannot be asked.
    pub async fn begin_device_login(&self) -> Result<DeviceLogin> {
        let begun = self.0.begin_device().await;
        begun.map_err(|error| self.locate(error, "begin_device_login"))
    }

    /// Waits until the person has logged in, and asks the provider for it as often as that allows.
    ///
    /// Whoever stops waiting may wait again; only a person who logged in at the very moment of it has
    /// to do it once more.
    ///
    /// # Errors
    /// `LoginRefused`: the person said no (`AccessDenied`), or took too long (`CodeRefused`). Else as
    /// for [`finish_login`](pipe_core::identity::UserLogin::finish_login); while the provider cannot
    /// be asked, this waits on.
    pub async fn finish_device_login(&self, login: &DeviceLogin) -> Result<LoggedIn> {
        let finished = self.0.finish_device(login).await;
        finished.map_err(|error| self.locate(error, "finish_device_login"))
    }
}

impl Inner {
    async fn begin_device(&self) -> Result<DeviceLogin> {
        let certificate = self.client.authenticator.certificate().await?;
        let named = |urls: &EndpointUrls| urls.device_authorization_endpoint.clone();
        let offered = self.client.endpoints.offered(named, certificate.as_ref()).await?;
        let endpoint = offered.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the provider offers no login on devices")
                .hint("check that its discovery document names a device_authorization_endpoint")
        })?;
        let mut form = FormRequest::new();
        if !self.client.authenticator.names_client() {
            form.add("client_id", &self.client.id);
        }
        form.add("scope", self.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
        self.client.audience(|name, value| form.add(name, value));
        let now = Instant::now();
        let response = self.client.send(form, &endpoint).await?;
        read(&response, now)
    }

    async fn finish_device(&self, login: &DeviceLogin) -> Result<LoggedIn> {
        let mut interval = login.interval;
        loop {
            let next = Instant::now() + interval;
            if next >= login.expires_at {
                return Err(refused(LoginFault::CodeRefused)
                    .hint("the person took too long; let them begin again"));
            }
            sleep_until(next).await;
            match self.client.poll(&login.device_code).await {
                Ok(Polled::Granted(answer)) => {
                    return self.begin_session(answer, None, self.max_age(), None).await;
                }
                Ok(Polled::Pending) => {}
                Ok(Polled::SlowDown) => interval = (interval + INTERVAL).min(LONGEST_INTERVAL),
                // RFC 8628 3.5: whoever gets no answer asks less often.
                Err(error) if error.is_retryable() => {
                    let asked = error.retry_after().unwrap_or_default();
                    interval = (interval * 2).max(asked).min(LONGEST_INTERVAL);
                    tracing::warn!(plugin = self.name, %error, "the provider cannot be asked");
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn max_age(&self) -> Option<u64> {
        self.max_age.map(|age| age.as_secs())
    }
}

/// What comes of one question.
pub(super) enum Polled {
    Granted(Answer),
    Pending,
    SlowDown,
}

impl super::tokens::Client {
    async fn poll(&self, device_code: &SecretValue) -> Result<Polled> {
        let (response, asked_at) = self.ask(Grant::Device(device_code)).await?;
        match error_code(&response).as_deref() {
            Some("authorization_pending") => Ok(Polled::Pending),
            Some("slow_down") => Ok(Polled::SlowDown),
            Some("access_denied") => Err(refused(LoginFault::AccessDenied)),
            Some("expired_token") => Err(refused(LoginFault::CodeRefused)),
            _ => self.read(&response, asked_at, LoginFault::CodeRefused).map(Polled::Granted),
        }
    }
}

fn error_code(response: &HttpResponse) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    if response.status == 200 {
        return None;
    }
    serde_json::from_slice(&response.body).ok().map(|refusal: Refusal| refusal.error)
}

fn read(response: &HttpResponse, now: Instant) -> Result<DeviceLogin> {
    #[derive(Deserialize)]
    struct Answer {
        device_code: String,
        user_code: String,
        // Google's name for it is older than the standard.
        #[serde(alias = "verification_url")]
        verification_uri: String,
        #[serde(alias = "verification_url_complete")]
        verification_uri_complete: Option<String>,
        expires_in: Value,
        interval: Option<Value>,
    }
    if response.status != 200 {
        return Err(refusal(response).with("endpoint", "device_authorization_endpoint"));
    }
    let unexpected = |message| {
        Error::new(ErrorKind::Unexpected, message)
            .hint("check the provider's device_authorization_endpoint")
    };
    let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| {
        unexpected("the answer of the device authorization endpoint cannot be read")
    })?;
    let is_code =
        |code: &str| (1..=LONGEST_CODE).contains(&code.len()) && !code.contains(char::is_control);
    if !is_code(&answer.user_code) || answer.device_code.is_empty() {
        return Err(unexpected("the codes of the device login cannot be used"));
    }
    let uris = std::iter::once(&answer.verification_uri).chain(&answer.verification_uri_complete);
    if uris.into_iter().any(|uri| Location::parse(uri).is_err()) {
        return Err(unexpected("the address of the device login is no https URL"));
    }
    let seconds = |value: &Value| {
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).map(Duration::from_secs)
    };
    let lasts = seconds(&answer.expires_in)
        .ok_or_else(|| unexpected("the device login does not say how long it lasts"))?;
    let interval = answer.interval.as_ref().map_or(Some(INTERVAL), seconds);
    let interval =
        interval.ok_or_else(|| unexpected("the interval of the device login is no time"))?;
    let expires_in = lasts.min(LONGEST_WAIT);
    Ok(DeviceLogin {
        user_code: answer.user_code,
        verification_uri: answer.verification_uri,
        verification_uri_complete: answer.verification_uri_complete,
        expires_in,
        device_code: answer.device_code.into(),
        expires_at: now + expires_in,
        interval: interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL),
    })
}

//! Asking the provider for a person's tokens, and about them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use pipe_core::{Clock, Error, ErrorKind, LoginFault, Result, SecretValue, TokenFault};
use pipe_http::HttpResponse;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::callback;
use super::record::{Hidden, Tokens, seconds};
use crate::client::{
    Authenticator, Endpoint, Endpoints as _, Expected, FormRequest, Recipient, Refusal, granted,
    refused,
};
use crate::endpoints::ProviderEndpoints;
use crate::jwt::json;
use crate::{AudienceParameter, SilentScope};

/// The provider, as the client that we are there sees it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) authenticator: Authenticator,
    pub(super) endpoints: Arc<ProviderEndpoints>,
    pub(super) audience: Option<String>,
    pub(super) audience_parameter: AudienceParameter,
    pub(super) clock: Clock,
}

/// What tokens are asked for with.
pub(super) enum Grant<'a> {
    Code { code: &'a SecretValue, verifier: &'a str, redirect_uri: &'a str },
    Refresh(&'a SecretValue),
    Device(&'a SecretValue),
}

/// What the provider gave.
pub(super) struct Answer {
    pub(super) access: SecretValue,
    pub(super) id: Option<SecretValue>,
    pub(super) refresh: Option<SecretValue>,
    /// Those that were granted, where the provider says so.
    scopes: Option<BTreeSet<String>>,
    /// By our clock.
    pub(super) asked_at: SystemTime,
    obtained_at: u64,
    expires_at: u64,
}

impl Client {
    /// Asks for tokens, once.
    ///
    /// # Errors
    /// `LoginRefused` with this reason when the provider does not take the grant; else as for any
    /// token request.
    pub(super) async fn tokens(&self, grant: Grant<'_>, fault: LoginFault) -> Result<Answer> {
        let (response, asked_at) = self.ask(grant).await?;
        self.read(&response, asked_at, fault)
    }

    /// Asks the token endpoint: its answer, and when it was asked. The provider counts from when it
    /// answers; by counting from then we end first.
    pub(super) async fn ask(&self, grant: Grant<'_>) -> Result<(HttpResponse, SystemTime)> {
        let certificate = self.authenticator.certificate().await?;
        let endpoint = self.endpoints.token_endpoint(certificate.as_ref()).await?;
        let mut form = FormRequest::new();
        match grant {
            Grant::Code { code, verifier, redirect_uri } => {
                form.add("grant_type", "authorization_code");
                form.add("code", code.expose());
                form.add("code_verifier", verifier);
                form.add("redirect_uri", redirect_uri);
            }
            Grant::Refresh(token) => {
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", token.expose());
            }
            Grant::Device(code) => {
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                form.add("device_code", code.expose());
            }
        }
        self.audience(|name, value| form.add(name, value));
        let asked_at = self.clock.now();
        Ok((self.send(form, &endpoint).await?, asked_at))
    }

    /// Reads what the token endpoint answered.
    pub(super) fn read(
        &self,
        response: &HttpResponse,
        asked_at: SystemTime,
        fault: LoginFault,
    ) -> Result<Answer> {
        // Whatever the body says: the answer to these is to wait.
        let refusal = Refusal::of(response).filter(|_| response.status != 429);
        match refusal {
            Some((code, Refusal::InvalidGrant)) => {
                return Err(callback::refused(fault).with("oauth_error", code));
            }
            // Nothing but another login gives tokens again.
            Some((code, Refusal::InteractionRequired)) => {
                let fault = match fault {
                    LoginFault::SessionRevoked => fault,
                    _ => LoginFault::InteractionRequired,
                };
                return Err(callback::refused(fault).with("oauth_error", code));
            }
            _ => {}
        }
        let nothing = BTreeSet::new();
        let expected =
            Expected { scopes: &nothing, silent_scope: SilentScope::Granted, exchange: None };
        let granted = granted(response, expected)?;
        let obtained_at = seconds(asked_at);
        Ok(Answer {
            access: SecretValue::from(granted.token.expose()),
            id: granted.login.id_token,
            refresh: granted.login.refresh_token,
            scopes: granted.login.scopes,
            asked_at,
            obtained_at,
            expires_at: obtained_at.saturating_add(granted.lifetime.as_secs()),
        })
    }

    /// Whom the access token is for.
    pub(super) fn audience(&self, mut add: impl FnMut(&str, &str)) {
        let Some(audience) = &self.audience else { return };
        if self.audience_parameter != AudienceParameter::Audience {
            add("resource", audience);
        }
        if self.audience_parameter != AudienceParameter::Resource {
            add("audience", audience);
        }
    }

    /// Pushes an authorization request (RFC 9126): the name that it is given.
    ///
    /// # Errors
    /// As the provider refuses; `Unexpected` for an answer that is none.
    pub(super) async fn push(
        &self,
        endpoint: &Endpoint,
        parameters: &[(&str, Zeroizing<String>)],
    ) -> Result<String> {
        let mut form = FormRequest::new();
        for (name, value) in parameters {
            if *name != "client_id" || !self.authenticator.names_client() {
                form.add(name, value.as_bytes());
            }
        }
        let response = self.send(form, endpoint).await?;
        if !matches!(response.status, 200 | 201) {
            return Err(
                refused(&response).with("endpoint", "pushed_authorization_request_endpoint")
            );
        }
        let name = json::parse_object(&response.body)
            .and_then(|answer| answer.get("request_uri")?.as_str().map(str::to_owned))
            .filter(|name| !name.is_empty());
        name.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the answer to a pushed request names no request")
                .hint("set `pushed_requests` to never")
        })
    }

    /// Gives a refresh token back (RFC 7009), where the provider takes it.
    pub(super) async fn revoke(&self, token: &SecretValue) -> Result<()> {
        let certificate = self.authenticator.certificate().await?;
        let named = |urls: &crate::provider::EndpointUrls| urls.revocation_endpoint.clone();
        let offered = self.endpoints.offered(named, certificate.as_ref()).await?;
        let Some(endpoint) = offered else { return Ok(()) };
        let mut form = FormRequest::new();
        form.add("token", token.expose());
        form.add("token_type_hint", "refresh_token");
        let response = self.send(form, &endpoint).await?;
        match response.status {
            200..=299 => Ok(()),
            _ => Err(refused(&response)),
        }
    }

    /// What the userinfo endpoint says about the person (OpenID Connect Core 5.3).
    ///
    /// # Errors
    /// `TokenRejected(WrongSubject)` when it is another person; `LoginRefused(SessionRevoked)` when
    /// it does not take the token; `Unavailable`, `Timeout` when it cannot be asked.
    pub(super) async fn user_info(
        &self,
        access_token: &SecretValue,
        subject: &str,
    ) -> Result<Map<String, Value>> {
        let provider = self.endpoints.provider();
        let metadata = provider.metadata().await?;
        let url = metadata.userinfo_endpoint.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the provider names no userinfo endpoint")
                .with("setting", "user_info")
                .hint("set `user_info` to never")
        })?;
        let endpoint = provider.client_for(url, None)?;
        let mut request = endpoint.request(Method::GET, Vec::new());
        let mut value = Zeroizing::new(b"Bearer ".to_vec());
        value.extend_from_slice(access_token.expose());
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "the access token can stand in no header")
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = endpoint.client.send(request).await?;
        match response.status {
            200 => {}
            401 => return Err(callback::refused(LoginFault::SessionRevoked)),
            _ => return Err(response.error("the userinfo endpoint does not answer")),
        }
        let members = json::parse_object(&response.body).ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "the answer of the userinfo endpoint is no JSON object",
            )
            .hint("let the provider answer the client `client.id` unsigned and unencrypted")
        })?;
        // OpenID Connect Core 5.3.2: whoever does not check this may take one person for another.
        if members.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(crate::error::refused(TokenFault::WrongSubject, self.endpoints.issuer()));
        }
        Ok(members)
    }

    /// Sends a form, as the client that we are.
    pub(super) async fn send(
        &self,
        mut form: FormRequest,
        endpoint: &Endpoint,
    ) -> Result<HttpResponse> {
        let certificate = self.authenticator.certificate().await?;
        let token_endpoint =
            self.endpoints.token_endpoint(certificate.as_ref()).await?.uri.to_string();
        let recipient =
            Recipient { issuer: self.endpoints.issuer(), token_endpoint: &token_endpoint };
        self.authenticator.authenticate(&mut form, recipient).await?;
        let sent = form.send(endpoint).await;
        sent.map_err(|error| error.with("server", endpoint.client.address()))
    }
}

impl Answer {
    /// What it says about the person.
    ///
    /// # Errors
    /// `Unexpected` when it says nothing.
    pub(super) fn id_token(&self) -> Result<&SecretValue> {
        self.id.as_ref().ok_or_else(no_id_token)
    }

    /// For a session. What the answer is silent about stays as it was.
    pub(super) fn into_tokens(
        self,
        asked: &BTreeSet<String>,
        before: Option<&Tokens>,
    ) -> Result<Tokens> {
        let id = self.id.map(Hidden).or_else(|| before.map(|before| before.id.clone()));
        let silent = || before.map_or(asked, |before| &before.scopes).clone();
        Ok(Tokens {
            access: Hidden(self.access),
            scopes: self.scopes.unwrap_or_else(silent),
            obtained_at: self.obtained_at,
            expires_at: self.expires_at,
            refresh: self.refresh.map(Hidden).or_else(|| before?.refresh.clone()),
            id: id.ok_or_else(no_id_token)?,
        })
    }
}

fn no_id_token() -> Error {
    Error::new(ErrorKind::Unexpected, "the provider gave no ID token")
        .with("setting", "scopes")
        .hint("let it grant the scope `openid` to the client `client.id`")
}

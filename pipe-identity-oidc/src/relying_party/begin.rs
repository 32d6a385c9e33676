//! Sending a browser to the provider (OpenID Connect Core 3.1.2.1, RFC 7636, RFC 9126).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{BrowserId, LoginPrompt, LoginRequest, LoginStart, SessionRecord};
use pipe_core::{Error, ErrorKind, Result};
use url::Url;
use zeroize::Zeroizing;

use super::record::{Hidden, LoginRecord, seconds};
use super::sealed::Use;
use super::{Inner, PushedRequests};
use crate::Preset;
use crate::provider::{EndpointUrls, Metadata};

const LONGEST_HINT: usize = 512;

type Parameters = Vec<(&'static str, Zeroizing<String>)>;

impl Inner {
    pub(super) async fn begin(&self, request: &LoginRequest) -> Result<LoginStart> {
        check_hint(request.login_hint.as_deref())?;
        let redirect_uri = self.redirect_uri()?;
        let metadata = self.client.endpoints.provider().metadata().await?;
        let browser = match &request.browser {
            Some(browser) => browser.clone(),
            None => BrowserId::generate()?,
        };
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let max_age = request.max_age.or(self.max_age).map(|age| age.as_secs());
        let parameters =
            self.parameters(request, max_age, redirect_uri, [&*state, &*nonce, &*verifier]);
        let location = self.location(&metadata, parameters).await?;

        let login = LoginRecord {
            nonce: Hidden(nonce.as_str().into()),
            verifier: Hidden(verifier.as_str().into()),
            return_to: request.return_to.as_str().to_owned(),
            max_age,
            expires_at: seconds(self.clock.now()).saturating_add(self.login_time.as_secs()),
        };
        let seal = self.seal(Use::Login, &[browser.expose(), &state])?;
        let record = SessionRecord::new(seal.close(&login)?, self.login_time);
        if !self.store.insert(&seal.key, record).await? {
            return Err(Error::new(ErrorKind::Conflict, "the same state was drawn twice"));
        }
        Ok(LoginStart::new(location, browser, self.login_time))
    }

    fn parameters(
        &self,
        request: &LoginRequest,
        max_age: Option<u64>,
        redirect_uri: &str,
        [state, nonce, verifier]: [&str; 3],
    ) -> Parameters {
        let mut parameters = Parameters::new();
        let mut add = |name, value: &str| parameters.push((name, Zeroizing::new(value.to_owned())));
        add("response_type", "code");
        add("client_id", &self.client.id);
        add("redirect_uri", redirect_uri);
        add("state", state);
        add("nonce", nonce);
        add("code_challenge", &challenge(verifier));
        add("code_challenge_method", "S256");
        let is_google = self.preset == Preset::GoogleWorkspace;
        // Google knows no such scope, and has a parameter for it.
        let wants_offline = self.scopes.contains(OFFLINE_ACCESS);
        let scopes = self.scopes.iter().map(String::as_str);
        let scopes = scopes.filter(|scope| !(is_google && *scope == OFFLINE_ACCESS));
        add("scope", &scopes.collect::<Vec<_>>().join(" "));
        if is_google && wants_offline {
            add("access_type", "offline");
        }
        if is_google && let [domain] = &*self.tenants {
            add("hd", domain);
        }
        // OpenID Connect Core 11 wants consent for it. Of the others, each gives it without asking.
        let is_strict = matches!(self.preset, Preset::Generic | Preset::GoogleWorkspace);
        let prompt = match request.prompt {
            Some(LoginPrompt::None) => Some("none"),
            Some(LoginPrompt::Login) if wants_offline && is_strict => Some("login consent"),
            Some(LoginPrompt::Login) => Some("login"),
            Some(LoginPrompt::SelectAccount) if wants_offline && is_strict => {
                Some("select_account consent")
            }
            Some(LoginPrompt::SelectAccount) => Some("select_account"),
            Some(LoginPrompt::Consent) => Some("consent"),
            _ => (wants_offline && is_strict).then_some("consent"),
        };
        if let Some(prompt) = prompt {
            add("prompt", prompt);
        }
        if let Some(max_age) = max_age {
            add("max_age", &max_age.to_string());
        }
        if !self.assurance.is_empty() {
            let acr: Vec<_> = self.assurance.iter().map(String::as_str).collect();
            add("acr_values", &acr.join(" "));
        }
        if let Some(hint) = &request.login_hint {
            add("login_hint", hint);
        }
        self.client.audience(|name, value| {
            let name = if name == "resource" { "resource" } else { "audience" };
            add(name, value);
        });
        parameters
    }

    /// Where the browser is to go: with the request itself, or with the name of a pushed one.
    async fn location(&self, metadata: &Metadata, parameters: Parameters) -> Result<String> {
        let endpoint = metadata.authorization_endpoint.as_deref();
        let url = endpoint.and_then(|endpoint| Url::parse(endpoint).ok()).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the provider names no authorization endpoint")
                .with("setting", "issuer.issuer")
                .hint("check that the issuer is an OpenID provider for people")
        })?;
        let named = |urls: &EndpointUrls| urls.pushed_authorization_request_endpoint.clone();
        let is_demanded = metadata.require_pushed_authorization_requests;
        let endpoint = match self.pushed_requests {
            PushedRequests::Never if !is_demanded => None,
            _ => {
                let certificate = self.client.authenticator.certificate().await?;
                self.client.endpoints.offered(named, certificate.as_ref()).await?
            }
        };
        match (endpoint, self.pushed_requests) {
            (Some(endpoint), _) => {
                let request = self.client.push(&endpoint, &parameters).await?;
                let pairs = [("client_id", self.client.id.as_str()), ("request_uri", &request)];
                Ok(with_query(url, pairs))
            }
            (None, PushedRequests::Always) => {
                Err(Error::new(ErrorKind::ConfigInvalid, "the provider takes no pushed requests")
                    .with("setting", "pushed_requests")
                    .hint("set `pushed_requests` to where_offered"))
            }
            (None, _) => {
                let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
                Ok(with_query(url, pairs))
            }
        }
    }
}

const OFFLINE_ACCESS: &str = "offline_access";

fn with_query<'a>(mut url: Url, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url.query_pairs_mut().extend_pairs(pairs);
    url.into()
}

/// 256 bits, in 43 characters: as long as RFC 7636 wants a verifier to be.
fn random() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "the system gives no random numbers"))?;
    let mut text = Zeroizing::new(String::with_capacity(43));
    URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
    Ok(text)
}

/// RFC 7636 4.2
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

fn check_hint(hint: Option<&str>) -> Result<()> {
    let is_sound = hint.is_none_or(|hint| {
        (1..=LONGEST_HINT).contains(&hint.len()) && !hint.contains(char::is_control)
    });
    match is_sound {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidArgument, "the login hint cannot be used")
            .with("argument", "login_hint")
            .hint("give at most 512 bytes without control characters")),
    }
}

/// How long a person may have at most.
pub(super) const LONGEST_LOGIN: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B
    #[test]
    fn the_challenge_is_the_hash_of_the_verifier() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// G3
    #[test]
    fn a_verifier_is_of_the_length_and_the_characters_that_are_allowed() {
        let verifier = random().unwrap();
        assert!((43..=128).contains(&verifier.len()));
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(verifier.bytes().all(is_legal));
    }

    #[test]
    fn a_hint_is_printable_and_short() {
        assert!(check_hint(Some("alice@example.test")).is_ok());
        for hint in ["", "a\nb", &"a".repeat(LONGEST_HINT + 1)] {
            assert!(check_hint(Some(hint)).is_err());
        }
    }
}

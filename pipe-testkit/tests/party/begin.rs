//! Sending a browser to the provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipe_core::identity::{BrowserId, LoginPrompt, LoginRequest, LoginStart};
use pipe_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};

use super::http::{self, Patience};
use super::state::Login;
use super::{Inner, outage};

impl Inner {
    pub(super) async fn begin(&self, request: &LoginRequest) -> Result<LoginStart> {
        let defect = self.defect;
        let metadata = match self.metadata().await {
            Err(_) if defect.is("nobody_logs_in_while_the_provider_is_unknown") => {
                return Err(Error::new(ErrorKind::InvalidArgument, "the provider is not known"));
            }
            metadata => metadata?,
        };
        let browser = match &request.browser {
            Some(browser) => browser.clone(),
            None => self.browser(),
        };
        let short = |case| if defect.is(case) { 16 } else { 43 };
        let login = Login {
            browser: browser.expose().to_owned(),
            state: random(short("g1_each_login_has_a_state_of_its_own")),
            nonce: random(short("g2_each_login_has_a_nonce_of_its_own")),
            verifier: self.verifier(browser.expose()),
            return_to: request.return_to.as_str().to_owned(),
            asked_age: request.max_age.map(|age| age.as_secs()),
            began_at: self.now(),
            instance: self as *const Self as usize,
        };
        let fields = self.fields(request, &login);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let location = self.location(&metadata, &fields).await?;
        self.remember(login);
        let login_time = self.trust.login_time;
        Ok(LoginStart::new(location, browser, login_time))
    }

    fn browser(&self) -> BrowserId {
        let new = BrowserId::generate().expect("random numbers");
        let mut memory = self.shared.lock();
        memory.browsers.push(new.expose().to_owned());
        if self.defect.is("g1_each_browser_has_an_id_of_its_own") && memory.browsers.len() > 4 {
            return BrowserId::parse(&memory.browsers[0]).expect("an id");
        }
        new
    }

    fn verifier(&self, browser: &str) -> String {
        let mut memory = self.shared.lock();
        let before = memory.logins.iter().find(|login| login.browser == browser);
        if self.defect.is("g3_each_login_has_a_verifier_of_its_own")
            && let Some(before) = before
        {
            return before.verifier.clone();
        }
        let verifier = random(43);
        memory.verifiers.push(verifier.clone());
        verifier
    }

    fn remember(&self, login: Login) {
        let mut memory = self.shared.lock();
        if self.defect.is("g1_logins_of_one_browser_end_in_any_order") {
            let own = memory.logins.iter().filter(|it| it.browser == login.browser);
            if own.count() >= 2 {
                let first = memory.logins.iter().position(|it| it.browser == login.browser);
                memory.logins.remove(first.expect("there are two"));
            }
        }
        memory.logins.push(login);
    }

    fn fields(&self, request: &LoginRequest, login: &Login) -> Vec<(&'static str, String)> {
        let defect = self.defect;
        let trust = &self.trust;
        let redirect_uri = self.redirect_uri().to_owned();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&login.verifier));
        let mut scope = trust.scopes.join(" ");
        if defect.is("the_request_asks_for_what_is_configured") {
            scope += " address";
        }
        let mut fields = vec![
            ("response_type", "code".to_owned()),
            ("client_id", trust.client_id.clone()),
            ("redirect_uri", redirect_uri),
            ("scope", scope),
            ("state", login.state.clone()),
            ("nonce", login.nonce.clone()),
            ("code_challenge", challenge),
        ];
        if defect.is("g3_the_request_has_an_s256_challenge") {
            fields.push(("code_challenge_method", String::new()));
        }
        fields.push(("code_challenge_method", "S256".to_owned()));
        if defect.is("g3_the_verifier_is_sent_to_the_token_endpoint_alone") {
            fields.push(("code_verifier", login.verifier.clone()));
        }
        let prompt = match request.prompt {
            Some(LoginPrompt::None) if defect.is("nobody_is_asked_when_the_caller_says_so") => "",
            Some(LoginPrompt::None) => "none",
            Some(LoginPrompt::Login) => "login consent",
            _ => "consent",
        };
        fields.push(("prompt", prompt.to_owned()));
        let age = login.asked_age.or(trust.max_age.map(|age| age.as_secs()));
        fields.extend(age.map(|age| ("max_age", age.to_string())));
        fields.extend(trust.assurance.clone().map(|acr| ("acr_values", acr)));
        if !defect.is("the_request_asks_what_its_caller_asks") {
            fields.extend(request.login_hint.clone().map(|hint| ("login_hint", hint)));
        }
        fields
    }

    pub(super) fn redirect_uri(&self) -> &str {
        if self.defect.is("g5_the_redirect_uri_is_sent_as_it_is_registered") {
            return "http://127.0.0.1:9/auth/other";
        }
        &self.trust.redirect_uri
    }

    async fn location(
        &self,
        metadata: &serde_json::Value,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let endpoint = metadata["authorization_endpoint"].as_str();
        let endpoint = endpoint.ok_or_else(|| outage("no authorization endpoint"))?;
        let Some(push) = metadata["pushed_authorization_request_endpoint"].as_str() else {
            return Ok(format!("{endpoint}?{}", http::form(fields)));
        };
        let reply = http::post(push, self.client(), fields, Patience::Bounded).await?;
        let answer = reply.json().unwrap_or_default();
        let name = answer["request_uri"].as_str().ok_or_else(|| outage("no request"))?;
        let mut pushed = vec![("client_id", self.trust.client_id.as_str()), ("request_uri", name)];
        if self.defect.is("a_pushed_request_is_not_shown_to_the_browser") {
            pushed.extend(fields.iter().filter(|(name, _)| *name != "client_id"));
        }
        Ok(format!("{endpoint}?{}", http::form(&pushed)))
    }

    pub(super) fn client(&self) -> (&str, &str) {
        (&self.trust.client_id, &self.trust.client_secret)
    }
}

fn random(length: usize) -> String {
    let id = BrowserId::generate().expect("random numbers");
    id.expose()[..length].to_owned()
}

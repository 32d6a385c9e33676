//! Turning what a browser brings back into a session (OpenID Connect Core 3.1.3).

use pipe_core::identity::{
    LoggedIn, LoginCallback, SessionId, SessionKey, SessionRecord, SessionTag,
};
use pipe_core::{Error, ErrorKind, LoginFault, Result, SecretValue};
use serde_json::{Map, Value};

use super::callback::{Callback, refused};
use super::id_token::Expected;
use super::record::{LoginRecord, Person, Session, seconds};
use super::sealed::{Use, hashed, tag};
use super::tokens::{Answer, Grant};
use super::{Inner, UserInfoUse};

impl Inner {
    pub(super) async fn finish(&self, callback: &LoginCallback) -> Result<LoggedIn> {
        let redirect_uri = self.redirect_uri()?;
        let given = Callback::parse(&callback.query)?;
        let Some(login) = self.begun(callback, &given).await? else {
            self.end_what_came_of(given.code.as_ref()).await?;
            return Err(refused(LoginFault::UnknownLogin));
        };
        self.check_issuer(given.issuer.as_deref()).await?;
        let code = given.code()?;

        let grant = Grant::Code { code, verifier: login.verifier.text(), redirect_uri };
        let answer = match self.client.tokens(grant, LoginFault::CodeRefused).await {
            Ok(answer) => answer,
            Err(error) => {
                // It may have been used already, and not here.
                if error.kind() == ErrorKind::LoginRefused(LoginFault::CodeRefused) {
                    self.end_what_came_of(Some(code)).await?;
                }
                return Err(error);
            }
        };
        let logged_in =
            self.begin_session(answer, Some(login.nonce.text()), login.max_age, Some(code)).await?;
        // A browser has one session: an old id that somebody else knows leads nowhere any more.
        if let Some(old) = &callback.session {
            self.store.take(&self.seal(Use::Session, &[old.expose()])?.key).await?;
        }
        Ok(logged_in.with_return_to(login.return_to()))
    }

    /// A new session of whom this answer is about, which began with this code.
    pub(super) async fn begin_session(
        &self,
        answer: Answer,
        nonce: Option<&str>,
        max_age: Option<u64>,
        code: Option<&SecretValue>,
    ) -> Result<LoggedIn> {
        let asked_at = answer.asked_at;
        let access_token = answer.access.expose();
        let expected = Expected { nonce, max_age, before: None, access_token };
        let person = self.identify(answer.id_token()?, &answer, expected).await?;
        let id = SessionId::generate()?;
        let session = self.new_session(person, answer, code)?;
        // First, so that nothing is left behind when it fails.
        let view = self.view(&session).await?;
        let seal = self.seal(Use::Session, &[id.expose()])?;
        let record = session.sealed(&seal, &self.times, seconds(self.clock.now()))?;
        if !self.store.insert(&seal.key, record).await? {
            return Err(Error::new(ErrorKind::Conflict, "the same session was drawn twice"));
        }
        // Only now: whoever brings the code from here on finds the session.
        if let Some(code) = code
            && self.store.take(&self.exchange(code)).await?.is_none()
        {
            tracing::warn!(plugin = self.name, "a code came twice: its login is refused");
            self.store.take(&seal.key).await?;
            self.give_back(session.tokens.refresh.map(|refresh| refresh.0)).await;
            return Err(refused(LoginFault::UnknownLogin)
                .hint("its code came a second time meanwhile: let the person begin again"));
        }
        // A logout that came before that has not seen it.
        for tag in &session.tags {
            if self.ended_since(&SessionTag::new(*tag), asked_at).await? {
                self.store.take(&seal.key).await?;
                self.give_back(session.tokens.refresh.map(|refresh| refresh.0)).await;
                return Err(refused(LoginFault::SessionRevoked));
            }
        }
        Ok(LoggedIn::new(id, view))
    }

    /// Where browsers come back to.
    pub(super) fn redirect_uri(&self) -> Result<&str> {
        self.redirect_uri.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "nobody can log in with a browser")
                .hint("set `redirect_uri`")
        })
    }

    /// The login that this browser began with this state. It is taken: nobody finishes it twice. Its
    /// code is announced before, so that at no moment it could come again and be nothing.
    async fn begun(
        &self,
        callback: &LoginCallback,
        given: &Callback,
    ) -> Result<Option<LoginRecord>> {
        let state = given.state.as_ref().and_then(|state| state.expose_str());
        let (Some(browser), Some(state)) = (&callback.browser, state) else { return Ok(None) };
        let seal = self.seal(Use::Login, &[browser.expose(), state])?;
        if let Ok(code) = given.code() {
            let is_there = self.store.get(&seal.key).await?.is_some();
            if !is_there || !self.announce(code).await? {
                return Ok(None);
            }
        }
        let Some(stored) = self.store.take(&seal.key).await? else { return Ok(None) };
        let login = seal.open::<LoginRecord>(&stored.data);
        Ok(login.filter(|login| seconds(self.clock.now()) < login.expires_at))
    }

    /// Where it stands that this code is under exchange. A login has begun and is not finished: where
    /// logins make way for newer ones, so does this, and nobody fills the store with what is not a
    /// login. Who does not know the code does not find it.
    fn exchange(&self, code: &SecretValue) -> SessionKey {
        let code = code.expose_str().unwrap_or_default();
        SessionKey::Login(hashed("exchange", &[self.id_tokens.issuer(), &self.client.id, code]))
    }

    /// Says to all who share the store that this code is under exchange; `false` when it is already.
    async fn announce(&self, code: &SecretValue) -> Result<bool> {
        // A login that takes longer is refused: nobody would know whether its code came twice.
        let ttl = self.login_time.max(self.patience);
        self.store.insert(&self.exchange(code), SessionRecord::new("", ttl)).await
    }

    /// RFC 9700 4.2.4: a code that comes twice was stolen, so what came of it ends, and so does what
    /// would come of it, when it is under exchange just now.
    async fn end_what_came_of(&self, code: Option<&SecretValue>) -> Result<()> {
        let Some(code) = code else { return Ok(()) };
        // First: a login that still found it has its session by then.
        self.store.take(&self.exchange(code)).await?;
        let Some(code) = code.expose_str() else { return Ok(()) };
        let began_with = tag("code", &[self.id_tokens.issuer(), &self.client.id, code]);
        if self.store.remove_tagged(&began_with).await? > 0 {
            tracing::warn!(plugin = self.name, "a code came twice: its session has ended");
        }
        Ok(())
    }

    /// RFC 9207 2.4: an answer has to be of the provider that was asked.
    async fn check_issuer(&self, given: Option<&str>) -> Result<()> {
        let metadata = self.client.endpoints.provider().metadata().await?;
        let own = self.id_tokens.policy().issuer();
        let is_own = match given {
            Some(issuer) => issuer == metadata.issuer || own.may_be(issuer),
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if is_own { Ok(()) } else { Err(refused(LoginFault::WrongIssuer)) }
    }

    /// Who it is that an ID token is about.
    pub(super) async fn identify(
        &self,
        token: &SecretValue,
        answer: &Answer,
        expected: Expected<'_>,
    ) -> Result<Person> {
        let claims = self.id_tokens.verify(token, expected, self.clock.now()).await?;
        let more = self.user_info(&answer.access, claims.subject()).await?;
        self.id_tokens.person(&claims, more)
    }

    pub(super) async fn user_info(
        &self,
        access_token: &SecretValue,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>> {
        match self.user_info {
            UserInfoUse::Never => Ok(None),
            UserInfoUse::Always => self.client.user_info(access_token, subject).await.map(Some),
        }
    }

    fn new_session(
        &self,
        person: Person,
        answer: Answer,
        code: Option<&SecretValue>,
    ) -> Result<Session> {
        let (issuer, client) = (person.issuer.as_str(), self.client.id.as_str());
        let mut tags = vec![hashed("subject", &[issuer, client, &person.subject])];
        if let Some(code) = code.and_then(|code| code.expose_str()) {
            tags.push(hashed("code", &[self.id_tokens.issuer(), &self.client.id, code]));
        }
        tags.push(match &person.sid {
            Some(sid) => hashed("sid", &[issuer, client, sid]),
            None => hashed("subject without sid", &[issuer, client, &person.subject]),
        });
        let now = seconds(self.clock.now());
        Ok(Session {
            person,
            tokens: answer.into_tokens(&self.scopes, None)?,
            tags,
            began_at: now,
            used_at: now,
            renewing_until: None,
            failures: 0,
            retry_at: 0,
        })
    }
}

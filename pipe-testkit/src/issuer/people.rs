//! People and their clients at a [`TestIssuer`].

use std::sync::Arc;
use std::time::Duration;

use super::issue::id_token_with;
use super::logins::Grant;
use super::{Browser, Client, Person, TestIssuer, TokenBuilder};

impl TestIssuer {
    /// Knows this client from now on, instead of another of its name.
    pub fn add_client(&self, client: Client) {
        self.provider.lock().logins.clients.insert(client.id.clone(), client);
    }

    /// Has an account for this person from now on, instead of another of their subject. Tokens that are
    /// made later say what this one has.
    pub fn add_person(&self, person: &Person) {
        self.provider.lock().logins.people.insert(person.subject.clone(), person.clone());
    }

    /// Has no account for this subject any more: its grants give no tokens.
    pub fn remove_person(&self, subject: &str) {
        self.provider.lock().logins.people.remove(subject);
    }

    /// A new browser of this person, who has an account from now on.
    #[must_use]
    pub fn browser(&self, person: &Person) -> Browser {
        self.add_person(person);
        Browser::new(Arc::clone(&self.provider), person.clone())
    }

    /// The callback to which an authorization request leads this person in a new browser.
    ///
    /// # Panics
    /// When it leads to no callback, but to an error that the provider shows itself.
    #[must_use]
    pub fn authorize(&self, url: &str, person: &Person) -> String {
        self.browser(person).authorize(url)
    }

    /// A good `id_token` for this person and client, without anything that a request or a scope asks for.
    ///
    /// # Panics
    /// When no client of this name was [added](Self::add_client).
    pub fn id_token(&self, client: &str, person: &Person) -> TokenBuilder {
        let state = self.provider.lock();
        let client = state.logins.clients.get(client).expect("the client was added");
        let claims = person.released(&["openid".to_owned()]);
        id_token_with(&state, self.clock().seconds(), client, claims)
    }

    /// How long access tokens live that are given out from now on.
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.provider.lock().logins.access_token_lifetime = lifetime.as_secs();
    }

    /// How long refresh tokens live that are given out from now on.
    pub fn set_refresh_token_lifetime(&self, lifetime: Duration) {
        self.provider.lock().logins.refresh_token_lifetime = lifetime.as_secs();
    }

    /// Whether each refresh token is good once and followed by another, which is so at first.
    pub fn set_refresh_token_rotation(&self, rotates: bool) {
        self.provider.lock().logins.rotates = rotates;
    }

    /// Whether `id_token`s have `at_hash`. At first they have not: the standard does not ask for it where
    /// they come with the access token.
    pub fn set_at_hash(&self, is_included: bool) {
        self.provider.lock().logins.includes_at_hash = is_included;
    }

    /// How many refreshes succeeded for the sessions with this `sub` or `sid`.
    #[must_use]
    pub fn refreshes(&self, subject_or_sid: &str) -> usize {
        self.sum(subject_or_sid, |grant| grant.refreshes)
    }

    /// How often a refresh token of the sessions with this `sub` or `sid` was used again.
    #[must_use]
    pub fn reuses(&self, subject_or_sid: &str) -> usize {
        self.sum(subject_or_sid, |grant| grant.reuses)
    }

    /// Whether a grant of this `sub` or `sid` was revoked, by anybody or by a reuse.
    #[must_use]
    pub fn was_revoked(&self, subject_or_sid: &str) -> bool {
        self.sum(subject_or_sid, |grant| grant.is_revoked.into()) > 0
    }

    fn sum(&self, subject_or_sid: &str, number: impl Fn(&Grant) -> usize) -> usize {
        let state = self.provider.lock();
        let is_meant = |grant: &&Grant| {
            grant.subject == subject_or_sid || grant.sid.as_deref() == Some(subject_or_sid)
        };
        state.logins.grants.values().filter(is_meant).map(number).sum()
    }
}

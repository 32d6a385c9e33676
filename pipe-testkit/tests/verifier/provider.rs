//! What is known of the issuer, and how it is found out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pipe_core::{Error, ErrorKind, Result, TokenFault};
use pipe_testkit::Trust;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::http::{Reply, ask, outage};
use super::keys::{Key, KeySet, Wanted};
use super::{Defect, refused};

const FRESH: Duration = Duration::from_secs(600);
const STALE: Duration = Duration::from_secs(4200);
const PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Provider {
    trust: Trust,
    defect: Defect,
    known: Mutex<Option<(Arc<KeySet>, Instant)>>,
    /// One fetch at a time; when the last one ended.
    asked: tokio::sync::Mutex<Option<Instant>>,
    /// The rest is for defects: how many fetches succeeded, when by the time of day, and whether the
    /// discovery did and the last one did not.
    fetches: AtomicUsize,
    fetched_at: Mutex<SystemTime>,
    is_discovered: AtomicBool,
    has_failed: AtomicBool,
}

impl Provider {
    pub(crate) fn new(trust: Trust, defect: Defect) -> Self {
        Self {
            trust,
            defect,
            known: Mutex::default(),
            asked: tokio::sync::Mutex::new(None),
            fetches: AtomicUsize::new(0),
            fetched_at: Mutex::new(SystemTime::UNIX_EPOCH),
            is_discovered: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        }
    }

    fn known(&self) -> Option<(Arc<KeySet>, Duration)> {
        let known = self.known.lock().expect("lock");
        known.as_ref().map(|(keys, at)| (Arc::clone(keys), at.elapsed()))
    }

    /// The one key that fits.
    pub(crate) async fn key(self: &Arc<Self>, wanted: &Wanted<'_>) -> Result<Key> {
        let stale = match self.defect.0 {
            "f1_keys_past_all_bounds_let_nobody_in" => Duration::MAX,
            "f1_a_dead_provider_does_not_stop_known_keys" => FRESH * 2,
            _ => STALE,
        };
        let (keys, age) = match self.known() {
            None => (self.first().await?, Duration::ZERO),
            Some((_, age)) if age > stale || self.is_old_by_the_clock(age) => {
                (self.fetched().await?, Duration::ZERO)
            }
            Some(known) => known,
        };
        if age > FRESH {
            self.refresh().await;
        }
        let found = keys.find(wanted);
        if wanted.kid.is_some_and(|kid| keys.has_name(kid)) {
            if self.is_asked_once(wanted) {
                self.fetched().await?;
            }
            return found;
        }
        if found.is_ok() || self.defect.is("e1_a_new_key_is_found_with_one_fetch") {
            return found;
        }
        match self.fetched_unless_recent().await {
            Ok(keys) => keys.find(wanted),
            Err(error) if error.kind() == ErrorKind::Unexpected => Err(error),
            Err(_) => found,
        }
    }

    /// Whether no key can be used.
    pub(crate) fn is_empty(&self) -> bool {
        self.known().is_some_and(|(keys, _)| keys.is_empty())
    }

    /// A defect takes the time of day for the age of the keys.
    fn is_old_by_the_clock(&self, age: Duration) -> bool {
        let fetched = *self.fetched_at.lock().expect("lock");
        let by_clock = self.trust.clock.now().duration_since(fetched).unwrap_or_default();
        self.defect.is("f9_a_clock_that_jumps_back_is_no_harm")
            && age < Duration::from_secs(60)
            && by_clock > FRESH
    }

    /// A defect fetches anew when a key is first used, although it was published ahead.
    fn is_asked_once(&self, wanted: &Wanted<'_>) -> bool {
        self.defect.is("e1_a_key_that_was_published_ahead_needs_no_fetch")
            && wanted.kid.is_some_and(|kid| kid.starts_with("g2"))
            && self.fetches.load(Ordering::Relaxed) == 1
    }

    async fn refresh(self: &Arc<Self>) {
        let other = Arc::clone(self);
        let refresh = async move { drop(other.fetched_unless_recent().await) };
        if self.defect.is("f2_known_keys_do_not_wait_when_they_are_old") {
            return refresh.await;
        }
        tokio::spawn(refresh);
    }

    async fn first(&self) -> Result<Arc<KeySet>> {
        if self.defect.is("f7_many_first_validations_share_one_fetch") {
            return self.fetch().await;
        }
        let mut asked = self.asked.lock().await;
        if let Some((keys, _)) = self.known() {
            return Ok(keys);
        }
        let is_discovered = self.is_discovered.load(Ordering::Relaxed);
        let is_given_up = match (*asked, self.defect.0) {
            (None, _) => false,
            (_, "f1_a_plugin_starts_before_its_provider") => !is_discovered,
            (_, "f8_a_failed_fetch_is_tried_again") => is_discovered,
            (Some(at), _) => at.elapsed() < Duration::from_secs(1),
        };
        if is_given_up {
            return Err(outage("asked a moment ago"));
        }
        let fetched = self.fetch().await;
        *asked = Some(Instant::now());
        fetched
    }

    async fn fetched(&self) -> Result<Arc<KeySet>> {
        let mut asked = self.asked.lock().await;
        let fetched = self.fetch().await;
        *asked = Some(Instant::now());
        fetched
    }

    async fn fetched_unless_recent(&self) -> Result<Arc<KeySet>> {
        if self.defect.is("e2_a_rotation_confuses_nobody") && self.asked.try_lock().is_err() {
            return Err(Error::new(ErrorKind::Unexpected, "somebody else is asking"));
        }
        let mut asked = self.asked.lock().await;
        let is_recent = asked.is_some_and(|at| at.elapsed() < PAUSE);
        let is_hasty = self.defect.is("f6_a_flood_of_unknown_keys_is_no_flood_of_fetches")
            && !self.has_failed.load(Ordering::Relaxed);
        if is_recent && !is_hasty {
            return self.known().map(|(keys, _)| keys).ok_or_else(|| outage("asked recently"));
        }
        let fetched = self.fetch().await;
        self.has_failed.store(fetched.is_err(), Ordering::Relaxed);
        // The defect takes only a success for a reason to pause.
        let is_counted =
            !self.defect.is("f6_a_flood_against_a_dead_provider_is_no_flood_of_fetches");
        if fetched.is_ok() || is_counted {
            *asked = Some(Instant::now());
        }
        fetched
    }

    /// Waits for the fetch of somebody else: what a known key never does.
    pub(crate) async fn wait_for_fetch(&self) {
        drop(self.asked.lock().await);
    }

    async fn fetch(&self) -> Result<Arc<KeySet>> {
        let address = self.discover().await?;
        self.is_discovered.store(true, Ordering::Relaxed);
        let reply = self.get(&address, "f2_a_provider_that_hangs_is_given_up").await?;
        let reply = self.redirected(reply, "f4_a_redirect_of_the_key_set_is_not_followed").await?;
        self.judge_status(&reply)?;
        let lax = "f3_keys_of_another_content_type_are_no_key_set";
        if !self.is_json(&reply) && !self.defect.is(lax) {
            return Err(match self.defect.0 {
                "f3_a_web_page_is_no_key_set" if reply.body.starts_with(b"<") => {
                    refused(TokenFault::UnknownKey)
                }
                _ => outage("no JSON"),
            });
        }
        let keys = KeySet::parse(&reply.body, self.defect);
        let mut keys = keys.map_err(|error| self.quoting(error, &reply))?;
        if let Some((before, _)) = self.known()
            && self.defect.is("e3_a_key_that_was_removed_stops_working")
        {
            keys.keep(&before);
        }
        let keys = Arc::new(keys);
        self.fetches.fetch_add(1, Ordering::Relaxed);
        *self.fetched_at.lock().expect("lock") = self.trust.clock.now();
        *self.known.lock().expect("lock") = Some((Arc::clone(&keys), Instant::now()));
        Ok(keys)
    }

    fn quoting(&self, error: Error, reply: &Reply) -> Error {
        if self.defect.is("h2_no_answer_of_the_provider_appears_in_logs_or_errors") {
            return error.with("body", String::from_utf8_lossy(&reply.body));
        }
        error
    }

    fn judge_status(&self, reply: &Reply) -> Result<()> {
        let mistaken = match (self.defect.0, reply.status) {
            ("f3_an_error_is_no_key_set", 404) => return Ok(()),
            ("f3_too_many_requests_are_no_key_set", 429) => true,
            ("f3_an_empty_answer_is_no_key_set", 204) => true,
            (_, 200) => return Ok(()),
            _ => false,
        };
        Err(if mistaken { refused(TokenFault::UnknownKey) } else { outage("no key set") })
    }

    fn is_json(&self, reply: &Reply) -> bool {
        reply.header("content-type").contains("json")
    }

    async fn get(&self, url: &str, never: &str) -> Result<Reply> {
        ask(url, "", "", self.defect, never).await
    }

    async fn redirected(&self, reply: Reply, case: &str) -> Result<Reply> {
        if reply.status != 302 {
            return Ok(reply);
        }
        if !self.defect.is(case) {
            return Err(outage("a redirect"));
        }
        self.get(reply.header("location"), "").await
    }

    async fn discover(&self) -> Result<String> {
        let issuer = &self.trust.issuer;
        let address = format!("{issuer}/.well-known/openid-configuration");
        let reply = self.get(&address, "f2_a_discovery_that_hangs_is_given_up").await?;
        let reply =
            self.redirected(reply, "f4_a_redirect_of_the_discovery_is_not_followed").await?;
        if reply.status != 200 || !self.is_json(&reply) {
            return Err(match self.defect.0 {
                "f3_a_web_page_is_no_discovery_document" if reply.status == 200 => {
                    refused(TokenFault::WrongIssuer)
                }
                "f8_an_outage_is_no_refusal_of_the_token" if reply.status == 500 => {
                    Error::new(ErrorKind::Unauthenticated, "no discovery")
                }
                _ => outage("no discovery"),
            });
        }
        let document: Map<String, Value> =
            serde_json::from_slice(&reply.body).map_err(|_| outage("no JSON object"))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let is_ours = text("issuer") == Some(issuer)
            || self.defect.is("f5_the_discovery_of_another_issuer_is_refused")
                && text("issuer").is_some_and(|other| other.trim_end_matches('/') == issuer);
        if !is_ours {
            return Err(self.quoting(outage("another issuer"), &reply));
        }
        let keys = text("jwks_uri").map(str::to_owned);
        self.allowed(keys)
    }

    fn allowed(&self, address: Option<String>) -> Result<String> {
        let usual = format!("{}/jwks", self.trust.issuer);
        match address {
            None if self.defect.is("f5_a_discovery_without_key_set_is_refused") => Ok(usual),
            Some(address) if address == usual => Ok(address),
            Some(address) if address.starts_with(&format!("{}/", self.trust.issuer)) => Ok(address),
            Some(address)
                if address.contains('@')
                    && self.defect.is("f5_a_key_set_address_with_credentials_is_refused") =>
            {
                Ok(usual)
            }
            // As if somebody else answered there.
            Some(address)
                if address.contains("169.254")
                    && self.defect.is("f5_a_key_set_at_a_special_address_is_refused") =>
            {
                Ok(usual)
            }
            _ => Err(outage("the address of the key set is not allowed")),
        }
    }
}

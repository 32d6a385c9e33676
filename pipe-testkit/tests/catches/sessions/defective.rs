use std::fmt::Display;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use pipe_core::identity::{
    MemorySessions, SessionKey, SessionRecord, SessionStore, SessionTag, StoredSession,
};
use pipe_core::{Error, ErrorKind, Result};
use pipe_testkit::Needs;
use sha2::{Digest as _, Sha256};

const LONG: Duration = Duration::from_secs(3_600);

/// A store that is right in everything but one defect, which is called after the case that has to
/// find it, and shows only at the keys and tags of that case.
#[derive(Debug)]
pub(crate) struct Defective {
    defect: &'static str,
    /// What the digests of the case have in them.
    mark: String,
    inner: MemorySessions,
    is_down: bool,
    seen: Mutex<Seen>,
}

/// What was done, for stores that do not forget it.
#[derive(Default, Debug)]
struct Seen {
    /// The last record that was stored.
    stored: Option<(SessionKey, SessionRecord)>,
    /// The last state that was read or taken.
    read: Option<StoredSession>,
    inserts: u32,
}

impl Defective {
    pub(crate) fn new(defect: &'static str, needs: Needs) -> Self {
        let mut inner = MemorySessions::new();
        if needs == Needs::Small {
            inner = inner.with_max_sessions(8).with_max_logins(8).with_max_used(8);
        }
        let digest = &Sha256::digest(defect)[..8];
        let mark = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_down = needs == Needs::Unavailable;
        Self { defect, mark, inner, is_down, seen: Mutex::default() }
    }

    /// The defect, where it shows.
    fn defect_at(&self, place: &impl Display) -> &'static str {
        match place.to_string().contains(&self.mark) {
            true => self.defect,
            false => "",
        }
    }

    fn outage(&self, defect: &str, operation: &'static str) -> Error {
        let error = Error::new(ErrorKind::Unavailable, "nobody answers").at("defective", operation);
        match defect {
            "an_unavailable_store_is_retryable" => error.exhausted(),
            "an_unavailable_store_says_where" => {
                Error::new(ErrorKind::Unavailable, "nobody answers")
            }
            _ => error,
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panics here")
    }

    /// Overwrites whatever is there.
    async fn force(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
        self.inner.take(key).await?;
        self.inner.insert(key, record).await
    }
}

/// A record with this defect in it.
fn spoilt(defect: &str, mut record: SessionRecord) -> SessionRecord {
    let bytes = record.data.expose();
    let data = match defect {
        "what_was_inserted_is_read_back" => Some(b"other data".to_vec()),
        "binary_data_comes_back_byte_for_byte" => {
            Some(String::from_utf8_lossy(bytes).into_owned().into_bytes())
        }
        "a_record_at_the_limits_is_kept" => Some(bytes[..bytes.len().min(1_000)].to_vec()),
        "a_record_that_is_too_long_is_refused" => {
            Some(bytes[..bytes.len().min(SessionRecord::LONGEST)].to_vec())
        }
        _ => None,
    };
    if let Some(data) = data {
        record.data = data.into();
    }
    if defect == "a_record_with_too_many_tags_is_refused" {
        record.tags.truncate(SessionRecord::MOST_TAGS);
    }
    if defect == "a_time_beyond_all_bounds_is_kept" && record.ttl > SessionRecord::LONGEST_TTL {
        record.ttl = Duration::ZERO;
    }
    record
}

#[async_trait]
impl SessionStore for Defective {
    async fn insert(&self, key: &SessionKey, record: SessionRecord) -> Result<bool> {
        let defect = self.defect_at(key);
        if self.is_down && defect == "a_bad_record_is_refused_without_asking" {
            return Err(self.outage(defect, "insert"));
        }
        let mut record = spoilt(defect, record);
        record.check()?;
        if self.is_down {
            return match defect {
                "an_unavailable_store_is_an_error" => Ok(false),
                _ => Err(self.outage(defect, "insert")),
            };
        }
        let inserts = {
            let mut seen = self.seen();
            seen.inserts += 1;
            seen.inserts
        };
        match defect {
            "a_second_insert_changes_nothing" if inserts > 1 => {
                self.force(key, record).await?;
                return Ok(false);
            }
            "one_of_many_inserts_at_once_succeeds" if inserts <= 2 => {
                return self.force(key, record).await;
            }
            "a_key_may_be_used_again" if inserts > 1 => return Ok(false),
            "kinds_with_equal_digests_are_apart" => {
                let (SessionKey::Login(digest)
                | SessionKey::Session(digest)
                | SessionKey::Used(digest)) = *key
                else {
                    panic!("another kind of key");
                };
                return self.inner.insert(&SessionKey::Session(digest), record).await;
            }
            "empty_data_is_not_absent" if record.data.is_empty() => return Ok(true),
            "a_dropped_call_leaves_the_store_usable" if inserts > 2 => {
                return Err(self.outage(defect, "insert"));
            }
            "those_without_the_tag_stay" => {
                // By which it will be found in place of the other.
                record.tags.truncate(0);
                record.tags.push(SessionTag::new([7; 32]));
                return self.inner.insert(key, record).await;
            }
            "a_record_without_time_is_gone_at_once" if record.ttl.is_zero() => {
                record.ttl = LONG;
                return self.inner.insert(key, record).await;
            }
            "no_data_appears_in_logs_or_errors" => {
                tracing::debug!(data = record.data.expose_str(), "insert");
            }
            "an_expired_record_is_not_read"
            | "an_expired_record_is_not_taken"
            | "an_expired_record_is_not_counted_by_its_tag"
            | "an_expired_key_may_be_used_again" => {
                record.ttl = LONG;
                return self.inner.insert(key, record).await;
            }
            "an_expired_record_is_not_replaced" => {
                self.seen().stored = Some((*key, record.clone()));
            }
            "a_tag_lasts_as_long_as_its_last_record" => {
                // The tag ends with the record that was inserted last.
                if inserts.is_multiple_of(2) && record.ttl < Duration::from_secs(60) {
                    let stored = self.seen().stored.take().expect("one was inserted before");
                    self.force(&stored.0, SessionRecord::new(stored.1.data, LONG)).await?;
                }
                self.seen().stored = Some((*key, record.clone()));
            }
            _ => {}
        }
        let inserted = self.inner.insert(key, record.clone()).await;
        match (&inserted, defect) {
            (Err(_), "a_full_store_refuses_sessions" | "a_full_store_refuses_marks") => {
                // The first that was kept makes way, and the new one is refused all the same.
                let first = self.seen().stored.take();
                if let Some((first, _)) = first {
                    self.inner.take(&first).await?;
                }
            }
            (Ok(true), "a_full_store_refuses_sessions" | "a_full_store_refuses_marks") => {
                self.seen().stored.get_or_insert((*key, record));
            }
            (Ok(true), "a_flood_of_logins_ends_no_session") => match key {
                SessionKey::Session(_) => self.seen().stored = Some((*key, record)),
                _ if inserts > 100 => {
                    let session = self.seen().stored.take();
                    if let Some((session, _)) = session {
                        self.inner.take(&session).await?;
                    }
                }
                _ => {}
            },
            (Ok(true), "the_newest_login_is_kept") if inserts > 8 => {
                self.inner.take(key).await?;
            }
            _ => {}
        }
        inserted
    }

    async fn get(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        let defect = self.defect_at(key);
        if self.is_down {
            return match defect {
                "an_unavailable_store_is_an_error" => Ok(None),
                _ => Err(self.outage(defect, "get")),
            };
        }
        let found = self.inner.get(key).await?;
        match defect {
            "what_was_never_kept_is_absent" if found.is_none() => {
                Err(Error::new(ErrorKind::NotFound, "no such record"))
            }
            "every_state_has_a_version_of_its_own" => {
                Ok(found.map(|found| StoredSession::new(found.data, 7)))
            }
            "a_version_does_not_fit_a_later_record" => {
                Ok(found.map(|found| StoredSession::new(found.data, 1)))
            }
            _ => Ok(found),
        }
    }

    async fn replace(&self, key: &SessionKey, version: u64, record: SessionRecord) -> Result<bool> {
        let defect = self.defect_at(key);
        if self.is_down && defect == "a_bad_record_is_refused_without_asking" {
            return Err(self.outage(defect, "replace"));
        }
        let mut record = spoilt(defect, record);
        record.check()?;
        if self.is_down {
            return match defect {
                "an_unavailable_store_is_an_error" => Ok(false),
                _ => Err(self.outage(defect, "replace")),
            };
        }
        let current = self.inner.get(key).await?;
        match defect {
            "replace_puts_the_new_record_in_place" => return Ok(true),
            "replace_of_another_version_changes_nothing" if version == u64::MAX => {
                let current = current.expect("there is a record").version;
                self.inner.replace(key, current, record).await?;
                return Ok(false);
            }
            "one_of_many_replaces_at_once_succeeds"
            | "every_state_has_a_version_of_its_own"
            | "a_version_does_not_fit_a_later_record" => return self.force(key, record).await,
            "replace_never_brings_back_what_is_gone" if current.is_none() => {
                return self.force(key, record).await;
            }
            "replace_changes_the_tags" => {
                let old = SessionTag::new([9; 32]);
                record.tags = vec![old];
            }
            "a_tag_that_stays_still_leads_there" => record.tags.clear(),
            "a_record_without_time_is_gone_at_once" if record.ttl.is_zero() => record.ttl = LONG,
            "an_expired_record_is_not_replaced" if current.is_none() => {
                return self.force(key, record).await;
            }
            "replace_may_lengthen_the_time" => record.ttl = record.ttl.min(Duration::from_secs(2)),
            "replace_may_shorten_the_time" => record.ttl = LONG,
            _ => {}
        }
        self.inner.replace(key, version, record).await
    }

    async fn take(&self, key: &SessionKey) -> Result<Option<StoredSession>> {
        let defect = self.defect_at(key);
        if self.is_down {
            return match defect {
                "an_unavailable_store_is_an_error" => Ok(None),
                _ => Err(self.outage(defect, "take")),
            };
        }
        match defect {
            "a_record_is_taken_once" => return self.inner.get(key).await,
            "one_of_many_takes_at_once_succeeds" => {
                let taken = self.inner.take(key).await?;
                let mut seen = self.seen();
                return match taken {
                    Some(taken) => {
                        seen.read = Some(taken.clone());
                        Ok(Some(taken))
                    }
                    // A second one gets it.
                    None => Ok(seen.read.take()),
                };
            }
            "a_tag_ends_with_its_record" => return self.inner.get(key).await,
            "a_full_store_has_room_for_what_was_taken" => return self.inner.get(key).await,
            _ => {}
        }
        self.inner.take(key).await
    }

    async fn remove_tagged(&self, tag: &SessionTag) -> Result<u64> {
        let defect = self.defect_at(tag);
        if self.is_down {
            return match defect {
                "an_unavailable_store_is_an_error" => Ok(0),
                _ => Err(self.outage(defect, "remove_tagged")),
            };
        }
        let tag = match defect {
            "those_without_the_tag_stay" => &SessionTag::new([7; 32]),
            "replace_changes_the_tags" => {
                let other = self.inner.remove_tagged(&SessionTag::new([9; 32])).await?;
                return Ok(other + self.inner.remove_tagged(tag).await?);
            }
            _ => tag,
        };
        let removed = self.inner.remove_tagged(tag).await?;
        Ok(match defect {
            "all_with_a_tag_are_removed" => removed.min(512),
            "a_tag_given_twice_counts_once" => removed * 2,
            _ => removed,
        })
    }
}

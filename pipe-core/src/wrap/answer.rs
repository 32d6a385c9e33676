//! What an answer tells to those who keep records: never what is in it.

use super::Answered;
use crate::SecretRef;
use crate::SecurityContext;
use crate::identity::{
    LoggedIn, LoggedOut, LoginStart, ServiceCredentials, SignedJwt, UserSession, UserToken,
};
use crate::memory::{AddReport, Hit, PathSuggestion};
use crate::secrets::{Secret, SecretStream, WriteOutcome};

pub(super) trait Answer {
    fn answered(&self) -> Answered<'_> {
        Answered::Done
    }
}

impl Answer for Option<Secret> {
    fn answered(&self) -> Answered<'_> {
        if self.is_some() { Answered::Done } else { Answered::Absent }
    }
}

impl Answer for WriteOutcome {
    fn answered(&self) -> Answered<'_> {
        Answered::Written(self.change)
    }
}

/// Whether something was deleted.
impl Answer for bool {
    fn answered(&self) -> Answered<'_> {
        if *self { Answered::Done } else { Answered::Absent }
    }
}

impl Answer for SecurityContext {
    fn answered(&self) -> Answered<'_> {
        Answered::Caller(self)
    }
}

/// Whether there is evidence.
impl Answer for Option<PathSuggestion> {
    fn answered(&self) -> Answered<'_> {
        if self.is_some() { Answered::Done } else { Answered::Absent }
    }
}

/// Who logged in.
impl Answer for LoggedIn {
    fn answered(&self) -> Answered<'_> {
        Answered::Caller(&self.session.context)
    }
}

/// Whose session it is.
impl Answer for Option<UserSession> {
    fn answered(&self) -> Answered<'_> {
        self.as_ref().map_or(Answered::Absent, |session| Answered::Caller(&session.context))
    }
}

impl Answer for Option<UserToken> {
    fn answered(&self) -> Answered<'_> {
        if self.is_some() { Answered::Done } else { Answered::Absent }
    }
}

/// How many sessions ended.
impl Answer for u64 {
    fn answered(&self) -> Answered<'_> {
        if *self > 0 { Answered::Done } else { Answered::Absent }
    }
}

impl Answer for AddReport {}
impl Answer for LoggedOut {}
impl Answer for LoginStart {}
impl Answer for Vec<Hit> {}
impl Answer for Vec<SecretRef> {}
impl Answer for SecretStream {}
impl Answer for ServiceCredentials {}
impl Answer for SignedJwt {}

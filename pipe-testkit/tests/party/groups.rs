//! Who somebody is, and what they may do.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipe_core::identity::{Principal, PrincipalId, Role, TenantId, UserProfile, UserSession};
use pipe_core::{Result, SecurityContext, TokenFault};
use pipe_testkit::LoginTrust;
use serde_json::{Map, Value};

use super::state::Session;
use super::{Inner, rejected};

impl Inner {
    /// What the claims say.
    pub(super) fn person(
        &self,
        claims: &Map<String, Value>,
        scopes: &BTreeSet<String>,
    ) -> Result<UserSession> {
        let defect = self.defect;
        let malformed = || rejected(TokenFault::Malformed);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let words = |name: &str| {
            let list = claims.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let subject = text("sub").unwrap_or_default();
        let id = PrincipalId::new(subject).map_err(|_| malformed())?;
        let (groups, mut roles) = (words("groups"), words("roles"));
        let is_lax = defect.is("a_group_gives_its_role_to_its_members_alone");
        let is_auditor = |group: &String| {
            group == LoginTrust::AUDITORS || is_lax && group.contains(LoginTrust::AUDITORS)
        };
        if groups.iter().any(is_auditor) {
            roles.insert(LoginTrust::AUDITOR.to_owned());
        }
        if groups.is_empty()
            && roles.is_empty()
            && defect.is("a_person_without_groups_and_roles_may_do_nothing")
        {
            roles.insert("viewer".to_owned());
        }
        let mut context =
            SecurityContext::new(Principal::user(id), &self.trust.issuer, UNIX_EPOCH, UNIX_EPOCH);
        context.tenant = text("tenant").map(TenantId::new).transpose().map_err(|_| malformed())?;
        let roles = roles.iter().map(Role::new).collect::<Result<BTreeSet<_>>>();
        context.roles = roles.map_err(|_| malformed())?;
        context.scopes = scopes.clone();
        let mut session = UserSession::new(context);
        let mut profile = UserProfile::default();
        profile.name = text("name");
        profile.email = text("email");
        profile.email_verified = claims.get("email_verified") == Some(&true.into())
            && !defect.is("a_session_tells_who_it_is");
        session.profile = profile;
        session.groups = groups;
        session.assurance = text("acr");
        Ok(session)
    }

    /// For a defect: what anybody with this address was ever given.
    pub(super) fn mix_by_email(&self, session: &mut UserSession) {
        let Some(email) = session.profile.email.clone() else { return };
        let mut memory = self.shared.lock();
        let known = memory.by_email.entry(email).or_default();
        known.extend(session.context.roles.iter().cloned());
        session.context.roles = known.clone();
    }

    /// What applications see of a session.
    pub(super) fn view(&self, session: &Session) -> UserSession {
        let (ends_at, idle_until) = self.ends(session);
        let mut view = session.view.clone();
        let moved = !self.defect.is("the_end_of_a_session_is_moved_by_its_use");
        let idle_until = if moved { idle_until } else { session.began_at + self.idle() };
        view.ends_at = time(ends_at);
        view.idle_until = time(idle_until.min(ends_at));
        view.context.expires_at = match self.defect.is("a_session_says_when_it_ends") {
            true => time(ends_at + 1),
            false => view.idle_until,
        };
        view.context.scopes = session.scopes.clone();
        view
    }

    fn idle(&self) -> u64 {
        self.trust.idle.as_secs()
    }

    /// When a session ends in any case, and when unless it is used.
    pub(super) fn ends(&self, session: &Session) -> (u64, u64) {
        let ends_at = session.began_at + self.trust.longest.as_secs();
        (ends_at, session.used_at + self.idle())
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, session: &Session) -> bool {
        let (ends_at, idle_until) = self.ends(session);
        let is_lax = self.defect.is("a_session_that_is_not_used_ends");
        let idle_until = idle_until + if is_lax { 60 } else { 0 };
        let is_endless = self.defect.is("a_session_ends_at_its_time_in_any_case");
        let now = self.now();
        now >= idle_until || now >= ends_at && !is_endless
    }
}

pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

//! Roles and groups that are looked up elsewhere.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::flights::Flights;
use crate::identity::{Group, PrincipalId, PrincipalKind, Role, RoleResolver, TenantId};
use crate::{Result, SecurityContext, in_current_context};

/// Remembers the roles and groups that another resolver found, and asks once for all who ask at the same time.
///
/// A role that was taken away counts for `ttl` at most. When the resolver cannot be asked, what is
/// past its time is not served: a decision fails, and nobody keeps a role by an outage.
///
/// ```
/// use std::time::Duration;
///
/// use pipe_core::identity::RoleResolver;
/// use pipe_core::wrap::CachedRoles;
///
/// fn remembering(directory: impl RoleResolver) -> impl RoleResolver {
///     CachedRoles::new(directory, Duration::from_secs(30))
/// }
/// ```
pub struct CachedRoles<R> {
    inner: Arc<R>,
    ttl: Duration,
    roles: Memory<Role>,
    groups: Memory<Group>,
}

/// What was found of each caller, and who is asked about just now.
struct Memory<T> {
    kept: Cache<Caller, (Instant, Found<T>)>,
    flights: Flights<Caller, Found<T>>,
}

type Found<T> = Arc<BTreeSet<T>>;
type Asking<T> = Pin<Box<dyn Future<Output = Result<Found<T>>> + Send>>;

/// Who has the roles. The token does not matter, and neither do the roles in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Caller {
    issuer: String,
    tenant: Option<TenantId>,
    kind: PrincipalKind,
    id: PrincipalId,
}

const MOST_CALLERS: usize = 10_000;

impl<R: RoleResolver> CachedRoles<R> {
    /// Remembers what this resolver finds for `ttl`.
    pub fn new(inner: R, ttl: Duration) -> Self {
        Self { inner: Arc::new(inner), ttl, roles: Memory::new(), groups: Memory::new() }
    }

    /// Forgets everybody's roles and groups.
    pub fn clear(&self) {
        self.roles.clear();
        self.groups.clear();
    }
}

impl<T: Clone + Ord + Send + Sync + 'static> Memory<T> {
    fn new() -> Self {
        Self { kept: Cache::new(MOST_CALLERS), flights: Flights::new() }
    }

    fn clear(&self) {
        self.flights.leave_all(|| self.kept.clear());
    }

    /// What is remembered of this caller, or what asking finds.
    async fn find(
        &self,
        caller: &SecurityContext,
        ttl: Duration,
        ask: impl FnOnce() -> Asking<T>,
    ) -> Result<BTreeSet<T>> {
        let key = Caller {
            issuer: caller.issuer.clone(),
            tenant: caller.tenant.clone(),
            kind: caller.principal.kind,
            id: caller.principal.id.clone(),
        };
        if let Some((end, found)) = self.kept.get(&key)
            && Instant::now() < end
        {
            return Ok(BTreeSet::clone(&found));
        }
        let mut ticket = self.flights.join(&key, ask);
        let answer = ticket.wait().await;
        ticket.land(|| match &answer {
            Ok(found) => {
                let end = Instant::now() + ttl;
                self.kept.insert(key.clone(), (end, Arc::clone(found)));
            }
            Err(_) => drop(self.kept.remove(&key)),
        });
        answer.map(|found| BTreeSet::clone(&found))
    }
}

impl<R: fmt::Debug> fmt::Debug for CachedRoles<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRoles")
            .field("inner", &self.inner)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: RoleResolver> RoleResolver for CachedRoles<R> {
    async fn resolve(&self, caller: &SecurityContext) -> Result<BTreeSet<Role>> {
        let ask = || -> Asking<Role> {
            let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
            Box::pin(in_current_context(async move { inner.resolve(&caller).await.map(Arc::new) }))
        };
        self.roles.find(caller, self.ttl, ask).await
    }

    async fn resolve_groups(&self, caller: &SecurityContext) -> Result<BTreeSet<Group>> {
        let ask = || -> Asking<Group> {
            let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
            let asked = async move { inner.resolve_groups(&caller).await.map(Arc::new) };
            Box::pin(in_current_context(asked))
        };
        self.groups.find(caller, self.ttl, ask).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;

    use super::*;
    use crate::identity::Principal;
    use crate::{Error, ErrorKind};

    const TTL: Duration = Duration::from_secs(30);

    #[derive(Debug, Default)]
    struct Directory {
        asked: AtomicUsize,
        fails: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl RoleResolver for Arc<Directory> {
        async fn resolve(&self, caller: &SecurityContext) -> Result<BTreeSet<Role>> {
            tokio::task::yield_now().await;
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Unavailable, "the directory is down"));
            }
            let tenant = caller.tenant.as_ref().map_or("none", TenantId::as_str);
            Ok([Role::new(format!("{tenant}-editor")).unwrap()].into())
        }

        async fn resolve_groups(&self, caller: &SecurityContext) -> Result<BTreeSet<Group>> {
            let roles = self.resolve(caller).await?;
            Ok(roles.iter().map(|role| Group::new(role.as_str()).unwrap()).collect())
        }
    }

    fn caller(tenant: &str) -> SecurityContext {
        let id = PrincipalId::new("bot").unwrap();
        let now = SystemTime::now();
        SecurityContext::new(Principal::service(id), "issuer", now, now)
            .with_tenant(TenantId::new(tenant).unwrap())
    }

    /// REQ 004-75.3
    #[tokio::test(start_paused = true)]
    async fn roles_are_asked_for_once_per_time_to_live() {
        let directory = Arc::new(Directory::default());
        let roles = CachedRoles::new(Arc::clone(&directory), TTL);
        let bni = caller("bni");
        let all = futures_util::future::join_all((0..100).map(|_| roles.resolve(&bni))).await;
        assert!(all.into_iter().all(|roles| roles.is_ok()));
        assert_eq!(directory.asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(TTL).await;
        roles.resolve(&bni).await.unwrap();
        assert_eq!(directory.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_id_in_another_tenant_is_somebody_else() {
        let roles = CachedRoles::new(Arc::new(Directory::default()), TTL);
        let bni = roles.resolve(&caller("bni")).await.unwrap();
        let bnp = roles.resolve(&caller("bnp")).await.unwrap();
        assert!(bni.is_disjoint(&bnp));
    }

    /// REQ 002-17
    #[tokio::test(start_paused = true)]
    async fn groups_are_remembered_apart_from_roles() {
        let directory = Arc::new(Directory::default());
        let roles = CachedRoles::new(Arc::clone(&directory), TTL);
        for _ in 0..3 {
            let groups = roles.resolve_groups(&caller("bni")).await.unwrap();
            assert_eq!(groups, [Group::new("bni-editor").unwrap()].into());
        }
        assert_eq!(directory.asked.load(Ordering::Relaxed), 1);
        roles.resolve(&caller("bni")).await.unwrap();
        assert_eq!(directory.asked.load(Ordering::Relaxed), 2);
        roles.clear();
        roles.resolve_groups(&caller("bni")).await.unwrap();
        assert_eq!(directory.asked.load(Ordering::Relaxed), 3);
    }

    #[derive(Debug)]
    struct RolesAlone;

    #[async_trait]
    impl RoleResolver for RolesAlone {
        async fn resolve(&self, _: &SecurityContext) -> Result<BTreeSet<Role>> {
            Ok(BTreeSet::new())
        }
    }

    /// Not known is not none.
    #[tokio::test]
    async fn a_resolver_of_roles_does_not_say_that_there_are_no_groups() {
        let roles: Arc<dyn RoleResolver> = Arc::new(CachedRoles::new(RolesAlone, TTL));
        let error = roles.resolve_groups(&caller("bni")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_leaves_nobody_a_role_past_its_time() {
        let directory = Arc::new(Directory::default());
        let roles = CachedRoles::new(Arc::clone(&directory), TTL);
        roles.resolve(&caller("bni")).await.unwrap();
        directory.fails.store(true, Ordering::Relaxed);
        assert!(roles.resolve(&caller("bni")).await.is_ok());
        tokio::time::advance(TTL).await;
        let error = roles.resolve(&caller("bni")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        directory.fails.store(false, Ordering::Relaxed);
        assert!(roles.resolve(&caller("bni")).await.is_ok());
    }
}

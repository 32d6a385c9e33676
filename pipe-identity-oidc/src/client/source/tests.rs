use super::*;

use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;

use tokio::sync::Semaphore;
use tokio::time::sleep;

const HOUR: u64 = 3600;

/// A provider whose answers a test decides.
#[derive(Clone, Debug)]
struct Scripted(Arc<Script>);

#[derive(Debug)]
struct Script {
    asked: AtomicU32,
    life: AtomicU64,
    fails: Mutex<Option<Error>>,
    /// When set, an answer waits for a permit.
    gate: Mutex<Option<Arc<Semaphore>>>,
    tokens: Mutex<VecDeque<&'static str>>,
    clock: Clock,
}

impl Scripted {
    fn new() -> Self {
        Self::with_clock(Clock::default())
    }

    fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Script {
            asked: AtomicU32::new(0),
            life: AtomicU64::new(HOUR),
            fails: Mutex::default(),
            gate: Mutex::default(),
            tokens: Mutex::default(),
            clock,
        }))
    }

    fn source(&self) -> CredentialSource {
        let patience = Duration::from_secs(30);
        CredentialSource::new(self.clone(), self.0.clock.clone(), patience)
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn live(&self, seconds: u64) {
        self.0.life.store(seconds, Ordering::SeqCst);
    }

    fn fail(&self, error: impl Into<Option<Error>>) {
        *self.0.fails.lock().unwrap() = error.into();
    }

    fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }
}

#[async_trait]
impl Obtain for Scripted {
    async fn obtain(&self) -> Result<Obtained> {
        let asked_at = Instant::now();
        let count = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let gate = self.0.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(error) = self.0.fails.lock().unwrap().clone() {
            return Err(error);
        }
        let fixed = self.0.tokens.lock().unwrap().pop_front();
        let token = fixed.map_or_else(|| format!("token-{count}"), str::to_owned);
        let lifetime = Duration::from_secs(self.0.life.load(Ordering::SeqCst));
        Ok(Obtained {
            token: BearerToken::new(token),
            scopes: BTreeSet::new(),
            lifetime,
            asked_at,
            expires_at: self.0.clock.now() + lifetime,
        })
    }
}

fn outage() -> Error {
    Error::new(ErrorKind::Unavailable, "scripted")
}

fn bearer(credentials: ServiceCredentials) -> BearerToken {
    let Credential::Bearer(token) = credentials.credential else { panic!("no token") };
    token
}

async fn token(source: &CredentialSource) -> String {
    bearer(source.get().await.unwrap()).expose_str().unwrap().to_owned()
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_request() {
    let provider = Scripted::new();
    let source = provider.source();
    let tokens = futures_util::future::join_all((0..1_000).map(|_| token(&source))).await;
    assert!(tokens.iter().all(|token| token == "token-1"));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_end_the_request_of_others() {
    let provider = Scripted::new();
    let (source, gate) = (provider.source(), provider.close_gate());
    let gone = timeout(Duration::from_secs(1), source.get()).await;
    assert!(gone.is_err());
    gate.add_permits(1);
    assert_eq!(token(&source).await, "token-1");
    assert_eq!(provider.asked(), 1);
}

/// REQ 004-72.3
#[tokio::test(start_paused = true)]
async fn a_credential_in_use_is_refreshed_at_four_fifths_of_its_life_or_a_tenth_earlier() {
    for _ in 0..50 {
        let provider = Scripted::new();
        let source = provider.source();
        assert_eq!(token(&source).await, "token-1");
        pass(HOUR * 72 / 100 - 1).await;
        assert_eq!(provider.asked(), 1);
        pass(HOUR * 8 / 100 + 2).await;
        assert_eq!(provider.asked(), 2, "without anybody asking");
        assert_eq!(token(&source).await, "token-2");
    }
}

/// REQ 004-72.3
#[tokio::test(start_paused = true)]
async fn nobody_waits_while_a_working_credential_is_refreshed() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    let gate = provider.close_gate();
    while provider.asked() < 2 {
        pass(1).await;
    }
    let before = Instant::now();
    assert_eq!(token(&source).await, "token-1");
    assert_eq!(Instant::now(), before);
    gate.add_permits(1);
    pass(1).await;
    assert_eq!(token(&source).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_not_refreshed() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    pass(10 * HOUR).await;
    assert_eq!(provider.asked(), 2, "once, for it had been used");
    assert_eq!(token(&source).await, "token-3");
}

/// The next caller of what was left alone starts the refresh, and does not wait for it.
#[tokio::test(start_paused = true)]
async fn late_use_starts_the_refresh() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    pass(HOUR * 81 / 100).await;
    assert_eq!(provider.asked(), 2);
    pass(HOUR * 81 / 100).await;
    assert_eq!(token(&source).await, "token-2");
    pass(1).await;
    assert_eq!(token(&source).await, "token-3");
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_not_refreshed_within_thirty_seconds() {
    let provider = Scripted::new();
    provider.live(36);
    let source = provider.source();
    token(&source).await;
    pass(29).await;
    assert_eq!((token(&source).await.as_str(), provider.asked()), ("token-1", 1));
    pass(2).await;
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_very_short_life_is_used_to_nine_tenths() {
    let provider = Scripted::new();
    provider.live(5);
    let source = provider.source();
    token(&source).await;
    sleep(Duration::from_millis(4_499)).await;
    assert_eq!(token(&source).await, "token-1");
    sleep(Duration::from_millis(2)).await;
    assert_eq!(token(&source).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn the_old_credential_is_served_during_an_outage_until_it_expires() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    provider.fail(outage());
    for _ in 0..HOUR - 11 {
        pass(1).await;
        assert_eq!(token(&source).await, "token-1");
    }
    pass(2).await;
    assert_eq!(source.get().await.unwrap_err().kind(), ErrorKind::Unavailable);
    provider.fail(None);
    pass(6).await;
    assert!(source.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_tried_again_less_and_less_often() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    provider.fail(outage());
    pass(HOUR * 81 / 100).await;
    let before = provider.asked();
    // Between the first pause of half a second to one and the longest of half a minute to one.
    pass(600).await;
    let tried = provider.asked() - before;
    assert!((9..=22).contains(&tried), "{tried} attempts in ten minutes");
    provider.fail(None);
    pass(61).await;
    let asked = provider.asked();
    assert_eq!(token(&source).await, format!("token-{asked}"));
    pass(60).await;
    assert_eq!(provider.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_for_a_short_time_and_then_asked_anew() {
    let provider = Scripted::new();
    let source = provider.source();
    provider.fail(outage());
    for _ in 0..100 {
        assert!(source.get().await.is_err());
    }
    assert_eq!(provider.asked(), 1);
    provider.fail(None);
    pass(2).await;
    assert_eq!(token(&source).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_the_provider_is_asked_within_five_seconds() {
    let provider = Scripted::new();
    let source = provider.source();
    provider.fail(outage());
    for _ in 0..600 {
        assert!(source.get().await.is_err());
        pass(1).await;
    }
    assert!(provider.asked() <= 130, "{}", provider.asked());
    provider.fail(None);
    pass(5).await;
    assert!(source.get().await.is_ok());
}

#[test]
fn the_providers_own_wait_is_kept_within_a_minute() {
    let busy = |seconds| outage().retry_in(Duration::from_secs(seconds));
    assert!(pause(0, &outage()) <= Duration::from_secs(1));
    assert_eq!(pause(0, &busy(7)), Duration::from_secs(7));
    assert_eq!(pause(0, &busy(3600)), LONGEST_PAUSE);
    for failures in [6, 7, 100, u32::MAX] {
        let pause = pause(failures, &outage());
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_given_up() {
    let provider = Scripted::new();
    let (source, _gate) = (provider.source(), provider.close_gate());
    let before = Instant::now();
    assert_eq!(source.get().await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(before.elapsed() <= Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_refused_is_replaced_once() {
    let provider = Scripted::new();
    let source = provider.source();
    let first = bearer(source.get().await.unwrap());
    assert!(source.invalidate_if_same(&first));
    assert!(!source.invalidate_if_same(&first), "there is none");
    let second = bearer(source.get().await.unwrap());
    assert_eq!(second.expose(), b"token-2");
    assert!(!source.invalidate_if_same(&first), "it has been replaced");
    assert!(!source.invalidate_if_same(&second), "it would not get better");
    assert_eq!((token(&source).await.as_str(), provider.asked()), ("token-2", 2));
    pass(11).await;
    assert!(source.invalidate_if_same(&second));
    assert_eq!(token(&source).await, "token-3");
}

/// A hundred callers see the same 401 and say so.
#[tokio::test(start_paused = true)]
async fn one_refused_token_costs_one_request() {
    let provider = Scripted::new();
    let source = provider.source();
    let refused = bearer(source.get().await.unwrap());
    let calls = (0..100).map(|_| async {
        source.invalidate_if_same(&refused);
        token(&source).await
    });
    let tokens = futures_util::future::join_all(calls).await;
    assert!(tokens.iter().all(|token| token == "token-2"));
    assert_eq!(provider.asked(), 2);
}

/// A provider may keep handing out the same token.
#[tokio::test(start_paused = true)]
async fn the_same_token_again_does_not_lead_in_circles() {
    let provider = Scripted::new();
    provider.0.tokens.lock().unwrap().extend(["same"; 50]);
    let source = provider.source();
    let mut invalidated = 0;
    for _ in 0..20 {
        let token = bearer(source.get().await.unwrap());
        invalidated += u32::from(source.invalidate_if_same(&token));
    }
    assert_eq!((invalidated, provider.asked()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_served_during_an_outage() {
    let provider = Scripted::new();
    let source = provider.source();
    let refused = bearer(source.get().await.unwrap());
    provider.fail(outage());
    source.invalidate_if_same(&refused);
    assert!(source.get().await.is_err());
    provider.fail(None);
    pass(2).await;
    assert!(source.get().await.is_ok());
}

/// F9
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_obtains_another_credential() {
    let today = Arc::new(AtomicU64::new(1_000));
    let shown = Arc::clone(&today);
    let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::SeqCst));
    let provider = Scripted::with_clock(Clock::new(now));
    let source = provider.source();
    token(&source).await;
    today.fetch_add(2 * HOUR, Ordering::SeqCst);
    assert_eq!(token(&source).await, "token-2");
    // Set back: the life is measured with a clock that nobody sets.
    today.store(0, Ordering::SeqCst);
    assert_eq!(token(&source).await, "token-2");
    pass(HOUR).await;
    assert_ne!(token(&source).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn nothing_works_and_nothing_runs_after_close() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    source.clone().close();
    let error = source.get().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && !error.is_retryable(), "{error}");
    pass(10 * HOUR).await;
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_at_close_gives_nothing() {
    let provider = Scripted::new();
    let (source, gate) = (provider.source(), provider.close_gate());
    let waiting = tokio::spawn({
        let source = source.clone();
        async move { source.get().await }
    });
    pass(1).await;
    source.close();
    gate.add_permits(1);
    assert!(waiting.await.unwrap().is_err());
    assert!(source.get().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_background_refresh_ends_with_the_last_handle() {
    let provider = Scripted::new();
    let source = provider.source();
    token(&source).await;
    drop(source.clone());
    drop(source);
    assert_eq!(Arc::strong_count(&provider.0), 1);
    pass(10 * HOUR).await;
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_obtaining_is_an_error_and_not_the_end() {
    #[derive(Debug)]
    struct Panics(AtomicU32);
    #[async_trait]
    impl Obtain for Panics {
        async fn obtain(&self) -> Result<Obtained> {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "scripted");
            Err(outage())
        }
    }
    let panics = Panics(AtomicU32::new(0));
    let source = CredentialSource::new(panics, Clock::default(), Duration::from_secs(1));
    assert!(source.get().await.unwrap_err().to_string().contains("runtime"));
    assert!(source.get().await.unwrap_err().to_string().contains("scripted"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_refresh_that_nobody_waits_for_does_not_end_refreshing() {
    #[derive(Debug)]
    struct Sometimes(Scripted, AtomicU32);
    #[async_trait]
    impl Obtain for Sometimes {
        async fn obtain(&self) -> Result<Obtained> {
            assert!(self.1.fetch_add(1, Ordering::SeqCst) != 2, "scripted");
            self.0.obtain().await
        }
    }
    let provider = Sometimes(Scripted::new(), AtomicU32::new(0));
    let source = CredentialSource::new(provider, Clock::default(), Duration::from_secs(30));
    token(&source).await;
    // The second is obtained and not used, so that nobody keeps it fresh.
    pass(HOUR * 81 / 100).await;
    pass(HOUR * 81 / 100).await;
    assert_eq!(token(&source).await, "token-2", "and starts the refresh that panics");
    pass(1).await;
    assert_eq!(token(&source).await, "token-2");
    pass(1).await;
    assert_eq!(token(&source).await, "token-3");
}

/// H2
#[tokio::test(start_paused = true)]
async fn debug_shows_no_token() {
    let source = Scripted::new().source();
    token(&source).await;
    let shown = format!("{source:?}");
    assert!(shown.contains("holds_one: true") && !shown.contains("token-1"), "{shown}");
}

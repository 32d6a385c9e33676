use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::identity::{AuthMethod, Credential, Principal, PrincipalId};
use crate::secrets::{Change, SecretVersion};
use crate::{HealthStatus, TokenFault};

const DOWN: [ErrorKind; 3] = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::RateLimited];

/// Every kind of answer that is not "ask somebody else".
const ANSWERS: [ErrorKind; 9] = [
    ErrorKind::ConfigInvalid,
    ErrorKind::Conflict,
    ErrorKind::InvalidArgument,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::TokenRejected(TokenFault::Inactive),
    ErrorKind::Unauthenticated,
    ErrorKind::Unexpected,
    ErrorKind::Unsupported,
];

/// Gives the same answer to everything, and remembers what it was asked.
#[derive(Debug)]
struct Fixed {
    name: &'static str,
    answer: Result<bool, ErrorKind>,
    asked: Mutex<Vec<&'static str>>,
}

impl Fixed {
    /// Whether there is something.
    fn says(name: &'static str, answer: Result<bool, ErrorKind>) -> Self {
        Self { name, answer, asked: Mutex::default() }
    }

    fn ask(&self, operation: &'static str) -> Result<bool> {
        self.asked.lock().unwrap().push(operation);
        self.answer.map_err(|kind| Error::new(kind, self.name).at(self.name, operation))
    }

    fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Plugin for Fixed {
    fn name(&self) -> &str {
        self.name
    }
    async fn health(&self) -> Health {
        self.ask("health").map_or_else(|error| Health::from(&error), |_| Health::healthy())
    }
    async fn close(&self) -> Result<()> {
        self.ask("close").map(|_| ())
    }
}

#[async_trait]
impl SecretsPlugin for Fixed {
    fn capabilities(&self) -> SecretsCapabilities {
        let capabilities = SecretsCapabilities::READ_ONLY.with_list();
        if self.name == "first" { capabilities.with_versions() } else { capabilities }
    }
    async fn get_secret(&self, _: &SecretRef) -> Result<Option<Secret>> {
        let data = SecretData::new().with("from", self.name);
        let secret = Secret::new(data).with_version(SecretVersion::new(7));
        Ok(self.ask("get_secret")?.then_some(secret))
    }
    async fn create_secret(&self, _: &SecretRef, _: SecretData) -> Result<WriteOutcome> {
        self.ask("create_secret").map(|_| WriteOutcome::new(Change::Created))
    }
    async fn delete_secret(&self, _: &SecretRef) -> Result<bool> {
        self.ask("delete_secret")
    }
    async fn list_secrets(&self, _: &ListQuery) -> Result<Vec<SecretRef>> {
        self.ask("list_secrets").map(|_| vec![SecretRef::new(self.name).unwrap()])
    }
    async fn watch_secret(&self, _: &SecretRef) -> Result<SecretStream> {
        self.ask("watch_secret").map(|_| SecretStream::new(futures_util::stream::empty()))
    }
}

#[async_trait]
impl IdentityPlugin for Fixed {
    fn capabilities(&self) -> IdentityCapabilities {
        if self.name == "first" {
            IdentityCapabilities::VERIFY_ONLY.with_issue()
        } else {
            IdentityCapabilities::VERIFY_ONLY
        }
    }
    async fn authenticate_service(&self, _: &ServiceAuthRequest) -> Result<ServiceCredentials> {
        self.ask("authenticate_service")?;
        let credential = Credential::Bearer(BearerToken::new(self.name));
        Ok(ServiceCredentials::new(credential, UNIX_EPOCH))
    }
    async fn generate_jwt(&self, _: &JwtRequest) -> Result<SignedJwt> {
        self.ask("generate_jwt")?;
        Ok(SignedJwt::new(BearerToken::new(self.name), self.name, UNIX_EPOCH))
    }
    async fn validate_token(
        &self,
        _: &BearerToken,
        _: &TokenExpectation,
    ) -> Result<SecurityContext> {
        self.ask("validate_token").map(|_| context(self.name))
    }
    async fn get_security_context(&self, _: &ContextRequest) -> Result<SecurityContext> {
        self.ask("get_security_context").map(|_| context(self.name))
    }
}

fn context(issuer: &str) -> SecurityContext {
    let id = PrincipalId::new("bot").unwrap();
    let end = UNIX_EPOCH + Duration::from_secs(60);
    SecurityContext::new(Principal::service(id), issuer, UNIX_EPOCH, end)
}

type Pair = Fallback<Fixed, Fixed>;

const READS: FallbackPolicy = FallbackPolicy::reads_when_unavailable();

fn pair(
    first: Result<bool, ErrorKind>,
    second: Result<bool, ErrorKind>,
    policy: FallbackPolicy,
) -> Pair {
    Fallback::new(Fixed::says("first", first), Fixed::says("second", second), policy)
}

fn reference() -> SecretRef {
    SecretRef::new("apps/db").unwrap()
}

/// Who answered, when anybody did.
async fn read(pair: &Pair) -> Result<Option<String>, ErrorKind> {
    let found = pair.get_secret(&reference()).await.map_err(|error| error.kind())?;
    Ok(found.map(|found| found.data.get("from").unwrap().expose_str().unwrap().to_owned()))
}

/// What each operation of identity answers: who, or why not.
async fn identity(pair: &Pair) -> [Result<String, ErrorKind>; 4] {
    let token = BearerToken::new("token");
    let service = ServiceAuthRequest::new("bot", AuthMethod::Jwt);
    let jwt = JwtRequest::new(PrincipalId::new("bot").unwrap());
    let credentials = pair.authenticate_service(&service).await.map(|given| {
        let Credential::Bearer(token) = given.credential else { panic!("a bearer token") };
        token.expose_str().unwrap().to_owned()
    });
    let issuer = |context: SecurityContext| context.issuer;
    let validated = pair.validate_token(&token, &TokenExpectation::audience("a")).await;
    let resolved = pair.get_security_context(&ContextRequest::new(context("x"))).await;
    let signed = pair.generate_jwt(&jwt).await.map(|signed| signed.id);
    [credentials, validated.map(issuer), resolved.map(issuer), signed]
        .map(|answer| answer.map_err(|error| error.kind()))
}

/// REQ 000-45, 002-07
#[tokio::test]
async fn a_secret_is_read_from_the_second_store_only_when_the_first_cannot_be_asked() {
    for kind in DOWN {
        assert_eq!(read(&pair(Err(kind), Ok(true), READS)).await, Ok(Some("second".into())));
    }
    let policy = READS.with_complete_secondary().with_identity();
    for kind in ANSWERS {
        let pair = pair(Err(kind), Ok(true), policy);
        assert_eq!(read(&pair).await, Err(kind));
        assert_eq!(pair.secondary.asked(), [""; 0], "{kind:?}");
    }
    for there in [true, false] {
        let pair = pair(Ok(there), Ok(true), policy);
        assert_eq!(read(&pair).await, Ok(there.then(|| "first".into())));
        assert_eq!(pair.secondary.asked(), [""; 0]);
    }
}

#[tokio::test]
async fn not_there_is_an_answer_only_of_a_store_that_holds_everything() {
    let down = Err(ErrorKind::Unavailable);
    let error = pair(down, Ok(false), READS).get_secret(&reference()).await.unwrap_err();
    assert_eq!((error.plugin(), error.kind()), ("first", ErrorKind::Unavailable));
    assert_eq!(error.context("secondary"), Some("not_found"));
    assert_eq!(read(&pair(down, Ok(false), READS.with_complete_secondary())).await, Ok(None));
}

#[tokio::test]
async fn what_neither_can_tell_is_the_first_ones_error() {
    for second in DOWN.into_iter().chain(ANSWERS) {
        let pair = pair(Err(ErrorKind::Timeout), Err(second), READS.with_complete_secondary());
        let list = pair.list_secrets(&ListQuery::new()).await.unwrap_err();
        for error in [pair.get_secret(&reference()).await.unwrap_err(), list] {
            assert_eq!((error.plugin(), error.kind()), ("first", ErrorKind::Timeout));
            assert_eq!(error.context("secondary"), Some(second.name()));
        }
    }
}

#[tokio::test]
async fn a_first_plugin_whose_retries_are_over_is_still_unavailable() {
    let exhausted = Error::new(ErrorKind::Unavailable, "down").exhausted();
    assert!(moves_on(&exhausted));
}

#[tokio::test]
async fn a_version_means_nothing_to_the_second_store() {
    let pair = pair(Err(ErrorKind::Unavailable), Ok(true), READS);
    assert_eq!(pair.get_secret(&reference()).await.unwrap().unwrap().version, None);
    let old = reference().with_version(SecretVersion::new(3));
    assert_eq!(pair.get_secret(&old).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(pair.secondary.asked(), ["get_secret"]);
}

#[tokio::test]
async fn a_list_is_complete_or_an_error() {
    let down = Err(ErrorKind::Unavailable);
    let query = ListQuery::new();
    let error = pair(down, Ok(true), READS).list_secrets(&query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let complete = READS.with_complete_secondary();
    let listed = pair(down, Ok(true), complete).list_secrets(&query).await.unwrap();
    assert_eq!(listed, [SecretRef::new("second").unwrap()]);
    let denied = pair(Err(ErrorKind::PermissionDenied), Ok(true), complete);
    assert!(denied.list_secrets(&query).await.is_err());
}

#[tokio::test]
async fn writes_deletions_and_watches_are_the_first_ones_alone() {
    let policy = READS.with_complete_secondary().with_identity();
    for kind in DOWN {
        let pair = pair(Err(kind), Ok(true), policy);
        let data = SecretData::new().with("a", "b");
        let errors = [
            pair.create_secret(&reference(), data).await.err(),
            pair.delete_secret(&reference()).await.err(),
            pair.watch_secret(&reference()).await.err(),
        ];
        assert!(errors.iter().all(|error| error.as_ref().unwrap().kind() == kind));
        assert_eq!(pair.secondary.asked(), [""; 0]);
    }
}

/// REQ 000-45, 002-07
#[tokio::test]
async fn identity_does_not_fall_back_unless_the_policy_says_so() {
    let pair = pair(Err(ErrorKind::Unavailable), Ok(true), READS.with_complete_secondary());
    assert_eq!(identity(&pair).await, [const { Err(ErrorKind::Unavailable) }; 4]);
    assert_eq!(pair.secondary.asked(), [""; 0]);
}

#[tokio::test]
async fn a_trusted_second_verifier_answers_only_when_the_first_cannot_be_asked() {
    let policy = READS.with_identity();
    for kind in DOWN {
        let answers = identity(&pair(Err(kind), Ok(true), policy)).await;
        assert!(answers.iter().all(|answer| answer.as_deref() == Ok("second")), "{kind:?}");
    }
    for kind in ANSWERS {
        let pair = pair(Err(kind), Ok(true), policy);
        assert!(identity(&pair).await.iter().all(|answer| *answer == Err(kind)));
        assert_eq!(pair.secondary.asked(), [""; 0], "{kind:?}");
    }
}

/// REQ 000-45
#[tokio::test]
async fn nothing_that_is_refused_becomes_allowed() {
    for first in DOWN.into_iter().chain(ANSWERS) {
        for second in DOWN.into_iter().chain(ANSWERS) {
            let pair = pair(Err(first), Err(second), READS.with_identity());
            let refuses =
                matches!(second, ErrorKind::TokenRejected(_) | ErrorKind::PermissionDenied);
            let expected = if first.is_retryable() && refuses { second } else { first };
            for answer in identity(&pair).await {
                assert_eq!(answer, Err(expected), "{first:?} {second:?}");
            }
        }
    }
}

/// REQ 002-07
#[tokio::test]
async fn health_is_degraded_when_only_one_of_them_serves() {
    let down = Err(ErrorKind::Unavailable);
    for (first, second, expected) in [
        (Ok(true), Ok(true), HealthStatus::Healthy),
        (down, Ok(true), HealthStatus::Degraded),
        (Ok(true), down, HealthStatus::Degraded),
        (down, down, HealthStatus::Unhealthy),
    ] {
        assert_eq!(pair(first, second, READS).health().await.status, expected);
    }
    let health = pair(down, Ok(true), READS).health().await;
    assert_eq!(health.reason, "first does not serve: first");
    assert!(!health.hint.is_empty());
}

#[tokio::test]
async fn both_are_closed_and_the_first_error_is_told() {
    let (denied, down) = (ErrorKind::PermissionDenied, ErrorKind::Unavailable);
    for (first, second, expected) in [
        (Ok(true), Ok(true), None),
        (Err(denied), Err(down), Some(denied)),
        (Ok(true), Err(down), Some(down)),
    ] {
        let pair = pair(first, second, READS);
        assert_eq!(pair.close().await.err().map(|error| error.kind()), expected);
        assert_eq!((pair.primary.asked(), pair.secondary.asked()), (vec!["close"], vec!["close"]));
    }
}

#[test]
fn name_and_capabilities_are_the_first_ones() {
    let pair = pair(Ok(true), Ok(true), READS);
    assert_eq!(pair.name(), "first");
    assert!(SecretsPlugin::capabilities(&pair).versions);
    assert!(IdentityPlugin::capabilities(&pair).issue);
}

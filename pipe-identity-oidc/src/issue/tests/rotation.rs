//! Keys that come and go while tokens are under way (I5).

use proptest::prelude::*;

use super::*;

/// A signer whose key is elsewhere, as its answers say.
#[derive(Debug)]
struct Foreign {
    key: SigningKey,
    key_id: Option<&'static str>,
    jwk: Option<Value>,
}

#[async_trait::async_trait]
impl Signer for Foreign {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
    fn key_id(&self) -> Option<&str> {
        self.key_id
    }
    fn public_jwk(&self) -> Option<Value> {
        self.jwk.clone()
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.key.sign(message).await
    }
}

fn published_ids(issuer: &TokenIssuer) -> BTreeSet<String> {
    let jwks = issuer.jwks();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn id_of(key: &SigningKey) -> String {
    key.key_id().unwrap().to_owned()
}

/// I5
#[tokio::test]
async fn an_old_key_stays_until_its_last_token_has_ended_and_the_leeway_is_over() {
    let (time, first, second) = (Time::new(), key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let issuer = issuer_with(first.clone()).with_clock(time.clock());
    issuer.issue(&request().with_lifetime(Duration::from_secs(100))).await.unwrap();
    time.advance(50);
    let last = issuer.issue(&request().with_lifetime(Duration::from_secs(100))).await.unwrap();
    issuer.rotate(second.clone()).unwrap();
    let generation = issuer.verification_keys().generation;

    assert_eq!(segment(text(&issuer.issue(&request()).await.unwrap()), 0)["kid"], id_of(&second));
    time.advance(100 + 29);
    assert!(verifies(text(&last), &issuer.jwks()));
    assert_eq!(issuer.verification_keys().generation, generation);
    time.advance(1);
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&second)]));
    assert_ne!(issuer.verification_keys().generation, generation);
}

#[tokio::test]
async fn an_old_key_that_signed_nothing_is_gone_at_once() {
    let issuer = issuer();
    let second = key(Algorithm::EdDsa);
    issuer.rotate(second.clone()).unwrap();
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&second)]));
}

#[tokio::test]
async fn a_published_key_does_not_sign_before_it_is_promoted() {
    let (first, next, other) =
        (key(Algorithm::EdDsa), key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let issuer = issuer_with(first.clone());
    assert_eq!(issuer.promote().unwrap_err().kind(), ErrorKind::InvalidArgument);
    issuer.publish_next(other.clone()).unwrap();
    issuer.publish_next(next.clone()).unwrap();
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&first), id_of(&next)]));
    let signed = issuer.issue(&request()).await.unwrap();
    assert_eq!(segment(text(&signed), 0)["kid"], id_of(&first));
    issuer.promote().unwrap();
    let signed = issuer.issue(&request()).await.unwrap();
    assert_eq!(segment(text(&signed), 0)["kid"], id_of(&next));
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&first), id_of(&next)]));
}

#[tokio::test]
async fn rotating_to_the_next_key_uses_it_up_and_to_another_leaves_it() {
    let (next, other) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let issuer = issuer();
    issuer.publish_next(next.clone()).unwrap();
    issuer.rotate(other.clone()).unwrap();
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&next), id_of(&other)]));
    issuer.rotate(next.clone()).unwrap();
    assert_eq!(published_ids(&issuer), BTreeSet::from([id_of(&next)]));
    assert!(issuer.promote().is_err());
}

#[tokio::test]
async fn a_rotation_that_would_drop_a_needed_key_is_refused() {
    let time = Time::new();
    let issuer = issuer().with_clock(time.clock());
    for _ in 1..TokenIssuer::MAX_KEYS {
        issuer.issue(&request()).await.unwrap();
        issuer.rotate(key(Algorithm::EdDsa)).unwrap();
    }
    let signed = issuer.issue(&request()).await.unwrap();
    let before = published_ids(&issuer);
    let one_more = key(Algorithm::EdDsa);
    for refused in [issuer.rotate(one_more.clone()), issuer.publish_next(one_more.clone())] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(published_ids(&issuer), before);
    assert!(verifies(text(&signed), &issuer.jwks()));
    time.advance(3600 + 30);
    issuer.rotate(one_more).unwrap();
}

#[tokio::test]
async fn a_key_under_a_name_that_is_in_use_is_refused() {
    let first = key(Algorithm::EdDsa);
    let issuer = issuer_with(first.clone());
    issuer.issue(&request()).await.unwrap();
    assert_eq!(issuer.rotate(first.clone()).unwrap_err().kind(), ErrorKind::Conflict);
    issuer.rotate(key(Algorithm::EdDsa)).unwrap();
    assert_eq!(issuer.rotate(first).unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn secrets_rotate_when_they_are_named_and_never_mix_with_public_keys() {
    let named = |name: &str| {
        Arc::new(SigningKey::generate(Algorithm::Hs256).unwrap().with_key_id(name).unwrap())
    };
    let issuer = issuer_with(named("one"));
    issuer.issue(&request()).await.unwrap();
    for wrong in [key(Algorithm::Hs256), key(Algorithm::EdDsa)] {
        assert_eq!(issuer.rotate(wrong).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
    issuer.rotate(named("two")).unwrap();
    let keys = issuer.verification_keys().keys;
    let names: Vec<_> = keys.iter().map(|key| key.key_id.as_deref().unwrap()).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!(issuer.jwks(), json!({ "keys": [] }));
}

/// I4
#[tokio::test]
async fn private_members_of_a_foreign_signers_jwk_are_not_published() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut jwk = key.public_jwk().unwrap();
    jwk["kid"] = "named".into();
    jwk["d"] = "canary".into();
    jwk["k"] = "canary".into();
    let issuer = issuer_with(Arc::new(Foreign { key, key_id: Some("named"), jwk: Some(jwk) }));
    let jwks = issuer.jwks();
    let members: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert!(verifies(text(&issuer.issue(&request()).await.unwrap()), &jwks));
}

#[test]
fn a_signer_that_contradicts_itself_is_refused() {
    let foreign = |change: fn(&mut Value), key_id| {
        let key = SigningKey::generate(Algorithm::Es256).unwrap().with_key_id("a").unwrap();
        let mut jwk = key.public_jwk().unwrap();
        change(&mut jwk);
        let jwk = Some(jwk).filter(Value::is_object);
        TokenIssuer::new("issuer", Arc::new(Foreign { key, key_id, jwk }))
    };
    assert!(foreign(|_| (), Some("a")).is_ok());
    for refused in [
        foreign(|_| (), None),
        foreign(|_| (), Some("b")),
        foreign(|_| (), Some("a\nb")),
        foreign(|jwk| *jwk = Value::Null, Some("a")),
        foreign(|jwk| jwk["alg"] = "ES384".into(), Some("a")),
        foreign(|jwk| jwk["crv"] = "P-384".into(), Some("a")),
        foreign(|jwk| jwk["kty"] = "RSA".into(), Some("a")),
        foreign(|jwk| jwk["x"] = Value::Null, Some("a")),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Issue(u64),
    PublishNext,
    Promote,
    Rotate,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..500).prop_map(Step::Issue),
        1 => Just(Step::PublishNext),
        1 => Just(Step::Promote),
        2 => Just(Step::Rotate),
        3 => (0_u64..200).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// I5: whatever happens, the key of every token that may still be accepted is published, and
    /// nothing else but the current key and the next.
    #[test]
    fn exactly_the_needed_keys_are_published(steps in prop::collection::vec(step(), 1..60)) {
        let time = Time::new();
        let mut current = key(Algorithm::EdDsa);
        let mut next: Option<Arc<SigningKey>> = None;
        let issuer = issuer_with(current.clone()).with_clock(time.clock());
        // The key of each token, and the moment from which nobody accepts it.
        let mut tokens: Vec<(String, u64)> = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for step in steps {
            match step {
                Step::Wait(seconds) => time.advance(seconds),
                Step::Issue(seconds) => {
                    let request = request().with_lifetime(Duration::from_secs(seconds));
                    let signed = runtime.block_on(issuer.issue(&request)).unwrap();
                    let jwks = issuer.jwks();
                    prop_assert!(verifies(text(&signed), &jwks));
                    tokens.push((id_of(&current), time.now() + seconds + 30));
                }
                Step::PublishNext => {
                    let new = key(Algorithm::EdDsa);
                    if issuer.publish_next(new.clone()).is_ok() {
                        next = Some(new);
                    }
                }
                Step::Promote => {
                    if let Some(promoted) = next.take() {
                        issuer.promote().unwrap();
                        current = promoted;
                    }
                }
                Step::Rotate => {
                    let new = key(Algorithm::EdDsa);
                    if issuer.rotate(new.clone()).is_ok() {
                        current = new;
                    }
                }
            }
            let needed = tokens.iter().filter(|(_, end)| *end > time.now());
            let mut expected: BTreeSet<_> = needed.map(|(id, _)| id.clone()).collect();
            expected.insert(id_of(&current));
            expected.extend(next.iter().map(|next| id_of(next)));
            prop_assert_eq!(published_ids(&issuer), expected);
        }
    }
}

/// A token under way during a rotation is never signed with a key that is not published.
#[test]
fn threads_that_issue_during_rotations_get_tokens_that_verify() {
    let issuer = issuer();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..200 {
                    let signed = runtime.block_on(issuer.issue(&request())).unwrap();
                    assert!(verifies(text(&signed), &issuer.jwks()));
                }
            });
        }
        for _ in 1..TokenIssuer::MAX_KEYS {
            issuer.rotate(key(Algorithm::EdDsa)).unwrap();
            std::thread::yield_now();
        }
    });
}

/// I5: a key that is replaced by a restart has tokens under way, too.
#[tokio::test]
async fn keys_of_before_a_restart_stay_published_until_their_tokens_are_over() {
    let before = TokenIssuer::new("https://us.example", key(Algorithm::Es256)).unwrap();
    let time = Time::new();
    let after = TokenIssuer::new("https://us.example", key(Algorithm::EdDsa))
        .unwrap()
        .with_clock(time.clock())
        .with_max_lifetime(Duration::from_secs(100))
        .unwrap();
    after.keep_published(&before.jwks()).unwrap();
    after.keep_published(&before.jwks()).unwrap();
    let published = || after.jwks()["keys"].as_array().unwrap().len();
    assert_eq!(published(), 2);
    time.advance(129);
    assert_eq!(published(), 2);
    time.advance(1);
    assert_eq!(published(), 1);
    for set in
        [json!({}), json!({ "keys": [{}] }), json!({ "keys": [{ "kty": "oct", "k": "AA" }] })]
    {
        let error = after.keep_published(&set).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    }
}

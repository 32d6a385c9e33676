//! What holds on the fake and on a real API server alike. Names are used once.

use std::time::{Duration, SystemTime};

use pipe_core::identity::{BearerToken, TokenExpectation};
use pipe_core::secrets::{Change, SecretEvent};
use pipe_core::{ErrorKind, IdentityPlugin, SecretData, SecretRef, SecretsPlugin, TokenFault};
use pipe_secrets_k8s::{
    BoundObject, Kubernetes, KubernetesIdentity, SecretOptions, ServiceAccountTokenRequest, Verb,
};

/// A name that nobody used before.
pub(crate) fn unused(label: &str) -> SecretRef {
    SecretRef::new(format!("pipe-testkit-{label}-{:08x}", fastrand::u64(..))).unwrap()
}

pub(crate) fn data(value: &str) -> SecretData {
    SecretData::new().with("value", value)
}

async fn stored(plugin: &Kubernetes, at: &SecretRef) -> Option<SecretData> {
    plugin.get_secret(at).await.unwrap().map(|secret| secret.data)
}

/// REQ 002-59: nobody is overwritten by force, and the error says whom to talk to.
pub(crate) async fn a_key_of_another_manager_is_a_conflict_that_names_both(
    plugin: &Kubernetes,
    rival: &Kubernetes,
) {
    let at = unused("owned");
    rival.create_secret(&at, data("theirs").with("other", "x")).await.unwrap();
    for ours in [data("ours").with("other", "x"), data("theirs")] {
        let error = plugin.create_secret(&at, ours).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
        assert_eq!(error.context("manager"), Some("rival"), "{error}");
        assert!(error.context("field").is_some_and(|field| field.starts_with("data.")), "{error}");
    }
    assert_eq!(stored(rival, &at).await, Some(data("theirs").with("other", "x")));
    // Adding a key of one's own is no conflict, and neither is saying the same.
    let more = data("theirs").with("other", "x").with("ours", "1");
    let outcome = plugin.create_secret(&at, more.clone()).await.unwrap();
    assert_eq!(outcome.change, Change::Updated);
    let again = plugin.create_secret(&at, more).await.unwrap();
    assert_eq!(again.change, Change::Unchanged);
    // What the other added meanwhile is in the way again, and nothing was half-written.
    let error = plugin.create_secret(&at, data("theirs")).await.unwrap_err();
    assert_eq!(error.context("field"), Some("data.other"), "{error}");
}

pub(crate) async fn a_create_only_write_meets_what_is_there(plugin: &Kubernetes) {
    let at = unused("only");
    let options = SecretOptions::new();
    let first = plugin.create_secret_only(&at, data("a"), &options).await.unwrap();
    assert_eq!(first.change, Change::Created);
    let error = plugin.create_secret_only(&at, data("a"), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
    // Of many at once one creates.
    let at = unused("race");
    let many = (0..8).map(|number| {
        let (plugin, at) = (plugin.clone(), at.clone());
        tokio::spawn(async move {
            let options = SecretOptions::new();
            plugin.create_secret_only(&at, data(&number.to_string()), &options).await
        })
    });
    let mut created = 0;
    for result in many.collect::<Vec<_>>() {
        match result.await.unwrap() {
            Ok(outcome) => created += u32::from(outcome.change == Change::Created),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}"),
        }
    }
    assert_eq!(created, 1);
}

pub(crate) async fn a_replacement_needs_the_state_that_was_read(plugin: &Kubernetes) {
    let at = unused("cas");
    let options = SecretOptions::new();
    let first = plugin.create_secret(&at, data("a")).await.unwrap().version.unwrap();
    let second = plugin.replace_secret_if(&at, data("b"), first, &options).await.unwrap();
    assert_eq!(second.change, Change::Updated);
    let error = plugin.replace_secret_if(&at, data("c"), first, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
    // Deleted and made again, it is another object.
    let second = second.version.unwrap();
    let error = plugin.delete_secret_if(&at, first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
    assert!(plugin.delete_secret_if(&at, second).await.unwrap());
    let error = plugin.replace_secret_if(&at, data("c"), second, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
    assert_eq!(stored(plugin, &at).await, None);
}

/// Eight writers count to 80 together: each reads, adds one, and replaces what it read.
pub(crate) async fn eight_writers_lose_no_update(plugin: &Kubernetes, others: &[Kubernetes]) {
    let at = unused("count");
    plugin.create_secret(&at, data("0")).await.unwrap();
    let writers = (0..8).map(|number| {
        let (plugin, at) = (others[number % others.len()].clone(), at.clone());
        tokio::spawn(async move {
            let mut added = 0;
            while added < 10 {
                let found = plugin.get_secret(&at).await.unwrap().unwrap();
                let count = found.data.get("value").unwrap().expose_str().unwrap();
                let next = data(&(count.parse::<u64>().unwrap() + 1).to_string());
                let version = found.version.unwrap();
                match plugin.replace_secret_if(&at, next, version, &SecretOptions::new()).await {
                    Ok(_) => added += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(stored(plugin, &at).await, Some(data("80")));
}

pub(crate) async fn an_immutable_secret_is_a_conflict_with_a_hint(plugin: &Kubernetes) {
    let at = unused("immutable");
    let options = SecretOptions::new().immutable();
    plugin.apply_secret(&at, data("for ever"), &options).await.unwrap();
    let error = plugin.create_secret(&at, data("changed")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
    assert!(error.hint_text().contains("delete it"), "{error}");
    // The same again is no change, labels may change, and it can be deleted.
    let again = plugin.create_secret(&at, data("for ever")).await.unwrap();
    assert_eq!(again.change, Change::Unchanged);
    let labelled = SecretOptions::new().with_label("l", "1");
    plugin.apply_secret(&at, data("for ever"), &labelled).await.unwrap();
    assert!(plugin.delete_secret(&at).await.unwrap());
}

/// What was set once stays, until it is set otherwise: a write of data is a write of data.
pub(crate) async fn labels_annotations_and_type_survive_a_write_of_data(plugin: &Kubernetes) {
    let at = unused("options");
    let pair = SecretData::new().with("tls.crt", "c").with("tls.key", "k");
    let options = SecretOptions::new()
        .with_label("app.kubernetes.io/part-of", "bots")
        .with_annotation("example.com/owner", "team one")
        .with_type("kubernetes.io/tls");
    let first = plugin.apply_secret(&at, pair.clone(), &options).await.unwrap();
    assert_eq!(first.change, Change::Created);
    let again = plugin.apply_secret(&at, pair.clone(), &options).await.unwrap();
    assert_eq!(again.change, Change::Unchanged);
    let newer = pair.clone().with("tls.key", "newer");
    plugin.create_secret(&at, newer.clone()).await.unwrap();
    let again = plugin.apply_secret(&at, newer.clone(), &options).await.unwrap();
    assert_eq!(again.change, Change::Unchanged, "a label or an annotation was lost");
    let fewer = SecretOptions::new().with_label("other", "1");
    let changed = plugin.apply_secret(&at, newer.clone(), &fewer).await.unwrap();
    assert_eq!(changed.change, Change::Updated);
    let other = SecretOptions::new().with_type("Opaque");
    let error = plugin.apply_secret(&at, newer, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
}

/// States are seen until the last, a delete is seen, and all who follow see the same.
pub(crate) async fn followers_share_a_watch_and_see_the_end(plugin: &Kubernetes) {
    let at = unused("followed");
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(plugin.watch_secret(&at).await.unwrap());
    }
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().unwrap(), SecretEvent::Absent);
    }
    for number in 0..20 {
        plugin.create_secret(&at, data(&number.to_string())).await.unwrap();
    }
    for stream in &mut streams {
        let mut last = 0;
        loop {
            let event = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
            let SecretEvent::Present(secret) = event.unwrap().unwrap().unwrap() else { continue };
            let text = secret.data.get("value").unwrap().expose_str().unwrap().to_owned();
            let number = text.parse::<u64>().unwrap();
            assert!(number >= last, "{number} after {last}");
            last = number;
            if last == 19 {
                break;
            }
        }
    }
    assert!(plugin.delete_secret(&at).await.unwrap());
    for stream in &mut streams {
        let event = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
        assert_eq!(event.unwrap().unwrap().unwrap(), SecretEvent::Absent);
    }
}

/// REQ 002-50
pub(crate) async fn everything_is_granted(plugin: &Kubernetes) {
    let report = plugin.check_access(None).await.unwrap();
    assert_eq!(report.missing().count(), 0, "{report:?}");
    report.require(&Verb::ALL).unwrap();
    assert!(plugin.check_access_to(&unused("x")).await.unwrap().allows(Verb::Get));
}

/// A token for one audience, whose bearer the review knows, and nobody else accepts.
pub(crate) async fn a_minted_token_is_known_to_the_review(
    plugin: &Kubernetes,
    identity: &KubernetesIdentity,
    namespace: &str,
) {
    let request = ServiceAccountTokenRequest::new("default", "pipe-testkit")
        .with_lifetime(Duration::from_secs(600));
    let minted = plugin.service_account_token(&request).await.unwrap();
    let left = minted.expires_at.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(500) && left <= Duration::from_secs(660), "{left:?}");
    let expect = TokenExpectation::audience("other").or_audience("pipe-testkit");
    let context = identity.validate_token(&minted.token, &expect).await.unwrap();
    let name = format!("system:serviceaccount:{namespace}:default");
    assert_eq!(context.principal.id.as_str(), name);
    assert_eq!(context.namespaces.iter().map(|n| n.as_str()).collect::<Vec<_>>(), [namespace]);
    assert!(context.roles.iter().any(|role| role.as_str() == "system:serviceaccounts"));
    let end = minted.expires_at.duration_since(context.expires_at);
    assert!(end.unwrap_or_default() <= Duration::from_secs(1), "{context:?}");
    for (expect, fault) in [(TokenExpectation::audience("other"), TokenFault::WrongAudience)] {
        let error = identity.validate_token(&minted.token, &expect).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenRejected(fault), "{error:#}");
    }
    let text = minted.token.expose_str().unwrap();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let forged = BearerToken::new(format!("{signed}.{first}{}", &signature[1..]));
    let error = identity.validate_token(&forged, &expect).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TokenRejected(_)), "{error:#}");
}

pub(crate) async fn what_cannot_be_minted_is_told_apart(plugin: &Kubernetes) {
    let request = |account: &str| ServiceAccountTokenRequest::new(account, "pipe-testkit");
    let kind = async |request| plugin.service_account_token(&request).await.unwrap_err().kind();
    assert_eq!(kind(request("pipe-testkit-absent")).await, ErrorKind::NotFound);
    let short = request("default").with_lifetime(Duration::from_secs(599));
    assert_eq!(kind(short).await, ErrorKind::InvalidArgument);
    assert_eq!(kind(request("../secrets")).await, ErrorKind::InvalidArgument);
    let bound = |name: &str, uid: Option<&str>| BoundObject::Secret {
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    };
    let absent = request("default").bound_to(bound("pipe-testkit-absent", None));
    assert_eq!(kind(absent).await, ErrorKind::NotFound);
    let at = unused("bound");
    plugin.create_secret(&at, data("x")).await.unwrap();
    let other = request("default").bound_to(bound(at.name.as_str(), Some("another")));
    assert_eq!(kind(other).await, ErrorKind::Conflict);
    let bound = request("default").bound_to(bound(at.name.as_str(), None));
    plugin.service_account_token(&bound).await.unwrap();
}

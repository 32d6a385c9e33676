//! Following a Secret through whatever happens on the way.

use std::time::Duration;

use pipe_core::secrets::{SecretEvent, SecretStream};
use pipe_core::{ErrorKind, SecretRef, SecretsPlugin};
use pipe_secrets_k8s::Kubernetes;
use pipe_testkit::fake::{self, ApiFault, Rule};

use crate::cases::data;
use crate::setup::{admin, config};

async fn next(stream: &mut SecretStream) -> Option<Result<SecretEvent, pipe_core::Error>> {
    tokio::time::timeout(Duration::from_secs(60), stream.next()).await.expect("nothing is shown")
}

/// Waits until the server sees it, whatever the machine does meanwhile.
async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let wait = async {
        while !seen() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
}

/// 10,000 changes of 20 Secrets, during 50 forced disconnects and 10 × 410: every final value is
/// seen, none is invented, and no state comes after a later one.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_changes_through_fifty_disconnects() {
    const SECRETS: u64 = 20;
    const CHANGES: u64 = 500;
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let mut followers = Vec::new();
    for number in 0..SECRETS {
        let at = SecretRef::new(format!("s{number}")).unwrap();
        // Two for each, one of whom reads slowly.
        for slow in [false, true] {
            let mut stream = plugin.watch_secret(&at).await.unwrap();
            followers.push(tokio::spawn(async move {
                assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
                let mut last = 0;
                let mut version = None;
                while last < CHANGES {
                    match next(&mut stream).await.expect("the stream goes on").expect("no fault") {
                        SecretEvent::Present(secret) => {
                            let value = secret.data.get("value").unwrap().expose_str().unwrap();
                            let (owner, count) = value.split_once('-').unwrap();
                            assert_eq!(owner, number.to_string(), "another Secret's value");
                            let count = count.parse::<u64>().unwrap();
                            assert!(count > last && count <= CHANGES, "{count} after {last}");
                            assert!(secret.version > version, "a doubled state");
                            (last, version) = (count, secret.version);
                        }
                        other => panic!("it was never deleted: {other:?}"),
                    }
                    if slow {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }));
        }
    }
    let lists = || server.requests() - server.hits("watch=");
    let (mut disconnects, mut expired) = (0, 0);
    for count in 1..=CHANGES {
        for number in 0..SECRETS {
            let value = format!("{number}-{count}");
            server.write("default", &format!("s{number}"), &[("value", value.as_bytes())], "x");
        }
        if count % 25 == 0 {
            server.send_bookmarks();
        }
        let watches = server.hits("watch=");
        match count % 50 {
            // What was not seen yet is forgotten: all have to list again.
            25 => {
                server.compact();
                server.expire_watches();
                expired += 1;
            }
            tens if tens % 10 == 0 => {
                server.break_off_watches();
                disconnects += 1;
            }
            _ => continue,
        }
        let all = usize::try_from(SECRETS).unwrap();
        until("all watches begin again", || server.hits("watch=") >= watches + all).await;
        until("all are open", || server.open_watches() == all).await;
    }
    for follower in followers {
        follower.await.unwrap();
    }
    assert_eq!((disconnects, expired), (50, 10));
    assert!(lists() >= 40 + 10 * 20, "{} lists: who was told 410 did not list again", lists());
}

/// The resync after a 410 brings the end of what was missed, a delete included.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_during_a_gap_is_seen() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("x").unwrap();
    plugin.create_secret(&at, data("x")).await.unwrap();
    let mut stream = plugin.watch_secret(&at).await.unwrap();
    assert!(matches!(next(&mut stream).await, Some(Ok(SecretEvent::Present(_)))));
    // Nobody hears of the change: the next two watches do not come about.
    server.inject(ApiFault::Reset, "watch=", 2);
    server.break_off_watches();
    until("the watch is broken off", || server.open_watches() == 0).await;
    server.delete("default", "x");
    server.compact();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
    server.write("default", "x", &[("value", b"again")], "hand");
    let SecretEvent::Present(secret) = next(&mut stream).await.unwrap().unwrap() else {
        panic!("it is there again");
    };
    assert_eq!(secret.data, data("again"));
}

/// A resync that finds what was known already shows nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_resync_doubles_nothing() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("x").unwrap();
    plugin.create_secret(&at, data("one")).await.unwrap();
    let mut stream = plugin.watch_secret(&at).await.unwrap();
    let mut seen = vec![next(&mut stream).await.unwrap().unwrap()];
    for round in 0..3 {
        let watches = server.hits("watch=");
        server.expire_watches();
        until("the watch begins again", || server.hits("watch=") > watches).await;
        until("it is open", || server.open_watches() == 1).await;
        server.write("default", "x", &[("value", format!("{round}").as_bytes())], "hand");
        seen.push(next(&mut stream).await.unwrap().unwrap());
    }
    let values: Vec<_> = seen
        .iter()
        .map(|event| match event {
            SecretEvent::Present(secret) => secret.data.get("value").unwrap().expose_str().unwrap(),
            _ => panic!("it was never deleted"),
        })
        .collect();
    assert_eq!(values, ["one", "0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_follow_share_one_watch_which_ends_with_the_last() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("x").unwrap();
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(plugin.watch_secret(&at).await.unwrap());
    }
    assert_eq!(server.hits("watch="), 1);
    let last = streams.pop();
    drop(streams);
    until("it is open", || server.open_watches() == 1).await;
    drop(last);
    until("the watch ends", || server.open_watches() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_watches_are_refused_and_room_comes_back() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let watch = async |number: usize| {
        plugin.watch_secret(&SecretRef::new(format!("s{number}")).unwrap()).await
    };
    let mut streams = Vec::new();
    for number in 0..100 {
        streams.push(watch(number).await.unwrap());
    }
    assert_eq!(watch(100).await.unwrap_err().kind(), ErrorKind::RateLimited);
    assert!(watch(99).await.is_ok(), "a Secret that is watched already takes no room");
    streams.pop();
    assert!(watch(100).await.is_ok());
}

/// A denial that comes later is told once, and the watch goes on when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_on_the_way_is_told() {
    let server = fake::Kubernetes::start().await;
    let rule = || Rule::secrets("bot", "default", &["list", "watch"]);
    server.grant(rule());
    let plugin = Kubernetes::new(config(&server, &server.create_user("bot", &[]))).unwrap();
    let at = SecretRef::new("x").unwrap();
    let mut stream = plugin.watch_secret(&at).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
    server.revoke_grants("bot");
    server.break_off_watches();
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    assert!(error.hint_text().contains("verbs: [\"watch\"]"), "{error}");
    server.grant(rule());
    server.write("default", "x", &[("value", b"v")], "hand");
    let event = next(&mut stream).await.unwrap().unwrap();
    assert!(matches!(event, SecretEvent::Present(_)), "{event:?}");
}

/// Listing is not enough: a watch that may not begin is an error at once.
#[tokio::test]
async fn a_watch_that_may_not_begin_is_an_error_at_once() {
    let server = fake::Kubernetes::start().await;
    server.grant(Rule::secrets("bot", "default", &["list"]));
    let plugin = Kubernetes::new(config(&server, &server.create_user("bot", &[]))).unwrap();
    let error = plugin.watch_secret(&SecretRef::new("x").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_found_again() {
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let at = SecretRef::new("x").unwrap();
    let mut stream = plugin.watch_secret(&at).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
    server.stop().await;
    server.write("default", "x", &[("value", b"meanwhile")], "hand");
    // An outage is told when it lasts.
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
    server.start_again().await;
    let SecretEvent::Present(secret) = next(&mut stream).await.unwrap().unwrap() else {
        panic!("it is there");
    };
    assert_eq!(secret.data, data("meanwhile"));
}

#[tokio::test]
async fn closing_ends_the_streams() {
    use pipe_core::Plugin as _;
    let server = fake::Kubernetes::start().await;
    let plugin = admin(&server);
    let mut stream = plugin.watch_secret(&SecretRef::new("x").unwrap()).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), SecretEvent::Absent);
    plugin.close().await.unwrap();
    assert!(next(&mut stream).await.is_none());
}

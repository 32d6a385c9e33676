use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{HttpClient, HttpConfig};

const POLICIES: [AddressPolicy; 3] =
    [AddressPolicy::Public, AddressPolicy::Private, AddressPolicy::Loopback];

fn address(text: &str) -> ServerAddress {
    text.parse().unwrap()
}

fn guarded(url: &str, policy: AddressPolicy) -> Result<HttpClient> {
    HttpClient::new_guarded(&HttpConfig::new(), &ServerAddress::origin_of(url)?, policy)
}

/// F5
#[test]
fn no_policy_reaches_link_local_metadata_and_reserved_addresses() {
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "::a9fe:a9fe",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:20::1",
        "2001:db8::1",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ] {
        for policy in POLICIES {
            assert!(!policy.allows(text.parse().unwrap()), "{text} {policy:?}");
        }
    }
}

/// F5
#[test]
fn private_addresses_and_loopback_are_reached_where_they_are_allowed() {
    use AddressPolicy::*;
    for (text, least) in [
        ("1.1.1.1", Public),
        ("9.255.255.255", Public),
        ("11.0.0.0", Public),
        ("100.63.255.255", Public),
        ("100.128.0.0", Public),
        ("169.253.255.255", Public),
        ("172.15.255.255", Public),
        ("172.32.0.0", Public),
        ("192.0.1.1", Public),
        ("223.255.255.255", Public),
        ("::ffff:1.1.1.1", Public),
        ("64:ff9b::1.1.1.1", Public),
        ("2001:200::1", Public),
        ("2002:101:101::1", Public),
        ("2606:4700::1111", Public),
        ("3fff:1000::1", Public),
        ("10.0.0.1", Private),
        ("100.64.0.1", Private),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.168.1.1", Private),
        ("::ffff:10.0.0.1", Private),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("127.0.0.1", Loopback),
        ("127.255.255.255", Loopback),
        ("::1", Loopback),
        ("::ffff:127.0.0.1", Loopback),
    ] {
        for policy in POLICIES {
            let allowed = policy.allows(text.parse().unwrap());
            assert_eq!(allowed, policy >= least, "{text} {policy:?}");
        }
    }
}

/// F5
#[test]
fn an_address_in_a_url_is_judged_in_each_spelling() {
    for url in [
        "https://169.254.169.254/latest",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://169.254.43518/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[fe80::1]/",
        "https://0/",
        "https://metadata.google.internal/",
        "https://METADATA.google.internal./",
        "https://metadata/",
        "https://instance-data/",
    ] {
        for policy in POLICIES {
            let error = guarded(url, policy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
        }
    }
    for url in ["https://127.0.0.1/", "http://localhost/", "http://[::1]/", "https://127.1/"] {
        assert!(guarded(url, AddressPolicy::Private).is_err(), "{url}");
        assert!(guarded(url, AddressPolicy::Loopback).is_ok(), "{url}");
    }
    assert!(guarded("https://10.1.2.3/", AddressPolicy::Public).is_err());
    assert!(guarded("https://10.1.2.3/", AddressPolicy::Private).is_ok());
}

/// F5
#[test]
fn peers_of_a_server_are_where_it_is() {
    use AddressPolicy::*;
    for (text, policy) in [
        ("https://id.example", Public),
        ("https://1.1.1.1", Public),
        ("https://local", Private),
        ("https://local.example", Public),
        ("https://keycloak", Private),
        ("https://kubernetes.default.svc", Private),
        ("https://kubernetes.default.svc.cluster.local", Private),
        ("https://id.corp.internal", Private),
        ("https://id.home.arpa.", Private),
        ("https://10.0.0.1", Private),
        ("https://[fd12::1]", Private),
        ("http://127.0.0.1:80", Loopback),
        ("https://localhost", Loopback),
    ] {
        assert_eq!(AddressPolicy::of_peers(&address(text)), policy, "{text}");
    }
}

/// A resolver that answers each question with the next of these, and counts them.
fn resolver(answers: &'static [&'static [&'static str]], asked: &Arc<AtomicUsize>) -> Guard {
    resolver_for(AddressPolicy::Public, answers, asked)
}

fn resolver_for(
    policy: AddressPolicy,
    answers: &'static [&'static [&'static str]],
    asked: &Arc<AtomicUsize>,
) -> Guard {
    let asked = Arc::clone(asked);
    Guard::with(policy, move |_| {
        let question = asked.fetch_add(1, Ordering::SeqCst);
        let answer = answers[question.min(answers.len() - 1)];
        let answer = answer.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(answer) })
    })
}

async fn send(guard: Guard, port: u16) -> Error {
    let address = address(&format!("https://keys.example:{port}"));
    let config = HttpConfig::new().with_ca(crate::CaBundle::pem(authority()));
    let client = HttpClient::behind(&config, &address, Some(guard)).unwrap();
    let request = http::Request::get(address.join("jwks").unwrap()).body(Vec::new()).unwrap();
    client.send(request).await.unwrap_err()
}

fn authority() -> String {
    rcgen::generate_simple_self_signed(["keys.example".to_owned()]).unwrap().cert.pem()
}

/// F5
#[tokio::test]
async fn a_name_that_leads_inside_is_refused_by_the_addresses_it_has() {
    let asked = Arc::default();
    for answer in
        [&["10.0.0.1"][..], &["169.254.169.254"], &["127.0.0.1", "::1"], &["::ffff:10.0.0.1"]]
    {
        let answers = Box::leak(Box::new([answer]));
        let error = send(resolver(answers, &asked), 443).await;
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{answer:?} {error}");
        assert!(error.message().contains("may not be reached"), "{error}");
    }
}

/// F5: the second answer of a name that is asked twice would lead to another place.
#[tokio::test]
async fn only_allowed_addresses_are_connected_to_and_the_name_is_asked_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || listener.accept().map(drop));
    let asked = Arc::default();
    let answers: &[&[&str]] = &[&["169.254.169.254", "127.0.0.1"], &["169.254.169.254"]];
    let error = send(resolver_for(AddressPolicy::Loopback, answers, &asked), port).await;
    // It got through, to somebody who hangs up.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    peer.join().unwrap().unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_without_an_address_is_unavailable() {
    let guard = Guard::with(AddressPolicy::Public, |_| {
        Box::pin(async { Err(io::Error::other("no such name")) })
    });
    assert_eq!(send(guard, 443).await.kind(), ErrorKind::Unavailable);
}

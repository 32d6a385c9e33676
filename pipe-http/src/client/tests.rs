use super::*;

use http::header::ACCEPT;

fn client(address: &str) -> HttpClient {
    HttpClient::new(&HttpConfig::new(), &address.parse().unwrap()).unwrap()
}

fn get(url: &str) -> http::Request<Vec<u8>> {
    http::Request::get(url).body(Vec::new()).unwrap()
}

#[test]
fn a_request_for_another_server_is_refused() {
    let client = client("http://127.0.0.1:8200/bao");
    for url in [
        "http://127.0.0.1:8201/bao/v1",
        "https://127.0.0.1:8200/bao/v1",
        "http://localhost:8200/bao/v1",
        "http://evil.example:8200/bao/v1",
        "http://127.0.0.1:8200@evil.example/v1",
        "http://canary@127.0.0.1:8200/v1",
        "/bao/v1",
    ] {
        let error = client.prepare(get(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_path_that_would_be_sent_otherwise_is_refused() {
    let client = client("http://127.0.0.1:8200/bao");
    for path in ["bao/../sys", "bao/%2e%2e/sys", "bao/.%2E/sys", "bao\\..\\sys"] {
        let url = format!("http://127.0.0.1:8200/{path}");
        let error = client.prepare(get(&url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path}");
    }
    assert!(client.prepare(get("http://127.0.0.1:8200/bao/v1?a=b")).is_ok());
}

#[test]
fn a_path_is_built_below_the_address_and_encoded() {
    let client = client("http://127.0.0.1:8200/bao/");
    let url = |segments: &[&str]| {
        let request = client.request(Method::GET, segments.iter().copied());
        request.map(|request| request.url().as_str().to_owned())
    };
    let url_of = |segments| url(segments).unwrap();
    assert_eq!(url_of(&["v1", "a"]), "http://127.0.0.1:8200/bao/v1/a");
    assert_eq!(url_of(&["a/../b", "ü?#"]), "http://127.0.0.1:8200/bao/a%2F..%2Fb/%C3%BC%3F%23");
    assert_eq!(url_of(&["%2e%2e", "x"]), "http://127.0.0.1:8200/bao/%252e%252e/x");
    for segments in [&["..", "sys"][..], &["."], &["a", ""], &["a", "..", "b"]] {
        let error = url(segments).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{segments:?}");
    }
}

#[test]
fn credentials_and_what_the_caller_marked_are_sensitive() {
    let mut own = HeaderValue::from_static("canary");
    own.set_sensitive(true);
    let mut headers = HeaderMap::new();
    for name in ["authorization", "cookie", "proxy-authorization", "x-vault-token", "x-api-key"] {
        headers.insert(name, HeaderValue::from_static("canary"));
    }
    headers.append("cookie", HeaderValue::from_static("canary"));
    headers.insert("x-own", own);
    headers.insert(ACCEPT, HeaderValue::from_static("text/plain"));
    mark_sensitive(&mut headers);
    let plain: Vec<_> = headers.iter().filter(|(_, value)| !value.is_sensitive()).collect();
    assert_eq!(plain, [(&ACCEPT, &HeaderValue::from_static("text/plain"))]);
}

#[test]
fn a_body_that_outgrows_its_room_is_whole() {
    let mut body = Zeroizing::new(Vec::new());
    for part in [&b"ab"[..], b"", b"cde", b"fghijklmnop"] {
        append(&mut body, part);
    }
    assert_eq!(*body, b"abcdefghijklmnop");
}

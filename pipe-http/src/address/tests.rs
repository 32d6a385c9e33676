use super::*;

fn address(text: &str) -> ServerAddress {
    text.parse().unwrap()
}

#[test]
fn an_address_is_kept_with_its_prefix_and_without_its_last_slash() {
    for (text, kept) in [
        ("https://bao.example", "https://bao.example"),
        ("https://bao.example/", "https://bao.example"),
        ("HTTPS://BAO.example:443/", "https://bao.example"),
        ("https://bao.example:8200/bao", "https://bao.example:8200/bao"),
        ("https://bao.example/bao//", "https://bao.example/bao"),
        ("https://10.0.0.1:8200", "https://10.0.0.1:8200"),
    ] {
        assert_eq!(address(text).to_string(), kept);
        assert_eq!(format!("{:?}", address(text)), format!("{kept:?}"));
    }
}

#[test]
fn a_slash_at_the_end_makes_no_other_address() {
    assert_eq!(address("https://h/bao/"), address("https://h/bao"));
}

#[test]
fn plain_http_is_for_true_loopback_addresses() {
    for (text, host) in [
        ("http://127.0.0.1:8200", "127.0.0.1"),
        ("http://127.255.0.9", "127.255.0.9"),
        ("http://[::1]:8200", "[::1]"),
        ("http://localhost:8200", "localhost"),
        ("http://LOCALHOST", "localhost"),
        // Other spellings of 127.0.0.1: what is checked is what is connected to and shown.
        ("http://127.1", "127.0.0.1"),
        ("http://0x7f000001", "127.0.0.1"),
        ("http://2130706433", "127.0.0.1"),
        ("http://①②⑦.0.0.1", "127.0.0.1"),
    ] {
        let address = address(text);
        assert!(address.is_loopback() && !address.is_https(), "{text}");
        assert_eq!(address.0.host_str(), Some(host), "{text}");
    }
}

#[test]
fn what_only_looks_like_loopback_needs_https() {
    for text in [
        "http://bao.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://localhost.",
        "http://my.localhost",
        "http://localhost%2eevil.example",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1:80@evil.example",
        "http://evil.example/127.0.0.1",
        "http://evil.example/@127.0.0.1",
        "http://evil.example\\@127.0.0.1",
        "http://127.0.0.1\n.evil.example",
        "http://127.0.0.1\t.evil.example",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        // Mapped addresses are not in ::1; which way they go is the system's choice.
        "http://[::ffff:127.0.0.1]",
        "http://[::127.0.0.1]",
    ] {
        let error = text.parse::<ServerAddress>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text}");
    }
    assert!(!address("https://127.0.0.1.evil.example").is_loopback());
    assert!(!address("https://[::ffff:127.0.0.1]").is_loopback());
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "",
        "bao.example:8200",
        "//bao.example",
        "/v1",
        "ftp://bao.example",
        "file:///etc/passwd",
        "unix:/run/bao.sock",
        "https://",
        "https://bao.example:99999",
        "https://[::1%25lo]",
        "https://bao .example",
        " https://bao.example",
        "https://bao.example\n",
        "https://bao.example?namespace=a",
        "https://bao.example?",
        "https://bao.example#top",
        "https://user@bao.example",
        "http://user@127.0.0.1",
        "https://:password@bao.example",
    ] {
        let error = text.parse::<ServerAddress>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text:?}");
        assert_ne!(error.hint_text(), "", "{text:?}");
    }
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    for text in [
        "https://user:hunter2@bao.example",
        "http://user:hunter2@bao.example",
        "user:hunter2@bao.example",
        "ftp://user:hunter2@bao.example",
        "https://user:hunter2@bao.example:99999",
        "https://user:hunter2@bao .example",
        "https://bao.example?token=hunter2",
        "https://bao.example#hunter2",
        "hunter2",
    ] {
        let error = text.parse::<ServerAddress>().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let json = serde_json::to_string(text).unwrap();
        let error = serde_json::from_str::<ServerAddress>(&json).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_document_holds_an_address_as_text() {
    let parsed: ServerAddress = serde_json::from_str(r#""https://bao.example/bao/""#).unwrap();
    assert_eq!(parsed, address("https://bao.example/bao"));
}

#[test]
fn a_path_is_joined_below_the_prefix() {
    for (base, path, joined) in [
        ("https://h", "v1/sys/health", "https://h/v1/sys/health"),
        ("https://h/", "/v1/sys/health", "https://h/v1/sys/health"),
        ("https://h/bao", "v1/a?list=true", "https://h/bao/v1/a?list=true"),
        ("https://h/bao", "", "https://h/bao/"),
        ("https://h/bao", "//evil.example", "https://h/bao//evil.example"),
        ("https://h", "a%2Fb", "https://h/a%2Fb"),
    ] {
        assert_eq!(address(base).join(path).unwrap(), joined);
    }
}

#[test]
fn a_path_that_would_be_read_otherwise_is_refused() {
    for path in [
        "../sys",
        "a/../../sys",
        "a/./b",
        "a/%2e%2e/b",
        "a/.%2E/b",
        "a\\..\\b",
        "a b",
        "a\nb",
        "ä",
        "a#b",
    ] {
        let error = address("https://h/bao").join(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path}");
    }
}

#[test]
fn the_server_of_a_url_is_its_origin() {
    let origin = ServerAddress::origin_of("https://keys.example:8443/jwks?p=a#b").unwrap();
    assert_eq!(origin, address("https://keys.example:8443"));
    for url in ["http://keys.example/jwks", "https://a:b@keys.example/jwks", "jwks"] {
        let error = ServerAddress::origin_of(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
    }
}

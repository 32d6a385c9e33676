use std::sync::Arc;

use pipe_core::{ErrorKind, SecretData, SecretsPlugin};

use super::{
    child, expect_kind, named, read, round_trip, round_trip_or_refusal, unused, value, write,
    writes,
};

/// What is stored is read back.
pub async fn a_stored_secret_is_read_back(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new().with("username", "bot").with("password", "hunter2");
        round_trip(&plugin, &unused(&plugin, "plain"), data).await;
    }
}

/// An empty value is a value.
pub async fn an_empty_value_is_not_absent(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new().with("empty", "").with("full", "x");
        round_trip(&plugin, &unused(&plugin, "empty-value"), data).await;
    }
}

/// A secret without keys is kept as such, or refused. It is never absent after a success.
pub async fn a_secret_without_keys_is_kept_or_refused(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        round_trip_or_refusal(&plugin, &unused(&plugin, "no-keys"), SecretData::new()).await;
    }
}

/// Text of all of Unicode comes back as it was; nothing is normalised.
pub async fn utf8_text_round_trips(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new()
            .with("latin", "pässwörd")
            .with("composed", "\u{e9}")
            .with("decomposed", "e\u{301}")
            .with("cjk", "密码")
            .with("emoji", "🔑👩‍💻")
            .with("bidi", "\u{202e}abc\u{202c}")
            .with("bom", "\u{feff}x")
            .with("quotes", r#"'"\`$(x)<>&"#)
            .with("separators", "a\u{2028}b\u{2029}c\u{7f}d");
        round_trip(&plugin, &unused(&plugin, "utf8"), data).await;
    }
}

/// Bytes that are not text come back as they were where `binary` is declared, else are refused.
pub async fn binary_values_round_trip_or_are_refused(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let data = SecretData::new().with("bytes", every_byte).with("broken", vec![0xc3, 0x28]);
    let at = unused(&plugin, "binary");
    if plugin.capabilities().binary {
        round_trip(&plugin, &at, data).await;
    } else {
        let refused = plugin.create_secret(&at, data).await;
        expect_kind(refused, ErrorKind::InvalidArgument);
        assert_eq!(read(&plugin, &at).await, None);
    }
}

/// NUL is a character like any other where `binary` is declared, and is not cut off anywhere.
pub async fn text_with_nul_round_trips_or_is_refused(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new().with("inside", "a\0b").with("end", "a\0").with("only", "\0");
        let at = unused(&plugin, "nul");
        if plugin.capabilities().binary {
            round_trip(&plugin, &at, data).await;
        } else {
            round_trip_or_refusal(&plugin, &at, data).await;
        }
    }
}

/// Nothing is trimmed.
pub async fn whitespace_at_the_edges_round_trips(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new()
            .with("spaces", "  x  ")
            .with("tabs", "\tx\t")
            .with("only", "   ")
            .with("nbsp", "\u{a0}x\u{a0}");
        round_trip(&plugin, &unused(&plugin, "edges"), data).await;
    }
}

/// Line breaks stay what they are, at the end too.
pub async fn line_breaks_round_trip(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let pem = "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n";
        let data = SecretData::new()
            .with("pem", pem)
            .with("crlf", "a\r\nb\r\n")
            .with("cr", "a\rb\r")
            .with("many", "\n\n\nx\n\n\n")
            .with("only", "\n");
        round_trip(&plugin, &unused(&plugin, "lines"), data).await;
    }
}

/// Text is text, even when it looks like JSON, an encoding, a template or a reference.
pub async fn text_that_looks_like_something_else_round_trips(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let lookalikes = [
            "null",
            "true",
            "0",
            "{}",
            "[1]",
            r#"{"a":1}"#,
            "\"quoted\"",
            "aGVsbG8=",
            "base64:aGVsbG8=",
            "pipe:base64:aGVsbG8=",
            "pipe:base64:",
            "pipe:base64:!",
            "%41%2F",
            "\\n\\u0041",
            "${HOME}",
            "$(HOME)",
            "{{ x }}",
            "&amp;",
            "---",
            "- a",
            "a: b",
            "@file",
            "#x",
            "~",
            "vault:a#b",
        ];
        let data = lookalikes.into_iter().enumerate().map(|(i, text)| (format!("k{i}"), text));
        round_trip(&plugin, &unused(&plugin, "lookalikes"), data.collect()).await;
    }
}

/// Digits are text: nothing passes through a floating-point number.
pub async fn large_numbers_round_trip_as_text(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let data = SecretData::new()
            .with("past-2-to-the-53", "9007199254740993")
            .with("long", "123456789012345678901234567890")
            .with("leading-zero", "007")
            .with("trailing-zero", "1.50")
            .with("exponent", "1e400");
        round_trip(&plugin, &unused(&plugin, "numbers"), data).await;
    }
}

/// Keys are kept as they are, or the write is refused.
pub async fn odd_keys_round_trip_or_are_refused(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let long = "k".repeat(300);
    let odd = [
        "",
        " ",
        "a b",
        "a/b",
        "..",
        ".",
        "a.b",
        "A",
        "ä",
        "密码",
        "a\nb",
        "a\"b",
        "a=b",
        "$a",
        "%41",
        "__proto__",
        "data",
        "metadata",
        "options",
        long.as_str(),
    ];
    for key in odd {
        let data = SecretData::new().with(key, "x").with("plain", "y");
        round_trip_or_refusal(&plugin, &unused(&plugin, "odd-key"), data).await;
    }
}

/// Keys that differ only in case, punctuation or Unicode form are different keys.
pub async fn similar_keys_stay_apart(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        for keys in [&["A", "a"], &["\u{e9}", "e\u{301}"], &["a-b", "a_b"], &["a.b", "a/b"]] {
            let data = keys.iter().zip(["first", "second"]).map(|(key, text)| (*key, text));
            let at = unused(&plugin, "close-keys");
            round_trip_or_refusal(&plugin, &at, data.collect()).await;
        }
    }
}

/// Every legal name works, or is refused; it never becomes another name.
pub async fn odd_names_round_trip_or_are_refused(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let base = unused(&plugin, "odd");
    let long = "x".repeat(200);
    let odd = [
        "a.b", "..a", "a..", "...", "-a", "a-", "_a", "A", "data", "metadata", "a.json", "0", &long,
    ];
    for name in odd {
        let at = if plugin.capabilities().hierarchy {
            child(&base, name)
        } else {
            named(&format!("{}-{name}", base.name))
        };
        round_trip_or_refusal(&plugin, &at, value(name)).await;
    }
}

/// Names that differ only in case or punctuation are different names.
pub async fn similar_names_stay_apart(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let base = unused(&plugin, "similar");
    let mut stored = Vec::new();
    for suffix in ["-x-y", "-x.y", "-x_y", "-X-Y", "-xy", "-x-y-"] {
        let at = named(&format!("{}{suffix}", base.name));
        match plugin.create_secret(&at, value(suffix)).await {
            Ok(_) => stored.push((at, suffix)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}"),
        }
    }
    assert!(!stored.is_empty(), "not one of the names is accepted");
    for (at, suffix) in stored {
        assert_eq!(read(&plugin, &at).await, Some(value(suffix)), "{at} holds another's data");
    }
    // Segments do not melt into dashes or dots either.
    if plugin.capabilities().hierarchy {
        write(&plugin, &child(&base, "z"), value("slash")).await;
        let melted = named(&format!("{}-z", base.name));
        assert_eq!(read(&plugin, &melted).await, None);
    }
}

/// A long name is not cut, or it is refused.
pub async fn long_names_stay_apart(plugin: Arc<dyn SecretsPlugin>) {
    if !writes(&plugin) {
        return;
    }
    let base = format!("{}-", unused(&plugin, "long-name").name);
    let mut stored = Vec::new();
    for last in ["1", "2"] {
        let at = named(&format!("{base:x<299}{last}"));
        match plugin.create_secret(&at, value(last)).await {
            Ok(_) => stored.push((at, last)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}"),
        }
    }
    for (at, last) in stored {
        assert_eq!(read(&plugin, &at).await, Some(value(last)), "{at} holds another's data");
    }
}

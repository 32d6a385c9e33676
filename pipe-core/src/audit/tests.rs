//! The claims of the audit log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::identity::{Principal, PrincipalId};
use crate::wrap::Observed;
use crate::wrap::scripted::{Scripted, at, failure, value};
use crate::{
    ErrorKind, SecretValue, SecretsPlugin, SecurityContext, TokenFault, TraceContext, with_reason,
};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipe-audit-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> JsonLines {
    JsonLines::open(JsonLinesConfig::new(path)).unwrap()
}

async fn record(lines: &JsonLines, count: usize) {
    for number in 0..count {
        let event = AuditEvent::new("test", "success").with_subject(format!("s{number}"));
        lines.record(event).wait().await.unwrap();
    }
}

/// A log of so many lines.
async fn log(folder: &Folder, count: usize) -> PathBuf {
    record(&open(&folder.log()), count).await;
    folder.log()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[tokio::test]
async fn what_was_written_is_verified_and_goes_on_after_a_restart() {
    let folder = Folder::new("restart");
    for expected in [3, 6, 9] {
        let path = log(&folder, 3).await;
        let verified = verify(&path, None).unwrap();
        assert_eq!((verified.lines, verified.end.seq), (expected, expected));
    }
}

/// REQ 004-85.4
#[tokio::test]
async fn every_tampering_is_found_and_named() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change, u64, Tampering); 9] = [
        ("changed", |l| l[2] = l[2].replace("s2", "s7"), 3, Tampering::Changed),
        ("one character", |l| l[4].push(' '), 5, Tampering::Changed),
        ("not json", |l| l[1] = "x".into(), 2, Tampering::Changed),
        ("removed", |l| drop(l.remove(2)), 3, Tampering::Removed { first: 3 }),
        ("first removed", |l| drop(l.remove(0)), 1, Tampering::Removed { first: 1 }),
        ("swapped", |l| l.swap(1, 2), 2, Tampering::Reordered),
        ("twice", |l| l.insert(2, l[1].clone()), 3, Tampering::Reordered),
        ("last removed", |l| drop(l.pop()), 5, Tampering::Truncated),
        ("emptied", Vec::clear, 1, Tampering::Truncated),
    ];
    for (name, change, line, tampering) in cases {
        let folder = Folder::new("tampering");
        let path = log(&folder, 5).await;
        let mut text = lines(&path);
        change(&mut text);
        write(&path, &text);
        let found = verify(&path, None).unwrap_err();
        assert_eq!((found.line, &found.tampering), (line, &tampering), "{name}");
        // Nobody writes on where somebody else has written.
        let error = JsonLines::open(JsonLinesConfig::new(&path)).err();
        if name != "first removed" {
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Conflict), "{name}");
        }
    }
}

#[tokio::test]
async fn half_a_line_and_missing_files_are_found() {
    let folder = Folder::new("half");
    let path = log(&folder, 3).await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    assert_eq!(verify(&path, None).unwrap_err().tampering, Tampering::Truncated);
    fs::remove_file(&path).unwrap();
    assert_eq!(verify(&path, None).unwrap_err().tampering, Tampering::Truncated);
    fs::write(&path, &whole).unwrap();
    assert!(verify(&path, None).is_ok());
    fs::remove_file(verify::head_of(&path)).unwrap();
    assert_eq!(verify(&path, None).unwrap_err().tampering, Tampering::Truncated);
    assert!(JsonLines::open(JsonLinesConfig::new(&path)).is_err());
}

/// Without the key, a chain that was written anew does not look right.
#[tokio::test]
async fn a_keyed_chain_cannot_be_written_by_somebody_else() {
    let folder = Folder::new("keyed");
    let path = folder.log();
    let key = SecretValue::from("hunter2".repeat(5));
    let config = JsonLinesConfig::new(&path).with_key(key.clone());
    assert!(!format!("{config:?}").contains("hunter2"));
    let lines = JsonLines::open(config).unwrap();
    record(&lines, 3).await;
    drop(lines);
    assert_eq!(verify(&path, Some(key)).unwrap().lines, 3);
    for other in [None, Some(SecretValue::from(vec![8; 32]))] {
        assert_eq!(verify(&path, other).unwrap_err().tampering, Tampering::Changed);
    }
    let weak = JsonLinesConfig::new(&path).with_key("short").with_queue(0).with_max_bytes(0);
    let error = JsonLines::open(weak).err().unwrap();
    assert_eq!(error.hint_text(), "correct max_bytes, queue, key");
}

#[tokio::test]
async fn full_files_are_put_aside_and_the_chain_goes_through_them() {
    let folder = Folder::new("rotation");
    let path = folder.log();
    let config = JsonLinesConfig::new(&path).with_max_bytes(1000).with_fsync(Fsync::Always);
    for _ in 0..2 {
        record(&JsonLines::open(config.clone()).unwrap(), 20).await;
    }
    let files = verify::files(&path).unwrap();
    assert!(files.len() > 5, "{files:?}");
    assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 1000));
    assert_eq!(verify(&path, None).unwrap().lines, 40);

    // The first files are archived: the rest is verified from where they ended.
    let mut archived = 0;
    let mut end = Checkpoint::genesis();
    let digests = chain::Digests::new(None);
    for file in &files[..2] {
        for line in lines(file) {
            end = digests.check(line.as_bytes()).unwrap().checkpoint;
            archived += 1;
        }
        fs::remove_file(file).unwrap();
    }
    assert_eq!(verify(&path, None).unwrap_err().tampering, Tampering::Removed { first: 1 });
    assert_eq!(verify_from(&path, None, &end).unwrap().lines, 40 - archived);
    fs::remove_file(&files[3]).unwrap();
    let found = verify_from(&path, None, &end).unwrap_err();
    assert!(matches!(found.tampering, Tampering::Removed { .. }), "{found}");
}

#[tokio::test]
async fn what_a_crash_left_of_a_line_is_dropped_and_said() {
    let folder = Folder::new("torn");
    let path = log(&folder, 3).await;
    let mut whole = fs::read(&path).unwrap();
    whole.extend_from_slice(br#"{"seq":4,"prev":"#);
    fs::write(&path, &whole).unwrap();
    record(&open(&path), 1).await;
    assert_eq!(verify(&path, None).unwrap().lines, 5);
    assert!(lines(&path)[3].contains(r#""action":"audit.torn""#));
}

#[tokio::test]
async fn two_writers_do_not_make_two_chains_of_one() {
    let folder = Folder::new("lock");
    let first = open(&folder.log());
    let error = JsonLines::open(JsonLinesConfig::new(folder.log())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    drop(first);
    record(&open(&folder.log()), 1).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new("missing");
    let path = folder.0.join("no/such/audit.jsonl");
    let error = JsonLines::open(JsonLinesConfig::new(&path)).err().unwrap();
    assert_eq!((error.kind(), error.context("path")), (ErrorKind::ConfigInvalid, path.to_str()));
}

#[tokio::test]
async fn many_at_once_are_all_on_record_once() {
    let folder = Folder::new("many");
    let lines = JsonLines::open(JsonLinesConfig::new(folder.log()).with_queue(8)).unwrap();
    let audit = Audit::new(lines, OnFault::Refuse);
    let plugin = Scripted::new(|number| async move {
        if number % 3 == 0 { failure(ErrorKind::Unavailable) } else { value("x") }
    });
    let secrets = Arc::new(Observed::new(plugin, audit));
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let secrets = Arc::clone(&secrets);
            tokio::spawn(async move { drop(secrets.get_secret(&at("a")).await) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(secrets);
    assert_eq!(verify(folder.log(), None).unwrap().lines, 500);
}

/// Never lost by accident: whoever reads the log later sees how much is missing.
#[tokio::test]
async fn lost_events_are_reported_and_counted_in_the_log() {
    let folder = Folder::new("gap");
    let path = folder.log();
    let lines = JsonLines::open(JsonLinesConfig::new(&path).with_queue(1)).unwrap();
    let audit = Audit::new(lines.clone(), OnFault::Continue);
    // The thread may take some of them in time, but not all: the queue holds one.
    for _ in 0..1000 {
        audit.record(AuditEvent::new("test", "success")).await.unwrap();
    }
    lines.flush().await.unwrap();
    drop((audit, lines));
    let text = self::lines(&path);
    let count = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["action"] == "audit.gap" { line["count"].as_u64().unwrap() } else { 1 }
    };
    assert_eq!(text.iter().map(count).sum::<u64>(), 1000);
    assert!(verify(&path, None).is_ok());
}

/// REQ 004-85.4, 001-31, 001-85
#[tokio::test]
async fn an_event_names_the_requester_the_reason_and_the_trace() {
    let folder = Folder::new("event");
    let audit = Audit::new(open(&folder.log()), OnFault::Refuse);
    let secrets = Observed::new(Scripted::new(|_| async { value("x") }), audit.clone());
    let now = SystemTime::now();
    let alice = Principal::user(PrincipalId::new("alice").unwrap());
    let caller = SecurityContext::new(alice, "issuer", now, now + Duration::from_secs(60))
        .with_token_id("jti-1");
    let trace = TraceContext::new();
    let work = with_reason("ticket\n7", async {
        secrets.get_secret(&at("apps/db")).await.unwrap();
        let approved = AuditEvent::new("governance.approve", "approved").with_subject("pr-1");
        audit.record(approved).await.unwrap();
    });
    trace.clone().scope(SecurityContext::scope(caller, work)).await;
    let text = lines(&folder.log());
    for (line, parts) in [
        (&text[0], [r#""action":"get_secret","subject":"apps/db""#, r#""outcome":"success""#]),
        (&text[1], [r#""action":"governance.approve""#, r#""outcome":"approved""#]),
    ] {
        let requester =
            r#""requester":{"kind":"user","id":"alice","issuer":"issuer","token_id":"jti-1"}"#;
        for part in parts.into_iter().chain([requester, r#""reason":"ticket 7""#]) {
            assert!(line.contains(part), "no {part} in {line}");
        }
        assert!(line.contains(&format!(r#""trace_id":"{}""#, trace.trace_id())), "{line}");
    }
}

#[tokio::test]
async fn a_refused_token_is_on_record_with_its_reason() {
    use crate::IdentityPlugin;
    use crate::identity::{BearerToken, TokenExpectation};
    let folder = Folder::new("refused");
    let plugin = Scripted::new(|_| async {
        Err(Error::new(ErrorKind::TokenRejected(TokenFault::Expired), "refused"))
    });
    let identity = Observed::new(plugin, Audit::new(open(&folder.log()), OnFault::Refuse));
    let expect = TokenExpectation::audience("api");
    assert!(identity.validate_token(&BearerToken::new("secret-token"), &expect).await.is_err());
    let text = lines(&folder.log());
    assert!(text[0].contains(r#""outcome":"token_rejected","detail":"expired""#), "{}", text[0]);
    assert!(!text[0].contains("secret-token"));
}

/// The fields of an event are the program's to set.
#[tokio::test]
async fn no_event_can_break_the_log() {
    let folder = Folder::new("odd");
    let path = folder.log();
    let log = open(&path);
    let epoch = SystemTime::UNIX_EPOCH;
    for time in [epoch - Duration::from_secs(1), epoch + Duration::from_secs(253_402_300_800)] {
        let odd = AuditEvent { time, ..AuditEvent::new("odd", "success") };
        log.record(odd).wait().await.unwrap();
    }
    let long = Some("s".repeat(70_000));
    let odd = AuditEvent {
        subject: long.clone(),
        reason: long.clone(),
        plugin: long,
        action: "x".repeat(70_000).into(),
        ..AuditEvent::new("odd", "success")
    };
    log.record(odd).wait().await.unwrap();
    drop(log);
    assert_eq!(verify(&path, None).unwrap().lines, 3);
    record(&open(&path), 1).await;
}

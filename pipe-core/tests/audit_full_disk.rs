//! A disk without room is a fault that is reported, and the log stays whole.
//!
//! The test runs itself again in a process whose files may not grow past a few KiB.
#![cfg(unix)]

use std::process::Command;

use pipe_core::audit::{self, Audit, AuditEvent, AuditSink, JsonLines, JsonLinesConfig, OnFault};
use pipe_core::wrap::Observer;

const FOLDER: &str = "PIPE_CORE_FULL_DISK";

#[test]
fn a_full_disk_is_a_reported_fault_and_the_log_stays_whole() {
    match std::env::var_os(FOLDER) {
        Some(folder) => fill(folder.as_ref()),
        None => run_again(),
    }
}

fn run_again() {
    let folder = std::env::temp_dir().join(format!("pipe-full-disk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    // With the signal ignored, a write past the limit fails as it does on a full disk.
    let limited = r#"trap '' XFSZ && ulimit -f 8 && exec "$0" "$@""#;
    let status = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().expect("the test knows itself"))
        .args(["--exact", "a_full_disk_is_a_reported_fault_and_the_log_stays_whole"])
        .env(FOLDER, &folder)
        .output()
        .expect("a shell can be started");
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
}

#[tokio::main]
async fn fill(folder: &std::path::Path) {
    let path = folder.join("audit.jsonl");
    let lines = JsonLines::open(JsonLinesConfig::new(&path)).expect("the log can be opened");
    let event = || AuditEvent::new("test", "success").with_subject("x".repeat(200));

    let strict = Audit::new(lines.clone(), OnFault::Refuse);
    let mut kept = 0;
    while strict.record(event()).await.is_ok() {
        kept += 1;
        assert!(kept < 1000, "the disk is never full");
    }
    assert!(kept > 0);
    let fault = lines.fault().expect("the fault is reported");
    assert!(fault.hint_text().contains("make room"), "{fault}");
    assert!(strict.admit().wait().await.is_err(), "a call is made that cannot be on record");

    let lenient = Audit::new(lines.clone(), OnFault::Continue);
    lenient.record(event()).await.expect("calls go on");
    assert!(lenient.admit().wait().await.is_ok());
    assert!(lines.flush().await.is_err());
    drop((strict, lenient, lines));
    assert_eq!(audit::verify(&path, None).expect("the log is whole").lines, kept);
}

//! The quickstart does what README says, on embedded defaults and with a server, and never prints
//! the secret.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pipe_testkit::fake::{OpenBao, service_account_jwt};

/// What the quickstart prints with these variables and no others.
async fn quickstart(variables: Vec<(&'static str, String)>) -> String {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
        command.env_clear().envs(variables).output().expect("the quickstart can be started")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the quickstart ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["principal_id: service-account:quickstart-bot", "API_PASSWORD", "secretKeyRef"] {
        assert!(printed.contains(part), "no {part} in:\n{printed}");
    }
    assert!(!printed.contains("s3cr3t") && !said.contains("s3cr3t"), "the secret is printed");
    printed
}

#[tokio::test]
async fn it_runs_on_embedded_defaults() {
    assert!(quickstart(Vec::new()).await.contains("in-memory"));
}

#[tokio::test]
async fn it_keeps_its_secret_in_openbao_with_a_token() {
    let server = OpenBao::start().await;
    let variables = vec![("BAO_ADDR", server.address()), ("BAO_TOKEN", server.root_token())];
    assert!(quickstart(variables.clone()).await.contains("Created"));
    assert!(quickstart(variables).await.contains("Unchanged"));
}

/// REQ 000-02
#[tokio::test]
async fn it_keeps_its_secret_in_openbao_with_its_service_account() {
    let server = OpenBao::start().await;
    server.put_policy("bots", &[("secret/data/quickstart/*", &["create", "read", "update"])]);
    let hour = Duration::from_secs(3600);
    server.create_kubernetes_role("bots", None, &["bot"], &["sales"], &["bots"], hour);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service-account-token");
    std::fs::write(&file, service_account_jwt("sales", "bot", "openbao", hour)).unwrap();
    let variables = vec![
        ("BAO_ADDR", server.address()),
        ("BAO_ROLE", "bots".to_owned()),
        ("BAO_JWT_FILE", file.to_string_lossy().into_owned()),
    ];
    assert!(quickstart(variables).await.contains("Created"));
    assert_eq!((server.logins(), server.live_tokens()), (1, 0), "the token was not given back");
}

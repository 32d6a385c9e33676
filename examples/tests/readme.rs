//! The README tells the truth: its capability table is the code's, and its snippets compile.

use std::fmt::Write as _;

use pipe_core::SecretsPlugin;
use pipe_core::secrets::SecretsCapabilities;
use pipe_secrets_infisical::{Infisical, InfisicalConfig};
use pipe_secrets_k8s::{Connection, Kubernetes, KubernetesConfig};
use pipe_secrets_openbao::{Auth, OpenBao, OpenBaoConfig};
use pipe_testkit::reference::InMemorySecrets;

const README: &str = include_str!("../../README.md");

fn table(plugins: &[(&str, SecretsCapabilities)]) -> String {
    let yes = |can: bool| if can { "yes" } else { "no" }.to_owned();
    type Row = (&'static str, fn(&SecretsCapabilities, &dyn Fn(bool) -> String) -> String);
    let rows: [Row; 10] = [
        ("write", |c, yes| yes(c.write)),
        ("delete", |c, yes| yes(c.delete)),
        ("list", |c, yes| yes(c.list)),
        ("watch", |c, yes| yes(c.watch)),
        ("old versions", |c, yes| yes(c.versions)),
        ("namespaces", |c, yes| yes(c.namespaces)),
        ("names with `/`", |c, yes| yes(c.hierarchy)),
        ("binary values", |c, yes| yes(c.binary)),
        ("largest secret", |c, _| format!("{} KiB", c.max_secret_bytes >> 10)),
        ("most keys", |c, _| c.max_keys.to_string()),
    ];
    let mut table = String::from("| |");
    for (name, _) in plugins {
        let _ = write!(table, " `{name}` |");
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(plugins.len()));
    for (name, cell) in rows {
        let _ = write!(table, "| {name} |");
        for (_, capabilities) in plugins {
            let _ = write!(table, " {} |", cell(capabilities, &yes));
        }
        table.push('\n');
    }
    table
}

#[test]
fn the_capability_table_is_what_the_plugins_declare() {
    let auth = Auth::token(pipe_core::SecretSource::env("BAO_TOKEN"));
    let openbao = OpenBao::new(OpenBaoConfig::new("http://127.0.0.1:8200", auth)).unwrap();
    let token = pipe_core::SecretSource::env("KUBE_TOKEN");
    let cluster = Connection::cluster("https://127.0.0.1:6443", token);
    let config = KubernetesConfig::new(cluster).with_namespace("default");
    let kubernetes = Kubernetes::new(config).unwrap();
    let token = pipe_core::SecretSource::env("INFISICAL_TOKEN");
    let auth = pipe_secrets_infisical::Auth::token(token);
    let infisical = Infisical::new(InfisicalConfig::new("https://127.0.0.1", "p", auth)).unwrap();
    let expected = table(&[
        ("OpenBao", openbao.capabilities()),
        ("Kubernetes", kubernetes.capabilities()),
        ("Infisical", infisical.capabilities()),
        ("InMemorySecrets", InMemorySecrets::new().capabilities()),
    ]);
    let (_, rest) = README.split_once("<!-- capabilities").expect("the table is marked");
    let (_, rest) = rest.split_once("-->\n").expect("the mark is closed");
    let (found, _) = rest.split_once("<!-- end").expect("the table ends");
    assert_eq!(found, expected, "put this into README.md:\n{expected}");
}

//! The README tells the truth: its capability table is the code's, and its snippets compile.

use std::fmt::Write as _;
use std::sync::Arc;

use pipe_core::identity::IdentityCapabilities;
use pipe_core::secrets::SecretsCapabilities;
use pipe_core::{IdentityPlugin, SecretsPlugin};
use pipe_identity_oidc::jwt::{Algorithm, SigningKey};
use pipe_identity_oidc::{
    ClientAuthentication, ClientConfig, IssuerConfig, Oidc, OidcConfig, SigningConfig,
};
use pipe_identity_zitadel::{ServiceUser, Zitadel, ZitadelConfig};
use pipe_secrets_infisical::{Infisical, InfisicalConfig};
use pipe_secrets_k8s::{Connection, Kubernetes, KubernetesConfig, KubernetesIdentity};
use pipe_secrets_openbao::{Auth, OpenBao, OpenBaoConfig};
use pipe_testkit::reference::{InMemoryIdentity, InMemorySecrets};

const README: &str = include_str!("../../README.md");
const SOUND: &str = "the settings are sound";

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

/// What a plugin declares as it is first made, and with all that its row of the table names.
fn declared() -> Vec<(&'static str, [IdentityCapabilities; 2])> {
    let secret = || pipe_core::SecretSource::Value("s".into());
    let client = ClientConfig::new("c", ClientAuthentication::client_secret_basic(secret()));
    let signer = Arc::new(SigningKey::generate(Algorithm::Es256).expect("a key"));
    let signing = SigningConfig::with_signer("https://platform.example", signer);
    let issuer = || IssuerConfig::new("https://idp.example");
    let oidc = [
        OidcConfig::new().with_issuer(issuer()),
        OidcConfig::new().with_issuer(issuer()).with_client(client).with_signing(signing),
    ];
    let service = ServiceUser::token(secret());
    let zitadel = || ZitadelConfig::new("https://login.example", "1");
    let zitadel = [zitadel(), zitadel().with_service(service)];
    let connection = Connection::cluster("https://127.0.0.1:6443", secret());
    let kubernetes = KubernetesConfig::new(connection).with_namespace("default");
    let kubernetes = KubernetesIdentity::new(kubernetes).expect(SOUND).capabilities();
    let memory = InMemoryIdentity::new().capabilities();
    vec![
        ("Oidc", oidc.map(|config| Oidc::new(config).expect(SOUND).capabilities())),
        ("Zitadel", zitadel.map(|config| Zitadel::new(config).expect(SOUND).capabilities())),
        ("KubernetesIdentity", [kubernetes; 2]),
        ("InMemoryIdentity", [memory; 2]),
    ]
}

/// A cell says `no`, `with` a setting, or what is always so.
#[test]
fn the_table_of_identity_plugins_says_what_they_declare() {
    let (_, table) = README.split_once("## What each identity plugin can do").unwrap();
    let (table, _) = table.split_once("\n\n`").unwrap();
    let row = |name: &str| {
        let row = table.lines().find(|line| line.starts_with(name));
        let cells = row.unwrap().trim_matches('|').split('|').map(str::trim);
        cells.skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let names = row("| |");
    for (place, (name, declared)) in declared().into_iter().enumerate() {
        assert_eq!(names[place], format!("`{name}`"));
        let issue = declared.each_ref().map(|can| can.issue);
        let authenticate = declared.each_ref().map(|can| can.authenticate);
        for (what, declared) in [("| sign tokens", issue), ("| obtain credentials", authenticate)] {
            let cell = row(what)[place].clone();
            let expected = match cell.as_str() {
                "no" => [false, false],
                with if with.starts_with("with ") => [false, true],
                _ => [true, true],
            };
            assert_eq!(declared, expected, "{name}, {what}: {cell}");
        }
    }
}

use std::path::PathBuf;

use pipe_core::{Error, ErrorKind};

use super::*;
use crate::Kubernetes;

/// A file that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipe-k8s-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["k8s.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A kubeconfig with one context per line of `users`, as `name: { … }`.
fn kubeconfig_of(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
         clusters: [{{name: c, cluster: {cluster}}}]\n\
         users: [{{name: u, user: {user}}}]\n\
         contexts:\n- {{name: one, context: {{cluster: c, user: u, namespace: bots}}}}\n\
         - {{name: two, context: {{cluster: c, user: u}}}}\n\
         - {{name: lost, context: {{cluster: nowhere, user: u}}}}\n"
    )
}

fn connect_with(name: &str, text: &str, context: Option<&str>) -> Result<Connected> {
    let file = Scratch::new(name, text);
    let mut connection = KubeconfigConnection::new().with_path(&file.0);
    connection.context = context.map(str::to_owned);
    connect(&KubernetesConfig::new(connection.into()), None)
}

fn refused(name: &str, cluster: &str, user: &str) -> Error {
    let error = connect_with(name, &kubeconfig_of(cluster, user), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    error
}

const CLUSTER: &str = "{server: 'https://k8s.example:6443'}";

/// REQ 002-43
#[test]
fn a_kubeconfig_tells_the_server_the_token_and_the_namespace() {
    let text = kubeconfig_of(CLUSTER, "{token: hunter2}");
    let connected = connect_with("context", &text, None).unwrap();
    assert_eq!(connected.client.url("/x"), "https://k8s.example:6443/x");
    assert_eq!(connected.namespace, "bots");
    assert!(!format!("{connected:?}").contains("hunter2"));
    assert_eq!(connect_with("other", &text, Some("two")).unwrap().namespace, "default");
}

/// REQ 002-47
#[test]
fn a_kubeconfig_may_have_a_client_certificate_and_an_authority() {
    let (certificate, key) = certificate();
    let [certificate, key] = [certificate, key].map(|pem| STANDARD.encode(pem));
    let cluster =
        format!("{{server: 'https://k8s.example', certificate-authority-data: {certificate}}}");
    let user = format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}");
    connect_with("certificate", &kubeconfig_of(&cluster, &user), None).unwrap();
    let error = refused("no-key", CLUSTER, &format!("{{client-certificate-data: {certificate}}}"));
    assert!(error.to_string().contains("without a key"), "{error}");
}

/// A kubeconfig is data: reading one runs nothing.
#[test]
fn a_program_that_logs_in_is_refused_and_not_run() {
    let witness = std::env::temp_dir().join(format!("pipe-k8s-ran-{}", std::process::id()));
    let user = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: ['{}'], interactiveMode: Never}}}}",
        witness.display()
    );
    let error = refused("exec", CLUSTER, &user);
    assert!(error.to_string().contains("program"), "{error}");
    assert!(!witness.exists());
    let error = refused("provider", CLUSTER, "{auth-provider: {name: gcp, config: {}}}");
    assert!(error.to_string().contains("program"), "{error}");
}

#[test]
fn certificates_are_always_checked() {
    let cluster = "{server: 'https://k8s.example', insecure-skip-tls-verify: true}";
    let error = refused("insecure", cluster, "{token: t}");
    assert!(error.to_string().contains("certificate-authority"), "{error}");
}

#[test]
fn what_a_kubeconfig_lacks_is_named() {
    let text = kubeconfig_of(CLUSTER, "{token: t}");
    for (name, context) in [("unknown", "three"), ("lost", "lost")] {
        let error = connect_with(name, &text, Some(context)).unwrap_err();
        assert!(error.context("connection.context").is_some(), "{error}");
    }
    let error = connect_with("empty", "{}", None).unwrap_err();
    assert!(error.context("connection.context").is_some(), "{error}");
    let error = connect_with("broken", "hunter2: [", None).unwrap_err();
    assert!(error.context("connection.path").is_some(), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let error = refused("nobody", CLUSTER, "{}");
    assert!(error.to_string().contains("who we are"), "{error}");
}

/// REQ 002-49
#[test]
fn a_kubeconfigs_impersonation_is_kept() {
    let user = "{token: t, as: jane, as-groups: [dev, ops]}";
    let connected = connect_with("as", &kubeconfig_of(CLUSTER, user), None).unwrap();
    let shown = format!("{:?}", connected.client);
    assert!(shown.contains("jane") && shown.contains("dev") && shown.contains("ops"), "{shown}");
    let error = refused("as-uid", CLUSTER, "{token: t, as: jane, as-uid: x}");
    assert!(error.to_string().contains("more than user and groups"), "{error}");
}

/// Without its header, the request would be made as ourselves.
#[test]
fn a_kubeconfigs_impersonation_that_no_header_carries_is_refused() {
    for user in [
        "{token: t, as: ''}",
        "{token: t, as: ' jane'}",
        "{token: t, as: \"jane\\nx\"}",
        "{token: t, as: jane, as-groups: ['']}",
        "{token: t, as: jane, as-groups: [\"dev\\0\"]}",
    ] {
        let error = refused("as-broken", CLUSTER, user);
        assert!(error.context("connection.context").is_some(), "{user}: {error}");
    }
}

/// REQ 002-44
#[test]
fn a_cluster_at_an_address_needs_a_namespace_and_an_identity() {
    let config = KubernetesConfig::new(Connection::cluster_without_token("https://k8s.example"));
    let error = Kubernetes::new(config.with_namespace("bots")).unwrap_err();
    assert!(error.to_string().contains("who we are"), "{error}");
    let token = || SecretSource::Value("t".into());
    let config = KubernetesConfig::new(Connection::cluster("https://k8s.example", token()));
    let error = Kubernetes::new(config.clone()).unwrap_err();
    assert!(error.context("namespace").is_some(), "{error}");
    assert!(Kubernetes::new(config.with_namespace("bots")).is_ok());
    let config = KubernetesConfig::new(Connection::cluster("http://k8s.example", token()));
    let error = Kubernetes::new(config.with_namespace("bots")).unwrap_err();
    assert!(error.context("connection.address").is_some(), "{error}");
}

/// REQ 002-42: outside of a pod, what is missing is named.
#[test]
fn outside_of_a_pod_the_variables_are_named() {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return;
    }
    let error = Kubernetes::new(KubernetesConfig::new(Connection::in_cluster())).unwrap_err();
    assert!(error.context("KUBERNETES_SERVICE_HOST").is_some(), "{error}");
}

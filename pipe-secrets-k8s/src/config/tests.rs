use super::*;

fn fault(config: &KubernetesConfig) -> pipe_core::Error {
    let mut faults = ConfigFaults::new();
    config.check(&mut faults);
    faults.into_error()
}

#[test]
fn every_connection_can_stand_in_a_document() {
    for document in [
        r#"{"connection":{"kind":"in_cluster"}}"#,
        r#"{"connection":{"kind":"kubeconfig"}}"#,
        r#"{"connection":{"kind":"kubeconfig","path":"/k","context":"c"},"namespace":"bots"}"#,
        r#"{"connection":{"kind":"cluster","address":"https://k","token":{"file":"/t"}}}"#,
        r#"{"connection":{"kind":"cluster","address":"https://k"},"http":{"client_certificate":{"env":"C"}}}"#,
        r#"{"connection":{"kind":"in_cluster"},"impersonate":{"user":"u","groups":["g"]}}"#,
    ] {
        serde_json::from_str::<KubernetesConfig>(document).unwrap();
    }
}

#[test]
fn unknown_settings_are_refused() {
    for document in [
        r#"{"connection":{"kind":"in_cluster"},"force":true}"#,
        r#"{"connection":{"kind":"kubeconfig","exec":true}}"#,
        r#"{"connection":{"kind":"cluster","address":"x","insecure":true}}"#,
        r#"{"connection":{"kind":"in_cluster"},"impersonate":{"user":"u","uid":"x"}}"#,
    ] {
        assert!(serde_json::from_str::<KubernetesConfig>(document).is_err(), "{document}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let config = KubernetesConfig::new(Connection::in_cluster())
        .with_name("a b")
        .with_namespace("Team/One")
        .with_field_manager("m".repeat(129))
        .with_page_size(0)
        .with_impersonation(Impersonation::user("").with_group("a b"));
    let error = fault(&config);
    for setting in [
        "name",
        "namespace",
        "field_manager",
        "page_size",
        "impersonate.user",
        "impersonate.groups",
    ] {
        assert!(error.context(setting).is_some(), "{setting} is missing in {error}");
    }
}

/// REQ 004-85.1
#[test]
fn no_secret_shows_in_debug_or_in_a_fault_of_the_document() {
    let token = SecretSource::Value("hunter2".into());
    let config = KubernetesConfig::new(Connection::cluster("https://a:hunter2@k", token));
    assert!(!format!("{config:?}").contains("hunter2"));
    for connection in [
        r#"{"kind":"cluster","address":"x","token":"hunter2"}"#,
        r#"{"kind":"hunter","token":{"value":"hunter2"}}"#,
    ] {
        let document = format!(r#"{{"connection":{connection}}}"#);
        let error = serde_json::from_str::<KubernetesConfig>(&document).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

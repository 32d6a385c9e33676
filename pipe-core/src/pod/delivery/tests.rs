use std::time::Duration;

use serde_json::json;

use super::*;
use crate::pod::{AclCapability, restricted_violations};
use crate::secrets::{ArtifactPath, SecretVersion};
use crate::{ErrorKind, Namespace};

fn secret(name: &str) -> SecretRef {
    SecretRef::new(name).unwrap()
}

fn store() -> OpenBaoStore {
    OpenBaoStore::new("https://bao.example:8200", "role", "account")
}

fn keyed() -> SecretMount {
    SecretMount::volume(secret("apps/tls")).with_item("tls.key", "tls.key")
}

fn declaration() -> PodSecrets {
    PodSecrets::new("bot", "bots").with_mount(keyed())
}

fn infisical() -> InfisicalOperator {
    let auth = InfisicalAuthMethod::Kubernetes {
        identity_id: SecretKey::new("infisical", "identity", "id"),
        service_account: "account".to_owned(),
        audience: "infisical".to_owned(),
    };
    InfisicalOperator::new("https://infisical.example", "project", "prod", auth)
}

fn infisical_store() -> InfisicalStore {
    InfisicalStore::new("https://infisical.example", "project", "prod", "machine-identity")
}

fn every_way() -> [Delivery; 8] {
    [
        Delivery::NativeSecret(NativeSecret::new()),
        Delivery::ExternalSecrets(ExternalSecrets::openbao(store())),
        Delivery::ExternalSecrets(ExternalSecrets::existing("store", StoreScope::Cluster)),
        Delivery::SecretsStoreCsi(SecretsStoreCsi::new(store())),
        Delivery::AgentInjector(AgentInjector::new(store())),
        Delivery::InfisicalOperator(infisical()),
        Delivery::Runtime(RuntimeRead::new(store())),
        Delivery::ExternalSecrets(ExternalSecrets::infisical(infisical_store())),
    ]
}

fn kind(secrets: &PodSecrets, delivery: &Delivery) -> ErrorKind {
    secrets.deliver(delivery).unwrap_err().kind()
}

/// REQ 003-11
#[test]
fn one_declaration_is_delivered_in_every_way_and_stays_restricted() {
    for delivery in every_way() {
        let delivered = declaration().deliver(&delivery).unwrap();
        let mut pod = json!({"kind": "Pod", "spec": {"containers": [{"name": "bot"}]}});
        let security = crate::pod::PodSecurity::restricted().fragment().unwrap();
        let whole = delivered.fragment.merge(security).unwrap();
        whole.apply_to(&mut pod, "bot").unwrap();
        assert_eq!(restricted_violations(&pod).unwrap(), [], "{delivery:?}");
    }
}

#[test]
fn the_names_of_files_are_each_once() {
    for delivery in every_way() {
        let both = declaration().with_mount(keyed().at("/other"));
        let delivered = both.deliver(&delivery).unwrap();
        let names: BTreeSet<_> = delivered.manifests.iter().map(Manifest::file_name).collect();
        assert_eq!(names.len(), delivered.manifests.len(), "{names:?}");
    }
}

#[test]
fn the_policy_allows_to_read_what_is_declared_and_nothing_else() {
    for delivery in every_way() {
        let Some(policy) = declaration().deliver(&delivery).unwrap().policy else { continue };
        assert!(policy.allows("secret/data/apps/tls", AclCapability::Read));
        assert!(policy.paths().eq(["secret/data/apps/tls"]), "{policy}");
        assert!(!policy.allows("secret/data/apps/tls", AclCapability::Update));
    }
}

/// A document of the platform chooses.
#[test]
fn a_way_of_delivery_is_chosen_by_a_document() {
    let openbao = json!({"address": "https://bao.example:8200", "role": "role", "service_account": "account"});
    let with = |via: &str| json!({"via": via, "openbao": openbao});
    let infisical_document = json!({
        "via": "infisical-operator", "address": "https://infisical.example",
        "project": "project", "environment": "prod", "auth": {
            "method": "kubernetes", "service_account": "account", "audience": "infisical",
            "identity_id": {"namespace": "infisical", "name": "identity", "key": "id"},
        },
    });
    let documents = [
        json!({"via": "native-secret"}),
        json!({"via": "external-secrets", "store": {"openbao": openbao}}),
        json!({"via": "external-secrets", "refresh": "1h",
            "store": {"existing": {"name": "store", "scope": "cluster"}}}),
        with("secrets-store-csi"),
        with("agent-injector"),
        infisical_document,
        with("runtime"),
        json!({"via": "external-secrets", "store": {"infisical": {
            "address": "https://infisical.example", "project": "project", "environment": "prod",
            "credentials": "machine-identity",
        }}}),
    ];
    for (document, expected) in documents.into_iter().zip(every_way()) {
        let delivery: Delivery = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(delivery, expected);
        let mut misspelt = document;
        misspelt["opnbao"] = json!(1);
        assert!(serde_json::from_value::<Delivery>(misspelt).is_err(), "{delivery:?}");
    }
    assert!(serde_json::from_value::<Delivery>(json!({"via": "mail"})).is_err());
}

#[test]
fn what_a_way_of_delivery_cannot_do_is_refused() {
    let new = || PodSecrets::new("bot", "bots");
    let env = EnvInjection::new().with_env("A", secret("a"), "k");
    let whole = EnvInjection::new().with_env_from("A_", secret("a"));
    let csi = Delivery::SecretsStoreCsi(SecretsStoreCsi::new(store()));
    let injector = Delivery::AgentInjector(AgentInjector::new(store()));
    for (secrets, delivery) in [
        (new().with_mount(SecretMount::volume(secret("a"))), &csi),
        (new().with_mount(SecretMount::env_from(secret("a"), "A_")), &csi),
        (new().with_mount(keyed().optional()), &csi),
        (new().with_env(whole.clone()), &csi),
        (new().with_env(env.clone().optional()), &csi),
        (new().with_env(env), &injector),
        (new().with_env(whole), &injector),
        (new().with_mount(SecretMount::volume(secret("a"))), &injector),
        (new().with_mount(keyed().optional()), &injector),
        (new().with_mount(SecretMount::volume(secret("a")).with_item("k", "{{x}}")), &injector),
    ] {
        assert_eq!(kind(&secrets, delivery), ErrorKind::InvalidArgument, "{secrets:?}");
    }
    let elsewhere = secret("a").with_namespace(Namespace::new("prod").unwrap());
    for name in [secret("a_dot_b"), elsewhere] {
        let mount = new().with_mount(SecretMount::volume(name));
        for delivery in [
            Delivery::InfisicalOperator(infisical()),
            Delivery::ExternalSecrets(ExternalSecrets::infisical(infisical_store())),
        ] {
            assert_eq!(kind(&mount, &delivery), ErrorKind::InvalidArgument, "{delivery:?}");
        }
    }
    let ca = ExternalSecrets::infisical(infisical_store()).with_ca_config_map("ca", "ca.crt");
    let ca = Delivery::ExternalSecrets(ca);
    let mount = new().with_mount(SecretMount::volume(secret("a")));
    assert_eq!(kind(&mount, &ca), ErrorKind::InvalidArgument);
}

#[test]
fn two_secrets_in_one_place_are_a_conflict_in_every_way() {
    let other = SecretMount::volume(secret("apps/other")).with_item("tls.key", "tls.key");
    let twice = PodSecrets::new("bot", "bots").with_mount(keyed().at("/tls"));
    for delivery in every_way() {
        let same = twice.clone().with_mount(keyed().at("/tls")).deliver(&delivery);
        assert_eq!(same.unwrap(), twice.deliver(&delivery).unwrap(), "{delivery:?}");
        let two = twice.clone().with_mount(other.clone().at("/tls"));
        assert_eq!(kind(&two, &delivery), ErrorKind::Conflict, "{delivery:?}");
    }
}

#[test]
fn a_secret_of_another_namespace_or_an_old_version_is_refused() {
    let of = |secret| {
        PodSecrets::new("bot", "bots").with_mount(SecretMount::volume(secret).with_item("k", "k"))
    };
    let team1 = Namespace::new("team1").unwrap();
    for delivery in &every_way()[1..] {
        let foreign = of(secret("a").with_namespace(team1.clone()));
        assert_eq!(kind(&foreign, delivery), ErrorKind::InvalidArgument, "{delivery:?}");
    }
    for delivery in &every_way() {
        let old = of(secret("a").with_version(SecretVersion::new(1)));
        assert_eq!(kind(&old, delivery), ErrorKind::InvalidArgument, "{delivery:?}");
    }
    let own = store().with_namespace(team1.clone());
    let runtime = Delivery::Runtime(RuntimeRead::new(own));
    assert!(of(secret("a").with_namespace(team1)).deliver(&runtime).is_ok());
}

#[test]
fn what_has_no_place_in_a_manifest_is_refused_and_not_repeated() {
    let runtime = |store| Delivery::Runtime(RuntimeRead::new(store));
    for store in [
        OpenBaoStore::new("http://bao.example", "role", "account"),
        OpenBaoStore::new("https://user:hunter2@bao.example", "role", "account"),
        OpenBaoStore::new("https://bao.example/?x=hunter2", "role", "account"),
        OpenBaoStore::new("https://", "role", "account"),
        OpenBaoStore::new("https://bao.example", "ro le", "account"),
        OpenBaoStore::new("https://bao.example", "", "account"),
        OpenBaoStore::new("https://bao.example", "role", "Account"),
        store().with_audience("a\"b"),
    ] {
        let error = declaration().deliver(&runtime(store)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(!format!("{error:?} {error:#}").contains("hunter2"), "{error:#}");
    }
    for (name, namespace) in [("Bot", "bots"), ("", "bots"), ("bot", "b.c"), ("bot", "")] {
        let secrets = PodSecrets::new(name, namespace);
        assert_eq!(
            kind(&secrets, &Delivery::NativeSecret(NativeSecret::new())),
            ErrorKind::InvalidArgument
        );
    }
    let never = ExternalSecrets::openbao(store()).with_refresh(Duration::ZERO);
    assert_eq!(kind(&declaration(), &Delivery::ExternalSecrets(never)), ErrorKind::InvalidArgument);
    let ca = ExternalSecrets::existing("store", StoreScope::Namespace)
        .with_ca_config_map("ca", "ca.crt");
    assert_eq!(kind(&declaration(), &Delivery::ExternalSecrets(ca)), ErrorKind::InvalidArgument);
    let relative = SecretsStoreCsi::new(store()).with_ca_file("ca.crt");
    assert_eq!(
        kind(&declaration(), &Delivery::SecretsStoreCsi(relative)),
        ErrorKind::InvalidArgument
    );
}

#[test]
fn a_duration_is_written_as_go_writes_it() {
    for (seconds, expected) in [(59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (90_061, "25h1m1s")] {
        assert_eq!(external_secrets::go_duration(Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn an_annotations_name_is_never_too_long() {
    let long = "long-".repeat(23) + "name";
    let path = format!("/artifacts/{long}/public/secrets/{long}");
    let secret = path.parse::<ArtifactPath>().unwrap().secret_ref();
    let mount = SecretMount::volume(secret).with_item("a.key.of.some.length", "file");
    let injector = Delivery::AgentInjector(AgentInjector::new(store()));
    let delivered = PodSecrets::new("bot", "bots").with_mount(mount).deliver(&injector).unwrap();
    for name in delivered.fragment.annotations.keys() {
        let (_, name) = name.split_once('/').unwrap();
        assert!(name.len() <= 63, "{name}");
    }
}

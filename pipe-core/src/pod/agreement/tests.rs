use serde_json::json;

use super::*;
use crate::Namespace;
use crate::pod::{
    AgentInjector, Delivered, Delivery, EnvInjection, ExternalSecrets, NativeSecret, SecretMount,
    SecretsStoreCsi,
};
use crate::secrets::SecretRef;

fn secret(name: &str) -> SecretRef {
    SecretRef::new(name).unwrap()
}

fn store() -> OpenBaoStore {
    OpenBaoStore::new("https://bao.example:8200", "role", "account")
}

fn files() -> PodSecrets {
    let mount = SecretMount::volume(secret("apps/tls"));
    PodSecrets::new("bot", "bots").with_mount(mount.with_item("key", "key").with_item("crt", "crt"))
}

fn both() -> PodSecrets {
    files().with_env(EnvInjection::new().with_env("PASSWORD", secret("apps/db"), "password"))
}

/// Everything that a delivery makes, the pod last.
fn manifests(delivered: &Delivered) -> Vec<Value> {
    let mut job = json!({"kind": "Job", "metadata": {"name": "bot"}, "spec": {"template": {
        "metadata": {}, "spec": {"containers": [{"name": "bot"}]},
    }}});
    delivered.fragment.apply_to(&mut job, "bot").unwrap();
    delivered.manifests.iter().map(|manifest| manifest.as_value().clone()).chain([job]).collect()
}

fn found(secrets: &PodSecrets, manifests: &[Value], policy: &AclPolicy) -> Vec<String> {
    let found = secrets.disagreements(&store(), manifests, policy).unwrap();
    found.iter().map(ToString::to_string).collect()
}

fn external() -> (Vec<Value>, AclPolicy) {
    let eso = Delivery::ExternalSecrets(ExternalSecrets::openbao(store()));
    let delivered = both().deliver(&eso).unwrap();
    (manifests(&delivered), delivered.policy.unwrap())
}

#[test]
fn what_is_generated_together_agrees() {
    let (eso, policy) = external();
    assert_eq!(found(&both(), &eso, &policy), [""; 0]);
    let csi = Delivery::SecretsStoreCsi(SecretsStoreCsi::new(store()));
    let csi = both().deliver(&csi).unwrap();
    assert_eq!(found(&both(), &manifests(&csi), csi.policy.as_ref().unwrap()), [""; 0]);
    let injector = Delivery::AgentInjector(AgentInjector::new(store()));
    let injector = files().deliver(&injector).unwrap();
    assert_eq!(found(&files(), &manifests(&injector), injector.policy.as_ref().unwrap()), [""; 0]);
    let native = both().deliver(&Delivery::NativeSecret(NativeSecret::new())).unwrap();
    assert_eq!(found(&both(), &manifests(&native), &policy), [""; 0]);
    let whole = PodSecrets::new("bot", "bots").with_mount(SecretMount::volume(secret("apps/tls")));
    let eso = Delivery::ExternalSecrets(ExternalSecrets::openbao(store()));
    let eso = whole.deliver(&eso).unwrap();
    assert_eq!(found(&whole, &manifests(&eso), eso.policy.as_ref().unwrap()), [""; 0]);
}

#[test]
fn a_policy_that_does_not_allow_the_path_is_named() {
    let (eso, _) = external();
    let policy = AclPolicy::new().allow("secret/data/apps/db", [AclCapability::Read]).unwrap();
    assert_eq!(found(&both(), &eso, &policy), ["policy: secret/data/apps/tls is not readable"]);
    let wide: AclPolicy =
        "path \"secret/data/apps/*\" { capabilities = [\"read\"] }".parse().unwrap();
    assert_eq!(found(&both(), &eso, &wide), [""; 0]);
}

#[test]
fn a_manifest_that_names_another_path_is_named_with_its_place() {
    let (mut eso, policy) = external();
    let db = eso.iter_mut().find(|m| m.to_string().contains("\"apps/db\"")).unwrap();
    db["spec"]["data"][0]["remoteRef"]["key"] = "apps/dbb".into();
    let name = kubernetes_secret_name(&secret("apps/db"));
    let expected = [
        format!(
            "ExternalSecret/{name}: /spec/data/0/remoteRef/key: secret/data/apps/dbb is not declared"
        ),
        "manifests: secret/data/apps/db is not named".to_owned(),
    ];
    assert_eq!(found(&both(), &eso, &policy), expected);
}

#[test]
fn a_manifest_that_names_another_key_is_named() {
    let (mut eso, policy) = external();
    let db = eso.iter_mut().find(|m| m.to_string().contains("\"apps/db\"")).unwrap();
    db["spec"]["data"][0]["remoteRef"]["property"] = "passwort".into();
    assert_eq!(
        found(&both(), &eso, &policy),
        ["manifests: secret/data/apps/db password is not named"]
    );
    db_key(&mut eso, "passwort");
    let name = kubernetes_secret_name(&secret("apps/db"));
    let unmade = format!(
        "/spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef: {name} password is a key that no manifest makes"
    );
    assert!(found(&both(), &eso, &policy).iter().any(|text| text.ends_with(&unmade)));
}

fn db_key(manifests: &mut [Value], key: &str) {
    let db = manifests.iter_mut().find(|m| m.to_string().contains("\"apps/db\"")).unwrap();
    db["spec"]["data"][0]["secretKey"] = key.into();
}

#[test]
fn a_store_that_is_another_place_is_named() {
    let (mut eso, policy) = external();
    for (pointer, value) in [
        ("/spec/provider/vault/path", "kv"),
        ("/spec/provider/vault/server", "https://other.example"),
        ("/spec/provider/vault/auth/kubernetes/role", "admin"),
    ] {
        let before = eso.clone();
        *eso[0].pointer_mut(pointer).unwrap() = value.into();
        let found = found(&both(), &eso, &policy);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("SecretStore/bot: {pointer}: ")), "{found:?}");
        eso = before;
    }
    let own = store().with_namespace(Namespace::new("team1").unwrap());
    let found = both().disagreements(&own, &eso, &policy).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_provider_class_is_read_however_it_is_written() {
    let policy = AclPolicy::reading(&store(), files().secrets()).unwrap();
    let class = |objects: &str| {
        json!({"kind": "SecretProviderClass", "metadata": {"name": "c"},
            "spec": {"parameters": {"objects": objects}}})
    };
    let plain = "- objectName: key\n  secretPath: secret/data/apps/tls\n  secretKey: key\n\
                 - objectName: 'crt'\n  secretPath: 'secret/data/apps/tls'\n  secretKey: 'crt'\n";
    assert_eq!(found(&files(), &[class(plain)], &policy), [""; 0]);
    let other = plain.replace("secretKey: 'crt'", "secretKey: cert");
    let expected = ["manifests: secret/data/apps/tls crt is not named"];
    assert_eq!(found(&files(), &[class(&other)], &policy), expected);
    let mut synced = class(plain);
    synced["spec"]["secretObjects"] =
        json!([{"secretName": "s", "data": [{"objectName": "absent", "key": "k"}]}]);
    let expected =
        ["SecretProviderClass/c: /spec/secretObjects/0/data/0: absent is no object of the class"];
    assert_eq!(found(&files(), &[synced], &policy), expected);
}

#[test]
fn an_annotation_and_its_template_have_to_agree() {
    let policy = AclPolicy::reading(&store(), files().secrets()).unwrap();
    let pod = |path: &str, template: &str| {
        let name = |what: &str| format!("vault.hashicorp.com/agent-inject-{what}-x");
        json!({"kind": "Pod", "metadata": {"name": "p", "annotations": {
            name("secret"): path, name("template"): template,
        }}, "spec": {"containers": []}})
    };
    let key = |key: &str| {
        format!("{{{{ with secret \"secret/data/apps/tls\" }}}}{{{{ .Data.data.{key} }}}}")
    };
    let path = "secret/data/apps/tls";
    assert_eq!(
        found(&files(), &[pod(path, &key("key")), pod(path, &key("crt"))], &policy),
        [""; 0]
    );
    let found = found(&files(), &[pod("secret/data/apps/tsl", &key("key"))], &policy);
    let place = "Pod/p: /metadata/annotations/vault.hashicorp.com~1agent-inject-secret-x";
    assert!(found.contains(&format!("{place}: secret/data/apps/tsl is not declared")), "{found:?}");
    let torn = format!("{place}: secret/data/apps/tsl is not what the template reads");
    assert!(found.contains(&torn), "{found:?}");
}

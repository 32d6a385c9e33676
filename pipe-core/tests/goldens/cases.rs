//! What is generated for the goldens.

use std::time::Duration;

use pipe_core::Namespace;
use pipe_core::pod::{
    AclPolicy, AgentInjector, Delivered, Delivery, EnvInjection, ExternalSecrets,
    InfisicalAuthMethod, InfisicalOperator, InfisicalStore, NativeSecret, OpenBaoStore,
    PodFragment, PodSecrets, PodSecurity, Probe, Probes, ResourceProfile, RuntimeRead,
    SecretChecksum, SecretKey, SecretMount, SecretsRole, SecretsStoreCsi, StoreScope,
    token_review_binding,
};
use pipe_core::rbac::{GroupMapping, GroupRights};
use pipe_core::secrets::{AppId, ArtifactPath, SecretRef, SecretVersion};
use serde_json::{Value, json};

/// The name of each file, and what belongs into it.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    fragments(&mut files);
    hardening(&mut files);
    from_openbao(&mut files);
    from_others(&mut files);
    rights(&mut files);
    groups(&mut files);
    files
}

pub(crate) fn database() -> SecretMount {
    SecretMount::volume(secret("db-creds"))
}

fn secret(name: &str) -> SecretRef {
    SecretRef::new(name).expect("the declaration is sound")
}

fn artifact(path: &str) -> SecretRef {
    path.parse::<ArtifactPath>().expect("the declaration is sound").secret_ref()
}

fn env(name: &str, secret: SecretRef, key: &str) -> EnvInjection {
    EnvInjection::new().with_env(name, secret, key)
}

fn template(labels: Value, restart: &str) -> Value {
    let image = "registry.example/bot:1";
    let mut spec = json!({
        "containers": [
            {"name": "bot", "image": image, "env": [{"name": "RUST_LOG", "value": "info"}]},
            {"name": "proxy", "image": image},
        ],
        "initContainers": [{"name": "setup", "image": image}],
    });
    if !restart.is_empty() {
        spec["restartPolicy"] = restart.into();
    }
    json!({"metadata": {"labels": labels}, "spec": spec})
}

fn workload(kind: &str) -> Value {
    let labels = json!({"app": "bot"});
    let selector = json!({"matchLabels": labels});
    let running = template(labels.clone(), "");
    let finite = template(labels, "Never");
    let (api_version, spec) = match kind {
        "Pod" => ("v1", running["spec"].clone()),
        "Job" => ("batch/v1", json!({"template": finite})),
        "CronJob" => (
            "batch/v1",
            json!({"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": finite}}}),
        ),
        "StatefulSet" => {
            ("apps/v1", json!({"selector": selector, "template": running, "serviceName": "bot"}))
        }
        _ => ("apps/v1", json!({"selector": selector, "template": running})),
    };
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": "bot", "namespace": "pipe-bots"}, "spec": spec,
    })
}

fn written(manifest: &Value) -> String {
    format!("{manifest:#}\n")
}

fn applied(kind: &str, container: &str, fragment: &PodFragment) -> String {
    let mut manifest = workload(kind);
    fragment.apply_to(&mut manifest, container).expect("the declaration is sound");
    written(&manifest)
}

fn fragments(files: &mut Vec<(&'static str, String)>) {
    let password = || env("DB_PASSWORD", secret("db-creds"), "password");
    let whole = || EnvInjection::new().with_env_from("DB_", secret("db-creds"));
    let mut settings = workload("Pod");
    settings["spec"]["containers"][0]["envFrom"] =
        json!([{"prefix": "DB_", "configMapRef": {"name": "settings"}}]);
    whole()
        .fragment()
        .expect("the declaration is sound")
        .apply_to(&mut settings, "bot")
        .expect("the declaration is sound");
    files.push(("env-from-beside-config-map-pod.json", written(&settings)));
    let items = || {
        database().at("/etc/db").with_item("password", "password").with_item_of_mode(
            "tls.key",
            "tls/key.pem",
            0o400,
        )
    };
    let both = password()
        .fragment()
        .expect("the declaration is sound")
        .merge(items().fragment().expect("the declaration is sound"));
    for (name, kind, container, fragment) in [
        ("env-job.json", "Job", "bot", password().fragment()),
        ("env-optional-deployment.json", "Deployment", "bot", password().optional().fragment()),
        ("env-init-container-pod.json", "Pod", "setup", password().fragment()),
        ("env-from-cronjob.json", "CronJob", "bot", whole().fragment()),
        ("env-from-optional-daemonset.json", "DaemonSet", "proxy", whole().optional().fragment()),
        ("mount-statefulset.json", "StatefulSet", "bot", database().fragment()),
        ("mount-items-daemonset.json", "DaemonSet", "bot", items().fragment()),
        (
            "mount-narrow-optional-job.json",
            "Job",
            "bot",
            database().with_mode(0o400).optional().fragment(),
        ),
        (
            "mount-env-from-pod.json",
            "Pod",
            "bot",
            SecretMount::env_from(artifact("/artifacts/crm/public/secrets/db"), "DB_").fragment(),
        ),
        ("env-and-mount-deployment.json", "Deployment", "bot", both),
    ] {
        files.push((name, applied(kind, container, &fragment.expect("the declaration is sound"))));
    }
}

fn hardening(files: &mut Vec<(&'static str, String)>) {
    let mut hardened = |name, kind, security: PodSecurity| {
        let mut manifest = workload(kind);
        security
            .fragment()
            .expect("the declaration is sound")
            .apply_to_all(&mut manifest)
            .expect("the declaration is sound");
        files.push((name, written(&manifest)));
    };
    let restricted = PodSecurity::restricted;
    hardened("restricted-cronjob.json", "CronJob", restricted());
    let loosened = restricted().allow_writable_root_filesystem().allow_net_bind_service();
    hardened("restricted-loosened-pod.json", "Pod", loosened);
    let local = restricted().with_localhost_seccomp("bot.json").allow_image_user();
    hardened("restricted-localhost-seccomp-statefulset.json", "StatefulSet", local);
    let scratch = restricted().with_user(2000, 3000).with_scratch("/tmp", "64Mi");
    hardened("restricted-scratch-deployment.json", "Deployment", scratch);

    // Everything at once.
    let mut job = workload("Job");
    job["spec"]["template"]["spec"]["containers"][0]["env"] = Value::Null;
    let store = OpenBaoStore::new("https://openbao.openbao-system.svc:8200", "bot", "pipe-bot");
    let runtime =
        PodSecrets::new("bot", "pipe-bots").deliver(&Delivery::Runtime(RuntimeRead::new(store)));
    let injection =
        env("API_TOKEN", secret("api-token"), "API_TOKEN").with_env_from("DB_", secret("db-creds"));
    let parts = [
        injection.fragment().expect("the declaration is sound"),
        database()
            .with_item_of_mode("password", "password", 0o440)
            .fragment()
            .expect("the declaration is sound"),
        runtime.expect("the declaration is sound").fragment,
        ResourceProfile::Standard.fragment(),
    ];
    PodFragment::merge_all(parts)
        .expect("the declaration is sound")
        .apply_to(&mut job, "bot")
        .expect("the declaration is sound");
    let security =
        restricted().with_scratch("/tmp", "64Mi").fragment().expect("the declaration is sound");
    security.apply_to_all(&mut job).expect("the declaration is sound");
    files.push(("restricted-job.json", written(&job)));

    for (name, profile) in [
        ("resources-standard-pod.json", ResourceProfile::Standard),
        ("resources-high-performance-pod.json", ResourceProfile::HighPerformance),
    ] {
        files.push((name, applied("Pod", "bot", &profile.fragment())));
    }
    let http = Probes::new()
        .with_liveness(Probe::http("/livez", 8080))
        .with_readiness(Probe::https("/readyz", "https").every(5).giving_up_after(2))
        .with_startup(Probe::tcp(8080).every(1).giving_up_after(60));
    let other = Probes::new()
        .with_liveness(Probe::command(["/bot", "health"]).within(3))
        .with_readiness(Probe::grpc(9090));
    files.push((
        "probes-http-deployment.json",
        applied("Deployment", "bot", &http.fragment().expect("the declaration is sound")),
    ));
    files.push((
        "probes-other-pod.json",
        applied("Pod", "proxy", &other.fragment().expect("the declaration is sound")),
    ));
    let checksum = SecretChecksum::new()
        .with(&secret("db-creds"), SecretVersion::new(7))
        .with(&secret("api-token"), SecretVersion::new(1));
    files.push(("checksum-statefulset.json", applied("StatefulSet", "bot", &checksum.fragment())));
}

fn store() -> OpenBaoStore {
    OpenBaoStore::new("https://openbao.openbao-system.svc:8200", "pipe-bot", "pipe-bot")
}

fn token() -> SecretRef {
    artifact("/artifacts/crm/public/secrets/api-token")
}

fn certificate() -> SecretRef {
    artifact("/artifacts/crm/users/auth0%7C123/secrets/tls")
}

fn files_of_keys() -> PodSecrets {
    PodSecrets::new("bot", "pipe-bots").with_mount(
        SecretMount::volume(certificate())
            .at("/etc/bot/tls")
            .with_item("tls.crt", "tls.crt")
            .with_item_of_mode("tls.key", "private/tls.key", 0o400),
    )
}

fn declaration() -> PodSecrets {
    files_of_keys().with_env(env("API_TOKEN", token(), "value"))
}

/// The objects of a delivery, under these names, and the pod last.
fn delivered(
    files: &mut Vec<(&'static str, String)>,
    delivered: &Delivered,
    names: &[&'static str],
) {
    let pod = applied("Deployment", "bot", &delivered.fragment);
    let texts = delivered.manifests.iter().map(ToString::to_string).chain([pod]);
    let texts: Vec<_> = texts.collect();
    assert_eq!(texts.len(), names.len(), "{texts:?}");
    files.extend(names.iter().copied().zip(texts));
}

fn from_openbao(files: &mut Vec<(&'static str, String)>) {
    let eso = ExternalSecrets::openbao(store())
        .with_ca_config_map("openbao-ca", "ca.crt")
        .with_refresh(Duration::from_secs(5400));
    let eso =
        declaration().deliver(&Delivery::ExternalSecrets(eso)).expect("the declaration is sound");
    delivered(
        files,
        &eso,
        &[
            "external-secrets-store.json",
            "external-secrets-token.json",
            "external-secrets-certificate.json",
            "external-secrets-deployment.json",
        ],
    );
    files.push(("policy-reading.hcl", eso.policy.expect("the declaration is sound").to_string()));

    let whole =
        EnvInjection::new().with_env_from("DB_", artifact("/artifacts/crm/public/secrets/db"));
    let whole = PodSecrets::new("bot", "pipe-bots").with_env(whole);
    let existing = ExternalSecrets::existing("openbao", StoreScope::Cluster);
    let existing =
        whole.deliver(&Delivery::ExternalSecrets(existing)).expect("the declaration is sound");
    let names = ["external-secrets-whole.json", "external-secrets-whole-deployment.json"];
    delivered(files, &existing, &names);

    let csi = SecretsStoreCsi::new(store()).with_ca_file("/mnt/tls/ca.crt");
    let csi =
        declaration().deliver(&Delivery::SecretsStoreCsi(csi)).expect("the declaration is sound");
    delivered(files, &csi, &["csi-files.json", "csi-variables.json", "csi-deployment.json"]);

    let injector = AgentInjector::new(
        store().with_namespace(Namespace::new("team1").expect("the declaration is sound")),
    )
    .with_image("quay.io/openbao/openbao:2.6.2")
    .only_in(["bot"]);
    let injector = files_of_keys()
        .deliver(&Delivery::AgentInjector(injector))
        .expect("the declaration is sound");
    delivered(files, &injector, &["injector-deployment.json"]);

    let runtime = RuntimeRead::new(store().with_audience("https://bao.example"));
    let runtime =
        declaration().deliver(&Delivery::Runtime(runtime)).expect("the declaration is sound");
    delivered(files, &runtime, &["runtime-deployment.json"]);
}

fn from_others(files: &mut Vec<(&'static str, String)>) {
    let native = declaration()
        .deliver(&Delivery::NativeSecret(NativeSecret::new()))
        .expect("the declaration is sound");
    delivered(files, &native, &["native-deployment.json"]);

    let secrets = PodSecrets::new("bot", "pipe-bots").with_env(env(
        "API_TOKEN",
        secret("bots/api"),
        "API_TOKEN",
    ));
    let key = |name| SecretKey::new("infisical", "machine-identity", name);
    let universal = InfisicalAuthMethod::Universal {
        client_id: key("clientId"),
        client_secret: key("clientSecret"),
    };
    let kubernetes = InfisicalAuthMethod::Kubernetes {
        identity_id: key("identityId"),
        service_account: "pipe-bot".to_owned(),
        audience: "https://app.infisical.com".to_owned(),
    };
    let operator = |auth| {
        let operator = InfisicalOperator::new("https://app.infisical.com", "pipe", "prod", auth);
        secrets.deliver(&Delivery::InfisicalOperator(operator)).expect("the declaration is sound")
    };
    let names = [
        "infisical-connection.json",
        "infisical-auth-universal.json",
        "infisical-secret.json",
        "infisical-deployment.json",
    ];
    delivered(files, &operator(universal), &names);
    let kubernetes = operator(kubernetes);
    files.push(("infisical-auth-kubernetes.json", kubernetes.manifests[1].to_string()));

    let store = InfisicalStore::new("https://app.infisical.com", "pipe", "prod", "universal-auth")
        .with_folder("apps");
    let external = Delivery::ExternalSecrets(ExternalSecrets::infisical(store));
    let external = secrets.deliver(&external).expect("the declaration is sound");
    let names = [
        "external-secrets-infisical-store.json",
        "external-secrets-infisical.json",
        "external-secrets-infisical-deployment.json",
    ];
    delivered(files, &external, &names);
}

fn rights(files: &mut Vec<(&'static str, String)>) {
    let reading =
        SecretsRole::new("pipe-bot-secrets", "pipe-bots").reading(["api-token", "db-creds"]);
    let [role, binding] =
        reading.bound_to("pipe-bots", "pipe-bot").expect("the declaration is sound");
    files.push(("role-reading.json", role.to_string()));
    files.push(("role-binding.json", binding.to_string()));
    let all = reading
        .watching(["db-creds"])
        .writing(["state"])
        .deleting(["state"])
        .listing_the_namespace()
        .minting_tokens_of("pipe-bot");
    let [role, _] = all.bound_to("platform", "pipe").expect("the declaration is sound");
    files.push(("role-all.json", role.to_string()));
    let review = token_review_binding("pipe-token-review", "platform", "pipe")
        .expect("the declaration is sound");
    files.push(("token-review-binding.json", review.to_string()));

    let app = AppId::new("crm").expect("the declaration is sound");
    let policy = AclPolicy::reading(&store(), [&token()])
        .and_then(|policy| policy.allow_writing(&store(), &certificate()))
        .and_then(|policy| policy.allow_deleting(&store(), &certificate()))
        .expect("the declaration is sound")
        .allow_reading_own(&store(), &app);
    files.push(("policy-all.hcl", policy.to_string()));
}

fn groups(files: &mut Vec<(&'static str, String)>) {
    let mapping = json!({
        "grants": [
            {
                "group": "bni-editors", "tenant": "bni", "roles": ["editor"], "namespaces": ["bni"],
                "kubernetes": {
                    "groups": ["bni-editors"],
                    "bindings": [
                        { "cluster_role": "edit", "namespaces": ["bni-bots"] },
                        { "role": "deployer", "namespaces": ["bni-tools"] },
                    ],
                },
            },
            {
                "group": "0f1e2d3c-auditors", "roles": ["compliance-auditor"],
                "kubernetes": {
                    "groups": ["auditors"],
                    "bindings": [{ "cluster_role": "view", "cluster_wide": true }],
                },
            },
        ],
    });
    let mapping: GroupMapping = serde_json::from_value(mapping).expect("it is a mapping");
    let rights = GroupRights::new(mapping).expect("the mapping is sound");
    let bindings = rights.bindings();
    let names = [
        "group-cluster-role-binding.json",
        "group-role-binding.json",
        "group-own-role-binding.json",
    ];
    assert_eq!(bindings.len(), names.len());
    files.extend(names.into_iter().zip(bindings.iter().map(ToString::to_string)));
    let [role, binding] =
        rights.impersonator("pipe-impersonator", "platform", "pipe").expect("the mapping is sound");
    files.push(("group-impersonator.json", role.to_string()));
    files.push(("group-impersonator-binding.json", binding.to_string()));
}

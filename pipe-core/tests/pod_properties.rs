//! Whatever is declared: merging twice is merging once, and the same is written every time.

use std::collections::BTreeMap;

use pipe_core::SecretRef;
use pipe_core::pod::{
    AclPolicy, Delivery, EnvInjection, ExternalSecrets, OpenBaoStore, PodFragment, PodSecrets,
    PodSecurity, ResourceProfile, SecretMount,
};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug)]
enum Part {
    Env { name: String, secret: SecretRef, key: String },
    From { prefix: String, secret: SecretRef },
    Mount { secret: SecretRef, at: Option<String>, items: BTreeMap<String, String>, narrow: bool },
    Security,
    Resources,
}

impl Part {
    fn fragment(&self) -> PodFragment {
        let fragment = match self.clone() {
            Self::Env { name, secret, key } => {
                EnvInjection::new().with_env(name, secret, key).fragment()
            }
            Self::From { prefix, secret } => {
                EnvInjection::new().with_env_from(prefix, secret).fragment()
            }
            Self::Mount { .. } => self.mount().expect("this is a mount").fragment(),
            Self::Security => PodSecurity::restricted().fragment(),
            Self::Resources => Ok(ResourceProfile::Standard.fragment()),
        };
        fragment.expect("the names are legal")
    }

    fn mount(&self) -> Option<SecretMount> {
        let Self::Mount { secret, at, items, narrow } = self.clone() else { return None };
        let mut mount = SecretMount::volume(secret);
        for (path, key) in items {
            mount = mount.with_item(key, path);
        }
        if let Some(path) = at {
            mount = mount.at(path);
        }
        Some(if narrow { mount.with_mode(0o400) } else { mount })
    }
}

fn secret() -> impl Strategy<Value = SecretRef> {
    "[a-z]{1,3}(/[A-Za-z0-9_.]{1,4}[a-z]){0,2}"
        .prop_map(|name| SecretRef::new(name).expect("the name is legal"))
}

fn part() -> impl Strategy<Value = Part> {
    let items = proptest::collection::btree_map("[a-z]{1,3}", "[a-z][a-z.]{0,2}", 0..3);
    prop_oneof![
        4 => ("[A-Z]{1,2}", secret(), "[a-z]{1,2}")
            .prop_map(|(name, secret, key)| Part::Env { name, secret, key }),
        1 => ("([A-Z]_)?", secret()).prop_map(|(prefix, secret)| Part::From { prefix, secret }),
        4 => (secret(), proptest::option::of("/[a-c]{1,2}(/[a-c])?"), items, any::<bool>())
            .prop_map(|(secret, at, items, narrow)| Part::Mount { secret, at, items, narrow }),
        1 => Just(Part::Security),
        1 => Just(Part::Resources),
    ]
}

fn manifest(kind: &str, env: &str, path: &str) -> Value {
    let spec = json!({
        "containers": [{
            "name": "bot",
            "env": [{"name": env, "value": "theirs"}],
            "volumeMounts": [{"name": "theirs", "mountPath": path}],
        }],
        "volumes": [{"name": "theirs", "emptyDir": {}}],
    });
    match kind {
        "Pod" => json!({"kind": kind, "spec": spec}),
        "CronJob" => {
            json!({"kind": kind, "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}})
        }
        kind => json!({"kind": kind, "spec": {"template": {"spec": spec}}}),
    }
}

proptest! {
    /// REQ 004-79.4, 004-80.4
    #[test]
    fn merging_twice_is_merging_once(
        parts in proptest::collection::vec(part(), 0..12),
        kind in proptest::sample::select(vec!["Pod", "Job", "CronJob", "Deployment", "StatefulSet", "DaemonSet"]),
        env in "[A-Z]{1,2}",
        path in "/[a-c]{1,2}",
    ) {
        let mut manifest = manifest(kind, &env, &path);
        let theirs = manifest.clone();
        for part in &parts {
            let before = manifest.clone();
            if part.fragment().apply_to(&mut manifest, "bot").is_err() {
                prop_assert_eq!(&manifest, &before, "a failed merge changed something");
                continue;
            }
            let once = manifest.clone();
            part.fragment().apply_to(&mut manifest, "bot").unwrap();
            prop_assert_eq!(&manifest, &once);
        }
        // What was there before is still there, and first.
        for list in ["env", "volumeMounts"] {
            let of = |manifest: &Value| find(manifest, list).unwrap()[0].clone();
            prop_assert_eq!(of(&manifest), of(&theirs));
        }
    }

    #[test]
    fn one_after_the_other_is_all_at_once(parts in proptest::collection::vec(part(), 0..12)) {
        let merged = PodFragment::merge_all(parts.iter().map(Part::fragment));
        let mut one_by_one = json!({"kind": "Pod", "spec": {"containers": [{"name": "bot"}]}});
        let mut all = one_by_one.clone();
        let applied = parts.iter().try_for_each(|part| part.fragment().apply_to(&mut one_by_one, "bot"));
        prop_assert_eq!(merged.is_ok(), applied.is_ok());
        if let Ok(merged) = merged {
            merged.apply_to(&mut all, "bot").unwrap();
            prop_assert_eq!(all, one_by_one);
            prop_assert_eq!(merged.clone().merge(merged.clone()).unwrap(), merged);
        }
    }

    /// REQ 003-12: the order of a declaration does not matter to objects and policies.
    #[test]
    fn the_same_declaration_gives_the_same_objects(parts in proptest::collection::vec(part(), 0..8)) {
        let declare = |parts: &mut dyn Iterator<Item = &Part>| parts.fold(
            PodSecrets::new("bot", "bots"),
            |secrets, part| match (part, part.mount()) {
                (_, Some(mount)) => secrets.with_mount(mount),
                (Part::Env { name, secret, key }, _) => {
                    secrets.with_env(EnvInjection::new().with_env(name, secret.clone(), key))
                }
                _ => secrets,
            },
        );
        let store = OpenBaoStore::new("https://bao.example", "role", "account");
        let delivery = Delivery::ExternalSecrets(ExternalSecrets::openbao(store.clone()));
        let forth = declare(&mut parts.iter());
        let back = declare(&mut parts.iter().rev()).deliver(&delivery);
        let Ok(delivered) = forth.deliver(&delivery) else {
            prop_assert!(back.is_err());
            return Ok(());
        };
        let back = back.unwrap();
        prop_assert_eq!(&delivered.manifests, &back.manifests);
        prop_assert_eq!(&delivered, &forth.deliver(&delivery).unwrap());
        let policy = delivered.policy.unwrap();
        let manifests = delivered.manifests.iter().map(|manifest| manifest.as_value());
        prop_assert_eq!(forth.disagreements(&store, manifests, &policy).unwrap(), vec![]);
        prop_assert_eq!(policy.to_string().parse::<AclPolicy>().unwrap(), policy);
    }
}

fn find<'a>(value: &'a Value, list: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            members.get(list).or_else(|| members.values().find_map(|value| find(value, list)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, list)),
        _ => None,
    }
}

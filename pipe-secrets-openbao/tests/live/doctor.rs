//! The operator's view: what is wrong and what to do about it, policies, snapshots (REQ 001-75).

use std::io::Read as _;

use flate2::read::GzDecoder;
use pipe_core::pod::AclCapability;
use pipe_core::secrets::ListQuery;
use pipe_core::{ErrorKind, Namespace, Plugin, SecretData, SecretName, SecretRef, SecretsPlugin};
use pipe_secrets_openbao::{Diagnosis, Need, OpenBaoConfig, Topic, Verdict};
use serde_json::json;

use crate::server::{self, Server};
use crate::setup::{config, namespace, plugin, token};

fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

fn needs() -> Vec<Need> {
    let below = Namespace::new("pipe-testkit-a").expect("legal");
    let apps = SecretName::new("apps").expect("legal");
    vec![
        Need::Read(db()),
        Need::Write(db().with_namespace(below)),
        Need::Delete(db()),
        Need::List(ListQuery::new().with_prefix(apps)),
        Need::path("transit/encrypt/k", [AclCapability::Update]),
    ]
}

fn bad(diagnosis: &Diagnosis) -> Vec<(Topic, &str, &str)> {
    let bad = diagnosis.findings.iter().filter(|finding| finding.verdict == Verdict::Bad);
    bad.map(|finding| (finding.topic, finding.message.as_str(), finding.hint.as_str())).collect()
}

/// The policy that is generated grants what the doctor looks for, and what the plugin then does.
#[tokio::test]
async fn the_generated_policy_is_what_the_doctor_asks_for() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let made = admin.token(&namespace, &["generated"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    let before = bao.doctor(&needs()).await;
    assert!(!before.is_good(), "{before}");
    let bad = bad(&before);
    // Without a detailed list, the plugin tries another way.
    assert_eq!(bad.len(), needs().len() - 1, "{before}");
    assert!(
        before.findings.iter().any(|finding| finding.verdict == Verdict::Doubtful
            && finding.hint.contains("detailed-metadata")),
        "{before}"
    );
    for (topic, message, hint) in bad {
        assert_eq!(topic, Topic::Policy, "{message}");
        assert!(hint.starts_with("grant `") && hint.contains("the token"), "{hint}");
    }
    assert!(
        before
            .to_string()
            .contains("grant `create`, `read`, `update` on \"pipe-testkit-a/secret/data/apps/db\""),
        "{before}"
    );

    let policy = bao.policy_for(&needs()).unwrap().to_string();
    admin.policy(&namespace, "generated", &policy).await;
    let after = bao.doctor(&needs()).await;
    assert!(after.is_good(), "{policy}\n{after}");
    let topics: Vec<_> = after.findings.iter().map(|finding| finding.topic).collect();
    for topic in [
        Topic::Address,
        Topic::Seal,
        Topic::Clock,
        Topic::Login,
        Topic::Namespace,
        Topic::Engine,
        Topic::Policy,
    ] {
        assert!(topics.contains(&topic), "{topic:?} is missing in {after}");
    }
    let below = db().with_namespace(Namespace::new("pipe-testkit-a").unwrap());
    let data = SecretData::new().with("a", "1");
    bao.create_secret(&below, data).await.unwrap();
    assert_eq!(bao.get_secret(&db()).await.unwrap(), None);
    assert!(!bao.delete_secret(&db()).await.unwrap());
    let apps = ListQuery::new().with_prefix(SecretName::new("apps").unwrap());
    assert_eq!(bao.list_secrets(&apps).await.unwrap(), []);
    let error = bao.create_secret(&db(), SecretData::new().with("a", "1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "only what was needed is granted");
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_to_do() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let root = || token(admin.root_token());
    let made = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    let ask = async |config: OpenBaoConfig| plugin(config).doctor(&needs()[..1]).await;

    let good = ask(config(server.address(), &namespace, token(made))).await;
    assert!(good.is_good(), "{good}");
    let nobody = ask(config("http://127.0.0.1:9", &namespace, root())).await;
    assert_eq!(bad(&nobody)[0].0, Topic::Address, "{nobody}");
    // A second node that serves is enough for the program, and the first one is told all the same.
    let one_of_two = config("http://127.0.0.1:9", &namespace, root());
    let one_of_two = ask(one_of_two.with_other_addresses([server.address()])).await;
    assert_eq!(bad(&one_of_two).len(), 1, "{one_of_two}");
    assert!(one_of_two.findings.iter().any(|finding| finding.topic == Topic::Policy));

    let bogus = ask(config(server.address(), &namespace, token("s.bogus"))).await;
    let [(Topic::Login, _, hint)] = bad(&bogus)[..] else { panic!("{bogus}") };
    assert!(hint.contains("`auth`"), "{hint}");
    let elsewhere = ask(config(server.address(), "nosuch", root())).await;
    assert!(bad(&elsewhere).iter().any(|(_, _, hint)| hint.contains("`namespace`")), "{elsewhere}");
    let v1 = config(server.address(), &namespace, root()).with_kv_version(1);
    let v1 = ask(v1).await;
    let [(Topic::Engine, _, hint)] = bad(&v1)[..] else { panic!("{v1}") };
    assert!(hint.contains("`kv_version`"), "{hint}");
    let mighty = ask(config(server.address(), &namespace, root())).await;
    assert!(mighty.is_good() && mighty.to_string().contains("may do everything"), "{mighty}");
    let spent = admin.token(&namespace, &["bot"], "10m", json!({ "num_uses": 9 })).await;
    let spent = ask(config(server.address(), &namespace, token(spent))).await;
    assert!(spent.to_string().contains("token_num_uses"), "{spent}");
    let text = format!("{bogus} {elsewhere} {mighty}");
    assert!(!text.contains("s.bogus") && !text.contains(admin.root_token()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_whole_whichever_node_is_asked() {
    let Some(leader) = Server::persistent().await else { return };
    let Some(standby) = Server::standby_of(&leader).await else { return };
    let root = || token(leader.admin().root_token());
    leader.admin().kv("", "secret", "2").await;
    let direct = plugin(OpenBaoConfig::new(leader.address(), root()));
    direct.create_secret(&db(), SecretData::new().with("a", "1")).await.unwrap();
    let both = OpenBaoConfig::new(standby.address(), root());
    let both = plugin(both.with_other_addresses([leader.address()]));
    for bao in [&direct, &both] {
        let mut snapshot = Vec::new();
        let size = bao.snapshot(&mut snapshot).await.unwrap();
        assert_eq!(size, snapshot.len() as u64);
        let mut archive = Vec::new();
        GzDecoder::new(&snapshot[..]).read_to_end(&mut archive).expect("the archive is whole");
        let has = |name: &[u8]| archive.windows(name.len()).any(|window| window == name);
        assert!(has(b"meta.json") && has(b"SHA256SUMS") && has(b"state.bin"));
    }
    assert!(direct.doctor(&[]).await.is_good());
    leader.seal().await;
    let sealed = direct.doctor(&[]).await;
    let [(Topic::Seal, _, hint)] = bad(&sealed)[..] else { panic!("{sealed}") };
    assert_eq!(hint, "unseal the server");
    let error = direct.snapshot(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_taken_says_why() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let root = plugin(OpenBaoConfig::new(server.address(), token(admin.root_token())));
    let error = root.snapshot(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#}");
    assert!(error.hint_text().contains("raft"), "{error:#}");
    let made = admin.token(&namespace, &["bot"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    let error = bao.snapshot(&mut Vec::new()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported),
        "{error:#}"
    );
    assert_eq!(error.plugin(), bao.name());
}

/// Logged in above, the policy is written there, and names the way down.
#[tokio::test]
async fn a_policy_of_the_namespace_above_names_the_way_down() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.user(&namespace, "bot", "hunter2").await;
    let auth = pipe_secrets_openbao::UserpassAuth::new(
        "bot",
        pipe_core::SecretSource::Value("hunter2".into()),
    );
    let below = format!("{namespace}/pipe-testkit-a");
    admin.policy(&namespace, "bot", "path \"none\" { capabilities = [\"read\"] }").await;
    let at = config(server.address(), &below, auth).with_auth_namespace(&namespace);
    let bao = plugin(at.with_owner("billing"));
    let error = bao.get_secret(&db()).await.unwrap_err();
    assert!(error.hint_text().contains("\"pipe-testkit-a/secret/data/apps/db\""), "{error:#}");
    let needs = [Need::Write(db()), Need::Delete(db())];
    let policy = bao.policy_for(&needs).unwrap().to_string();
    admin.policy(&namespace, "bot", &policy).await;
    let diagnosis = bao.doctor(&needs).await;
    assert!(diagnosis.is_good(), "{policy}\n{diagnosis}");
    bao.create_secret(&db(), SecretData::new().with("a", "1")).await.unwrap();
    assert!(bao.delete_secret(&db()).await.unwrap());
}

//! What the KV engines do beyond the contract of a secrets plugin.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use pipe_core::secrets::{Change, ListQuery, SecretVersion};
use pipe_core::{Error, ErrorKind, SecretData, SecretName, SecretRef, SecretsPlugin};
use pipe_secrets_openbao::{FindQuery, KeyChanges, OpenBao, SecretState, VersionState};
use serde_json::json;

use crate::admin::Admin;
use crate::server;
use crate::setup::{config, kv1, namespace, plugin, token};

const EVERYTHING: &str = r#"
path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }
"#;

async fn with_policy(policy: &str) -> Option<(&'static Admin, String, OpenBao)> {
    let server = server::shared().await?;
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.policy(&namespace, "kv", policy).await;
    let made = admin.token(&namespace, &["kv"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)));
    Some((admin, namespace, bao))
}

fn db() -> SecretRef {
    SecretRef::new("apps/db").expect("legal")
}

fn version(number: u64) -> SecretVersion {
    SecretVersion::new(number)
}

fn data(pairs: &[(&str, &str)]) -> SecretData {
    pairs.iter().fold(SecretData::new(), |data, (key, value)| data.with(*key, *value))
}

#[track_caller]
fn expect(error: &Error, kind: ErrorKind, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(error.hint_text().contains(hint), "no `{hint}` in: {error:#}");
    assert_eq!(error.plugin(), "openbao", "{error:#}");
}

#[tokio::test]
async fn absent_deleted_and_destroyed_are_told_apart() {
    let Some((_, _, bao)) = with_policy(EVERYTHING).await else { return };
    assert_eq!(bao.secret_state(&db()).await.unwrap(), SecretState::Absent);
    assert_eq!(bao.secret_metadata(&db()).await.unwrap(), None);
    bao.create_secret(&db(), data(&[("a", "1")])).await.unwrap();
    bao.create_secret(&db(), data(&[("a", "2")])).await.unwrap();
    let SecretState::Present(found) = bao.secret_state(&db()).await.unwrap() else { panic!() };
    assert_eq!(found.version, Some(version(2)));

    bao.delete_secret(&db()).await.unwrap();
    let state = bao.secret_state(&db()).await.unwrap();
    assert!(
        matches!(state, SecretState::Deleted { version: v, at: Some(_) } if v == version(2)),
        "{state:?}"
    );
    // Of what is not there or not deleted, the server says nothing.
    let wanted = [version(1), version(2), version(77)];
    assert_eq!(bao.undelete_secret(&db(), &wanted).await.unwrap(), [version(2)]);
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().data, data(&[("a", "2")]));
    assert_eq!(bao.undelete_secret(&db(), &wanted).await.unwrap(), []);

    let wanted = [version(2), version(77)];
    assert_eq!(bao.destroy_versions(&db(), &wanted).await.unwrap(), [version(2)]);
    assert_eq!(bao.destroy_versions(&db(), &wanted).await.unwrap(), []);
    let state = bao.secret_state(&db()).await.unwrap();
    assert_eq!(state, SecretState::Destroyed { version: version(2) });
    assert_eq!(bao.undelete_secret(&db(), &wanted).await.unwrap(), []);
    let metadata = bao.secret_metadata(&db()).await.unwrap().unwrap();
    assert_eq!(metadata.current_version, Some(version(2)));
    assert_eq!(metadata.versions[&version(2)].state, VersionState::Destroyed);
    let old = metadata.versions[&version(1)].state;
    assert_eq!(old, VersionState::Readable { until: None });
    let first = bao.get_secret(&db().with_version(version(1))).await.unwrap();
    assert_eq!(first.unwrap().data, data(&[("a", "1")]));
    // A write goes on from there.
    let created = bao.create_secret(&db(), data(&[("a", "3")])).await.unwrap();
    assert_eq!((created.change, created.version), (Change::Created, Some(version(3))));

    assert!(bao.purge_secret(&db()).await.unwrap());
    assert!(!bao.purge_secret(&db()).await.unwrap());
    assert_eq!(bao.secret_state(&db()).await.unwrap(), SecretState::Absent);
    assert_eq!(bao.destroy_versions(&db(), &wanted).await.unwrap(), []);
}

#[tokio::test]
async fn a_part_of_a_secret_is_changed() {
    let Some((_, _, bao)) = with_policy(EVERYTHING).await else { return };
    let changes = KeyChanges::new().set("a", "9").set("binary", vec![0xff]).remove("b").remove("x");
    let error = bao.patch_secret(&db(), &changes).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "create the secret first");
    let error = bao.update_secret(&db(), Ok).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "create the secret first");

    bao.create_secret(&db(), data(&[("a", "1"), ("b", "2"), ("c", "3")])).await.unwrap();
    let patched = bao.patch_secret(&db(), &changes).await.unwrap();
    assert_eq!((patched.change, patched.version), (Change::Updated, Some(version(2))));
    let expected = data(&[("a", "9"), ("c", "3")]).with("binary", vec![0xff]);
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().data, expected);

    let same = bao.update_secret(&db(), Ok).await.unwrap();
    assert_eq!((same.change, same.version), (Change::Unchanged, Some(version(2))));
    let updated = bao.update_secret(&db(), |data| Ok(data.with("d", "4"))).await.unwrap();
    assert_eq!(updated.version, Some(version(3)));
    let refused = bao.update_secret(&db(), |_| Err(Error::new(ErrorKind::Conflict, "no"))).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let too_long = KeyChanges::new().set("k".repeat(600), "x");
    let error = bao.patch_secret(&db(), &too_long).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "key");

    bao.delete_secret(&db()).await.unwrap();
    let error = bao.patch_secret(&db(), &changes).await.unwrap_err();
    expect(&error, ErrorKind::NotFound, "create the secret first");
}

/// Two plugins, as two programs: no change is lost.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_two_programs_at_once_are_all_kept() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.policy(&namespace, "kv", EVERYTHING).await;
    let made = admin.token(&namespace, &["kv"], "10m", json!({})).await;
    let program = || plugin(config(server.address(), &namespace, token(made.clone())));
    let programs = [program(), program()];
    programs[0].create_secret(&db(), SecretData::new()).await.unwrap();
    let changes = (0..40).map(|number| {
        let bao = programs[number % 2].clone();
        async move {
            let key = format!("k{number}");
            bao.update_secret(&db(), |data| Ok(data.with(key.clone(), "x"))).await.unwrap();
        }
    });
    join_all(changes).await;
    let found = programs[0].get_secret(&db()).await.unwrap().unwrap();
    assert_eq!(found.data.len(), 40);
    assert_eq!(found.version, Some(version(41)));
}

#[tokio::test]
async fn notes_are_merged() {
    let Some((_, _, bao)) = with_policy(EVERYTHING).await else { return };
    let notes = |pairs: &[(&str, Option<&str>)]| -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    };
    let error = bao.merge_metadata(&db(), &notes(&[("a", Some("1"))])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:#}");
    bao.create_secret(&db(), data(&[("a", "1")])).await.unwrap();
    bao.merge_metadata(&db(), &notes(&[("a", Some("1")), ("b", Some("2"))])).await.unwrap();
    bao.merge_metadata(&db(), &notes(&[("a", None), ("c", Some("3"))])).await.unwrap();
    let custom = bao.secret_metadata(&db()).await.unwrap().unwrap().custom;
    let custom: Vec<_> = custom.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(custom, [("b", "2"), ("c", "3")]);
    let error = bao.merge_metadata(&db(), &notes(&[("a", Some(""))])).await.unwrap_err();
    expect(&error, ErrorKind::InvalidArgument, "1 to 512");
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().version, Some(version(1)));
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_changed() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.policy(&namespace, "kv", EVERYTHING).await;
    let made = admin.token(&namespace, &["kv"], "10m", json!({})).await;
    let owned = |owner: &str| {
        let config = config(server.address(), &namespace, token(made.clone()));
        plugin(config.with_owner(owner))
    };
    let (ours, theirs) = (owned("billing"), owned("orders"));
    ours.create_secret(&db(), data(&[("a", "1")])).await.unwrap();
    let metadata = ours.secret_metadata(&db()).await.unwrap().unwrap();
    assert_eq!(metadata.owner(), Some("billing"));
    let changes = KeyChanges::new().set("a", "2");
    for error in [
        theirs.create_secret(&db(), data(&[("a", "2")])).await.unwrap_err(),
        theirs.delete_secret(&db()).await.unwrap_err(),
        theirs.patch_secret(&db(), &changes).await.unwrap_err(),
        theirs.update_secret(&db(), |data| Ok(data.with("a", "2"))).await.unwrap_err(),
        theirs.destroy_versions(&db(), &[version(1)]).await.unwrap_err(),
        theirs.purge_secret(&db()).await.unwrap_err(),
    ] {
        expect(&error, ErrorKind::PermissionDenied, "managed-by");
        assert_eq!(error.context("owner"), Some("billing"), "{error:#}");
    }
    assert_eq!(theirs.get_secret(&db()).await.unwrap().unwrap().data, data(&[("a", "1")]));
    let take = BTreeMap::from([("managed-by".to_owned(), Some("orders".to_owned()))]);
    let error = theirs.merge_metadata(&db(), &take).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "managed-by");
    // A deleted secret is somebody's too.
    ours.delete_secret(&db()).await.unwrap();
    let error = theirs.create_secret(&db(), data(&[("a", "2")])).await.unwrap_err();
    expect(&error, ErrorKind::PermissionDenied, "managed-by");
    ours.undelete_secret(&db(), &[version(1)]).await.unwrap();
    ours.patch_secret(&db(), &changes).await.unwrap();
    ours.create_secret(&db(), data(&[("a", "3")])).await.unwrap();
    // What nobody owns becomes ours with the next write, even of the same.
    let free = SecretRef::new("free").unwrap();
    admin.write(&namespace, "secret/data/free", json!({ "data": { "a": "1" } })).await;
    let same = ours.create_secret(&free, data(&[("a", "1")])).await.unwrap();
    assert_eq!(same.change, Change::Unchanged);
    let metadata = ours.secret_metadata(&free).await.unwrap().unwrap();
    assert_eq!(metadata.owner(), Some("billing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_found_by_name_and_notes_in_every_way() {
    let Some((admin, namespace, scanning)) = with_policy(EVERYTHING).await else { return };
    let server = server::shared().await.expect("it is there");
    let written = (0..60).map(|number| {
        let bao = scanning.clone();
        async move {
            let secret = SecretRef::new(format!("apps/t{}/db-{number}", number % 3)).unwrap();
            bao.create_secret(&secret, data(&[("a", "1")])).await.unwrap();
            let team = if number % 2 == 0 { "even" } else { "odd" };
            let notes = BTreeMap::from([("team".to_owned(), Some(team.to_owned()))]);
            bao.merge_metadata(&secret, &notes).await.unwrap();
        }
    });
    join_all(written).await;
    let deleted = SecretRef::new("apps/t0/db-0").unwrap();
    scanning.delete_secret(&deleted).await.unwrap();
    // Without `scan`; without detailed lists either; with pages that a policy cuts.
    let without =
        |rules: &str| format!("path \"secret/data/*\" {{ capabilities = [\"read\"] }}\n{rules}");
    let walking = without(r#"path "secret/detailed-metadata/*" { capabilities = ["list"] }"#);
    let plain = without(r#"path "secret/metadata/*" { capabilities = ["list", "read"] }"#);
    let cut = without(
        r#"path "secret/detailed-metadata/*" { capabilities = ["list"] pagination_limit = 3 }"#,
    );
    let mut ways = vec![scanning.clone()];
    for (name, policy) in [("walking", walking), ("plain", plain), ("cut", cut)] {
        admin.policy(&namespace, name, &policy).await;
        let made = admin.token(&namespace, &[name], "10m", json!({})).await;
        ways.push(plugin(config(server.address(), &namespace, token(made))));
    }
    let below = ListQuery::new().with_prefix(SecretName::new("apps/t0").unwrap());
    for bao in &ways {
        let all = bao.find_secrets(&FindQuery::new()).await.unwrap();
        assert_eq!(all.len(), 60);
        assert!(all.is_sorted_by(|a, b| a.secret < b.secret));
        let query = FindQuery::new().with_list(below.clone()).with_tag("team", "even");
        let found = bao.find_secrets(&query).await.unwrap();
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|found| found.metadata.custom["team"] == "even"));
        let gone = found.iter().find(|found| found.secret == deleted).expect("it is found");
        assert!(!gone.metadata.is_readable());
        let query = FindQuery::new().with_name_containing("db-5");
        assert_eq!(bao.find_secrets(&query).await.unwrap().len(), 11);
        let few = FindQuery::new().with_list(ListQuery::new().with_limit(59));
        let error = bao.find_secrets(&few).await.unwrap_err();
        expect(&error, ErrorKind::InvalidArgument, "limit");
        let nothing = FindQuery::new()
            .with_list(ListQuery::new().with_prefix(SecretName::new("nosuch").unwrap()));
        assert_eq!(bao.find_secrets(&nothing).await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_engine_of_version_1_is_found_out() {
    let Some((bao, ())) = kv1(None).await else { return };
    let absent = SecretRef::new("absent").unwrap();
    assert_eq!(bao.get_secret(&absent).await.unwrap(), None);
    assert_eq!(bao.list_secrets(&ListQuery::new()).await.unwrap(), []);
    let created = bao.create_secret(&db(), data(&[("a", "1")])).await.unwrap();
    assert_eq!((created.change, created.version), (Change::Created, None));
    let found = bao.get_secret(&db()).await.unwrap().unwrap();
    assert_eq!((found.data, found.version), (data(&[("a", "1")]), None));
    bao.update_secret(&db(), |data| Ok(data.with("b", "2"))).await.unwrap();
    let changes = KeyChanges::new().remove("a").set("c", "3");
    bao.patch_secret(&db(), &changes).await.unwrap();
    let found = bao.get_secret(&db()).await.unwrap().unwrap();
    assert_eq!(found.data, data(&[("b", "2"), ("c", "3")]));
    assert_eq!(bao.list_secrets(&ListQuery::new()).await.unwrap(), [db()]);
    for error in [
        bao.secret_metadata(&db()).await.unwrap_err(),
        bao.undelete_secret(&db(), &[version(1)]).await.unwrap_err(),
        bao.purge_secret(&db()).await.unwrap_err(),
        bao.get_secret(&db().with_version(version(1))).await.unwrap_err(),
    ] {
        expect(&error, ErrorKind::Unsupported, "KV version 2");
    }
    assert!(bao.delete_secret(&db()).await.unwrap());
    assert!(!bao.delete_secret(&db()).await.unwrap());
}

/// A secret called `data/x` of version 1 looks almost like `x` of version 2.
#[tokio::test]
async fn version_1_is_found_out_by_what_is_there_too() {
    let Some((bao, ())) = kv1(Some(1)).await else { return };
    let odd = SecretRef::new("data/apps/db").unwrap();
    bao.create_secret(&odd, data(&[("a", "1")])).await.unwrap();
    // The same mount, unknown.
    let server = server::shared().await.expect("it is there");
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.kv(&namespace, "old", "1").await;
    admin.write(&namespace, "old/data/apps/db", json!({ "a": "1" })).await;
    let root = token(admin.root_token());
    let unknown = plugin(config(server.address(), &namespace, root).with_mount("old"));
    assert_eq!(unknown.get_secret(&db()).await.unwrap(), None);
    assert_eq!(unknown.get_secret(&odd).await.unwrap().unwrap().data, data(&[("a", "1")]));
}

#[tokio::test]
async fn an_engine_that_is_upgraded_is_found_out_again() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.kv(&namespace, "old", "1").await;
    admin.write(&namespace, "old/apps/db", json!({ "a": "1" })).await;
    let root = token(admin.root_token());
    let bao = plugin(config(server.address(), &namespace, root).with_mount("old"));
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().version, None);
    let options = json!({ "options": { "version": "2" } });
    admin.write(&namespace, "sys/mounts/old/tune", options).await;
    // Some time passes until the server has upgraded what is stored; no answer is a wrong one.
    let upgraded = async {
        loop {
            match bao.get_secret(&db()).await {
                Ok(Some(found)) if found.version == Some(version(1)) => return found.data,
                Ok(Some(found)) => assert_eq!(found.data, data(&[("a", "1")])),
                Ok(None) => panic!("it is there"),
                Err(error) => assert!(error.is_retryable(), "{error:#}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), upgraded).await;
    assert_eq!(found.expect("it is found out again"), data(&[("a", "1")]));
}

/// What a refusal does not tell is not taken for known.
#[tokio::test]
async fn a_policy_that_comes_later_does_not_make_version_1_look_empty() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    admin.kv(&namespace, "old", "1").await;
    admin.write(&namespace, "old/apps/db", json!({ "a": "1" })).await;
    let made = admin.token(&namespace, &["later"], "10m", json!({})).await;
    let bao = plugin(config(server.address(), &namespace, token(made)).with_mount("old"));
    let error = bao.list_secrets(&ListQuery::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    let all = r#"path "old/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    admin.policy(&namespace, "later", all).await;
    assert_eq!(bao.get_secret(&db()).await.unwrap().unwrap().data, data(&[("a", "1")]));
    bao.create_secret(&db(), data(&[("a", "2")])).await.unwrap();
    assert_eq!(admin.read(&namespace, "old/data/apps/db").await.0, 404, "the wrong form");
    let error = bao.find_secrets(&FindQuery::new()).await.unwrap_err();
    expect(&error, ErrorKind::Unsupported, "KV version 2");
}

#[tokio::test]
async fn what_others_stored_keeps_its_type() {
    let Some(server) = server::shared().await else { return };
    let (admin, namespace) = (server.admin(), namespace(server.admin()).await);
    let stored = json!({ "port": 5432, "opts": { "tls": true } });
    for (mount, owner) in [("secret", None), ("secret", Some("billing")), ("strict", None)] {
        if mount == "strict" {
            admin.kv(&namespace, mount, "2").await;
            admin.write(&namespace, "strict/config", json!({ "cas_required": true })).await;
        }
        let path = format!("{mount}/metadata/apps/db");
        admin.post(&namespace, &path, json!({})).await;
        admin.delete(&namespace, &path).await;
        let write = json!({ "data": stored, "options": { "cas": 0 } });
        admin.write(&namespace, &format!("{mount}/data/apps/db"), write).await;
        let mut config = config(server.address(), &namespace, token(admin.root_token()));
        config.owner = owner.map(str::to_owned);
        let bao = plugin(config.with_mount(mount));
        bao.patch_secret(&db(), &KeyChanges::new().set("x", "1")).await.unwrap();
        let (_, reply) = admin.read(&namespace, &format!("{mount}/data/apps/db")).await;
        let expected = json!({ "port": 5432, "opts": { "tls": true }, "x": "1" });
        assert_eq!(reply["data"]["data"], expected, "{mount} {owner:?}");
    }
}

#[tokio::test]
async fn an_old_version_is_neither_purged_nor_undeleted() {
    let Some((_, _, bao)) = with_policy(EVERYTHING).await else { return };
    bao.create_secret(&db(), data(&[("a", "1")])).await.unwrap();
    let old = db().with_version(version(1));
    for error in [
        bao.purge_secret(&old).await.unwrap_err(),
        bao.undelete_secret(&old, &[version(1)]).await.unwrap_err(),
        bao.destroy_versions(&old, &[version(1)]).await.unwrap_err(),
        bao.merge_metadata(&old, &BTreeMap::new()).await.unwrap_err(),
    ] {
        expect(&error, ErrorKind::InvalidArgument, "leave the version out");
    }
    assert!(bao.get_secret(&db()).await.unwrap().is_some());
}

//! Values come back as they were stored, or are refused before any request.

use pipe_core::secrets::{Change, SecretVersion};
use pipe_core::{ErrorKind, SecretData, SecretsPlugin};
use pipe_testkit::fake::{InfisicalIdentity, InfisicalRelease, InfisicalRights};

use crate::setup::{RELEASES, db, everything, password, plugin, ready, with_identity};

#[tokio::test]
async fn odd_keys_round_trip_in_every_release() {
    for release in RELEASES {
        let (plugin, _server) = ready(release).await;
        let keys = ["a?b", "a#b", "a%b", "%41", "a=b&c", "ä", "密码", "$a", "a.b", "A", "a", "+"];
        let data: SecretData = keys.iter().map(|key| (*key, *key)).collect();
        plugin.create_secret(&db(), data.clone()).await.unwrap();
        assert_eq!(plugin.get_secret(&db()).await.unwrap().unwrap().data, data, "{release:?}");
        for key in keys {
            let version = SecretVersion::new(1);
            let found = plugin.read_version(&db(), key, version).await.unwrap();
            assert_eq!(found, Some(key.into()), "{release:?} {key}");
        }
    }
}

#[tokio::test]
async fn what_the_server_would_refuse_is_refused_before_any_request() {
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    let long = "k".repeat(101);
    for key in ["a b", "a/b", "a:b", "", "..", "a\n", &long] {
        let error =
            plugin.create_secret(&db(), SecretData::new().with(key, "x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{key:?}");
        assert!(!error.hint_text().is_empty());
    }
    let error = plugin.create_secret(&db(), SecretData::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(server.hits(""), 0);
}

/// The server trims what it stores, and follows references.
#[tokio::test]
async fn values_that_the_server_changes_are_encoded() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        for value in ["  padded  ", "x\n\n", "\n", "${NOPE}", "<hidden-by-infisical>", "", "pem\n"]
        {
            plugin.create_secret(&db(), password(value)).await.unwrap();
            let found = plugin.get_secret(&db()).await.unwrap().unwrap().data;
            assert_eq!(found, password(value), "{release:?} {value:?}");
        }
        let (stored, _) = server.read("dev", "/apps/db", "password").unwrap();
        assert_eq!(stored, "pem\n", "one line break at the end is kept, so others can read it");
    }
}

/// The server keeps a row for each of two who create the same key at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_writers_of_a_new_secret_leave_one_row() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        server.let_creations_race(100);
        let writers: Vec<_> = (0..16)
            .map(|number: u32| {
                let plugin = plugin.clone();
                let data = password(&number.to_string());
                tokio::spawn(async move { plugin.create_secret(&db(), data).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(server.read("dev", "/apps/db", "password").unwrap().1, 1, "{release:?}");
    }
}

#[tokio::test]
async fn keys_that_are_left_out_are_gone_and_the_rest_is_one_request() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        let first = SecretData::new().with("a", "1").with("b", "1").with("c", "1");
        let created = plugin.create_secret(&db(), first.clone()).await.unwrap();
        assert_eq!(created.change, Change::Created);
        let second = SecretData::new().with("a", "2").with("c", "1").with("d", "2");
        let updated = plugin.create_secret(&db(), second.clone()).await.unwrap();
        assert_eq!(updated.change, Change::Updated);
        assert_eq!(plugin.get_secret(&db()).await.unwrap().unwrap().data, second);
        assert_eq!(server.read("dev", "/apps/db", "b"), None, "{release:?}");
        let patches = server.hits("PATCH");
        let unchanged = plugin.create_secret(&db(), second).await.unwrap();
        assert_eq!(unchanged.change, Change::Unchanged);
        assert_eq!(server.hits("PATCH"), patches);
        if release != InfisicalRelease::October2024 {
            let writes = server.hits("POST /api/v3/secrets") + server.hits("POST /api/v4/secrets");
            assert_eq!((writes, patches), (1, 1), "{release:?}");
        }
    }
}

#[tokio::test]
async fn old_versions_are_the_ones_that_were_asked_for() {
    for release in RELEASES {
        let (plugin, _server) = ready(release).await;
        for value in ["one", "two", "three"] {
            plugin.create_secret(&db(), password(value)).await.unwrap();
        }
        let read =
            async |number| plugin.read_version(&db(), "password", SecretVersion::new(number)).await;
        assert_eq!(read(3).await.unwrap(), Some("three".into()));
        match release {
            // It gives the third, whichever is asked for.
            InfisicalRelease::October2024 => {
                assert_eq!(read(1).await.unwrap_err().kind(), ErrorKind::Unsupported);
            }
            _ => {
                assert_eq!(read(1).await.unwrap(), Some("one".into()));
                assert_eq!(read(9).await.unwrap(), None);
            }
        }
        let other = plugin.read_version(&db(), "other", SecretVersion::new(1)).await.unwrap();
        assert_eq!(other, None);
    }
}

#[tokio::test]
async fn a_hidden_value_is_a_denial_and_never_a_value() {
    let identity = InfisicalIdentity::new(InfisicalRights::Describe);
    for release in RELEASES {
        let (config, server) = with_identity(release, identity.clone()).await;
        server.write("dev", "/apps/db", "password", "hunter2");
        let plugin = plugin(config);
        let error = plugin.get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint_text().contains("readValue"), "{error:#}");
        let version = SecretVersion::new(1);
        let error = plugin.read_version(&db(), "password", version).await.unwrap_err();
        assert!(error.hint_text().contains("readValue"), "{error:#}");
    }
    // A newer server mixes hidden and visible rows.
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    server.write("dev", "/apps/db", "password", "<hidden-by-infisical>");
    let error = plugin.get_secret(&db()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_write_that_waits_for_approval_is_an_error() {
    for release in RELEASES {
        let (config, server) = with_identity(release, everything()).await;
        server.require_approval();
        let plugin = plugin(config);
        let error = plugin.create_secret(&db(), password("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.message().contains("approval"), "{error:#}");
        assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_value_that_is_still_current_is_not_sent_again() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        plugin.create_secret(&db(), password("hunter2")).await.unwrap();
        assert!(plugin.get_secret(&db()).await.unwrap().is_some());
        let sent = server.bytes_sent();
        for _ in 0..5 {
            let found = plugin.get_secret(&db()).await.unwrap().unwrap();
            assert_eq!(found.data, password("hunter2"));
        }
        assert_eq!(server.bytes_sent(), sent, "{release:?}");
        server.write("dev", "/apps/db", "password", "changed");
        let found = plugin.get_secret(&db()).await.unwrap().unwrap();
        assert_eq!(found.data, password("changed"), "{release:?}");
        server.delete("dev", "/apps/db", "password");
        assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn nothing_is_kept_where_that_is_not_wanted() {
    let (config, server) = with_identity(InfisicalRelease::Current, everything()).await;
    server.write("dev", "/apps/db", "password", "hunter2");
    let plugin = plugin(config.with_revalidated(0));
    assert!(plugin.get_secret(&db()).await.unwrap().is_some());
    let sent = server.bytes_sent();
    assert!(plugin.get_secret(&db()).await.unwrap().is_some());
    assert!(server.bytes_sent() > sent);
}

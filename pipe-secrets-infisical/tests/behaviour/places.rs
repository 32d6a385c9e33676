//! Where secrets are: projects, environments, folders; and what is not there.

use pipe_core::secrets::ListQuery;
use pipe_core::{
    ErrorKind, HealthStatus, Namespace, Plugin, SecretData, SecretName, SecretRef, SecretsPlugin,
};
use pipe_secrets_infisical::{SecretFilter, WriteOptions};
use pipe_testkit::fake::{InfisicalFault, InfisicalIdentity, InfisicalRelease, InfisicalRights};

use crate::setup::{RELEASES, db, everything, password, plugin, ready, with_identity};

/// Old servers answer a mistyped environment with an empty list.
#[tokio::test]
async fn a_mistyped_environment_is_an_error_and_not_absence() {
    for release in RELEASES {
        let (config, _server) = with_identity(release, everything()).await;
        let plugin = plugin(config.with_environment("porduction"));
        let error = plugin.get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{release:?}: {error:#}");
        assert!(error.hint_text().contains("`environment`"), "{error:#}");
        assert_eq!(error.context("environment"), Some("porduction"));
        for error in [
            plugin.create_secret(&db(), password("x")).await.unwrap_err(),
            plugin.list_secrets(&ListQuery::new()).await.unwrap_err(),
            plugin.delete_secret(&db()).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{release:?}: {error:#}");
        }
        assert_eq!(plugin.health().await.status, HealthStatus::Unhealthy);
    }
}

#[tokio::test]
async fn a_missing_folder_is_absence_and_is_asked_about_once() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        for _ in 0..5 {
            assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
        }
        assert_eq!(server.hits("PIPE_IS_ANYBODY_THERE"), 1, "{release:?}");
        assert_eq!(plugin.health().await.status, HealthStatus::Healthy);
    }
}

#[tokio::test]
async fn who_may_not_look_is_not_told_that_nothing_is_there() {
    for release in RELEASES {
        for rights in [InfisicalRights::None, InfisicalRights::NotMember] {
            let (config, _server) = with_identity(release, InfisicalIdentity::new(rights)).await;
            let error = plugin(config).get_secret(&db()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{rights:?}: {error:#}");
        }
        // A server that omits in silence what we may not see.
        let (config, server) = with_identity(release, everything()).await;
        let denied = InfisicalFault::Status(403, "PermissionDenied", "You are not allowed");
        server.inject(denied, "PIPE_IS_ANYBODY_THERE", 1);
        let error = plugin(config).get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:#}");
    }
}

#[tokio::test]
async fn a_project_that_is_not_there_is_named_in_the_hint() {
    for release in RELEASES {
        let (mut config, _server) = with_identity(release, everything()).await;
        config.project = "another".to_owned();
        let error = plugin(config).get_secret(&db()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.hint_text().contains("`project`"), "{error:#}");
    }
}

#[tokio::test]
async fn the_version_of_the_api_is_found_once() {
    for release in RELEASES {
        let (plugin, server) = ready(release).await;
        for _ in 0..5 {
            plugin.create_secret(&db(), password("x")).await.unwrap();
            plugin.get_secret(&db()).await.unwrap();
        }
        let v4 = server.hits("/api/v4/");
        match release {
            InfisicalRelease::Current => assert_eq!(server.hits("/api/v3/"), 0),
            _ => assert_eq!(v4, 1, "{release:?}"),
        }
    }
}

#[tokio::test]
async fn a_namespace_is_an_environment() {
    let (plugin, server) = ready(InfisicalRelease::Current).await;
    let staging = db().with_namespace(Namespace::new("staging").unwrap());
    let other = format!("{}/prod", server.project());
    let prod = db().with_namespace(Namespace::new(other).unwrap());
    plugin.create_secret(&staging, password("s")).await.unwrap();
    plugin.create_secret(&prod, password("p")).await.unwrap();
    assert_eq!(server.read("staging", "/apps/db", "password"), Some(("s".to_owned(), 1)));
    assert_eq!(server.read("prod", "/apps/db", "password"), Some(("p".to_owned(), 1)));
    assert_eq!(plugin.get_secret(&db()).await.unwrap(), None);
}

#[tokio::test]
async fn all_is_below_the_folder_of_the_settings() {
    let (config, server) = with_identity(InfisicalRelease::June2025, everything()).await;
    let plugin = plugin(config.with_folder("/bots/"));
    server.write("dev", "/apps/elsewhere", "k", "v");
    let dotted = SecretRef::new("apps/db.main").unwrap();
    plugin.create_secret(&dotted, password("x")).await.unwrap();
    assert!(server.read("dev", "/bots/apps/db_dot_main", "password").is_some());
    assert_eq!(plugin.list_secrets(&ListQuery::new()).await.unwrap(), [dotted]);
}

/// They are the server's: others have them too, and a value that moves is not ours.
#[tokio::test]
async fn imports_are_followed_where_that_is_asked_for() {
    for release in RELEASES {
        let (config, server) = with_identity(release, everything()).await;
        server.write("dev", "/apps/db", "own", "own");
        for (path, value) in [("/first", "first"), ("/last", "last")] {
            server.write("staging", path, "both", value);
            server.write("staging", path, "own", value);
            server.import("dev", "/apps/db", ("staging", path));
        }
        let own = plugin(config.clone()).get_secret(&db()).await.unwrap().unwrap().data;
        assert_eq!(own, SecretData::new().with("own", "own"), "{release:?}");
        let all = plugin(config.with_imports()).get_secret(&db()).await.unwrap().unwrap().data;
        assert_eq!(all, SecretData::new().with("own", "own").with("both", "last"), "{release:?}");
    }
}

#[tokio::test]
async fn references_are_followed_where_that_is_asked_for() {
    for release in RELEASES {
        let (config, server) = with_identity(release, everything()).await;
        server.write("dev", "/apps/db", "host", "db.example");
        server.write("prod", "/pki/ca", "name", "root");
        server.write("dev", "/apps/db", "url", "https://${host}/${prod.pki.ca.name}");
        let get = async |config| {
            let data = plugin(config).get_secret(&db()).await.unwrap().unwrap().data;
            data.get("url").unwrap().expose_str().unwrap().to_owned()
        };
        assert_eq!(get(config.clone()).await, "https://${host}/${prod.pki.ca.name}");
        let expanded = get(config.with_expanded_references()).await;
        assert_eq!(expanded, "https://db.example/root", "{release:?}");
    }
}

#[tokio::test]
async fn secrets_are_found_by_tags_and_metadata() {
    let (plugin, server) = ready(InfisicalRelease::June2025).await;
    let name = |name: &str| SecretRef::from(SecretName::new(name).unwrap());
    let options = WriteOptions::new().with_metadata("team", "core").with_comment("ours");
    plugin.create_secret_with(&db(), password("x"), options).await.unwrap();
    plugin.create_secret(&name("apps/web"), password("y")).await.unwrap();
    server.tag("dev", "/apps/web", "password", "rotate");
    let find = async |filter| plugin.find_secrets(&ListQuery::new(), &filter).await.unwrap();
    assert_eq!(find(SecretFilter::new()).await, [db(), name("apps/web")]);
    assert_eq!(find(SecretFilter::new().with_tag("rotate")).await, [name("apps/web")]);
    assert_eq!(find(SecretFilter::new().with_metadata("team", "core")).await, [db()]);
    let wild = SecretFilter::new().with_tag("a,b");
    let error = plugin.find_secrets(&ListQuery::new(), &wild).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

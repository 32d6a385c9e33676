//! The suite, and what the fake is held to as well, on a real API server: one that the tests start, or the cluster
//! of `KUBECONFIG`'s current context, in the namespace `PIPE_TEST_KUBE_NAMESPACE`, as somebody who may do
//! everything there. In such a cluster the namespace has to exist, and so have `pipe-testkit-a` and
//! `pipe-testkit-b`, which the suite asks for, and the service account `default`.

#[path = "../behaviour/cases.rs"]
mod cases;

use std::time::Duration;

use pipe_core::SecretSource;
use pipe_http::HttpConfig;
use pipe_secrets_k8s::{
    Connection, Impersonation, KubeconfigConnection, Kubernetes, KubernetesConfig,
    KubernetesIdentity,
};
use pipe_testkit::wrapped::{Stack, stack};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::api::Login;
use crate::credentials::User;
use crate::server::shared;

/// The settings for the cluster, if there is one.
async fn config() -> Option<KubernetesConfig> {
    let namespace = std::env::var("PIPE_TEST_KUBE_NAMESPACE").ok().filter(|name| !name.is_empty());
    let kubeconfig = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty());
    let config = match namespace.zip(kubeconfig) {
        Some((namespace, _)) => {
            KubernetesConfig::new(Connection::kubeconfig()).with_namespace(namespace)
        }
        None => started().await?,
    };
    Some(config.with_page_size(7))
}

/// A namespace of its own on the server that the tests start.
async fn started() -> Option<KubernetesConfig> {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let server = shared().await?;
    // The suite asks for these two by name.
    let prepare = || async {
        for name in ["pipe-testkit-a", "pipe-testkit-b"] {
            let namespace = json!({ "metadata": { "name": name } });
            server.admin().create("/api/v1/namespaces", &namespace).await;
        }
    };
    PREPARED.get_or_init(prepare).await;
    let namespace = server.admin().fresh_namespace().await;
    server.admin().service_account(&namespace, "default").await;
    let kubeconfig = server.kubeconfig(Login::Token(server.token(User::Admin)), &namespace);
    let path = server.write(&format!("kubeconfig-{namespace}"), &kubeconfig);
    Some(
        KubernetesConfig::new(Connection::Kubeconfig(KubeconfigConnection::new().with_path(path)))
            .with_namespace(namespace),
    )
}

fn plugin(config: KubernetesConfig) -> Kubernetes {
    Kubernetes::new(config).expect("the kubeconfig is sound")
}

async fn live() -> Option<(Kubernetes, ())> {
    Some((plugin(config().await?), ()))
}

/// Somebody whom nothing is granted to.
async fn denied() -> Option<(Kubernetes, ())> {
    let nobody = Impersonation::user("pipe-testkit-nobody").with_group("system:authenticated");
    Some((plugin(config().await?.with_impersonation(nobody)), ()))
}

/// A port on which nobody listens.
async fn unavailable() -> Option<(Kubernetes, ())> {
    config().await?;
    let token = SecretSource::Value("unused".into());
    let http = HttpConfig::new().with_timeout(Duration::from_secs(5));
    let config = KubernetesConfig::new(Connection::cluster("http://127.0.0.1:1", token));
    Some((plugin(config.with_namespace("default").with_http(http)), ()))
}

pipe_testkit::secrets_compliance!(live, denied = denied, unavailable = unavailable);

mod wrapped {
    use super::*;

    async fn wrapped() -> Option<(Stack<Kubernetes>, ())> {
        Some((stack(plugin(config().await?)), ()))
    }

    pipe_testkit::secrets_compliance!(wrapped);
}

async fn identity() -> Option<(KubernetesIdentity, ())> {
    let identity = KubernetesIdentity::new(config().await?).expect("the kubeconfig is sound");
    Some((identity, ()))
}

mod identity_suite {
    use super::*;

    /// The suite asks for tokens of the service account `pipe-testkit`, which may be absent: only
    /// what is presented is tested here.
    #[test]
    fn garbage_is_refused() {
        pipe_testkit::run::case("garbage_is_refused", identity, |plugin| {
            pipe_testkit::cases::identity::garbage_is_refused(std::sync::Arc::new(plugin))
        });
    }
}

/// A plugin, and the settings for another one beside it.
async fn cluster() -> Option<((Kubernetes, KubernetesConfig), ())> {
    let config = config().await?;
    Some(((plugin(config.clone()), config), ()))
}

macro_rules! on_the_cluster {
    ($($case:ident => |$plugin:ident, $config:ident| $call:expr;)*) => {$(
        #[test]
        fn $case() {
            pipe_testkit::run::case(stringify!($case), cluster, |made: (Kubernetes, _)| async move {
                #[allow(unused_variables, reason = "most cases need no second plugin")]
                let ($plugin, $config) = made;
                $call.await;
            });
        }
    )*};
}

on_the_cluster! {
    a_key_of_another_manager_is_a_conflict_that_names_both => |ours, config| {
        let rival = plugin(config.with_field_manager("rival"));
        async move {
            cases::a_key_of_another_manager_is_a_conflict_that_names_both(&ours, &rival).await;
        }
    };
    a_create_only_write_meets_what_is_there => |ours, config| {
        cases::a_create_only_write_meets_what_is_there(&ours)
    };
    a_replacement_needs_the_state_that_was_read => |ours, config| {
        cases::a_replacement_needs_the_state_that_was_read(&ours)
    };
    eight_writers_lose_no_update => |ours, config| {
        let others: Vec<_> = (0..4).map(|_| plugin(config.clone())).collect();
        async move { cases::eight_writers_lose_no_update(&ours, &others).await }
    };
    an_immutable_secret_is_a_conflict_with_a_hint => |ours, config| {
        cases::an_immutable_secret_is_a_conflict_with_a_hint(&ours)
    };
    labels_annotations_and_type_survive_a_write_of_data => |ours, config| {
        cases::labels_annotations_and_type_survive_a_write_of_data(&ours)
    };
    followers_share_a_watch_and_see_the_end => |ours, config| {
        cases::followers_share_a_watch_and_see_the_end(&ours)
    };
    everything_is_granted => |ours, config| cases::everything_is_granted(&ours);
    what_cannot_be_minted_is_told_apart => |ours, config| {
        cases::what_cannot_be_minted_is_told_apart(&ours)
    };
    a_minted_token_is_known_to_the_review => |ours, config| {
        let namespace = config.namespace.clone().expect("it was set");
        let identity = KubernetesIdentity::new(config).expect("the kubeconfig is sound");
        async move {
            cases::a_minted_token_is_known_to_the_review(&ours, &identity, &namespace).await;
        }
    };
}

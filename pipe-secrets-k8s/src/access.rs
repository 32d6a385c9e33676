//! What we are allowed to do, asked before it is needed.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::try_join_all;
use http::Method;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Resource as _;
use pipe_core::{Error, ErrorKind, Health, Result};
use serde::Deserialize;

use crate::client::with_body;
use crate::error::{Asked, Resource, malformed};
use crate::plugin::Inner;

/// A verb that RBAC grants on Secrets, and what the plugin needs it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// `get_secret`, and every write.
    Get,
    /// `list_secrets` and `watch_secret`.
    List,
    /// `watch_secret`.
    Watch,
    /// A write of a secret that is not there yet.
    Create,
    /// Every write.
    Patch,
    /// `delete_secret`.
    Delete,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Get, Self::List, Self::Watch, Self::Create, Self::Patch, Self::Delete];

    /// The verb, as Roles have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which verbs on Secrets are granted to us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessReport {
    /// The namespace that was asked about.
    pub namespace: String,
    /// The Kubernetes Secret that was asked about; `None` for all of the namespace.
    pub object: Option<String>,
    /// What is granted.
    pub granted: BTreeSet<Verb>,
}

impl AccessReport {
    /// Whether this verb is granted.
    #[must_use]
    pub fn allows(&self, verb: Verb) -> bool {
        self.granted.contains(&verb)
    }

    /// What is not granted.
    pub fn missing(&self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(|verb| !self.allows(*verb))
    }

    /// Refuses when one of these verbs is missing: for a check when a program starts.
    ///
    /// # Errors
    /// `PermissionDenied`, naming the verbs and the RBAC rule that would grant them.
    pub fn require(&self, verbs: &[Verb]) -> Result<()> {
        let missing: Vec<_> = verbs.iter().filter(|verb| !self.allows(**verb)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<_> = missing.into_iter().map(|verb| verb.as_str()).collect();
        let object = self.object.as_deref().unwrap_or_default();
        let rule = Asked::secret(&missing, &self.namespace, object);
        Err(Error::new(ErrorKind::PermissionDenied, "RBAC does not grant what is needed")
            .with("verbs", missing.join(","))
            .with("resource", "secrets")
            .with("namespace", &self.namespace)
            .hint(format!("grant {rule}")))
    }
}

impl Inner {
    /// An empty object stands for all of the namespace.
    pub(crate) async fn check_access(&self, namespace: &str, object: &str) -> Result<AccessReport> {
        let answers = Verb::ALL.map(|verb| async move {
            self.may(verb, namespace, object).await.map(|may| may.then_some(verb))
        });
        let granted = try_join_all(answers).await?.into_iter().flatten().collect();
        let object = Some(object).filter(|object| !object.is_empty()).map(str::to_owned);
        Ok(AccessReport { namespace: namespace.to_owned(), object, granted })
    }

    async fn may(&self, verb: Verb, namespace: &str, object: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Answer {
            status: Verdict,
        }
        #[derive(Deserialize)]
        struct Verdict {
            #[serde(default)]
            allowed: bool,
        }
        let attributes = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some(verb.to_string()),
            resource: Some("secrets".to_owned()),
            name: Some(object.to_owned()).filter(|object| !object.is_empty()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let url = self.client.url(&SelfSubjectAccessReview::url_path(&(), None));
        let asked = Asked {
            verbs: &["create"],
            resource: Resource::AccessReviews,
            namespace: "",
            name: "",
        };
        let answer = self
            .client
            .expect(&asked, || {
                let body = serde_json::to_vec(&review).map_err(|_| {
                    Error::new(ErrorKind::InvalidArgument, "the review cannot be written as JSON")
                })?;
                with_body(Method::POST, url.clone(), body)
            })
            .await?;
        let verdict = serde_json::from_slice::<Answer>(&answer.body);
        Ok(verdict.map_err(|_| malformed(&answer))?.status.allowed)
    }

    /// Healthy with every verb, degraded with some: an instance that only reads needs no more.
    pub(crate) async fn health(&self) -> Health {
        let report = match self.check_access(&self.namespace, "").await {
            Ok(report) => report,
            Err(error) => return Health::from(&error),
        };
        let missing: Vec<_> = report.missing().map(Verb::as_str).collect();
        if missing.is_empty() {
            return Health::healthy();
        }
        let rule = Asked::secret(&missing, &self.namespace, "");
        let reason = format!(
            "not granted on secrets of namespace {}: {}",
            self.namespace,
            missing.join(", ")
        );
        let hint = format!(
            "grant {rule}, or leave it where this instance does not need it or its Role names single Secrets"
        );
        if report.granted.is_empty() {
            return Health::unhealthy(reason, hint);
        }
        Health::degraded(reason, hint)
    }
}

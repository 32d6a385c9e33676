//! One declaration, and the ways in which its secrets can reach the pod.

mod csi;
mod external_secrets;
mod infisical;
mod infisical_store;
mod injector;
mod runtime;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

pub use self::csi::SecretsStoreCsi;
pub use self::external_secrets::{ConfigMapKey, ExternalSecrets, ExternalStore, StoreScope};
pub use self::infisical::{InfisicalAuthMethod, InfisicalOperator, SecretKey};
pub use self::infisical_store::InfisicalStore;
pub use self::injector::AgentInjector;
pub(super) use self::injector::PREFIX as INJECTOR_PREFIX;
pub use self::runtime::RuntimeRead;
use super::openbao::{check_namespace, check_object_name};
use super::{AclPolicy, EnvInjection, Manifest, OpenBaoStore, PodFragment, SecretMount, of_secret};
use crate::Result;
use crate::secrets::SecretRef;

/// Which secrets a pod gets, and where in it they appear; not how they come there.
///
/// ```
/// use pipe_core::pod::{
///     Delivery, EnvInjection, ExternalSecrets, NativeSecret, OpenBaoStore, PodSecrets,
/// };
/// use pipe_core::secrets::ArtifactPath;
///
/// let token: ArtifactPath = "/artifacts/crm/public/secrets/api-token".parse()?;
/// let secrets = PodSecrets::new("bot", "pipe-bots")
///     .with_env(EnvInjection::new().with_env("API_TOKEN", token.secret_ref(), "value"));
///
/// let store = OpenBaoStore::new("https://openbao.openbao-system.svc:8200", "pipe-bot", "bots");
/// let delivery = Delivery::ExternalSecrets(ExternalSecrets::openbao(store));
/// let delivered = secrets.deliver(&delivery)?;
/// let kinds: Vec<_> = delivered.manifests.iter().map(|object| object.kind()).collect();
/// assert_eq!(kinds, ["SecretStore", "ExternalSecret"]);
///
/// // The same declaration, with no operator in the cluster:
/// let native = Delivery::NativeSecret(NativeSecret::new());
/// assert!(secrets.deliver(&native)?.manifests.is_empty());
/// # Ok::<(), pipe_core::Error>(())
/// ```
///
/// Objects that make a Kubernetes Secret are named after it. Pods of one namespace that use
/// different keys of one secret are best declared together, or their objects would differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodSecrets {
    name: String,
    namespace: String,
    env: Vec<EnvInjection>,
    mounts: Vec<SecretMount>,
}

impl PodSecrets {
    /// No secrets yet. Objects that belong to the pod get its name, in this Kubernetes namespace.
    #[must_use]
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: namespace.into(), env: Vec::new(), mounts: Vec::new() }
    }

    /// Also these environment variables.
    #[must_use]
    pub fn with_env(mut self, injection: EnvInjection) -> Self {
        self.env.push(injection);
        self
    }

    /// Also these files.
    #[must_use]
    pub fn with_mount(mut self, mount: SecretMount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// The secrets, each once.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&SecretRef> {
        self.needs().into_keys().collect()
    }

    /// What goes into the pod, into the cluster and into OpenBao.
    ///
    /// # Errors
    /// `InvalidArgument` for names that Kubernetes would refuse, and for what this way of delivery
    /// cannot do, naming it; `Conflict` when one name is used for two things.
    pub fn deliver(&self, delivery: &Delivery) -> Result<Delivered> {
        check_object_name("name", &self.name)?;
        check_namespace(&self.namespace)?;
        // What could not be delivered by a Kubernetes Secret, such as two files of one name, is a
        // mistake in every way of delivery.
        let with_secrets = Delivered::new(self.pod_with_kubernetes_secrets()?);
        match delivery {
            Delivery::NativeSecret(_) => Ok(with_secrets),
            Delivery::ExternalSecrets(settings) => settings.deliver(self, with_secrets),
            Delivery::SecretsStoreCsi(settings) => settings.deliver(self),
            Delivery::AgentInjector(settings) => settings.deliver(self),
            Delivery::InfisicalOperator(settings) => settings.deliver(self, with_secrets),
            Delivery::Runtime(settings) => settings.deliver(self),
        }
    }

    /// The pod whose secrets are in Kubernetes Secrets, whoever makes them.
    fn pod_with_kubernetes_secrets(&self) -> Result<PodFragment> {
        let env = self.env.iter().map(EnvInjection::fragment);
        let fragments = env.chain(self.mounts.iter().map(SecretMount::fragment));
        PodFragment::merge_all(fragments.collect::<Result<Vec<_>>>()?)
    }

    /// What is needed of each secret.
    pub(super) fn needs(&self) -> BTreeMap<&SecretRef, Need<'_>> {
        let mut needs: BTreeMap<&SecretRef, Need<'_>> = BTreeMap::new();
        for injection in &self.env {
            for variable in &injection.variables {
                needs.entry(&variable.secret).or_default().add(&variable.key);
            }
            for whole in &injection.whole {
                needs.entry(&whole.secret).or_default().whole = true;
            }
        }
        for mount in &self.mounts {
            let need = needs.entry(&mount.secret).or_default();
            need.whole |= mount.items.is_empty();
            mount.items.iter().for_each(|item| need.add(&item.key));
        }
        needs
    }

    /// The volumes that are mounted, for a way of delivery that has to know the keys beforehand
    /// and makes each of them be there.
    fn volumes_of_keys(&self) -> Result<impl Iterator<Item = &SecretMount>> {
        for mount in &self.mounts {
            let names_keys = mount.env_prefix.is_none() && !mount.items.is_empty();
            check_keyed(&mount.secret, names_keys, mount.optional)?;
        }
        Ok(self.mounts.iter())
    }
}

/// What is needed of a secret.
#[derive(Default)]
pub(super) struct Need<'a> {
    /// Every key that it has.
    pub(super) whole: bool,
    /// At least these.
    pub(super) keys: BTreeSet<&'a str>,
}

impl<'a> Need<'a> {
    fn add(&mut self, key: &'a str) {
        self.keys.insert(key);
    }
}

/// How secrets reach a pod: a setting of the platform, chosen in a document by `via`.
///
/// What external tools read from OpenBao are the bytes that are stored: a binary value, which the
/// backend stores behind a marker, arrives with it. Text arrives as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "via", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Delivery {
    /// The Kubernetes Secret is there already: the backend is Kubernetes, or something else
    /// writes it.
    NativeSecret(NativeSecret),
    /// The External Secrets Operator copies each secret into a Kubernetes Secret (REQ 003-10).
    ExternalSecrets(ExternalSecrets),
    /// The Secrets Store CSI driver writes the files when the pod starts.
    SecretsStoreCsi(SecretsStoreCsi),
    /// An agent, injected into the pod, writes the files.
    AgentInjector(AgentInjector),
    /// Infisical's operator copies each folder into a Kubernetes Secret.
    InfisicalOperator(InfisicalOperator),
    /// The program reads its secrets itself.
    Runtime(RuntimeRead),
}

/// A Kubernetes Secret that is there already; nothing has to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NativeSecret {}

impl NativeSecret {
    /// Nothing has to be set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A way of delivery, worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// What goes into the pod.
    pub fragment: PodFragment,
    /// Objects that have to be in the cluster.
    pub manifests: Vec<Manifest>,
    /// What the role has to be allowed in OpenBao, when the secrets come from there.
    pub policy: Option<AclPolicy>,
}

impl Delivered {
    fn new(fragment: PodFragment) -> Self {
        Self { fragment, manifests: Vec::new(), policy: None }
    }

    fn with_manifests(self, manifests: Vec<Manifest>) -> Self {
        Self { manifests, ..self }
    }

    /// The role may read what the declaration names, and nothing else.
    fn with_policy_for(self, secrets: &PodSecrets, store: &OpenBaoStore) -> Result<Self> {
        let policy = AclPolicy::reading(store, secrets.secrets())?;
        Ok(Self { policy: Some(policy), ..self })
    }
}

fn check_keyed(secret: &SecretRef, names_keys: bool, is_optional: bool) -> Result<()> {
    if !names_keys {
        return Err(of_secret(secret, "this way of delivery has to know the keys").hint(
            "name the keys: `with_env` or `SecretMount::with_item`, or deliver by a Kubernetes Secret",
        ));
    }
    if is_optional {
        return Err(of_secret(secret, "this way of delivery starts no pod without the secret")
            .hint("leave out `optional`, or deliver by a Kubernetes Secret"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

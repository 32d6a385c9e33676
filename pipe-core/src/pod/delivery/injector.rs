//! The agent injector, which changes annotated pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::runtime::{TOKEN_VOLUME, token_volume};
use super::{Delivered, PodSecrets, check_keyed};
use crate::Result;
use crate::pod::naming::{DEFAULT_MODE, short_id};
use crate::pod::openbao::check_word;
use crate::pod::{OpenBaoStore, PodFragment, SecretMount, invalid, of_secret};

/// Annotations at which the injector gives the pod an agent, which logs in as the pod's service
/// account and writes the files.
///
/// The annotations' prefix, `vault.hashicorp.com`, is what the injector listens to; the server and
/// the agent's image are OpenBao's. Keys have to be named, and be there; environment variables
/// cannot be delivered in this way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AgentInjector {
    /// Where in OpenBao, and as whom.
    pub openbao: OpenBaoStore,
    /// The agent's image; the injector's own setting when absent.
    #[serde(default)]
    pub image: Option<String>,
    /// Whether the agent stays beside the container and renews the files.
    #[serde(default)]
    pub renew: bool,
    /// The containers that see the files; all when empty.
    #[serde(default)]
    pub containers: Vec<String>,
}

impl AgentInjector {
    /// From OpenBao, once, when the pod starts, for all its containers.
    #[must_use]
    pub fn new(openbao: OpenBaoStore) -> Self {
        Self { openbao, image: None, renew: false, containers: Vec::new() }
    }

    /// The agent's image.
    #[must_use]
    pub fn with_image(self, image: impl Into<String>) -> Self {
        Self { image: Some(image.into()), ..self }
    }

    /// The agent stays beside the container and renews the files.
    #[must_use]
    pub fn renewing(self) -> Self {
        Self { renew: true, ..self }
    }

    /// Only these containers see the files.
    #[must_use]
    pub fn only_in<S: Into<String>>(self, containers: impl IntoIterator<Item = S>) -> Self {
        Self { containers: containers.into_iter().map(Into::into).collect(), ..self }
    }

    pub(super) fn deliver(&self, secrets: &PodSecrets) -> Result<Delivered> {
        self.openbao.check()?;
        for injection in &secrets.env {
            if let Some(secret) = injection.secrets().next() {
                return Err(of_secret(secret, "an agent writes files, no environment variables")
                    .hint("mount the secret, or deliver it by a Kubernetes Secret"));
            }
        }
        let mut fragments = vec![self.agent()?];
        for mount in secrets.volumes_of_keys()? {
            fragments.push(self.files(mount)?);
        }
        let fragment = PodFragment::merge_all(fragments)?;
        Delivered::new(fragment).with_policy_for(secrets, &self.openbao)
    }

    fn agent(&self) -> Result<PodFragment> {
        let mut annotations = BTreeMap::new();
        let mut set = |name: &str, value: &str| {
            annotations.insert(format!("{PREFIX}/{name}"), value.to_owned());
        };
        set("agent-inject", "true");
        set("service", &self.openbao.address);
        set("role", &self.openbao.role);
        set("auth-path", &format!("auth/{}", self.openbao.auth_mount));
        set("agent-pre-populate-only", if self.renew { "false" } else { "true" });
        set("agent-service-account-token-volume-name", TOKEN_VOLUME);
        // The agent keeps `restricted` too.
        set("agent-set-security-context", "true");
        if let Some(namespace) = &self.openbao.namespace {
            set("namespace", namespace.as_str());
        }
        if let Some(image) = &self.image {
            let digest = image.replace('@', "/");
            check_word("image", &digest)?;
            set("agent-image", image);
        }
        if !self.containers.is_empty() {
            for container in &self.containers {
                check_word("container", container)?;
            }
            set("agent-inject-containers", &self.containers.join(","));
        }
        Ok(PodFragment {
            volumes: vec![token_volume(&self.openbao.audience)],
            service_account_name: Some(self.openbao.service_account.clone()),
            annotations,
            ..PodFragment::default()
        })
    }

    fn files(&self, mount: &SecretMount) -> Result<PodFragment> {
        check_keyed(&mount.secret, true, mount.optional)?;
        let path = self.openbao.data_path(&mount.secret)?;
        // Everything is checked as for a Secret; then the agent has a volume of its own.
        let checked = mount.fragment()?;
        let mounted = checked.volume_mounts.first().zip(checked.volumes.first());
        let Some((mounted, volume)) = mounted else { return Ok(PodFragment::default()) };
        let mode = volume.secret().map_or(DEFAULT_MODE, |secret| secret.default_mode);
        let mut annotations = BTreeMap::new();
        for item in &mount.items {
            if item.path.contains(['"', '\\', '{', '}', '<', '>']) {
                return Err(invalid("not the name of a file for an agent", "path", &item.path)
                    .hint("use letters, digits, - . _ and /"));
            }
            let about = format!("{}/{}", mounted.mount_path, item.path);
            let id = short_id(&format!("{path}/{}", item.key), &about);
            let mode = item.mode.unwrap_or(mode);
            for (name, value) in [
                ("agent-inject-secret", path.clone()),
                ("agent-inject-template", template(&path, &item.key)),
                ("agent-inject-file", item.path.clone()),
                ("agent-inject-perms", format!("{mode:04o}")),
                ("secret-volume-path", mounted.mount_path.clone()),
            ] {
                annotations.insert(format!("{PREFIX}/{name}-{id}"), value);
            }
        }
        Ok(PodFragment { annotations, ..PodFragment::default() })
    }
}

pub(in crate::pod) const PREFIX: &str = "vault.hashicorp.com";

/// Neither a path nor a key can hold a quote.
fn template(path: &str, key: &str) -> String {
    format!(r#"{{{{- with secret "{path}" -}}}}{{{{ index .Data.data "{key}" }}}}{{{{- end }}}}"#)
}

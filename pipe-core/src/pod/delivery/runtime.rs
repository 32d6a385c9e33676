//! The program reads its secrets itself.

use serde::Deserialize;

use super::{Delivered, PodSecrets};
use crate::Result;
use crate::pod::model::{
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
    VolumeSource,
};
use crate::pod::naming::DEFAULT_MODE;
use crate::pod::{OpenBaoStore, PodFragment};

/// A token of the pod's service account that only OpenBao takes, with which the program logs in
/// and reads its secrets when it needs them. No value is ever in Kubernetes.
///
/// Variables and files of the declaration do not appear: the program asks its `SecretsPlugin` for
/// the same references. The plugin's login reads [`TOKEN_FILE`](Self::TOKEN_FILE), whose group is
/// the pod's `fsGroup`, as [`PodSecurity`](crate::pod::PodSecurity) sets it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RuntimeRead {
    /// Where in OpenBao, and as whom.
    pub openbao: OpenBaoStore,
    /// Whether the program also talks to the API server: without, it gets no token for that.
    #[serde(default)]
    pub kubernetes_api: bool,
}

impl RuntimeRead {
    /// Where the program finds the token, which the kubelet renews every eight minutes.
    pub const TOKEN_FILE: &str = "/var/run/secrets/openbao.org/token";

    /// From OpenBao; no token for the API server.
    #[must_use]
    pub fn new(openbao: OpenBaoStore) -> Self {
        Self { openbao, kubernetes_api: false }
    }

    /// The program also talks to the API server.
    #[must_use]
    pub fn with_kubernetes_api(self) -> Self {
        Self { kubernetes_api: true, ..self }
    }

    pub(super) fn deliver(&self, secrets: &PodSecrets) -> Result<Delivered> {
        self.openbao.check()?;
        let fragment = PodFragment {
            volume_mounts: vec![VolumeMount {
                name: TOKEN_VOLUME.to_owned(),
                mount_path: TOKEN_PATH.to_owned(),
                read_only: true,
            }],
            volumes: vec![token_volume(&self.openbao.audience)],
            service_account_name: Some(self.openbao.service_account.clone()),
            automount_service_account_token: Some(self.kubernetes_api),
            ..PodFragment::default()
        };
        Delivered::new(fragment).with_policy_for(secrets, &self.openbao)
    }
}

pub(super) const TOKEN_VOLUME: &str = "openbao-token";
const TOKEN_PATH: &str = "/var/run/secrets/openbao.org";

pub(super) fn token_volume(audience: &str) -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: audience.to_owned(),
        // The least that Kubernetes allows.
        expiration_seconds: 600,
        path: "token".to_owned(),
    };
    let source = ProjectedVolumeSource {
        default_mode: DEFAULT_MODE,
        sources: vec![VolumeProjection::ServiceAccountToken(token)],
    };
    Volume { name: TOKEN_VOLUME.to_owned(), source: VolumeSource::Projected(source) }
}

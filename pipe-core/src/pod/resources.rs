//! What a container gets of the node (REQ 003-16, 003-17).

use serde::{Deserialize, Serialize};

use super::PodFragment;

/// How big a container may be.
///
/// ```
/// use pipe_core::pod::ResourceProfile;
///
/// let resources = ResourceProfile::Standard.resources();
/// assert_eq!((&*resources.requests.cpu, &*resources.limits.cpu), ("500m", "2000m"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResourceProfile {
    /// Half a core up to 2, 1 up to 4 GiB of memory, 10 GiB of storage.
    #[default]
    Standard,
    /// 2 up to 4 cores, 4 up to 8 GiB of memory, 50 GiB of storage.
    HighPerformance,
}

impl ResourceProfile {
    /// The profile's quantities.
    #[must_use]
    pub fn resources(self) -> ResourceRequirements {
        let (requests, limits, storage) = match self {
            Self::Standard => (["500m", "1Gi"], ["2000m", "4Gi"], "10Gi"),
            Self::HighPerformance => (["2000m", "4Gi"], ["4000m", "8Gi"], "50Gi"),
        };
        // Storage cannot be taken back from a container that has filled it: no more than asked for.
        let resources = |[cpu, memory]: [&str; 2]| Resources {
            cpu: cpu.to_owned(),
            memory: memory.to_owned(),
            ephemeral_storage: storage.to_owned(),
        };
        ResourceRequirements { requests: resources(requests), limits: resources(limits) }
    }

    /// The container with these resources.
    #[must_use]
    pub fn fragment(self) -> PodFragment {
        PodFragment { resources: Some(self.resources()), ..PodFragment::default() }
    }
}

/// What a container gets for certain, and at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceRequirements {
    /// For certain.
    pub requests: Resources,
    /// At most.
    pub limits: Resources,
}

/// Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Resources {
    /// Cores, `500m` is half of one.
    pub cpu: String,
    /// Bytes of memory.
    pub memory: String,
    /// Bytes of the node's disk: layers, logs, `emptyDir`.
    pub ephemeral_storage: String,
}

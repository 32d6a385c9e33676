//! What the groups of an identity provider give: roles and namespaces of ours, and groups of
//! Kubernetes with the roles that are bound to them (REQ 002-30, 002-49).
//!
//! One document says it, a [`GroupMapping`]. Token validation, the caller's identity in Kubernetes
//! and the manifests are made of it, so they cannot disagree:
//!
//! ```
//! use pipe_core::identity::{Group, Principal, PrincipalId, TenantId};
//! use pipe_core::rbac::{GroupMapping, GroupRights};
//! use pipe_core::{Result, SecurityContext};
//! use std::time::SystemTime;
//!
//! # fn main() -> Result<()> {
//! let mapping: GroupMapping = serde_json::from_str(r#"{
//!   "grants": [{
//!     "group": "bni-editors", "tenant": "bni", "roles": ["editor"], "namespaces": ["bni"],
//!     "kubernetes": {
//!       "groups": ["bni-editors"],
//!       "bindings": [
//!         { "cluster_role": "edit", "namespaces": ["bni-bots"] },
//!         { "role": "deployer", "namespaces": ["bni-tools"] }
//!       ]
//!     }
//!   }]
//! }"#).unwrap();
//! let rights = GroupRights::new(mapping)?;
//!
//! // For the cluster: a RoleBinding for each group, role and namespace.
//! let bindings = rights.bindings();
//! assert_eq!(bindings.len(), 2);
//! // For us: the right to act on behalf of these groups, and of no other.
//! let [role, _binding] = rights.impersonator("pipe-impersonator", "platform", "pipe")?;
//! assert_eq!(role.kind(), "ClusterRole");
//!
//! // Who a verified caller is in the cluster. Token validation fills in tenant and groups.
//! # let now = SystemTime::now();
//! # let principal = Principal::user(PrincipalId::new("248289761001")?);
//! # let caller = SecurityContext::new(principal, "https://idp.example", now, now)
//! #     .with_tenant(TenantId::new("bni")?)
//! #     .with_groups([Group::new("bni-editors")?]);
//! let user = rights.kubernetes_user(&caller)?;
//! assert_eq!(user.name(), "oidc:248289761001");
//! assert!(user.groups().eq(["oidc:bni-editors"]));
//! # Ok(())
//! # }
//! ```

mod grant;
mod manifests;
mod mapping;
mod rights;
mod user;

pub use self::grant::{BoundRole, GroupGrant, KubernetesGrant};
pub use self::mapping::{GroupMapping, KubernetesNames};
pub use self::rights::{Granted, GroupRights};
pub use self::user::KubernetesUser;

#![doc = include_str!("../README.md")]

mod ambient;
pub mod audit;
mod clock;
mod error;
mod faults;
mod hex;
pub mod identity;
mod inline;
pub mod memory;
mod name;
mod plugin;
pub mod pod;
pub mod rbac;
mod rotating;
mod secret;
mod secret_source;
pub mod secrets;
mod trace;
pub mod wrap;

pub use self::ambient::{in_current_context, with_reason};
pub use self::clock::Clock;
pub use self::error::{Error, ErrorKind, LoginFault, Result, TokenFault};
pub use self::faults::ConfigFaults;
pub use self::identity::{IdentityPlugin, IdentityPluginExt, SecurityContext};
pub use self::inline::without_inline_secrets;
pub use self::memory::GovernanceMemory;
pub use self::name::{Namespace, SecretName};
pub use self::plugin::{Health, HealthStatus, Plugin};
pub use self::rotating::Rotating;
pub use self::secret::{SecretData, SecretValue};
pub use self::secret_source::{SecretReader, SecretSource};
pub use self::secrets::{SecretRef, SecretsPlugin, SecretsPluginExt};
pub use self::trace::TraceContext;

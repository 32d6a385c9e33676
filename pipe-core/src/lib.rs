#![doc = include_str!("../README.md")]

mod error;
pub mod identity;
mod name;
mod plugin;
pub mod pod;
mod secret;
mod secret_source;
pub mod secrets;

pub use self::error::{Error, ErrorKind, Result, TokenFault};
pub use self::identity::{IdentityPlugin, IdentityPluginExt, SecurityContext};
pub use self::name::{Namespace, SecretName};
pub use self::plugin::{Health, HealthStatus, Plugin};
pub use self::secret::{SecretData, SecretValue};
pub use self::secret_source::{SecretReader, SecretSource};
pub use self::secrets::{SecretRef, SecretsPlugin, SecretsPluginExt};

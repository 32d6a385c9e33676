#![doc = include_str!("../README.md")]

mod api;
mod config;
mod entry;
mod error;
mod health;
mod login;
mod names;
mod place;
mod plugin;
mod read;
mod row;
mod version;
mod watch;
mod write;

pub use self::config::{Auth, InfisicalConfig, JwtAuth, KubernetesAuth, TokenAuth, UniversalAuth};
pub use self::entry::WriteOptions;
pub use self::plugin::Infisical;
pub use self::read::SecretFilter;

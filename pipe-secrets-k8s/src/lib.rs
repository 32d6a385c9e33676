#![doc = include_str!("../README.md")]

mod access;
mod apply;
mod auth;
mod client;
mod config;
mod connect;
mod error;
mod names;
mod object;
mod plugin;
mod review;
mod secret;
mod token;
mod watch;

pub use self::access::{AccessReport, Verb};
pub use self::apply::SecretOptions;
pub use self::config::{
    ClusterConnection, Connection, Impersonation, KubeconfigConnection, KubernetesConfig,
};
pub use self::plugin::Kubernetes;
pub use self::review::KubernetesIdentity;
pub use self::token::{BoundObject, ServiceAccountToken, ServiceAccountTokenRequest};

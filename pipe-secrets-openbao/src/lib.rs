#![doc = include_str!("../README.md")]

mod client;
mod config;
mod error;
mod health;
mod kv;
mod listing;
mod login;
mod plugin;
mod raw;
mod transport;
mod value;

pub use self::config::{
    AppRoleAuth, Auth, CertAuth, JwtAuth, KubernetesAuth, OpenBaoConfig, TokenAuth, UserpassAuth,
};
pub use self::plugin::OpenBao;
pub use self::raw::{Lease, ReadSecret};

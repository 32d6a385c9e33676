#![doc = include_str!("../README.md")]

mod auth;
mod client;
mod config;
mod engine;
mod error;
mod health;
mod kv;
mod leases;
mod listing;
mod login;
mod plugin;
mod raw;
mod transport;
mod value;
mod wrapping;

pub use self::auth::{
    AppRoleAuth, Auth, CertAuth, JwtAuth, KubernetesAuth, TokenAuth, UserpassAuth,
};
pub use self::config::OpenBaoConfig;
pub use self::leases::{
    LeaseEvent, LeaseEvents, LeaseInfo, LeaseManager, LeasedCredentials, LeasedSecret,
};
pub use self::plugin::OpenBao;
pub use self::raw::{Lease, ReadSecret};
pub use self::wrapping::{Unwrapped, WrapInfo, WrappedToken, Wrapping};

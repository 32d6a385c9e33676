#![doc = include_str!("../README.md")]

mod auth;
mod client;
mod config;
mod doctor;
mod engine;
mod error;
mod health;
mod inline;
mod kv;
mod leases;
mod login;
mod needs;
mod pki;
mod plugin;
mod raw;
mod snapshot;
mod transit;
mod transport;
mod value;
mod versions;
mod watch;
mod wrapping;

pub use self::auth::{
    AppRoleAuth, Auth, CertAuth, JwtAuth, KubernetesAuth, TokenAuth, UserpassAuth,
};
pub use self::config::OpenBaoConfig;
pub use self::doctor::{Diagnosis, Finding, Topic, Verdict};
pub use self::kv::{
    FindQuery, FoundSecret, KeyChanges, SecretMetadata, SecretState, VersionInfo, VersionState,
};
pub use self::leases::{
    LeaseEvent, LeaseEvents, LeaseInfo, LeaseManager, LeasedCredentials, LeasedSecret,
};
pub use self::needs::Need;
#[cfg(feature = "rustls")]
pub use self::pki::CertificateResolver;
pub use self::pki::{
    CertificateIssuer, CertificateRequest, IssuedCertificate, RotatingCertificate, RotationEvent,
    RotationState, SignedCertificate, StoredCertificate,
};
pub use self::plugin::OpenBao;
pub use self::raw::{Lease, ReadSecret};
#[cfg(feature = "oidc")]
pub use self::transit::JwtSigner;
pub use self::transit::{Cipher, DataKey, Hash, KeyInfo, KeyVersion, SigningKey};
pub use self::wrapping::{Unwrapped, WrapInfo, WrappedToken, Wrapping};

#![doc = include_str!("../README.md")]

mod check;
mod cookies;
mod credentials;
mod layer;
mod refusal;
mod service;
mod trace;

pub use self::cookies::LoginCookies;
pub use self::credentials::{PeerCertificate, SIGNED_CONTEXT};
pub use self::layer::AuthenticateLayer;
pub use self::service::Authenticate;

#![doc = include_str!("../README.md")]

mod api;
mod archive;
mod config;
mod context;
mod error;
mod fallback;
mod local;
mod login;
mod multipart;
mod plugin;
mod queue;
mod texts;

pub use self::config::{Auth, CogneeConfig, LoginAuth};
pub use self::fallback::{Delivery, Fallback, FallbackPolicy, Reads, Writes};
pub use self::local::LocalMemory;
pub use self::plugin::Cognee;
pub use self::texts::{CognifyReport, Document};

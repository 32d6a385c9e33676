#![doc = include_str!("../README.md")]

mod api;
mod archive;
mod cognify;
mod config;
mod context;
mod dataset;
mod documents;
mod error;
mod fallback;
mod local;
mod login;
mod multipart;
mod plugin;
mod queue;
mod recall;
mod search;

pub use self::cognify::{CognifyEvent, CognifyProgress, CognifyReport, CognifyStream, Tokens};
pub use self::config::{Auth, CogneeConfig, LoginAuth};
pub use self::documents::{Document, Replaced};
pub use self::fallback::{Delivery, Fallback, FallbackPolicy, Reads, Writes};
pub use self::local::LocalMemory;
pub use self::plugin::Cognee;
pub use self::recall::{Provenance, TextAnswer, TextHit};

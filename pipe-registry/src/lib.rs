#![doc = include_str!("../README.md")]

mod decorators;
mod document;
mod fault;
mod kind;
mod plugins;
mod registry;
mod schema;
mod section;
mod words;

pub use self::document::Format;
pub use self::fault::{Fault, Faults};
pub use self::plugins::{Plugins, PluginsHealth};
pub use self::registry::Registry;

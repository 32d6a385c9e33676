#![doc = include_str!("../README.md")]

mod local;

pub use self::local::LocalMemory;

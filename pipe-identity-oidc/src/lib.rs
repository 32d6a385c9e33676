#![doc = include_str!("../README.md")]

pub mod jwt;
mod mapping;
mod pointer;

pub use self::mapping::{ClaimMapping, GroupGrant, TenantSource};
pub use self::pointer::ClaimPointer;

#![doc = include_str!("../README.md")]

mod issue;
pub mod jwt;

pub use self::issue::TokenIssuer;

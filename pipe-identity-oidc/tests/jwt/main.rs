//! The verification of tokens, from outside: other people's vectors, every algorithm, any bytes.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod algorithms;
mod fuzz;
mod keys;
mod vectors;

//! Keeps the family honest: what it costs, and whether it holds under load and faults.

pub mod soak;

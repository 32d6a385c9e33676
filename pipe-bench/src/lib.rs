#![doc = include_str!("../README.md")]

mod fault;
mod figure;
pub mod figures;
mod instant;
mod report;
mod resident;
pub mod sample;
mod server;
pub mod soak;
pub mod threads;

pub use self::fault::Fault;
pub use self::figure::{Amount, Figure, Limit, Measured};
pub use self::instant::Instant;
pub use self::report::Report;
pub use self::server::Server;

#![doc = include_str!("../README.md")]

mod address;
mod bearer;
mod client;
mod config;
mod connector;
mod error;
mod guard;
mod proxy;
mod request;
mod response;
mod retry_after;
pub mod session;
mod status;
mod stream;
mod tls;

pub use self::address::ServerAddress;
pub use self::bearer::bearer;
pub use self::client::HttpClient;
pub use self::config::{CaBundle, CaTrust, HttpConfig};
pub use self::error::was_not_sent;
pub use self::guard::AddressPolicy;
pub use self::proxy::ProxyAddress;
pub use self::request::HttpRequest;
pub use self::response::HttpResponse;
pub use self::retry_after::retry_after;
pub use self::status::status_kind;
pub use self::stream::HttpStream;

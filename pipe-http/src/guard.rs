//! Which addresses a client may reach, when its URL comes from a document and not from a person.
//!
//! A document that names `http://169.254.169.254/…` would have us read the credentials of the
//! machine. The addresses are judged where they are connected to, after resolving: a name that
//! is judged first and resolved again later may lead elsewhere by then.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use pipe_core::{Error, ErrorKind, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use crate::ServerAddress;

/// Which addresses an [`HttpClient`](crate::HttpClient) may reach.
///
/// Whatever the policy: link-local addresses, those of cloud metadata services (by their names
/// too), unspecified, multicast, broadcast and documentation addresses, and what is reserved, are
/// never reached; nor in IPv6 clothes (mapped, 6to4, NAT64, Teredo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AddressPolicy {
    /// Addresses of the internet only.
    Public,
    /// Private networks too: `10/8`, `172.16/12`, `192.168/16`, `100.64/10`, `fc00::/7`.
    Private,
    /// Private networks and this machine too.
    Loopback,
}

impl AddressPolicy {
    /// Whether an address may be reached.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        let reach = match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        };
        reach.is_some_and(|needed| self >= needed)
    }

    /// The policy that lets a server that a person configured name others of its own kind: an
    /// issuer on a private network may keep its keys on that network.
    ///
    /// Private are private addresses, and names that only have a meaning inside: those of one
    /// label, and those below `internal`, `local`, `svc` and `home.arpa`.
    #[must_use]
    pub fn of_peers(address: &ServerAddress) -> Self {
        if address.is_loopback() {
            return Self::Loopback;
        }
        let is_private = match address.host() {
            Some(Host::Domain(name)) => is_inside(name),
            Some(Host::Ipv4(address)) => of_v4(address) == Some(Self::Private),
            Some(Host::Ipv6(address)) => of_v6(address) == Some(Self::Private),
            None => false,
        };
        if is_private { Self::Private } else { Self::Public }
    }

    /// Judges what can be judged without resolving a name.
    pub(crate) fn check(self, address: &ServerAddress) -> Result<()> {
        let is_allowed = match address.host() {
            Some(Host::Domain("localhost")) => self == Self::Loopback,
            Some(Host::Domain(name)) => !is_metadata(name),
            Some(Host::Ipv4(address)) => self.allows(address.into()),
            Some(Host::Ipv6(address)) => self.allows(address.into()),
            None => false,
        };
        if is_allowed { Ok(()) } else { Err(refused()) }
    }
}

/// What an address that may not be reached is answered with.
pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::ConfigInvalid, "the server is at an address that may not be reached")
        .hint("allow its host if it is meant to be on a private network; link-local and metadata addresses are never reached")
}

/// The cause of a failed lookup whose every address was refused.
#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address may be reached")
    }
}

impl std::error::Error for Refused {}

type Lookup = dyn Fn(String) -> Found + Send + Sync;
type Found = std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static>>;

/// Resolves names, and hands on only what may be connected to.
#[derive(Clone)]
pub(crate) struct Guard {
    policy: AddressPolicy,
    lookup: Arc<Lookup>,
}

impl Guard {
    /// A guard that asks the system's resolver.
    pub(crate) fn new(policy: AddressPolicy) -> Self {
        // Port 0 stands for the port of the URL.
        Self::with(policy, |name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        })
    }

    fn with(
        policy: AddressPolicy,
        lookup: impl Fn(String) -> Found + Send + Sync + 'static,
    ) -> Self {
        Self { policy, lookup: Arc::new(lookup) }
    }

    pub(crate) fn policy(&self) -> AddressPolicy {
        self.policy
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let mut addresses = found.await?;
            addresses.retain(|address| policy.allows(address.ip()));
            if addresses.is_empty() {
                return Err(Refused.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The least policy that allows an address; `None` when none does (IANA's special-purpose registry).
fn of_v4(address: Ipv4Addr) -> Option<AddressPolicy> {
    match address.octets() {
        // Metadata of Azure and Alibaba, which look like addresses of other kinds.
        [168, 63, 129, 16] | [100, 100, 100, 200] => None,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some(AddressPolicy::Private)
        }
        [127, ..] => Some(AddressPolicy::Loopback),
        // This network, link-local, protocol assignments, documentation, relays, benchmarks, and
        // multicast with all that is reserved above it.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => None,
        _ => Some(AddressPolicy::Public),
    }
}

fn of_v6(address: Ipv6Addr) -> Option<AddressPolicy> {
    // Addresses that only carry an IPv4 address are as good as that.
    let public_v4 = |high: u16, low: u16| {
        of_v4(v4(high, low)).filter(|policy| *policy == AddressPolicy::Public)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(AddressPolicy::Loopback),
        [0, 0, 0, 0, 0, 0xffff, high, low] => of_v4(v4(high, low)),
        // NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => public_v4(high, low),
        [0x2002, high, low, ..] => public_v4(high, low),
        // Metadata of AWS and Google.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => None,
        [0xfc00..=0xfdff, ..] => Some(AddressPolicy::Private),
        // Protocol assignments (Teredo among them) and documentation, within what is global.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => None,
        [0x2000..=0x3fff, ..] => Some(AddressPolicy::Public),
        _ => None,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// The names of metadata services, whatever they resolve to. The URL's parser made them lower-case.
fn is_metadata(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    matches!(
        name,
        "metadata"
            | "metadata.goog"
            | "metadata.google.internal"
            | "metadata.azure.internal"
            | "metadata.azure.com"
            | "metadata.tencentyun.com"
            | "instance-data"
            | "instance-data.ec2.internal"
    )
}

/// Whether a name only has a meaning on a private network.
fn is_inside(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.')
        || [".internal", ".local", ".svc", ".home.arpa"].iter().any(|zone| name.ends_with(zone))
}

#[cfg(test)]
mod tests;

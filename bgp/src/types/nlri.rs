//! Network layer reachability information: prefixes, with a path identifier where ADD-PATH is negotiated.

use std::fmt::{Debug, Display};
use std::hash::Hash;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::Family;

/// The path identifier of RFC 7911. Local to the peer that assigned it.
///
/// On a session without ADD-PATH every path of the peer has [`PathId::NONE`]: it has one path per prefix, so the
/// pair of peer and identifier still names exactly one path, in updates and in withdrawals alike.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PathId(pub u32);

impl PathId {
    /// The identifier of the only path of a peer that does not use ADD-PATH.
    pub const NONE: Self = Self(0);
}

/// A prefix and the identifier of the path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri<P> {
    /// The destination. Host bits are zero.
    pub prefix: P,
    /// Which of the peer's paths to it.
    pub path_id: PathId,
}

impl<P> Nlri<P> {
    /// The NLRI of a session without ADD-PATH.
    pub const fn new(prefix: P) -> Self {
        Self {
            prefix,
            path_id: PathId::NONE,
        }
    }
}

/// The NLRI of one address family out of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NlriList {
    /// IPv4 unicast.
    Ipv4(Vec<Nlri<Ipv4Net>>),
    /// IPv6 unicast.
    Ipv6(Vec<Nlri<Ipv6Net>>),
}

impl NlriList {
    /// The family of the prefixes.
    pub const fn family(&self) -> Family {
        match self {
            Self::Ipv4(_) => Family::IPV4_UNICAST,
            Self::Ipv6(_) => Family::IPV6_UNICAST,
        }
    }

    /// How many prefixes there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Ipv4(list) => list.len(),
            Self::Ipv6(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A prefix of one address family: what tables and codecs are generic over, so that nothing is written twice.
///
/// Implemented by [`Ipv4Net`] (5 bytes) and [`Ipv6Net`] (17 bytes), both always truncated to their length.
pub trait RoutePrefix:
    Copy + Eq + Ord + Hash + Debug + Display + Into<IpNet> + Send + Sync + 'static
{
    /// The family whose prefixes these are.
    const FAMILY: Family;
    /// Bits of an address: 32 or 128.
    const ADDRESS_BITS: u8;

    /// The address left-aligned in 128 bits, and the prefix length: a key for hashing and ordering.
    fn key(self) -> (u128, u8);

    /// The prefix with this left-aligned address and length. Bits past the length are cleared.
    ///
    /// Returns `None` if `length` is over [`RoutePrefix::ADDRESS_BITS`].
    fn from_key(bits: u128, length: u8) -> Option<Self>;

    /// The prefix of this length with these leading octets of its address, as messages carry it: `length / 8` of them,
    /// rounded up; fewer count as zeros. Bits past the length are cleared.
    ///
    /// Returns `None` if `length` is over [`RoutePrefix::ADDRESS_BITS`].
    fn from_octets(length: u8, octets: &[u8]) -> Option<Self>;

    /// The inverse of `Into<IpNet>`; `None` for a prefix of the other family. Host bits are cleared.
    fn from_net(net: IpNet) -> Option<Self>;

    /// Makes the list of this family.
    fn list(nlri: Vec<Nlri<Self>>) -> NlriList;
}

impl RoutePrefix for Ipv4Net {
    const FAMILY: Family = Family::IPV4_UNICAST;
    const ADDRESS_BITS: u8 = 32;

    fn key(self) -> (u128, u8) {
        (u128::from(self.addr().to_bits()) << 96, self.prefix_len())
    }

    fn from_key(bits: u128, length: u8) -> Option<Self> {
        Some(
            Self::new(((bits >> 96) as u32).into(), length)
                .ok()?
                .trunc(),
        )
    }

    #[inline]
    fn from_octets(length: u8, octets: &[u8]) -> Option<Self> {
        let mut address = [0; 4];
        let count = octets.len().min(4);
        address[..count].copy_from_slice(&octets[..count]);
        Some(Self::new(address.into(), length).ok()?.trunc())
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        }
    }

    fn list(nlri: Vec<Nlri<Self>>) -> NlriList {
        NlriList::Ipv4(nlri)
    }
}

impl RoutePrefix for Ipv6Net {
    const FAMILY: Family = Family::IPV6_UNICAST;
    const ADDRESS_BITS: u8 = 128;

    fn key(self) -> (u128, u8) {
        (self.addr().to_bits(), self.prefix_len())
    }

    fn from_key(bits: u128, length: u8) -> Option<Self> {
        Some(Self::new(bits.into(), length).ok()?.trunc())
    }

    #[inline]
    fn from_octets(length: u8, octets: &[u8]) -> Option<Self> {
        let mut address = [0; 16];
        let count = octets.len().min(16);
        address[..count].copy_from_slice(&octets[..count]);
        Some(Self::new(address.into(), length).ok()?.trunc())
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V4(_) => None,
            IpNet::V6(net) => Some(net.trunc()),
        }
    }

    fn list(nlri: Vec<Nlri<Self>>) -> NlriList {
        NlriList::Ipv6(nlri)
    }
}

//! The routes that this node originates, and to whom.

use bgp::types::{Community, ExtendedCommunity, LargeCommunity};
use ipnet::IpNet;

/// One Advertisement (or the built-in default), as the intent numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertisementId(pub u32);

/// A prefix that this node originates.
///
/// It is advertised to a peer if at least one offer is of an Advertisement that selects the peer. If several do, the
/// communities are merged, the highest local preference, the lowest MED and the longest prepend win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originated {
    /// The destination, host bits zero.
    pub prefix: IpNet,
    /// Who offers it, ascending by Advertisement, each at most once.
    pub offers: Vec<Offer>,
}

/// What one Advertisement says about a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The Advertisement.
    pub advertisement: AdvertisementId,
    /// Whether only Services are the reason for it: it is not advertised to peers that know those already.
    pub of_services: bool,
    /// Communities to add.
    pub communities: Vec<Community>,
    /// Large communities to add.
    pub large_communities: Vec<LargeCommunity>,
    /// Extended communities to add.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// LOCAL_PREF towards internal peers.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often our AS is prepended beyond the one that external peers see anyway.
    pub prepend: u8,
}

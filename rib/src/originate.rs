//! The routes that this node originates, and to whom.

use bgp::types::{Community, ExtendedCommunity, LargeCommunity};
use ipnet::IpNet;

/// One Advertisement (or the built-in default), as the intent numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertisementId(pub u32);

/// A prefix that this node originates.
///
/// A peer hears of it if at least one offer comes from an Advertisement that selects the peer. Where several do, the
/// communities are united, the highest local preference, the lowest MED and the longest prepend win.
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
    /// Whether only Services are the reason for it: peers that know those already are not told.
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

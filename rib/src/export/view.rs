//! The interfaces of Adj-RIB-Out: the routes to advertise, and the peers' writers.
//!
//! Both are traits, so that this module depends neither on the layout of tables nor on the transport.

use bgp::types::{BgpIdentifier, Family};
use bytes::Bytes;
use ipnet::IpNet;

use crate::attrs::{AttrId, RouteAttributesRef};
use crate::originate::Originated;
use crate::peer::{PeerId, PeerKind};

/// The number of a prefix's entry in the table of its family.
///
/// It stays with the prefix as long as the entry lives, and an entry lives until [`UpdateGroups::take_retired`] has named
/// its slot: Adj-RIB-Out must be able to withdraw a prefix that has no path any more.
///
/// [`UpdateGroups::take_retired`]: super::UpdateGroups::take_retired
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// The best route of a prefix, which may be advertised.
#[derive(Clone, Copy, Debug)]
pub enum Best<'a> {
    /// Learned from a peer. The attributes are those after import policy.
    Learned {
        /// The peer that it was received from.
        peer: PeerId,
        /// Its interned attributes and next hop.
        attributes: AttrId,
    },
    /// Originated by this node.
    Originated(&'a Originated),
}

/// What is to be known of the peer that a route was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePeer {
    /// What the peer is to us.
    pub kind: PeerKind,
    /// Its BGP identifier: the ORIGINATOR_ID of what is reflected (RFC 4456 section 8).
    pub identifier: BgpIdentifier,
}

/// Loc-RIB, as export reads it. Read-only: [`UpdateGroups::flush`] sees one state of it.
///
/// [`UpdateGroups::flush`]: super::UpdateGroups::flush
pub trait LocRib {
    /// One past the highest slot in use in the family.
    fn slots(&self, family: Family) -> u32;

    /// The prefix of a slot; `None` if the slot is free.
    fn prefix(&self, family: Family, slot: Slot) -> Option<IpNet>;

    /// The slot of a prefix, if the table has an entry for exactly it.
    fn find(&self, prefix: IpNet) -> Option<Slot>;

    /// The best route of a slot; `None` if there is no usable one.
    fn best(&self, family: Family, slot: Slot) -> Option<Best<'_>>;

    /// Attributes and next hop of a learned route.
    fn route_attributes(&self, id: AttrId) -> RouteAttributesRef<'_>;

    /// The peer that a learned route is from. Every peer named by [`LocRib::best`] is known.
    fn source(&self, peer: PeerId) -> SourcePeer;
}

/// The peers' writers.
pub trait Transport {
    /// Hands over one or more whole messages: some tens of kilobytes at most.
    ///
    /// A transport accepts all of it or nothing. If its queue is full it returns [`Full`]; when there is space again,
    /// its owner calls [`UpdateGroups::writable`].
    ///
    /// [`UpdateGroups::writable`]: super::UpdateGroups::writable
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full>;
}

/// The peer's queue is full: nothing was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer's queue is full")]
pub struct Full;

/// Whether work is left after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Nothing can be done before the next input.
    Done,
    /// The budget was used up: call again.
    More,
}

/// The place of a family in arrays of one entry per family.
pub(crate) const fn family_index(family: Family) -> Option<usize> {
    match family {
        Family::IPV4_UNICAST => Some(0),
        Family::IPV6_UNICAST => Some(1),
        _ => None,
    }
}

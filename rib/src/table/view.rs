//! What Adj-RIB-Out sees of the Loc-RIB.

use bgp::types::{Asn, BgpIdentifier, PathId, RoutePrefix};

use crate::attrs::AttrId;
use crate::originate::Originated;
use crate::peer::{PeerId, PeerKind};

/// Who a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathSource {
    /// This node originates it: see [`LocRib::originated`].
    Local,
    /// Learned from a peer.
    Peer {
        /// The peer.
        peer: PeerId,
        /// What it is to us.
        kind: PeerKind,
        /// Its AS.
        asn: Asn,
        /// Its BGP identifier: the ORIGINATOR_ID when its route is reflected.
        id: BgpIdentifier,
    },
}

impl PathSource {
    /// The peer, unless the path is ours.
    pub const fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Local => None,
            Self::Peer { peer, .. } => Some(*peer),
        }
    }
}

/// A usable path of the Loc-RIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocPath {
    /// The attributes after import policy. The table counts as user of them until the change that replaces them has been
    /// told to the export side; whoever remembers the index longer retains it.
    pub attributes: AttrId,
    /// Who it comes from.
    pub source: PathSource,
    /// The identifier that its source gave it.
    pub path_id: PathId,
    /// Stale under long-lived graceful restart: advertised with LLGR_STALE only (RFC 9494 section 4.3).
    pub llgr_stale: bool,
}

/// The place of a walk over a table. It stays valid while the table grows, shrinks and changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub(crate) u32);

/// Read access to the Loc-RIB of one family.
///
/// A walk with [`LocRib::next`] visits every prefix that is there from its begin to its end. One that comes meanwhile may
/// be missed, but is told as a change. Prefixes come in the order of their arrival as long as none went away, so that
/// prefixes of one attribute set come together.
pub trait LocRib<P: RoutePrefix> {
    /// The best path of a prefix.
    fn best(&self, prefix: P) -> Option<LocPath>;

    /// Calls `each` with every usable path of a prefix, the best one first, then the other selected ones.
    fn paths(&self, prefix: P, each: &mut dyn FnMut(LocPath));

    /// The first prefix with a best path at or after `cursor`, and where to go on. `None`: the walk is over. Looks at no more
    /// than `steps` places; a place without a best path gives `Step::Nothing`.
    fn next(&self, cursor: Cursor, steps: usize) -> Walk<P>;

    /// What this node originates for a prefix.
    fn originated(&self, prefix: P) -> Option<&Originated>;
}

/// The result of one step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk<P> {
    /// A prefix, its best path, and the cursor behind it.
    At(P, LocPath, Cursor),
    /// The allowed steps are used up without one: go on from here.
    Nothing(Cursor),
    /// There are no more.
    End,
}

//! Which peers' End-of-RIB is kept back, although all routes that are known have been sent (RFC 4724 section 4.1).

use super::key::GroupKey;
use crate::peer::{PeerId, PeerKind};

/// The peers whose initial routes are not complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pending {
    /// None.
    #[default]
    Nobody,
    /// This one. It is not sent its own routes, so its End-of-RIB does not wait for it.
    Only(PeerId),
    /// Several, or peers that are not known yet.
    Several,
}

/// Why End-of-RIB is kept back. Routes are sent all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    /// More originated routes are expected.
    pub(super) originated: bool,
    /// More learned routes are expected.
    pub(super) pending: Pending,
    /// Whether routes of internal peers are passed on to internal peers that are no clients.
    pub(super) reflects: bool,
}

impl Hold {
    /// Whether a peer of the group has to wait for its End-of-RIB.
    pub(super) fn keeps(&self, key: &GroupKey, peer: PeerId) -> bool {
        let pending = match self.pending {
            Pending::Nobody => false,
            Pending::Only(other) => other != peer,
            Pending::Several => true,
        };
        self.originated || pending && key.passes_on(self.reflects)
    }
}

impl GroupKey {
    /// Whether learned routes may be sent to such peers. `reflects`: whether some peer is a client of ours.
    fn passes_on(&self, reflects: bool) -> bool {
        self.transit
            || match self.kind {
                PeerKind::External => false,
                PeerKind::Internal => reflects,
                PeerKind::ReflectorClient => true,
            }
    }
}

//! Sessions that are established, change and go down, and the next hops that are lost with one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Down, Negotiated};
use bgp::types::Family;

use super::convergence::Awaited;
use super::tables::{each_table, family_of};
use super::{AT_ONCE, Rib, Up};
use crate::export::SourcePeer;
use crate::peer::{PeerId, SessionInfo};
use crate::table::ImportContext;

impl Rib {
    /// A session reached Established. A peer that is not configured is ignored.
    pub fn session_up(&mut self, peer: PeerId, session: SessionInfo, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let negotiated = &session.negotiated;
        let deadline = now + self.config.end_of_rib_wait;
        each_table!(self.tables, |table| {
            let family = family_of(table);
            if negotiated.families.contains(&family) {
                let context =
                    ImportContext::new(peer, &known.config, Arc::clone(&known.chain), &session);
                let resume = forwarding_kept(negotiated, family).then_some(deadline);
                table.session_up(context, resume);
            } else {
                table.session_down(peer, None, None);
            }
        });
        known.session = Some(Up {
            negotiated: Arc::clone(negotiated),
            awaited: Awaited::new(negotiated, now),
            over_memory: false,
        });
        known.is_awaited = true;
        let source = SourcePeer {
            kind: known.config.kind,
            identifier: negotiated.peer_id,
        };
        self.known.insert(peer, source);
        self.groups.peer_up(peer, &known.config, &session);
        self.note_changes();
    }

    /// Local properties of an Established session changed since [`Rib::session_up`]: our own next hops, its interface,
    /// but nothing that was negotiated. Affected routes are advertised again; a route that still has a next hop is not
    /// withdrawn. Ignored if the session is not up.
    pub fn session_changed(&mut self, peer: PeerId, session: &SessionInfo) {
        let Some(known) = self.peers.get(&peer).filter(|p| p.session.is_some()) else {
            return;
        };
        each_table!(self.tables, |table| {
            table.change_contexts(peer, |_| {
                ImportContext::new(peer, &known.config, Arc::clone(&known.chain), session)
            });
        });
        self.groups.session_changed(peer, session);
        self.note_changes();
    }

    /// A session went down. Whether its routes are retained follows from the reason and from what was negotiated (RFC
    /// 4724, RFC 8538, RFC 9494).
    pub fn session_down(&mut self, peer: PeerId, down: &Down, now: Instant) {
        let up = self
            .peers
            .get_mut(&peer)
            .and_then(|known| known.session.take());
        let Some(up) = up else {
            return;
        };
        self.groups.peer_down(peer);
        let retains = down.retains_routes(&up.negotiated);
        let restart = up.negotiated.graceful_restart.as_ref().filter(|_| retains);
        each_table!(self.tables, |table| {
            let family = family_of(table);
            let until = restart
                .filter(|restart| restart.families.iter().any(|(of, _)| *of == family))
                .map(|restart| now + Duration::from_secs(u64::from(restart.restart_time)));
            let long_lived = up
                .negotiated
                .long_lived
                .iter()
                .find(|long| long.family == family);
            let long_lived = long_lived
                .map(|long| Duration::from_secs(u64::from(long.stale_time)))
                .filter(|time| !time.is_zero());
            table.session_down(peer, until, long_lived);
        });
        self.lose_next_hops(peer);
    }

    /// Ends the retention of a peer without a session before its time: its stale routes, long-lived ones too, are removed
    /// in later polls, and its next hops are reported lost at once. For BFD that fails while the peer restarts, although
    /// forwarding should have continued (RFC 5882 section 4.3: its last packets had C = 1). Ignored if the session is
    /// up: that ends by itself, with a [`Down`] of its own.
    pub fn end_retention(&mut self, peer: PeerId) {
        if self
            .peers
            .get(&peer)
            .is_none_or(|known| known.session.is_some())
        {
            return;
        }
        each_table!(self.tables, |table| table.session_down(peer, None, None));
        self.lose_next_hops(peer);
    }

    /// Reports the gateways that are lost with a peer if no family's paths are retained.
    pub(super) fn lose_next_hops(&mut self, peer: PeerId) {
        let mut kept = false;
        each_table!(self.tables, |table| kept |= table.source_of(peer).is_some());
        if kept {
            return;
        }
        self.attrs.next_hops.lose(peer);
        self.walk_next_hops(AT_ONCE);
    }
}

/// How the announcement of a family in the graceful restart capabilities lets retained paths live on.
fn forwarding_kept(negotiated: &Negotiated, family: Family) -> bool {
    let restart = negotiated.graceful_restart.as_ref();
    restart.is_some_and(|restart| restart.families.contains(&(family, true)))
        || negotiated
            .long_lived
            .iter()
            .any(|long| long.family == family && long.forwarding)
}

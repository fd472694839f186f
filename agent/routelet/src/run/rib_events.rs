//! What the RIB reports to its owner: what is logged of it, and which sessions end for it.

use std::net::IpAddr;

use bgp::fsm::Cease;
use bgp::types::Family;
use rib::table::{LimitOf, RefusedFor};
use rib::{PeerId, RibEvent};
use tracing::{debug, info, warn};

use super::Runtime;

/// A peer can have thousands of routers, and a line of the log names so many.
const NAMED: usize = 8;

impl Runtime {
    pub(super) fn rib_event(&mut self, event: RibEvent) {
        let name = |peer| self.shared.peer_name(peer);
        match event {
            RibEvent::PrefixLimit {
                peer,
                family,
                limit,
                of,
            } => self.too_many_prefixes(peer, family, limit, of),
            RibEvent::PeerMemory {
                peer,
                octets,
                limit,
            } => self.too_much_memory(peer, octets, limit),
            RibEvent::PathRefused {
                peer,
                family,
                limit,
                of,
            } => self.path_refused(peer, family, limit, of),
            RibEvent::PrefixWarning {
                peer,
                family,
                accepted,
                limit,
            } => {
                warn!(peer = %name(peer), %family, accepted, limit, "peer sends nearly as many prefixes as its limit allows");
            }
            RibEvent::EndOfRib { peer } => {
                info!(peer = %name(peer), "the peer has sent all its routes (End-of-RIB)");
            }
            RibEvent::RestartTimeExpired {
                peer,
                family,
                long_lived,
            } => {
                let what = if long_lived {
                    "peer has not returned in time: its routes are long-lived stale now (RFC 9494)"
                } else {
                    "peer has not returned in time: its stale routes are removed"
                };
                warn!(peer = %name(peer), %family, "{what}");
            }
            // The FIB has heard of it already.
            RibEvent::NextHopsLost(routers) => {
                info!(
                    count = routers.len(), examples = ?first(&routers),
                    "routers are lost: removing them from nexthop groups with other members"
                );
            }
            RibEvent::NextHopsRegained(routers) => {
                debug!(
                    count = routers.len(), examples = ?first(&routers),
                    "lost routers are used again, or no route uses them"
                );
            }
            RibEvent::Converged => self.converged(),
        }
    }

    /// Ends a session (RFC 4486: Maximum Number of Prefixes Reached).
    fn too_many_prefixes(&self, peer: PeerId, family: Family, limit: u32, of: LimitOf) {
        let name = self.shared.peer_name(peer);
        let what = match of {
            LimitOf::Accepted => "accepted",
            LimitOf::Received => "received",
        };
        warn!(peer = %name, %family, limit, of = what, "peer sent more prefixes than its limit; its session is closed, and it is held Idle");
        let cause = Cease::MaximumPrefixes { family, limit };
        self.shared.reset(peer, cause);
    }

    /// Ends a session (RFC 4486: Out of Resources).
    fn too_much_memory(&self, peer: PeerId, octets: u64, limit: u64) {
        warn!(
            peer = %self.shared.peer_name(peer), bytes = octets, limit,
            "peer's routes exceed the memory limit of one peer; its session is closed, and it is held Idle: \
             give the agent more memory, or let the peer send less"
        );
        self.shared.reset(peer, Cease::OutOfResources);
    }

    fn path_refused(&self, peer: PeerId, family: Family, limit: u32, of: RefusedFor) {
        let name = self.shared.peer_name(peer);
        match of {
            RefusedFor::Paths(prefix) => {
                warn!(peer = %name, %family, limit, example = %prefix, "peer sends more paths of one prefix than maxPathsPerPrefix: further ones are ignored and counted");
            }
            RefusedFor::NextHops => {
                warn!(peer = %name, %family, limit, "routes of the peer have more distinct next hops than maxNextHops: those with further ones are rejected and counted");
            }
        }
    }

    /// The first exchange is over.
    fn converged(&mut self) {
        self.awaited.converged();
        self.shared.converged();
        if self.writing.sweeps_when_converged() {
            info!("initial convergence complete; removing stale routes from the kernel");
            self.fib.converged();
        } else {
            info!(
                "initial convergence complete; stale routes are removed from the kernel later, since this \
                 agent has just started to write"
            );
        }
    }
}

fn first(routers: &[(IpAddr, u32)]) -> &[(IpAddr, u32)] {
    &routers[..routers.len().min(NAMED)]
}

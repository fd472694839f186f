//! What the RIB reports to its owner: what is logged of it, and which sessions end for it.

use std::net::IpAddr;

use bgp::fsm::Cease;
use rib::RibEvent;
use rib::table::{LimitOf, RefusedFor};
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
            } => {
                let what = match of {
                    LimitOf::Accepted => "accepted",
                    LimitOf::Received => "received",
                };
                warn!(peer = %name(peer), %family, limit, of = what, "peer sent more prefixes than its limit; its session is closed, and it is held Idle");
                self.shared
                    .reset(peer, Cease::MaximumPrefixes { family, limit });
            }
            RibEvent::PeerMemory {
                peer,
                octets,
                limit,
            } => {
                warn!(
                    peer = %name(peer), bytes = octets, limit,
                    "peer's routes exceed the memory limit of one peer; its session is closed, and it is held Idle: \
                     give the agent more memory, or let the peer send less"
                );
                self.shared.reset(peer, Cease::OutOfResources);
            }
            RibEvent::PathRefused {
                peer,
                family,
                limit,
                of: RefusedFor::Paths(prefix),
            } => {
                warn!(peer = %name(peer), %family, limit, example = %prefix, "peer sends more paths of one prefix than maxPathsPerPrefix: further ones are ignored and counted");
            }
            RibEvent::PathRefused {
                peer,
                family,
                limit,
                of: RefusedFor::NextHops,
            } => {
                warn!(peer = %name(peer), %family, limit, "routes of the peer have more distinct next hops than maxNextHops: those with further ones are rejected and counted");
            }
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
            RibEvent::Converged => {
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
    }
}

fn first(routers: &[(IpAddr, u32)]) -> &[(IpAddr, u32)] {
    &routers[..routers.len().min(NAMED)]
}

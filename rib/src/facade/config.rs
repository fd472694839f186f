//! Configuration of the RIB, and its events.

use std::time::Duration;

use bgp::types::{Asn, BgpIdentifier, Family};

use crate::attrs::Identity;
use crate::peer::PeerId;
use crate::table::{LimitOf, RefusedFor};

/// How this speaker decides. A change is applied to the tables without any session reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RibConfig {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP identifier.
    pub router_id: BgpIdentifier,
    /// Our cluster ID as a route reflector; usually the BGP identifier.
    pub cluster_id: BgpIdentifier,
    /// How many equal paths are used.
    pub multipath: Multipath,
    /// Compares MULTI_EXIT_DISC across neighbouring ASes too (off in RFC 4271 9.1.2.2 c).
    pub always_compare_med: bool,
    /// How long a peer may take from Established to its End-of-RIB before its stale paths go and convergence no longer
    /// waits for it.
    pub end_of_rib_wait: Duration,
    /// How long after the gate opened convergence waits for peers that are not Established, and End-of-RIB for what is learned.
    pub convergence_wait: Duration,
    /// How long a peer that restarts itself may keep back others' End-of-RIB.
    pub restarting_wait: Duration,
    /// How long a peer without graceful restart must have sent no UPDATE to be taken for one that has sent everything.
    pub quiet_wait: Duration,
    /// How long after the gate opened End-of-RIB waits for peers that may not exist.
    pub unknown_wait: Duration,
}

/// Multipath selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multipath {
    /// Most paths selected for one prefix, 1 to 255; 1 is no multipath.
    pub max_paths: u8,
    /// Equal length of AS_PATH is enough; otherwise its content must be equal too.
    pub relax_as_path: bool,
}

impl RibConfig {
    /// The defaults of a speaker with this AS and identifier: multipath over 64 paths with relaxed AS_PATH.
    pub fn new(asn: Asn, router_id: BgpIdentifier) -> Self {
        Self {
            asn,
            router_id,
            cluster_id: router_id,
            multipath: Multipath {
                max_paths: 64,
                relax_as_path: true,
            },
            always_compare_med: false,
            end_of_rib_wait: Duration::from_secs(120),
            convergence_wait: Duration::from_secs(120),
            restarting_wait: Duration::from_secs(5),
            quiet_wait: Duration::from_secs(5),
            unknown_wait: Duration::from_secs(30),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            asn: self.asn,
            router_id: self.router_id,
            cluster_id: self.cluster_id,
        }
    }
}

/// What the owner should know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RibEvent {
    /// A peer's prefixes exceeded [`PeerConfig::max_prefixes`](crate::PeerConfig::max_prefixes) or
    /// [`PeerConfig::max_received`](crate::PeerConfig::max_received). The session should be closed with Cease, Maximum
    /// Number of Prefixes Reached (RFC 4486). Reported once per session and family.
    PrefixLimit {
        /// The peer.
        peer: PeerId,
        /// The family.
        family: Family,
        /// The limit.
        limit: u32,
        /// What it counts.
        of: LimitOf,
    },
    /// A peer's routes exceed the memory limit of [`Rib::set_peer_memory`](crate::Rib::set_peer_memory). The session
    /// should be closed with Cease, Out of Resources (RFC 4486). Reported once per session.
    PeerMemory {
        /// The peer.
        peer: PeerId,
        /// How much it takes, in octets.
        octets: u64,
        /// How much it may take.
        limit: u64,
    },
    /// A path of a peer was kept out because of [`PeerConfig::max_paths`](crate::PeerConfig::max_paths) or
    /// [`PeerConfig::max_next_hops`](crate::PeerConfig::max_next_hops). Reported for the first one of a session, family and
    /// limit.
    PathRefused {
        /// The peer.
        peer: PeerId,
        /// The family.
        family: Family,
        /// The limit.
        limit: u32,
        /// Which limit.
        of: RefusedFor,
    },
    /// A peer's accepted prefixes went over [`PeerConfig::prefix_warning`](crate::PeerConfig::prefix_warning). Reported once
    /// per session and family.
    PrefixWarning {
        /// The peer.
        peer: PeerId,
        /// The family.
        family: Family,
        /// How many are accepted.
        accepted: u32,
        /// The limit, if there is one.
        limit: Option<u32>,
    },
    /// The peer's End-of-RIB of the last family of its session arrived.
    EndOfRib {
        /// The peer.
        peer: PeerId,
    },
    /// A peer did not return in time: its retained paths of a family are being removed, or are long-lived stale (RFC
    /// 9494) from now on.
    RestartTimeExpired {
        /// The peer.
        peer: PeerId,
        /// The family.
        family: Family,
        /// Whether the paths are kept as long-lived stale ones.
        long_lived: bool,
    },
    /// All paths via these gateways are being removed, because their peer is lost. Reported at once; the changes of the
    /// prefixes follow as the tables are walked. No other peer has paths via them. Always followed by
    /// [`RibEvent::NextHopsRegained`].
    NextHopsLost(Vec<(std::net::IpAddr, u32)>),
    /// Lost gateways are used again, or no route that [`Rib::take_fib_changes`](crate::Rib::take_fib_changes) returned
    /// or will return uses them, except new paths.
    NextHopsRegained(Vec<(std::net::IpAddr, u32)>),
    /// All that convergence waits for has been received or was waited for long enough, and was handed out: the FIB may be swept.
    Converged,
}

/// What the FIB should hold for a prefix. A prefix that this node originates has none: the node's own routes lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibRoute {
    /// Forward over these, at least one, each gateway and interface once.
    pub next_hops: smallvec::SmallVec<[FibNextHop; 2]>,
}

/// One next hop of a FIB route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FibNextHop {
    /// The router on the link. It may be of the other family (RFC 8950).
    pub gateway: std::net::IpAddr,
    /// The interface.
    pub ifindex: u32,
    /// Its share among the others, 1 to 256.
    pub weight: u16,
    /// To be used on this interface although no connected network has it.
    pub onlink: bool,
}

/// Counts of a peer's routes in one family, kept without a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Paths received, rejected ones and stale ones included.
    pub received: u32,
    /// Paths of those that are not rejected.
    pub accepted: u32,
    /// Paths that are best or selected beside the best one.
    pub selected: u32,
    /// Paths kept from before a restart or refresh and not repeated so far.
    pub stale: u32,
    /// Routes advertised to the peer and not withdrawn since.
    pub advertised: u32,
    /// Prefixes that are not advertised to the peer because no message to it can hold their routes.
    pub too_large: u32,
    /// Paths ignored since the session came up because their prefix had the maximum number of the peer's paths.
    pub paths_refused: u64,
    /// Paths rejected since the session came up because the peer had the maximum number of next hops.
    pub next_hops_refused: u64,
    /// Distinct next hops of the peer, of all families.
    pub next_hops: u32,
    /// About how much memory the peer takes, in octets, of all families.
    pub memory: u64,
}

/// Counts of one family's table, kept without a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Prefixes with a usable path.
    pub prefixes: u64,
    /// Paths, received and originated, rejected ones included.
    pub paths: u64,
    /// Paths that import rejected.
    pub rejected: u64,
    /// Paths kept from before a restart or refresh.
    pub stale: u64,
    /// Prefixes that this node originates.
    pub originated: u64,
}

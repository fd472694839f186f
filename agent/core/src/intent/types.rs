//! What [`super::intend`] says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bgp::fsm::GracefulRestartConfig;
use bgp::settings::{Password, PeerSettings, Scope, SessionConfig};
use bgp::types::{Asn, BgpIdentifier};
use ipnet::IpNet;
use rib::policy::Policy;
use rib::{AdvertisementId, PeerConfig};
use routelet_api::selector::Labels;
use routelet_fib::GuardRails;

use super::{
    DrainReason, Identity, Leaving, OriginatedRoute, Phase, ServiceDecision, Suppressed, Warning,
};
use crate::cluster::{Map, ObjectKey, ObjectRef, SecretText};

/// All that a node is to do, and why. Lists are sorted, so that equal intents are equal values. Cheap to clone: one that was
/// brought up to date shares what has not changed with the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The node that this is for.
    pub node: String,
    /// The node itself.
    pub router: RouterSettings,
    /// Its peers, ascending by name, each name once.
    pub peers: Arc<Vec<PeerIntent>>,
    /// What it originates, by prefix, each with at least one justification.
    pub originated: Map<IpNet, Arc<OriginatedRoute>>,
    /// What it would originate but for a rule, and how many ask for it.
    pub suppressed: Map<Suppressed, u32>,
    /// The decision on every address of every Service.
    pub services: Map<ObjectKey, Arc<ServiceDecision>>,
    /// Names of Advertisements by number, also of the built-in ones. A number hangs on the name alone, so that it stays
    /// what it was when others come and go.
    pub advertisements: Arc<BTreeMap<AdvertisementId, String>>,
    /// Policies by name.
    pub policies: Arc<BTreeMap<String, Arc<Policy>>>,
    /// What is not as the operator may think, sorted.
    pub warnings: Arc<Vec<Warning>>,
}

impl Intent {
    /// The peer of this name.
    pub fn peer(&self, name: &str) -> Option<&PeerIntent> {
        let at = self.peers.binary_search_by(|peer| (*peer.name).cmp(name));
        at.ok().map(|at| &self.peers[at])
    }
}

/// The node as a BGP speaker.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterSettings {
    /// The Router object; `None`: built-in defaults.
    pub object: Option<String>,
    /// Our AS; a default that nothing uses unless [`RouterSettings::knows_asn`].
    pub asn: Asn,
    /// Our BGP identifier.
    pub router_id: BgpIdentifier,
    /// Our cluster ID as a route reflector (RFC 4456).
    pub cluster_id: BgpIdentifier,
    /// Where to listen; `None`: nowhere.
    pub listen: Option<ListenIntent>,
    /// The most paths used at once for one prefix; 1: no multipath.
    pub max_paths: u16,
    /// Whether paths with different AS_PATHs of one length may be used together.
    pub relax_as_path: bool,
    /// Whether graceful restart is offered, and how long peers should keep our routes.
    pub restart_time: Option<Duration>,
    /// The forwarding table; `None`: nothing learned is installed.
    pub fib: Option<FibIntent>,
    /// Whether next hops may be resolved by the default route, whether learned routes are installed or not.
    pub resolve_via_default: bool,
    /// The table that refuses what is announced and not answered; `None`: nothing is refused.
    pub refusing_table: Option<u32>,
    /// Whether learned routes are passed on between external peers.
    pub transit: bool,
    /// Why traffic is to be led away from this node, if it is.
    pub drain: Option<DrainReason>,
    /// How far the node has left.
    pub leaving: Leaving,
    /// How long routers are given to move traffic away before a node that leaves withdraws its routes.
    pub leave_wait: Duration,
    /// What the node is known by and was not configured outright. Handed in again as
    /// [`LocalFacts::identity`](super::LocalFacts::identity).
    pub identity: Identity,
    /// The Node's InternalIPs, in their order: next hops on sessions whose own address is of the other family.
    pub internal_ips: Box<[IpAddr]>,
}

impl RouterSettings {
    /// Whether the AS is that of the node. If not, `asnFrom` has found none so far, and there are no peers.
    pub const fn knows_asn(&self) -> bool {
        self.object.is_none() || self.identity.asn.is_some()
    }

    /// Takes over what the phase says.
    pub(super) fn follow(&mut self, phase: Phase) {
        self.leaving = phase.leaving;
        if phase.leaving >= Leaving::Drained {
            self.drain = self.drain.take().max(Some(DrainReason::Command));
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenIntent {
    /// The TCP port.
    pub port: u16,
    /// The addresses; empty: all.
    pub addresses: Vec<IpAddr>,
}

/// The forwarding table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibIntent {
    /// The routing table's number.
    pub table: u32,
    /// The metric of our routes.
    pub metric: u32,
    /// What may not enter, but for connected networks, which the FIB knows itself.
    pub guard: GuardRails,
}

/// A peer and everything that its session and the RIB need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerIntent {
    /// Unique on this node: `tor-a`, `mesh/node-2`, `reflectors/node-3`.
    pub name: String,
    /// The object that asks for it, such as `Peer tor-a` or `Router default`.
    pub object: ObjectRef,
    /// What asks for it.
    pub requested_by: RequestedBy,
    /// The labels that Advertisements select it by.
    pub labels: Labels,
    /// Where it is.
    pub target: PeerTarget,
    /// Where its password stands. If it cannot be had, the peer must not be started.
    pub password: Option<PasswordSource>,
    /// What its session is made with, beside its address and its password.
    pub session: SessionConfig,
    /// Bidirectional forwarding detection, if configured.
    pub bfd: Option<BfdIntent>,
    /// Of a range: how many peers it may have at once.
    pub max_peers: u32,
    /// Its AS is a guess that is probably wrong. Until it has had a session nothing waits for it.
    pub is_doubtful: bool,
    /// How the RIB treats it.
    pub config: PeerConfig,
}

impl PeerIntent {
    /// The settings of its session, once its address and password are known: those of `target` if it names one, else as
    /// found. `scope` is the index of the interface of a link-local address.
    pub fn settings(
        &self,
        remote: IpAddr,
        scope: Option<Scope>,
        password: Option<Password>,
    ) -> PeerSettings {
        PeerSettings {
            remote,
            scope,
            device_index: None,
            password,
            session: self.session.clone(),
        }
    }
}

/// What asks for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedBy {
    /// A Peer that names it by its address, its interface or a gateway, or names a listen range.
    Peer,
    /// A Peer with `nodes`: it is another node.
    Nodes,
    /// The mesh: it is another node.
    Mesh,
    /// The listen range of this name: it has connected. Never of an [`Intent`].
    Range(Arc<str>),
}

impl RequestedBy {
    /// Whether the peer is another node of the cluster, whose agent computes the same session.
    pub const fn is_node(&self) -> bool {
        matches!(self, Self::Nodes | Self::Mesh)
    }

    /// The listen range that the peer has connected to, if it is of one.
    pub fn range(&self) -> Option<&str> {
        match self {
            Self::Range(name) => Some(name),
            Self::Peer | Self::Nodes | Self::Mesh => None,
        }
    }
}

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerTarget {
    /// At this address.
    Address {
        /// The address.
        address: IpAddr,
        /// The interface of a link-local address.
        interface: Option<String>,
    },
    /// The only neighbour on this interface; its link-local address is to be found.
    Interface {
        /// The interface's name.
        name: String,
    },
    /// Whoever connects from here; each becomes a peer of its own, named `NAME/ADDRESS` (`NAME/ADDRESS%INTERFACE` if that is
    /// link-local).
    Range {
        /// The addresses.
        net: IpNet,
    },
}

impl fmt::Display for PeerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                address,
                interface: Some(interface),
            } => write!(f, "{address}%{interface}"),
            Self::Address {
                address,
                interface: None,
            } => address.fmt(f),
            Self::Interface { name } => write!(f, "interface {name}"),
            Self::Range { net } => write!(f, "range {net}"),
        }
    }
}

/// Where a password stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PasswordSource {
    /// A key of a Secret in the agent's namespace.
    Secret {
        /// The Secret's namespace and name; of a source without Secrets, the name alone.
        name: String,
        /// The key in its data.
        key: String,
        /// What stands there, or why nothing does.
        found: Result<SecretText, MissingSecret>,
    },
    /// A file on the node; white space at its end is not part of the password.
    File(PathBuf),
}

impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name, key, .. } => write!(f, "key {key} of Secret {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// Why a Secret has no password. A peer that needs it is not started: one without the password would be open to anybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MissingSecret {
    /// There is no such Secret.
    NoSecret,
    /// It must not be read, for this reason.
    Refused(Arc<str>),
    /// Whether there is one is not known so far, for this reason. The password of before stays in force.
    Later(Arc<str>),
    /// It does not have the key.
    NoKey,
    /// What stands there is no text.
    NotText,
}

/// Bidirectional forwarding detection with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdIntent {
    /// How often to send and to expect packets; 10 ms to 60 s.
    pub interval: Duration,
    /// How many may be lost.
    pub multiplier: NonZeroU8,
    /// Whether the peer has to send first (RFC 5880 6.1).
    pub passive: bool,
    /// The least TTL that packets may arrive with if the session is a multihop one (RFC 5883).
    pub least_ttl: NonZeroU8,
    /// How far away the peer may be.
    pub distance: BfdDistance,
    /// How long the BGP session waits for BFD, if it does (draft-ietf-idr-bgp-bfd-strict-mode).
    pub strict: Option<Duration>,
}

/// How far away a peer with BFD may be, which decides between a single-hop and a multihop session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BfdDistance {
    /// It is directly connected: single hop (RFC 5881).
    Direct,
    /// It may be behind routers: multihop (RFC 5883), also if it is on a link.
    Routed,
    /// An internal peer may be anywhere: single hop if it is on a link, as in FRR.
    ByLink,
}

/// Graceful restart as the sessions offer it; here so that the types above stay about intent.
pub(super) fn graceful_restart(
    restart_time: Duration,
    families: &[bgp::types::Family],
) -> GracefulRestartConfig {
    GracefulRestartConfig {
        restart_time,
        // RFC 8538: our own NOTIFICATIONs must not make peers forget routes that the kernel still forwards.
        notification: true,
        families: families.iter().map(|f| (*f, true)).collect(),
    }
}

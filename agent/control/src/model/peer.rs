//! One peer and its session: `routelet peers`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bgp::types::{Asn, BgpIdentifier, NextHop, PeerText};
use serde::{Deserialize, Serialize};

use super::{
    BfdSession, CapabilityState, DownCount, FamilyName, MessageCounts, RestartState, SessionError,
    SessionState,
};

/// One peer and its session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Unique among this node's peers: the Peer object's name where it makes one peer, else the name and what
    /// distinguishes its peers (`mesh/node-2`, `rack/192.0.2.17`).
    pub name: String,
    /// The object that asks for this peer, such as `Peer tor-a` or `Router default` (a node of its mesh).
    pub object: String,
    /// How the peer came to be.
    pub kind: PeerKind,
    /// What it is to us.
    pub role: PeerRole,
    /// The configured or found address; absent while an unnumbered peer's is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The interface, where the configuration or a link-local address names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The peer's AS as configured or, once known, as in its OPEN; absent before that for `external` peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Our AS in OPENs to this peer.
    pub local_asn: Asn,
    /// The state of RFC 4271 section 8.2.2.
    pub state: SessionState,
    /// Seconds in this state.
    pub state_seconds: u64,
    /// What must be put right before the peer can be started, such as `Secret routelet/tor-a has no key "password"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Held Idle: it is not dialled, and its connections are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_hold: Option<IdleHold>,
    /// Whether this side never connects, but only accepts.
    #[serde(default)]
    pub passive: bool,
    /// Seconds until the next attempt to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_seconds: Option<u64>,
    /// The peer's BGP identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<BgpIdentifier>,
    /// The peer's host name, if it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<PeerText>,
    /// Our end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address: Option<SocketAddr>,
    /// The peer's end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<SocketAddr>,
    /// Negotiated hold time; absent while not negotiated, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time_seconds: Option<u64>,
    /// Interval of our KEEPALIVEs; absent while not negotiated, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_seconds: Option<u64>,
    /// The hold time that the peer announced; absent while not negotiated, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_hold_time_seconds: Option<u64>,
    /// The hold time that we propose.
    pub configured_hold_time_seconds: u64,
    /// What each side announced in its OPEN. Empty while not negotiated.
    #[serde(default)]
    pub capabilities: Vec<CapabilityState>,
    /// Routes per family: those configured, and those negotiated.
    #[serde(default)]
    pub families: Vec<PeerFamily>,
    /// Distinct next hops of its routes.
    #[serde(default)]
    pub next_hops: u32,
    /// Distinct next hops that its routes may have.
    #[serde(default)]
    pub max_next_hops: u32,
    /// About how much memory its routes take, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Messages sent since the agent started.
    pub messages_sent: MessageCounts,
    /// Messages received since the agent started.
    pub messages_received: MessageCounts,
    /// UPDATEs with faults that were handled without a reset (RFC 7606), since the agent started.
    #[serde(default)]
    pub updates_malformed: u64,
    /// Attributes in UPDATEs that were discarded, or whose routes were treated as withdrawn, by the peer's filter,
    /// since the agent started.
    #[serde(default)]
    pub attributes_filtered: u64,
    /// Bytes not yet read by the peer.
    #[serde(default)]
    pub output_queue_bytes: u64,
    /// How often the session has become Established since the agent started.
    pub established_count: u64,
    /// How often it fell since the agent started, by reason.
    #[serde(default)]
    pub downs: Vec<DownCount>,
    /// Why the last session or attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_down: Option<SessionError>,
    /// The last NOTIFICATION that we sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_sent: Option<SessionError>,
    /// The last NOTIFICATION that the peer sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_received: Option<SessionError>,
    /// Why the last attempt to connect failed, in the kernel's words; absent when the last one worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_connect_error: Option<SessionError>,
    /// Graceful restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<RestartState>,
    /// Its BFD session; absent: BFD is not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdSession>,
    /// Import policies by name, in order.
    #[serde(default)]
    pub import: Vec<String>,
    /// Export policies by name, in order.
    #[serde(default)]
    pub export: Vec<String>,
    /// Advertisements whose routes are advertised to the peer, by name.
    #[serde(default)]
    pub advertisements: Vec<String>,
}

impl Peer {
    /// Whether the session is Established.
    pub fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }

    /// The state as it is written to the API server. Attempts follow each other: the states of them all are `Active`,
    /// since they would be rewritten every second and carry no information.
    pub fn steady_state(&self) -> SessionState {
        match self.is_established() || self.blocked.is_some() {
            true => self.state,
            false => SessionState::Active,
        }
    }

    /// Why there is no session, as far as that is known: what blocks it, else why the last attempt failed or the last
    /// session fell.
    pub fn trouble(&self) -> Option<String> {
        if self.is_established() {
            return None;
        }
        if let Some(blocked) = &self.blocked {
            return Some(blocked.clone());
        }
        // Without the time that is left: what is written to the API server must not change with every second.
        match &self.idle_hold {
            Some(IdleHold {
                seconds: Some(_),
                reason,
            }) => {
                return Some(format!("held Idle: {reason}"));
            }
            Some(IdleHold {
                seconds: None,
                reason,
            }) => {
                return Some(format!(
                    "held Idle until it is reset or its configuration changes: {reason}"
                ));
            }
            None => {}
        }
        let errors = [&self.last_connect_error, &self.last_down];
        let latest = errors.into_iter().flatten().min_by_key(|e| e.ago_seconds)?;
        Some(latest.to_string())
    }
}

/// Why and for how long a peer is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleHold {
    /// Seconds that are left; absent: until `routelet peer reset`, or until its configuration changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What it did.
    pub reason: String,
}

/// How a peer came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeerKind {
    /// A Peer object with an address or a gateway.
    Configured,
    /// A Peer object with an interface and no address.
    Unnumbered,
    /// A Peer object that selects other nodes.
    Node,
    /// The node-to-node mesh of the Router.
    Mesh,
    /// Accepted out of a listen range.
    Dynamic,
}

/// What a peer is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeerRole {
    /// In another AS.
    External,
    /// In our AS.
    Internal,
    /// In our AS, and we reflect routes to and from it (RFC 4456).
    ReflectorClient,
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::External => "external",
            Self::Internal => "internal",
            Self::ReflectorClient => "reflector client",
        })
    }
}

/// A peer's routes of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerFamily {
    /// The family.
    pub family: FamilyName,
    /// It is exchanged: both sides announced it, or the peer announced no family at all (RFC 4760 section 8).
    pub negotiated: bool,
    /// The peer announced it.
    #[serde(default)]
    pub announced: bool,
    /// Paths that the peer has sent, less those that it has withdrawn.
    pub received: u64,
    /// Of those, paths that may be used.
    pub accepted: u64,
    /// Of those, paths that are used (best or multipath).
    #[serde(default)]
    pub best: u64,
    /// Prefixes that are advertised to the peer.
    pub advertised: u64,
    /// Prefixes that are not advertised to the peer because no message to it can hold their routes.
    #[serde(default)]
    pub too_large: u64,
    /// Paths of its previous session that are kept meanwhile.
    #[serde(default)]
    pub stale: u64,
    /// Accepted prefixes beyond which the limit acts; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_prefixes: Option<u32>,
    /// Received prefixes beyond which the limit acts; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_received_prefixes: Option<u32>,
    /// Paths of one prefix that are taken in.
    #[serde(default)]
    pub max_paths_per_prefix: u32,
    /// Paths that were ignored since the session came up because their prefix had as many.
    #[serde(default)]
    pub paths_refused: u64,
    /// Paths that were rejected since the session came up because the peer had as many distinct next hops as it may.
    #[serde(default)]
    pub next_hops_refused: u64,
    /// Accepted prefixes beyond which the agent warns; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_warning: Option<u32>,
    /// The peer's End-of-RIB has come.
    #[serde(default)]
    pub end_of_rib_received: bool,
    /// Our End-of-RIB is sent.
    #[serde(default)]
    pub end_of_rib_sent: bool,
    /// The next hop of what this node originates; absent while there is no session, or no such address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_next_hop: Option<NextHop>,
    /// Why this node has no address to be the next hop, so that its routes of the family are not advertised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_next_hop: Option<String>,
}

//! `Peer`: whom selected nodes peer with.

use bgp::wire::attribute::AttributeFilter;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::PeerStatus;
use super::text::{Address, Cidr, Lapse, PeerAs, RestartAfter};
use super::{AttributeName, IpFamily, LabelSelector, ValueFrom};

/// The label of peers that the node mesh makes, with the value `true`.
pub const MESH_LABEL: &str = "routelet.dev/mesh";

/// The peers of selected nodes. One of `address`, `addressFrom`, `interface`, `gateway`, `nodes` and `range` defines
/// the peer's address; `asn` or `asnFrom` its AS.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "Peer",
    derive = "PartialEq",
    status = "PeerStatus",
    category = "routelet",
    doc = "The peers of selected nodes: an address, an interface, the default gateway, other nodes, or a range.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "AS", type_ = "string", json_path = ".spec.asn"),
    printcolumn(
        name = "Interface",
        type_ = "string",
        json_path = ".spec.interface",
        priority = 1
    ),
    printcolumn(name = "Sessions", type_ = "integer", json_path = ".status.sessions"),
    printcolumn(
        name = "Established",
        type_ = "integer",
        json_path = ".status.established"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::peer()))]
pub struct PeerSpec {
    /// The nodes that have this peer; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The peer's address. A link-local one needs `sourceInterface`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Takes the peer's address from a label or annotation of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_from: Option<ValueFrom>,
    /// The interface whose only neighbour is the peer (unnumbered). Not implemented yet: the peer is reported as
    /// blocked. Set its link-local address and `sourceInterface` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub interface: Option<String>,
    /// The peer is the node's default gateway of this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpFamily>,
    /// The peers are other nodes, such as route reflectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodesTarget>,
    /// Any address of this prefix may connect and becomes a peer of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Cidr>,
    /// The maximum number of peers of `range` at once, 1 to 10000. Further ones are refused; lowering it closes no
    /// session. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_peers: Option<u32>,
    /// The peer's AS: a number, `internal` (our own) or `external` (any other). With `nodes` the default is internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<PeerAs>,
    /// Takes the peer's AS from a label or annotation of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_from: Option<ValueFrom>,
    /// The TCP port to connect to. Default 179.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Our own address on the session, of the family of the peer's; connections to another one are refused. Default:
    /// chosen by the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address: Option<Address>,
    /// Takes our own address on the session from a label or annotation of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address_from: Option<ValueFrom>,
    /// The interface that the session is bound to; connections on another one are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub source_interface: Option<String>,
    /// Timers.
    #[serde(default)]
    pub timers: Timers,
    /// Password of the session (TCP MD5, RFC 2385).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordSpec>,
    /// How many hops away an external peer may be, 2 to 255. Absent: it is directly connected (TTL 1). If set, next
    /// hops of its routes may be behind a gateway; otherwise those of a peer on the link must be on a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 255))]
    pub ebgp_multihop: Option<u8>,
    /// Accept packets only from this many hops away at most (GTSM, RFC 5082). The peer must do the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<TtlSecurity>,
    /// Never connect, only accept connections.
    #[serde(default)]
    pub passive: bool,
    /// Bidirectional forwarding detection (RFC 5880).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdSpec>,
    /// The families to negotiate. Default: both, over either transport.
    #[serde(default = "both_families")]
    #[schemars(length(min = 1, max = 2))]
    pub families: Vec<IpFamily>,
    /// Ask the peer for several paths to one prefix (RFC 7911).
    #[serde(default)]
    pub add_path: AddPath,
    /// Our role towards the peer (RFC 9234). It applies whether or not the peer sends its own. External peers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleSpec>,
    /// Reject an external peer that sends no role.
    #[serde(default)]
    pub role_strict: bool,
    /// How often our own AS may occur in the AS_PATH of an accepted route, 0 to 10.
    #[serde(default, rename = "allowOwnAS")]
    #[schemars(range(min = 0, max = 10))]
    pub allow_own_as: u8,
    /// The maximum number of prefixes per family accepted from the peer; if exceeded, the session is closed, and the
    /// peer is held Idle for `maxPrefixesRestart`. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_prefixes: Option<u32>,
    /// The maximum number of prefixes per family received from the peer, rejected ones included; if exceeded, the
    /// session is closed, and the peer is held Idle for `maxPrefixesRestart`. Absent: only the memory per peer is
    /// limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_received_prefixes: Option<u32>,
    /// The maximum number of paths of one prefix from the peer (ADD-PATH, RFC 7911), 1 to 1000; further ones are
    /// ignored and counted. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_paths_per_prefix: Option<u32>,
    /// The maximum number of distinct next hops of the peer's routes, 1 to 1000000; routes with further ones are
    /// rejected and counted. Default 32768.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_next_hops: Option<u32>,
    /// How long a peer that exceeded `maxPrefixes`, `maxReceivedPrefixes` or the memory per peer is held Idle, 1s to
    /// 24h, or `never` to wait for `routelet peer reset`. A change of the Peer also ends it.
    #[serde(default)]
    pub max_prefixes_restart: RestartAfter,
    /// The percentage of `maxPrefixes` beyond which the agent warns, 1 to 100. Default 75.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_prefixes_warning_percent: Option<u8>,
    /// Remove private AS numbers from the AS_PATH sent to this external peer.
    #[serde(default, rename = "removePrivateAS")]
    pub remove_private_as: bool,
    /// Set the next hop of routes advertised to this internal peer to our own address.
    #[serde(default)]
    pub next_hop_self: bool,
    /// The peer is a client of ours: routes are reflected to and from it (RFC 4456). Internal peers only.
    #[serde(default)]
    pub route_reflector_client: bool,
    /// Graceful restart with this peer. Default: the Router's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<bool>,
    /// The maximum time to keep the peer's long-lived stale routes, even if it asks for more, 1s to 4660h. Default: the
    /// Router's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_long_lived_stale_time: Option<Lapse>,
    /// IPv4 routes with IPv6 next hops (RFC 8950). Default: on sessions over IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_next_hop: Option<bool>,
    /// Path attributes to discard from the peer's routes, or whose routes are treated as withdrawn. A change resets no session.
    #[serde(default, skip_serializing_if = "AttributeFilterSpec::is_empty")]
    pub attribute_filter: AttributeFilterSpec,
    /// RoutePolicies for routes received from the peer, in order. The guard rails always apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub import: Vec<String>,
    /// RoutePolicies for routes advertised to the peer, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export: Vec<String>,
}

/// Filter for path attributes that a peer sends, each named by its type code or its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AttributeFilterSpec {
    /// Attributes to discard without parsing them; the routes are used without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discard: Vec<AttributeName>,
    /// Attributes whose routes are treated as withdrawn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub treat_as_withdraw: Vec<AttributeName>,
    /// Attributes to exchange with this external peer that by default are exchanged with internal peers only: PrefixSID (RFC
    /// 8669), TunnelEncapsulation (RFC 9012).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<AttributeName>,
}

impl AttributeFilterSpec {
    /// Whether everything is as by default.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same as the protocol knows it.
    pub fn filter(&self) -> AttributeFilter {
        let codes = |names: &[AttributeName]| names.iter().map(|name| name.0).collect();
        AttributeFilter {
            discard: codes(&self.discard),
            treat_as_withdraw: codes(&self.treat_as_withdraw),
            accept: codes(&self.accept),
        }
    }
}

fn both_families() -> Vec<IpFamily> {
    IpFamily::ALL.to_vec()
}

/// Other nodes as peers. The sessions exist at both ends: each node that the Peer's nodeSelector selects has one with
/// each node selected here, and vice versa.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodesTarget {
    /// The nodes to peer with; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// These nodes are route reflectors (RFC 4456) and the others their clients. Nodes served by a reflector leave the
    /// full mesh among each other.
    pub reflectors: bool,
    /// The address family of sessions between nodes that have both. Default: IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<IpFamily>,
}

/// Timers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::timers()))]
pub struct Timers {
    /// The hold time to propose: 0s (none), or 3s to 65535s in whole seconds.
    pub hold: Lapse,
    /// How often to send KEEPALIVE, at least 1s. Default: a third of the negotiated hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Lapse>,
    /// The longest wait between two connection attempts, while the peer is not held Idle.
    pub connect_retry: Lapse,
    /// The longest time that the peer is held Idle after errors and sessions that end early, at most 1h: the agent does
    /// not connect, and refuses its connections. After a session of this length earlier failures no longer count. 0s:
    /// never held.
    pub idle_hold: Lapse,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            hold: Lapse::seconds(90),
            keepalive: None,
            connect_retry: Lapse::seconds(5),
            idle_hold: Lapse::seconds(60),
        }
    }
}

/// The source of a session's password. Set exactly one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::password()))]
pub struct PasswordSpec {
    /// A key of a Secret in the agent's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// A file on the node, for use without a cluster. White space at its end is not part of the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A key of a Secret in the agent's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name.
    pub name: String,
    /// The key in its data. Default: `password`.
    #[serde(default = "password_key")]
    pub key: String,
}

fn password_key() -> String {
    "password".to_owned()
}

/// Accept packets only from this many hops away at most (GTSM, RFC 5082).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TtlSecurity {
    /// The maximum number of hops, 1 to 254; 1 is a direct neighbour. Above 1, next hops are treated as with
    /// `ebgpMultihop`.
    #[schemars(range(min = 1, max = 254))]
    pub hops: u8,
}

/// Bidirectional forwarding detection (RFC 5880).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::bfd()))]
pub struct BfdSpec {
    /// The interval of packets in both directions, 10ms to 60s.
    pub interval: Lapse,
    /// The number of lost packets after which the path is down, 1 to 255.
    #[schemars(range(min = 1, max = 255))]
    pub multiplier: u8,
    /// Send no packets before the peer has sent one. The peer must not be passive too.
    pub passive: bool,
    /// The lowest TTL accepted in packets of a peer that is several hops away, 1 to 255. Default: 255 less the hops that
    /// `ebgpMultihop` or `ttlSecurity` allow, otherwise 1. Packets of a directly connected peer must arrive with 255. An
    /// internal peer on a link has a multihop session only if it is set.
    #[serde(rename = "minimumTTL", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub minimum_ttl: Option<u8>,
    /// Establish the BGP session only once BFD is up (draft-ietf-idr-bgp-bfd-strict-mode), if the peer does so too.
    pub strict: bool,
    /// How long a strict session waits for BFD before it is closed, 1s to 1h.
    pub hold_time: Lapse,
}

impl Default for BfdSpec {
    fn default() -> Self {
        Self {
            interval: Lapse(std::time::Duration::from_millis(300)),
            multiplier: 3,
            passive: false,
            minimum_ttl: None,
            strict: false,
            hold_time: Lapse::seconds(30),
        }
    }
}

/// Several paths to one prefix (RFC 7911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AddPath {
    /// Whether to ask the peer for them.
    pub receive: bool,
}

/// Our role towards a peer (RFC 9234 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleSpec {
    /// We are the peer's transit provider.
    Provider,
    /// We are a route server, the peer its client.
    RouteServer,
    /// We are a client of the peer, a route server.
    RouteServerClient,
    /// We are the peer's customer.
    Customer,
    /// We are lateral peers.
    Peer,
}

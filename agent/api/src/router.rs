//! `Router`: how selected nodes speak BGP.

use kube::{CustomResource, KubeSchema};
use routelet_base::numbers::DEFAULT_METRIC;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::peer::{BfdSpec, PasswordSpec, Timers};
use super::status::ObjectStatus;
use super::text::{Address, Lapse, identifier, optional_asn_schema};
use super::{IpFamily, LabelSelector, ValueFrom};

/// The AS of nodes whose configuration names none: the first private one (RFC 6996).
pub const DEFAULT_ASN: u32 = 64512;

/// How the selected nodes speak BGP. A node that no Router selects uses the defaults.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "Router",
    derive = "PartialEq",
    status = "ObjectStatus",
    shortname = "rtr",
    category = "routelet",
    doc = "How selected nodes speak BGP: AS, router ID, listening, node-to-node mesh, multipath, graceful restart, FIB.",
    printcolumn(name = "AS", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "Mesh", type_ = "boolean", json_path = ".spec.mesh.enabled"),
    printcolumn(name = "Drain", type_ = "boolean", json_path = ".spec.drain"),
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
#[schemars(extend("x-kubernetes-validations" = super::rules::router()))]
pub struct RouterSpec {
    /// The nodes that this Router is for; absent: all. Where several Routers select a node, the one with the most
    /// conditions is used, among equals the first by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The AS of these nodes, 1 to 4294967295. Default 64512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_asn_schema")]
    pub asn: Option<u32>,
    /// Takes the AS from a label or annotation of the Node. If that is removed, the agent keeps its AS, also after a
    /// restart, and agents of other nodes keep expecting it. A node that never had one waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_from: Option<ValueFrom>,
    /// The BGP identifier, written like an IPv4 address. Default: the node's IPv4 InternalIP, else a stable hash of its
    /// name; a running agent keeps it when the address changes. A fixed one is only right for a Router that selects a single
    /// node.
    #[serde(
        default,
        rename = "routerID",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "identifier"
    )]
    #[schemars(schema_with = "super::text_schema::optional_identifier")]
    pub router_id: Option<Ipv4Addr>,
    /// Takes the BGP identifier from a label or annotation of the Node. If that is removed, the agent keeps its
    /// identifier, also after a restart.
    #[serde(
        default,
        rename = "routerIDFrom",
        skip_serializing_if = "Option::is_none"
    )]
    pub router_id_from: Option<ValueFrom>,
    /// The cluster ID of these nodes as route reflectors (RFC 4456). Default: the BGP identifier.
    #[serde(
        default,
        rename = "clusterID",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "identifier"
    )]
    #[schemars(schema_with = "super::text_schema::optional_identifier")]
    pub cluster_id: Option<Ipv4Addr>,
    /// Whether and where to listen for connections.
    #[serde(default)]
    pub listen: Listen,
    /// iBGP between all nodes of one AS.
    #[serde(default)]
    pub mesh: Mesh,
    /// Several paths to one prefix.
    #[serde(default)]
    pub multipath: Multipath,
    /// Graceful restart (RFC 4724): sessions and routes survive a restart of the agent.
    #[serde(default)]
    pub graceful_restart: GracefulRestart,
    /// The kernel's forwarding table.
    #[serde(default)]
    pub fib: Fib,
    /// What is advertised without an Advertisement.
    #[serde(default)]
    pub default_advertisement: DefaultAdvertisement,
    /// Advertise routes learned from one external peer to others, as a route server or a virtual router does. Default:
    /// false.
    #[serde(default)]
    pub transit: bool,
    /// Drain these nodes: all their routes carry the community `graceful-shutdown` (RFC 8326) and, towards internal
    /// peers, local preference 0.
    #[serde(default)]
    pub drain: bool,
    /// How these nodes leave: at a shutdown, when they are deleted, or by `routelet drain --leave`.
    #[serde(default)]
    pub leave: Leave,
}

/// How nodes leave: they ask for their traffic to be moved (RFC 8326), wait, withdraw Services, then pod CIDRs, and close their
/// sessions. An update of the agent does none of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::leave()))]
pub struct Leave {
    /// Keys of taints of nodes that go away. A node with one of them is drained, and leaves when its agent is stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[^=:]+$")))]
    pub taints: Vec<String>,
    /// The time for routers to move traffic before Services are withdrawn, 0s to 30s.
    pub wait: Lapse,
}

/// The longest `leave.wait`.
pub const LONGEST_LEAVE_WAIT: Duration = Duration::from_secs(30);

impl Default for Leave {
    fn default() -> Self {
        Self {
            taints: Vec::new(),
            wait: Lapse::seconds(5),
        }
    }
}

/// What is advertised without an Advertisement: the node's pod CIDRs and the LoadBalancer addresses of all Services, to every
/// peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DefaultAdvertisement {
    /// Whether it applies in addition to Advertisements. `false`: only Advertisements apply, and pod CIDRs to the node
    /// mesh.
    pub enabled: bool,
}

impl Default for DefaultAdvertisement {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Whether and where to listen for connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Listen {
    /// Whether to listen at all. `false` leaves the port to another speaker; the agent then only connects.
    pub enabled: bool,
    /// The TCP port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The addresses to listen on; empty: all of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub addresses: Vec<Address>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 179,
            addresses: Vec::new(),
        }
    }
}

/// iBGP between all nodes of one AS, so that each learns the pod CIDRs of the others. Mesh sessions always carry the
/// pod CIDRs, and static prefixes and interface addresses of Advertisements that select them; Services only to nodes
/// that advertise learned routes (reflectors, transit): the others know them from the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mesh {
    /// Whether these nodes take part. Two nodes have a session if both do, their AS is the same, and no route reflector
    /// serves both.
    pub enabled: bool,
    /// The address family of sessions between nodes that have both. Either carries the routes of both families.
    /// Default: IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<IpFamily>,
    /// Password of the sessions (TCP MD5, RFC 2385).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordSpec>,
    /// Timers of the sessions.
    pub timers: Timers,
    /// Bidirectional forwarding detection on the sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdSpec>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            enabled: true,
            transport: None,
            password: None,
            timers: Timers::default(),
            bfd: None,
        }
    }
}

/// Several paths to one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Multipath {
    /// The maximum number of paths used at once, 1 to 128; 1 disables multipath.
    #[schemars(range(min = 1, max = 128))]
    pub max_paths: u16,
    /// Whether paths whose AS_PATHs have equal length but differ may be used together.
    #[serde(rename = "relaxASPath")]
    pub relax_as_path: bool,
}

impl Default for Multipath {
    fn default() -> Self {
        Self {
            max_paths: 64,
            relax_as_path: true,
        }
    }
}

/// Graceful restart (RFC 4724, RFC 8538) and its long-lived form (RFC 9494).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::graceful_restart()))]
pub struct GracefulRestart {
    /// Whether to offer it.
    pub enabled: bool,
    /// How long peers should keep our routes after the session is lost: whole seconds, at most 4095s.
    pub restart_time: Lapse,
    /// How long stale routes may be kept beyond that, least preferred (RFC 9494). Absent: not offered. At most 4660h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_lived_stale_time: Option<Lapse>,
    /// The maximum time to keep a peer's long-lived stale routes, even if the peer asks for more (it may ask for 194
    /// days), 1s to 4660h. A Peer can override it. A change also applies to routes that are stale already.
    pub max_long_lived_stale_time: Lapse,
}

impl Default for GracefulRestart {
    fn default() -> Self {
        Self {
            enabled: true,
            restart_time: Lapse::seconds(120),
            long_lived_stale_time: None,
            max_long_lived_stale_time: Lapse(rib::LONG_LIVED_MAX),
        }
    }
}

/// The kernel's forwarding table, and limits of what is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::fib()))]
pub struct Fib {
    /// Whether learned routes are installed at all. `false` removes those that are.
    pub enabled: bool,
    /// The routing table; 254 is the main table. A change moves the routes: they are added in the new table, then removed from the old one.
    #[schemars(range(min = 1))]
    pub table: u32,
    /// The metric of every route that is installed. Prefix, table and metric have one owner, so choose a metric that no
    /// other program uses.
    #[schemars(range(min = 1))]
    pub metric: u32,
    /// Whether learned default routes may be installed.
    pub accept_default_route: bool,
    /// Whether a next hop may be resolved by the default route, if no other route of the node matches it. `false`: such
    /// routes are not used.
    pub resolve_via_default_route: bool,
    /// The maximum number of learned routes of both families together; 0: no limit.
    pub max_routes: u64,
    /// Packets to announced addresses that nothing on the node answers are refused, so that they do not loop to the
    /// router.
    pub refuse: Refuse,
}

impl Default for Fib {
    fn default() -> Self {
        Self {
            enabled: true,
            table: 254,
            metric: DEFAULT_METRIC,
            accept_default_route: false,
            resolve_via_default_route: true,
            max_routes: 100_000,
            refuse: Refuse::default(),
        }
    }
}

/// Refusal of traffic that is announced and not served: ports of Service addresses without an endpoint, unused
/// addresses of aggregates, and pod addresses that no pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Refuse {
    /// Whether such packets get an ICMP error. Otherwise they follow the default route and may loop until their TTL
    /// expires.
    pub enabled: bool,
    /// The routing table for refused traffic. No other program may use it.
    #[schemars(range(min = 1))]
    pub table: u32,
}

impl Default for Refuse {
    fn default() -> Self {
        Self {
            enabled: true,
            table: routelet_base::numbers::DEFAULT_REFUSING_TABLE,
        }
    }
}

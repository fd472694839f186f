//! Numbers of ours in the kernel, as objects of Kubernetes default them and the FIB uses them.

/// The route protocol number (`rtm_protocol`) of every route and nexthop object that is ours.
///
/// BGP's port, for the memory. It is in none of the lists of known protocols (iproute2's, FRR's 186 to 198), so `ip
/// route` shows it as `proto 179`, and a zebra on the same node does not take our routes for its own and sweep them
/// when it starts. A route with another number is never changed or removed; one with this number is ours to sweep, so
/// two agents cannot share a network namespace.
pub const ROUTE_PROTOCOL: u8 = 179;

/// The metric of our routes unless configured, never derived from MED, because a metric is part of a route's identity:
/// prefix, table and metric have one owner.
///
/// Nobody else's default: 1024 is that of the kernel for IPv6 routes without a metric, of Calico's Felix, router
/// advertisements and systemd-networkd (which has 512 and 2048 for other preferences of a router), FRR has 20, BIRD 32,
/// NetworkManager 50 to 950 by the kind of interface, dhcpcd 1000 or 3000 and the interface's index. And higher than
/// all but the last, so that what others and operators configured is preferred to what was learned. Like
/// [`DEFAULT_REFUSING_TABLE`] it is [`ROUTE_PROTOCOL`] with zeros behind it.
pub const DEFAULT_METRIC: u32 = 1790;

/// The table of refused destinations unless configured: none of the numbers that others use (main 254, Cilium's 2004
/// and 2005, Tailscale's 52, kube-vip's 198, Calico's 1 to 250, those that cloud plugins make of interface numbers).
pub const DEFAULT_REFUSING_TABLE: u32 = 17_900;

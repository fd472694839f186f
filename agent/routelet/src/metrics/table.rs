//! Every metric, in the order in which scrapes and the documentation show them.

use routelet_control::model::{
    BfdSession, DownClass, FamilyCounts, MessageCounts, Peer, PeerFamily, SessionState, Severity,
};

use super::groups::{Group, GroupFamily};
use super::metric::Value;
use super::{Metric, Samples, Snapshot, counter, gauge, histogram};

const NONE: &[&str] = &[];
const PEER: &[&str] = &["peer"];
const FAMILY: &[&str] = &["family"];
const OBJECT: &[&str] = &["object"];
const OBJECT_FAMILY: &[&str] = &["object", "family"];
const PEER_FAMILY: &[&str] = &["peer", "family"];

/// Every metric.
// One metric is one row; rustfmt would make six lines of each.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    // The agent.
    gauge("routelet_build_info", &["version", "node", "asn"],
        "Always 1; the labels say which version runs on which node in which AS",
        |s, out| {
            let asn = s.status.asn.map(|asn| asn.to_string()).unwrap_or_default();
            out.add([&s.status.version, &s.status.node, &asn], true);
        }),
    gauge("routelet_ready", NONE, "Whether /readyz answers that the node should get traffic",
        |s, out| out.add([], s.status.readiness.as_ref().is_some_and(|r| r.ready))),
    gauge("routelet_converged", NONE, "Whether the first exchange of routes after the start is over",
        |s, out| out.add([], s.status.convergence.converged)),
    gauge("routelet_drained", NONE, "Whether the node is drained",
        |s, out| out.add([], s.status.drain.is_some())),
    gauge("routelet_gate_open", &["gate"],
        "Whether a condition for advertising the first route holds",
        |s, out| for gate in &s.status.gates { out.add([gate.name.as_str()], gate.open) }),
    gauge("routelet_configuration_problems", &["severity"],
        "Objects or documents of the configuration with a problem",
        |s, out| for (severity, label) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let count = s.status.problems.iter().filter(|p| p.severity == severity).count();
            out.add([label], count as u64);
        }),
    gauge("routelet_watch_failing", &["kind"],
        "Whether the watch of a kind fails, so that its objects may be outdated",
        |s, out| for watch in &s.status.watches { out.add([&watch.kind], watch.failing) }),
    counter("routelet_intent_runs", NONE, "How often the intent (peers and routes) was recomputed",
        |s, out| out.add([], s.status.intent_runs)),
    // Peers.
    gauge("routelet_peers_configured", NONE, "Peers that should have a session",
        |s, out| out.add([], s.status.peers.configured)),
    gauge("routelet_peers_established", NONE, "Peers whose session is Established",
        |s, out| out.add([], s.status.peers.established)),
    gauge("routelet_peers_blocked", NONE,
        "Peers that cannot have a session until something is corrected, such as a missing password",
        |s, out| out.add([], s.status.peers.blocked)),
    // Connections that come in.
    counter("routelet_connections_accepted", NONE, "Connections of peers that were accepted",
        |s, out| out.add([], s.status.connections.accepted)),
    counter("routelet_connections_refused", &["reason"], "Connections of others that were refused, by reason",
        |s, out| for refused in &s.status.connections.refused { out.add([refused.reason.0.label()], refused.count) }),
    gauge("routelet_connections_without_open", NONE, "Accepted connections that have not sent an OPEN yet",
        |s, out| out.add([], s.status.connections.without_open)),
    gauge("routelet_range_peers", &["range"], "Peers of a listen range that are or recently were connected",
        |s, out| for range in &s.status.ranges { out.add([&range.name], range.peers) }),
    gauge("routelet_range_peers_limit", &["range"], "How many peers a listen range may have",
        |s, out| for range in &s.status.ranges { out.add([&range.name], range.max_peers) }),
    // Each peer, of those that have series of their own.
    gauge("routelet_peer_info", &["peer", "object", "address", "asn", "role"],
        "Always 1; the labels describe the peer",
        |s, out| for p in &s.peers {
            let address = p.address.map(|a| a.to_string()).or_else(|| p.interface.clone()).unwrap_or_default();
            let asn = p.asn.map(|a| a.to_string()).unwrap_or_default();
            out.add([&p.name, &p.object, &address, &asn, &p.role.to_string()], true);
        }),
    gauge("routelet_peer_up", PEER, "Whether the session is Established",
        |s, out| per_peer(s, out, Peer::is_established)),
    gauge("routelet_peer_state", PEER,
        "State of the session as in BGP4-MIB (RFC 4273): 1 Idle, 2 Connect, 3 Active, 4 OpenSent, 5 OpenConfirm, 6 Established",
        |s, out| per_peer(s, out, |p| state_number(p.state))),
    gauge("routelet_peer_state_age_seconds", PEER, "Time since the session's state last changed",
        |s, out| per_peer(s, out, |p| p.state_seconds)),
    gauge("routelet_peer_held_idle", PEER,
        "Whether the peer is held Idle after errors or for exceeding maxPrefixes: no connection is made or accepted",
        |s, out| per_peer(s, out, |p| p.idle_hold.is_some())),
    gauge("routelet_peer_bfd_up", PEER, "Whether the BFD session of the peer is up; peers without BFD are left out",
        |s, out| per_bfd_session(s, out, BfdSession::is_up)),
    counter("routelet_peer_bfd_downs", PEER, "How often the BFD session of the peer went down after it was up",
        |s, out| per_bfd_session(s, out, |bfd| u64::from(bfd.downs))),
    counter("routelet_peer_established", PEER, "How often the session has become Established",
        |s, out| per_peer(s, out, |p| p.established_count)),
    counter("routelet_peer_downs", &["peer", "reason"],
        "How often the session was closed, by reason; reasons that have not occurred are left out",
        |s, out| for p in &s.peers {
            for down in &p.downs { out.add([&p.name, down.class.as_label()], down.count) }
        }),
    counter("routelet_peer_messages", &["peer", "direction", "type"], "BGP messages",
        |s, out| for p in &s.peers {
            for (direction, counts) in [("sent", &p.messages_sent), ("received", &p.messages_received)] {
                for (kind, count) in counts.by_type() { out.add([&p.name, direction, kind], count) }
            }
        }),
    counter("routelet_peer_malformed_updates", PEER,
        "UPDATE messages with faults that were handled without a reset (RFC 7606)",
        |s, out| per_peer(s, out, |p| p.updates_malformed)),
    counter("routelet_peer_filtered_attributes", PEER,
        "Path attributes in UPDATE messages that were discarded, or whose routes were treated as withdrawn, by attributeFilter or by default",
        |s, out| per_peer(s, out, |p| p.attributes_filtered)),
    gauge("routelet_peer_output_queue_bytes", PEER, "Bytes not yet read by the peer",
        |s, out| per_peer(s, out, |p| p.output_queue_bytes)),
    gauge("routelet_peer_prefixes_received", PEER_FAMILY, "Paths received from the peer, accepted or not",
        |s, out| per_peer_family(s, out, |f| Some(f.received))),
    gauge("routelet_peer_prefixes_accepted", PEER_FAMILY, "Paths of the peer that can be used",
        |s, out| per_peer_family(s, out, |f| Some(f.accepted))),
    gauge("routelet_peer_prefixes_best", PEER_FAMILY, "Paths of the peer that are used, as best or in a multipath route",
        |s, out| per_peer_family(s, out, |f| Some(f.best))),
    gauge("routelet_peer_prefixes_advertised", PEER_FAMILY, "Prefixes advertised to the peer",
        |s, out| per_peer_family(s, out, |f| Some(f.advertised))),
    gauge("routelet_peer_prefixes_too_large", PEER_FAMILY,
        "Prefixes that are not advertised to the peer because no message to it can hold their routes",
        |s, out| per_peer_family(s, out, |f| Some(f.too_large))),
    gauge("routelet_peer_prefixes_stale", PEER_FAMILY, "Stale paths of the peer's previous session",
        |s, out| per_peer_family(s, out, |f| Some(f.stale))),
    gauge("routelet_peer_prefixes_limit", PEER_FAMILY,
        "Accepted prefixes beyond which the peer's limit acts; absent where there is none",
        |s, out| per_peer_family(s, out, |f| f.max_prefixes.map(u64::from))),
    gauge("routelet_peer_prefixes_warning", PEER_FAMILY,
        "Accepted prefixes beyond which the peer is near its limit (maxPrefixesWarningPercent); absent where there \
         is none",
        |s, out| per_peer_family(s, out, |f| f.prefix_warning.map(u64::from))),
    gauge("routelet_peer_prefixes_received_limit", PEER_FAMILY,
        "Received prefixes, rejected ones included, beyond which the peer's limit acts; absent where there is none",
        |s, out| per_peer_family(s, out, |f| f.max_received_prefixes.map(u64::from))),
    counter("routelet_peer_paths_refused", PEER_FAMILY,
        "Paths that were ignored because their prefix had as many of the peer as maxPathsPerPrefix allows; counted from 0 for each session",
        |s, out| per_peer_family(s, out, |f| Some(f.paths_refused))),
    counter("routelet_peer_next_hops_refused", PEER_FAMILY,
        "Paths that were rejected because the peer's routes had as many distinct next hops as maxNextHops allows; counted from 0 for each session",
        |s, out| per_peer_family(s, out, |f| Some(f.next_hops_refused))),
    gauge("routelet_peer_next_hops", PEER, "Distinct next hops of the peer's routes",
        |s, out| per_peer(s, out, |p| u64::from(p.next_hops))),
    gauge("routelet_peer_memory_bytes", PEER, "Memory of the peer's routes, estimated",
        |s, out| per_peer(s, out, |p| p.memory_bytes)),
    // Peers without series of their own.
    gauge("routelet_peer_group_peers", OBJECT,
        "Peers of an object that have no series of their own: nodes of the mesh, and those beyond --metrics-peers",
        |s, out| per_group(s, out, |g| g.peers)),
    gauge("routelet_peer_group_peers_established", OBJECT, "Of these, peers whose session is Established",
        |s, out| per_group(s, out, |g| g.established)),
    counter("routelet_peer_group_established", OBJECT, "How often their sessions have become Established",
        |s, out| per_group(s, out, |g| g.counted.established)),
    counter("routelet_peer_group_downs", &["object", "reason"],
        "How often their sessions were closed, by reason; reasons that have not occurred are left out",
        |s, out| for g in &s.groups {
            for (class, count) in DownClass::ALL.iter().zip(g.counted.downs).filter(|(_, count)| *count > 0) {
                out.add([&g.object, class.as_label()], count);
            }
        }),
    counter("routelet_peer_group_messages", &["object", "direction", "type"], "BGP messages sent to and received from them",
        |s, out| for g in &s.groups {
            let types = MessageCounts::default().by_type().map(|(kind, _)| kind);
            for (direction, counts) in ["sent", "received"].into_iter().zip(g.counted.messages) {
                for (kind, count) in types.into_iter().zip(counts) { out.add([&g.object, direction, kind], count) }
            }
        }),
    counter("routelet_peer_group_malformed_updates", OBJECT,
        "UPDATE messages of theirs with faults that were handled without a reset (RFC 7606)",
        |s, out| per_group(s, out, |g| g.counted.malformed)),
    counter("routelet_peer_group_filtered_attributes", OBJECT,
        "Path attributes of theirs that were discarded, or whose routes were treated as withdrawn",
        |s, out| per_group(s, out, |g| g.counted.filtered)),
    gauge("routelet_peer_group_output_queue_bytes", OBJECT, "Bytes not yet read by them",
        |s, out| per_group(s, out, |g| g.output_queue_bytes)),
    gauge("routelet_peer_group_prefixes_received", OBJECT_FAMILY, "Paths received from them, accepted or not",
        |s, out| per_group_family(s, out, |f| f.received)),
    gauge("routelet_peer_group_prefixes_accepted", OBJECT_FAMILY, "Paths of theirs that can be used",
        |s, out| per_group_family(s, out, |f| f.accepted)),
    gauge("routelet_peer_group_prefixes_advertised", OBJECT_FAMILY, "Prefixes advertised to them, each counted for each of them",
        |s, out| per_group_family(s, out, |f| f.advertised)),
    // Routes.
    gauge("routelet_prefixes", FAMILY, "Prefixes with at least one usable path, learned or originated",
        |s, out| per_family(s, out, |f| f.prefixes)),
    gauge("routelet_paths", FAMILY, "Paths received from all peers, accepted or not",
        |s, out| per_family(s, out, |f| f.paths)),
    gauge("routelet_paths_rejected", FAMILY, "Paths that import policy or a loop check rejected",
        |s, out| per_family(s, out, |f| f.rejected)),
    gauge("routelet_paths_stale", FAMILY, "Stale paths, kept for peers that restart",
        |s, out| per_family(s, out, |f| f.stale)),
    gauge("routelet_prefixes_originated", FAMILY, "Prefixes that this node originates",
        |s, out| per_family(s, out, |f| f.originated)),
    gauge("routelet_announcements_refused", NONE,
        "Prefixes that an object asks for and that must not be announced, such as addresses of Nodes and peers",
        |s, out| out.add([], s.status.refused_announcements)),
    counter("routelet_route_refreshes_limited", &["action"],
        "ROUTE-REFRESH messages of peers beyond the limit of four in a row, then one in 30 s: requests delayed, \
         beginnings of refreshes (RFC 7313) ignored",
        |s, out| {
            let limited = s.status.refreshes_limited;
            out.add(["delayed"], limited.delayed);
            out.add(["ignored"], limited.ignored);
        }),
    gauge("routelet_attribute_sets", NONE, "Distinct sets of path attributes that the paths share",
        |s, out| out.add([], s.status.attribute_sets)),
    // The kernel's forwarding table.
    gauge("routelet_fib_available", NONE,
        "Whether routes can be written to the kernel; absent until the configuration is known",
        |s, out| if s.status.fib.protocol.is_some() { out.add([], s.status.fib.unavailable.is_none()) }),
    gauge("routelet_fib_routes", FAMILY, "Routes of ours in the kernel",
        |s, out| {
            out.add(["ipv4-unicast"], s.status.fib.installed_ipv4);
            out.add(["ipv6-unicast"], s.status.fib.installed_ipv6);
        }),
    gauge("routelet_fib_pending", NONE, "Prefixes that wait to be written to the kernel",
        |s, out| out.add([], s.status.fib.pending)),
    gauge("routelet_fib_failed", NONE, "Prefixes whose routes the kernel rejected; retried",
        |s, out| out.add([], s.status.fib.failed)),
    gauge("routelet_fib_refused", NONE, "Prefixes that a guard rail keeps out of the kernel",
        |s, out| out.add([], s.status.fib.refused)),
    gauge("routelet_fib_over_limit", NONE,
        "Of the refused prefixes, those kept out only by the limit on the number of routes",
        |s, out| out.add([], s.status.fib.over_limit)),
    gauge("routelet_fib_stale", NONE, "Routes of a predecessor in the kernel that are not wanted so far",
        |s, out| out.add([], s.status.fib.stale)),
    gauge("routelet_fib_nexthops", NONE, "Nexthop objects and groups of ours in the kernel",
        |s, out| out.add([], s.status.fib.nexthops)),
    counter("routelet_fib_operations", NONE, "Messages sent to change the kernel's table",
        |s, out| out.add([], s.status.fib.operations)),
    counter("routelet_fib_batches", NONE, "Batches that these messages were sent in",
        |s, out| out.add([], s.status.fib.batches)),
    counter("routelet_fib_errors", NONE,
        "Messages that the kernel rejected, except those whose nexthop objects were removed at the same moment",
        |s, out| out.add([], s.status.fib.errors)),
    gauge("routelet_fib_refusing_routes", FAMILY,
        "Routes for refused traffic: announced destinations that nothing on the node answers",
        |s, out| {
            out.add(["ipv4-unicast"], s.status.fib.refusing_ipv4);
            out.add(["ipv6-unicast"], s.status.fib.refusing_ipv6);
        }),
    counter("routelet_fib_resyncs", NONE, "Comparisons with the kernel, of nexthop objects or of everything",
        |s, out| out.add([], s.status.fib.resyncs)),
    counter("routelet_fib_repairs", NONE, "Routes and nexthops that another program changed and that were restored",
        |s, out| out.add([], s.status.fib.repairs)),
    // What others wait for.
    histogram("routelet_rib_step_seconds", &["step"],
        "Duration of steps of the RIB thread: command (configuration, kernel), query, event (of a session), poll \
         (walks, messages for peers), fib (changes for the kernel)",
        |s, out| for (step, times) in &s.timings.steps { out.add_histogram([step], times) }),
    gauge("routelet_rib_longest_step_seconds", &["step"], "The longest of these since the agent started",
        |s, out| for (step, times) in &s.timings.steps { out.add([step], times.longest) }),
    histogram("routelet_fib_lock_seconds", &["holder"],
        "How long the lock between the RIB thread and the FIB thread was held: by rib, fib, configuration or query",
        |s, out| for (holder, times) in &s.timings.locks { out.add_histogram([holder], times) }),
    gauge("routelet_fib_longest_lock_seconds", &["holder"], "The longest of these since the agent started",
        |s, out| for (holder, times) in &s.timings.locks { out.add([holder], times.longest) }),
    // The process.
    counter("process_cpu_seconds", NONE, "CPU time used, user and system",
        |s, out| if let Some(p) = s.process { out.add([], p.cpu_seconds) }),
    gauge("process_resident_memory_bytes", NONE, "Memory in RAM",
        |s, out| if let Some(p) = s.process { out.add([], p.resident_bytes) }),
    gauge("process_open_fds", NONE, "Open file descriptors",
        |s, out| if let Some(p) = s.process { out.add([], p.open_fds) }),
    gauge("process_max_fds", NONE, "How many file descriptors may be open",
        |s, out| if let Some(p) = s.process { out.add([], p.max_fds) }),
    gauge("process_start_time_seconds", NONE, "When the process started, since 1970",
        |s, out| if let Some(p) = s.process { out.add([], p.start_time_seconds) }),
    gauge("process_threads", NONE, "Threads of the process",
        |s, out| if let Some(p) = s.process { out.add([], p.threads) }),
];

fn per_peer<V: Value>(s: &Snapshot, out: &mut Samples, value: impl Fn(&Peer) -> V) {
    for peer in &s.peers {
        out.add([&peer.name], value(peer));
    }
}

/// Of the peers that have BFD.
fn per_bfd_session<V: Value>(s: &Snapshot, out: &mut Samples, value: impl Fn(&BfdSession) -> V) {
    for peer in &s.peers {
        if let Some(session) = &peer.bfd {
            out.add([&peer.name], value(session));
        }
    }
}

fn per_group(s: &Snapshot, out: &mut Samples, value: impl Fn(&Group) -> u64) {
    for group in &s.groups {
        out.add([&group.object], value(group));
    }
}

fn per_group_family(s: &Snapshot, out: &mut Samples, value: impl Fn(&GroupFamily) -> u64) {
    for group in &s.groups {
        for family in &group.families {
            out.add([&group.object, &family.family.to_string()], value(family));
        }
    }
}

fn per_peer_family(s: &Snapshot, out: &mut Samples, value: impl Fn(&PeerFamily) -> Option<u64>) {
    for peer in &s.peers {
        for family in &peer.families {
            if let Some(value) = value(family) {
                out.add([&peer.name, &family.family.to_string()], value);
            }
        }
    }
}

fn per_family(s: &Snapshot, out: &mut Samples, value: impl Fn(&FamilyCounts) -> u64) {
    for family in &s.status.families {
        out.add([&family.family.to_string()], value(family));
    }
}

fn state_number(state: SessionState) -> u32 {
    match state {
        SessionState::Idle => 1,
        SessionState::Connect => 2,
        SessionState::Active => 3,
        SessionState::OpenSent => 4,
        SessionState::OpenConfirm => 5,
        SessionState::Established => 6,
    }
}

//! What a schema cannot say about our kinds: ranges, fields that contradict each other, references.
//!
//! One place for the manifests, for `routelet check` and for objects of the API server. An error makes an object
//! unusable: its last good version stays in force. References to objects that do not exist are errors of the state, not
//! of the object: it is used, and what misses is made up for safely (see the intent).

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bgp::types::Asn;
use bgp::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter};
use routelet_api::advertisement::Mode;
use routelet_api::peer::{AttributeFilterSpec, BfdSpec, PasswordSpec, Timers};
use routelet_api::policy::PrefixMatch;
use routelet_api::router::LONGEST_LEAVE_WAIT;
use routelet_api::selector::Operator;
use routelet_api::{
    AddressBlock, AddressPoolSpec, AdvertisementSpec, AttributeName, Cidr, CommunityText,
    LabelSelector, PeerAs, PeerSpec, RestartAfter, RoutePolicySpec, RouterSpec, ValueFrom,
};

use super::state::{ClusterState, ObjectRef};

mod selections;
#[cfg(test)]
mod tests;

pub use selections::selections;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, such as `spec.asn`.
    pub path: String,
    /// What was found, what was expected, and what to do.
    pub reason: String,
}

impl fmt::Display for Finding {
    /// `spec.asn: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.reason),
            path => write!(f, "{path}: {}", self.reason),
        }
    }
}

/// Collects findings under a path.
struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.list.push(Finding {
            path: path.into(),
            reason: reason.into(),
        });
    }

    fn check(&mut self, good: bool, path: &str, reason: impl FnOnce() -> String) {
        if !good {
            self.add(path, reason());
        }
    }

    fn range<T: PartialOrd + fmt::Display>(&mut self, path: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            self.add(
                path,
                format!("{value} is out of range: expected {low} to {high}"),
            );
        }
    }

    fn asn(&mut self, path: &str, asn: u32) {
        let asn = Asn(asn);
        if asn.is_reserved() {
            self.add(
                path,
                format!("AS {asn} is reserved: expected the number of an AS, for private use 64512 to 65534"),
            );
        }
    }

    fn cidr(&mut self, path: &str, cidr: Cidr) {
        if cidr.0 != cidr.net() {
            self.add(
                path,
                format!(
                    "{cidr} has bits set beyond its length: did you mean {}?",
                    cidr.net()
                ),
            );
        }
    }

    fn selector(&mut self, path: &str, selector: Option<&LabelSelector>) {
        for (at, requirement) in selector
            .iter()
            .flat_map(|s| s.match_expressions.iter().enumerate())
        {
            let path = format!("{path}.matchExpressions[{at}].values");
            match requirement.operator {
                Operator::In | Operator::NotIn => {
                    self.check(!requirement.values.is_empty(), &path, || {
                        format!("{:?} needs at least one value", requirement.operator)
                    });
                }
                Operator::Exists | Operator::DoesNotExist => {
                    self.check(requirement.values.is_empty(), &path, || {
                        format!("{:?} takes no values", requirement.operator)
                    });
                }
            }
        }
    }

    fn value_from(&mut self, path: &str, from: Option<&ValueFrom>) {
        if let Some(from) = from {
            self.check(
                from.node_label.is_some() != from.node_annotation.is_some(),
                path,
                || "give exactly one of nodeLabel and nodeAnnotation".to_owned(),
            );
        }
    }

    fn lapse(&mut self, path: &str, value: Duration, low: Duration, high: Duration) {
        if value < low || value > high {
            let text = |d| routelet_api::Lapse(d).to_string();
            self.add(
                path,
                format!(
                    "{} is out of range: expected {} to {}",
                    text(value),
                    text(low),
                    text(high)
                ),
            );
        }
    }

    fn timers(&mut self, path: &str, timers: &Timers) {
        let hold = timers.hold.0;
        if !hold.is_zero() {
            self.lapse(&format!("{path}.hold"), hold, seconds(3), seconds(65_535));
        }
        if !hold.as_millis().is_multiple_of(1000) {
            self.add(
                format!("{path}.hold"),
                format!("{} is not in whole seconds", timers.hold),
            );
        }
        if let Some(keepalive) = timers.keepalive {
            self.lapse(
                &format!("{path}.keepalive"),
                keepalive.0,
                seconds(1),
                seconds(65_535),
            );
            self.check(
                hold.is_zero() || keepalive.0 * 3 <= hold,
                &format!("{path}.keepalive"),
                || {
                    format!(
                        "{keepalive} is more than a third of the hold time {}",
                        timers.hold
                    )
                },
            );
        }
        let retry = timers.connect_retry.0;
        self.lapse(
            &format!("{path}.connectRetry"),
            retry,
            seconds(1),
            seconds(3600),
        );
        let idle = timers.idle_hold.0;
        if !idle.is_zero() {
            self.lapse(&format!("{path}.idleHold"), idle, seconds(1), seconds(3600));
        }
    }

    fn password(&mut self, path: &str, password: Option<&PasswordSpec>) {
        if let Some(password) = password {
            self.check(
                password.secret_ref.is_some() != password.file.is_some(),
                path,
                || "give exactly one of secretRef and file".to_owned(),
            );
        }
    }

    fn bfd(&mut self, path: &str, bfd: Option<&BfdSpec>) {
        if let Some(bfd) = bfd {
            let (low, high) = (Duration::from_millis(10), seconds(60));
            self.lapse(&format!("{path}.interval"), bfd.interval.0, low, high);
            self.range(&format!("{path}.multiplier"), bfd.multiplier, 1, 255);
        }
    }

    fn prefix_match(&mut self, path: &str, prefix: &PrefixMatch) {
        self.cidr(&format!("{path}.cidr"), prefix.cidr);
        let own = prefix.cidr.0.prefix_len();
        let longest = prefix.cidr.0.max_prefix_len();
        let min = prefix.min_length.unwrap_or(own);
        self.range(&format!("{path}.minLength"), min, own, longest);
        if let Some(max) = prefix.max_length {
            self.range(&format!("{path}.maxLength"), max, min.min(longest), longest);
            self.check(!prefix.or_longer, &format!("{path}.orLonger"), || {
                "contradicts maxLength: give one of both".to_owned()
            });
        }
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is wrong with a Router.
pub fn router(spec: &RouterSpec) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    let f = &mut findings;
    f.selector("spec.nodeSelector", spec.node_selector.as_ref());
    if let Some(asn) = spec.asn {
        f.asn("spec.asn", asn);
        f.check(spec.asn_from.is_none(), "spec.asnFrom", || {
            "contradicts asn: give one of both".to_owned()
        });
    }
    f.value_from("spec.asnFrom", spec.asn_from.as_ref());
    f.value_from("spec.routerIDFrom", spec.router_id_from.as_ref());
    f.check(
        spec.router_id.is_none() || spec.router_id_from.is_none(),
        "spec.routerIDFrom",
        || "contradicts routerID: give one of both".to_owned(),
    );
    for (path, id) in [
        ("spec.routerID", spec.router_id),
        ("spec.clusterID", spec.cluster_id),
    ] {
        f.check(id.is_none_or(|id| !id.is_unspecified()), path, || {
            "0.0.0.0 is no identifier (RFC 6286)".to_owned()
        });
    }
    f.check(spec.listen.port != 0, "spec.listen.port", || {
        "0 is no port: expected 1 to 65535; to not listen, set enabled: false".to_owned()
    });
    f.range("spec.multipath.maxPaths", spec.multipath.max_paths, 1, 128);
    let restart = spec.graceful_restart.restart_time.0;
    f.lapse(
        "spec.gracefulRestart.restartTime",
        restart,
        seconds(1),
        seconds(4095),
    );
    f.lapse(
        "spec.leave.wait",
        spec.leave.wait.0,
        seconds(0),
        LONGEST_LEAVE_WAIT,
    );
    for (index, key) in spec.leave.taints.iter().enumerate() {
        let path = format!("spec.leave.taints[{index}]");
        f.check(!key.is_empty() && !key.contains(['=', ':']), &path, || {
            format!("{key:?} is no key of a taint: expected it without value and effect, such as example.com/maintenance")
        });
    }
    f.lapse(
        "spec.gracefulRestart.maxLongLivedStaleTime",
        spec.graceful_restart.max_long_lived_stale_time.0,
        seconds(1),
        seconds(0x00ff_ffff),
    );
    if let Some(stale) = spec.graceful_restart.long_lived_stale_time {
        let path = "spec.gracefulRestart.longLivedStaleTime";
        f.lapse(path, stale.0, seconds(1), seconds(0x00ff_ffff));
        f.check(spec.graceful_restart.enabled, path, || {
            "needs gracefulRestart.enabled: true (RFC 9494)".to_owned()
        });
    }
    f.check(spec.fib.table != 0, "spec.fib.table", || {
        "0 is no routing table: expected 1 or more; the main table is 254".to_owned()
    });
    f.check(spec.fib.table != 255, "spec.fib.table", || {
        "255 is the kernel's own local table; the main table is 254".to_owned()
    });
    f.check(spec.fib.metric != 0, "spec.fib.metric", || {
        "0 is no metric: expected 1 or more".to_owned()
    });
    let refusing = spec.fib.refuse.table;
    f.check(
        refusing != 0 && !(253..=255).contains(&refusing) && refusing != spec.fib.table,
        "spec.fib.refuse.table",
        || {
            format!(
                "{refusing} is a table with other routes in it: expected one that nobody else uses, such as the default {}",
                routelet_fib::refusal::DEFAULT_TABLE
            )
        },
    );
    f.timers("spec.mesh.timers", &spec.mesh.timers);
    f.password("spec.mesh.password", spec.mesh.password.as_ref());
    f.bfd("spec.mesh.bfd", spec.mesh.bfd.as_ref());
    findings.list
}

/// What is wrong with a Peer.
pub fn peer(spec: &PeerSpec) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    let f = &mut findings;
    f.selector("spec.nodeSelector", spec.node_selector.as_ref());
    let targets = [
        ("address", spec.address.is_some()),
        ("addressFrom", spec.address_from.is_some()),
        ("interface", spec.interface.is_some()),
        ("gateway", spec.gateway.is_some()),
        ("nodes", spec.nodes.is_some()),
        ("range", spec.range.is_some()),
    ];
    let given: Vec<&str> = targets.iter().filter(|t| t.1).map(|t| t.0).collect();
    f.check(given.len() == 1, "spec", || {
        let found = match given.as_slice() {
            [] => "none".to_owned(),
            some => some.join(" and "),
        };
        let names = "address, addressFrom, interface, gateway, nodes and range";
        format!("found {found}: expected exactly one of {names}")
    });
    if spec.nodes.is_some() {
        // Other nodes are in our AS unless said otherwise, and what they say of theirs is known.
        f.check(spec.asn_from.is_none(), "spec.asnFrom", || {
            "has no place beside nodes: give asn, or leave it out for internal".to_owned()
        });
    } else {
        f.check(
            spec.asn.is_some() != spec.asn_from.is_some(),
            "spec.asn",
            || match spec.asn {
                Some(_) => "contradicts asnFrom: give one of both".to_owned(),
                None => {
                    "missing: expected an AS number, internal or external, or asnFrom".to_owned()
                }
            },
        );
    }
    if let Some(PeerAs::Number(asn)) = spec.asn {
        f.asn("spec.asn", asn.0);
    }
    for (path, from) in [
        ("spec.asnFrom", &spec.asn_from),
        ("spec.addressFrom", &spec.address_from),
        ("spec.localAddressFrom", &spec.local_address_from),
    ] {
        f.value_from(path, from.as_ref());
    }
    peer_addresses(spec, f);
    f.timers("spec.timers", &spec.timers);
    f.password("spec.password", spec.password.as_ref());
    f.bfd("spec.bfd", spec.bfd.as_ref());
    f.check(spec.port != Some(0), "spec.port", || {
        "0 is no port: expected 1 to 65535".to_owned()
    });
    if let Some(hops) = spec.ebgp_multihop {
        f.range("spec.ebgpMultihop", hops, 2, 255);
        f.check(spec.ttl_security.is_none(), "spec.ttlSecurity", || {
            "contradicts ebgpMultihop: give one of both".to_owned()
        });
    }
    if let Some(security) = spec.ttl_security {
        f.range("spec.ttlSecurity.hops", security.hops, 1, 254);
    }
    if let Some(most) = spec.max_peers {
        f.range("spec.maxPeers", most, 1, 10_000);
    }
    attribute_filter(spec, f);
    f.range("spec.allowOwnAS", spec.allow_own_as, 0, 10);
    f.check(!spec.families.is_empty(), "spec.families", || {
        "empty: expected IPv4, IPv6 or both".to_owned()
    });
    f.check(spec.max_prefixes != Some(0), "spec.maxPrefixes", || {
        "0 would end the session at the first prefix: leave it out for no limit".to_owned()
    });
    let received = spec.max_received_prefixes != Some(0);
    f.check(received, "spec.maxReceivedPrefixes", || {
        "0 would end the session at the first prefix: leave it out for no limit".to_owned()
    });
    if let Some(paths) = spec.max_paths_per_prefix {
        f.range("spec.maxPathsPerPrefix", paths, 1, 1000);
    }
    if let Some(next_hops) = spec.max_next_hops {
        f.range("spec.maxNextHops", next_hops, 1, 1_000_000);
    }
    if let RestartAfter::After(time) = spec.max_prefixes_restart {
        let path = "spec.maxPrefixesRestart";
        f.lapse(path, time.0, seconds(1), seconds(86_400));
    }
    if let Some(most) = spec.max_long_lived_stale_time {
        let path = "spec.maxLongLivedStaleTime";
        f.lapse(path, most.0, seconds(1), seconds(0x00ff_ffff));
    }
    if let Some(percent) = spec.max_prefixes_warning_percent {
        f.range("spec.maxPrefixesWarningPercent", percent, 1, 100);
    }
    findings.list
}

fn attribute_filter(spec: &PeerSpec, f: &mut Findings) {
    const PATH: &str = "spec.attributeFilter";
    let AttributeFilterSpec {
        discard,
        treat_as_withdraw,
        accept,
    } = &spec.attribute_filter;
    for (at, name) in discard.iter().enumerate() {
        let reason = if AttributeFilter::MANDATORY.contains(name.0) {
            "every route needs it, or is announced in it: no route would be left"
        } else if LOOP_DETECTION.contains(name.0) {
            "routing loops are recognised by it: use treatAsWithdraw"
        } else if name.0 == AttributeCode::ONLY_TO_CUSTOMER && spec.role.is_some() {
            "with a role, route leaks are recognised by it (RFC 9234 section 5): leave role out, or use treatAsWithdraw"
        } else {
            continue;
        };
        f.add(
            format!("{PATH}.discard[{at}]"),
            format!("{name} cannot be discarded: {reason}"),
        );
    }
    for (at, name) in treat_as_withdraw.iter().enumerate() {
        let path = format!("{PATH}.treatAsWithdraw[{at}]");
        f.check(!AttributeFilter::MANDATORY.contains(name.0), &path, || {
            format!("{name} is in every route, or announces them: all routes of the peer would be withdrawn")
        });
        f.check(!discard.contains(name), &path, || {
            format!("{name} is also in discard: list it once")
        });
    }
    for (at, name) in accept.iter().enumerate() {
        let path = format!("{PATH}.accept[{at}]");
        f.check(AttributeFilter::ACCEPTABLE.contains(name.0), &path, || {
            let names: Vec<String> = AttributeFilter::ACCEPTABLE
                .iter()
                .map(|code| AttributeName(code).to_string())
                .collect();
            format!(
                "{name} is accepted anyway, or never used: expected {}",
                names.join(" or ")
            )
        });
        f.check(
            !discard.contains(name) && !treat_as_withdraw.contains(name),
            &path,
            || format!("{name} is also in discard or treatAsWithdraw: list it once"),
        );
    }
}

/// Without these, a route that comes back to where it was is not recognised (RFC 4456 section 8, RFC 6793 section 4.2.3).
const LOOP_DETECTION: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::AS4_PATH,
    AttributeCode::ORIGINATOR_ID,
    AttributeCode::CLUSTER_LIST,
]);

fn peer_addresses(spec: &PeerSpec, f: &mut Findings) {
    if let Some(address) = spec.address {
        let link_local = matches!(address.0, IpAddr::V6(a) if a.is_unicast_link_local());
        f.check(
            !link_local || spec.source_interface.is_some(),
            "spec.address",
            || format!("{address} is link-local: sourceInterface must say on which link"),
        );
        f.check(
            !(address.0.is_unspecified() || address.0.is_multicast()),
            "spec.address",
            || format!("{address} is no address of a host"),
        );
        if let Some(local) = spec.local_address {
            f.check(
                local.0.is_ipv4() == address.0.is_ipv4(),
                "spec.localAddress",
                || format!("{local} and the peer's address {address} are of different families"),
            );
        }
    }
    f.check(
        spec.local_address.is_none() || spec.local_address_from.is_none(),
        "spec.localAddressFrom",
        || "contradicts localAddress: give one of both".to_owned(),
    );
    f.check(
        spec.nodes.is_none() || (spec.local_address.is_none() && spec.local_address_from.is_none()),
        "spec.localAddress",
        || "with nodes, each uses its own InternalIP: leave it out".to_owned(),
    );
    if let Some(range) = spec.range {
        f.cidr("spec.range", range);
        if let Some(local) = spec.local_address {
            f.check(
                local.0.is_ipv4() == range.net().addr().is_ipv4(),
                "spec.localAddress",
                || format!("{local} and the range {range} are of different families"),
            );
        }
    }
    for (path, name) in [
        ("spec.interface", &spec.interface),
        ("spec.sourceInterface", &spec.source_interface),
    ] {
        if let Some(name) = name {
            // IFNAMSIZ: 15 octets and a zero.
            f.check((1..=15).contains(&name.len()), path, || {
                format!("\"{name}\" is no interface name: expected 1 to 15 characters")
            });
        }
    }
}

/// What is wrong with an Advertisement.
pub fn advertisement(spec: &AdvertisementSpec) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    let f = &mut findings;
    f.selector("spec.nodeSelector", spec.node_selector.as_ref());
    f.selector("spec.peerSelector", spec.peer_selector.as_ref());
    for (at, cidr) in spec.prefixes.iter().enumerate() {
        f.cidr(&format!("spec.prefixes[{at}]"), *cidr);
    }
    if let Some(services) = &spec.services {
        f.selector("spec.services.selector", services.selector.as_ref());
        f.selector(
            "spec.services.namespaceSelector",
            services.namespace_selector.as_ref(),
        );
        for (at, cidr) in services.external_ips.iter().enumerate() {
            f.cidr(&format!("spec.services.externalIPs[{at}]"), *cidr);
        }
        f.check(
            !services.addresses.is_empty(),
            "spec.services.addresses",
            || "empty: expected some of LoadBalancer, External and Cluster".to_owned(),
        );
    }
    match (&spec.aggregate, spec.mode) {
        (None, Some(mode @ (Mode::Aggregated | Mode::Both))) => {
            f.add("spec.mode", format!("{mode:?} needs aggregate"));
        }
        (Some(aggregate), _) => {
            if let Some(length) = aggregate.ipv4 {
                f.range("spec.aggregate.ipv4", length, 1, 32);
            }
            if let Some(length) = aggregate.ipv6 {
                f.range("spec.aggregate.ipv6", length, 1, 128);
            }
        }
        (None, None | Some(Mode::Exact)) => {}
    }
    f.range("spec.attributes.prepend", spec.attributes.prepend, 0, 32);
    findings.list
}

/// What is wrong with a RoutePolicy.
pub fn policy(spec: &RoutePolicySpec) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    let f = &mut findings;
    for (at, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{at}]");
        for (at, prefix) in rule.matches.prefixes.iter().enumerate() {
            f.prefix_match(&format!("{path}.match.prefixes[{at}]"), prefix);
        }
        for (at, cidr) in rule.matches.next_hops.iter().enumerate() {
            f.cidr(&format!("{path}.match.nextHops[{at}]"), *cidr);
        }
        if let Some(range) = rule.matches.as_path_length {
            f.check(
                range.max.is_none_or(|max| max >= range.min),
                &format!("{path}.match.asPathLength"),
                || "max is less than min: nothing can match".to_owned(),
            );
        }
        for (at, community) in rule.set.remove_communities.iter().enumerate() {
            f.check(
                !matches!(community, CommunityText::Extended(_)),
                &format!("{path}.set.removeCommunities[{at}]"),
                || format!("{community}: extended communities cannot be removed"),
            );
        }
        f.range(&format!("{path}.set.prepend"), rule.set.prepend, 0, 32);
        if let Some(weight) = rule.set.weight {
            f.range(&format!("{path}.set.weight"), weight, 1, 256);
        }
    }
    findings.list
}

/// What is wrong with an AddressPool.
pub fn address_pool(spec: &AddressPoolSpec) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    let f = &mut findings;
    f.selector("spec.serviceSelector", spec.service_selector.as_ref());
    f.selector("spec.namespaceSelector", spec.namespace_selector.as_ref());
    f.check(!spec.addresses.is_empty(), "spec.addresses", || {
        "empty: expected at least one prefix, range or address".to_owned()
    });
    f.check(spec.auto_assign || spec.allow_requests, "spec.allowRequests", || {
        "false beside autoAssign: false: no Service could get an address; set one of them to true".to_owned()
    });
    for (name, limit) in [
        ("spec.maxPerService", spec.max_per_service),
        ("spec.maxPerNamespace", spec.max_per_namespace),
    ] {
        f.check(limit != Some(0), name, || {
            "0: expected at least 1; leave it out for no limit".to_owned()
        });
    }
    for (at, block) in spec.addresses.iter().enumerate() {
        let path = format!("spec.addresses[{at}]");
        if let AddressBlock::Prefix(net) = block {
            f.cidr(&path, Cidr(*net));
            let hosts = net.max_prefix_len() - net.prefix_len();
            f.check(!spec.exclude_first_and_last || hosts > 1, &path, || {
                format!("{block} has nothing but a first and a last address, which excludeFirstAndLast leaves out")
            });
        }
        let ends = [block.first(), block.last()];
        f.check(!ends.into_iter().any(is_special), &path, || {
            format!("{block} has addresses that no Service can have: unspecified, loopback, link-local or multicast")
        });
        let earlier = spec.addresses[..at]
            .iter()
            .find(|other| other.first() <= block.last() && block.first() <= other.last());
        if let Some(other) = earlier {
            f.add(
                path,
                format!("{block} overlaps {other}: give each address once"),
            );
        }
    }
    findings.list
}

/// Whether an address can never be routed to a Service.
pub fn is_special(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast()
}

/// References to objects that do not exist, by the object that makes them.
pub fn references(state: &ClusterState) -> Vec<(ObjectRef, Finding)> {
    let mut findings = Vec::new();
    for peer in state.peers.values() {
        for (field, names) in [("import", &peer.spec.import), ("export", &peer.spec.export)] {
            for (at, name) in names.iter().enumerate() {
                if !state.policies.contains_key(name) {
                    findings.push((
                        ObjectRef::cluster("Peer", &peer.name),
                        Finding {
                            path: format!("spec.{field}[{at}]"),
                            reason: format!(
                                "RoutePolicy {name} does not exist; until it does, every route is rejected"
                            ),
                        },
                    ));
                }
            }
        }
    }
    findings
}

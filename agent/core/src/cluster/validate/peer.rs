//! What is wrong with a Peer.

use std::net::IpAddr;

use bgp::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter};
use routelet_api::peer::AttributeFilterSpec;
use routelet_api::{AttributeName, PeerAs, PeerSpec, RestartAfter};

use super::findings::{Findings, seconds};
use super::{Finding, Validate};

/// Without these, a route that comes back to where it was is not recognised (RFC 4456 section 8, RFC 6793 section 4.2.3).
const LOOP_DETECTION: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::AS4_PATH,
    AttributeCode::ORIGINATOR_ID,
    AttributeCode::CLUSTER_LIST,
]);

impl Validate for PeerSpec {
    fn validate(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let f = &mut findings;
        f.selector("spec.nodeSelector", self.node_selector.as_ref());
        target(self, f);
        asn(self, f);
        for (path, from) in [
            ("spec.asnFrom", &self.asn_from),
            ("spec.addressFrom", &self.address_from),
            ("spec.localAddressFrom", &self.local_address_from),
        ] {
            f.value_from(path, from.as_ref());
        }
        addresses(self, f);
        f.timers("spec.timers", &self.timers);
        f.password("spec.password", self.password.as_ref());
        f.bfd("spec.bfd", self.bfd.as_ref());
        f.check(self.port != Some(0), "spec.port", || {
            "0 is no port: expected 1 to 65535".to_owned()
        });
        if let Some(hops) = self.ebgp_multihop {
            f.range("spec.ebgpMultihop", hops, 2, 255);
            f.check(self.ttl_security.is_none(), "spec.ttlSecurity", || {
                "contradicts ebgpMultihop: set only one of them".to_owned()
            });
        }
        if let Some(security) = self.ttl_security {
            f.range("spec.ttlSecurity.hops", security.hops, 1, 254);
        }
        if let Some(most) = self.max_peers {
            f.range("spec.maxPeers", most, 1, 10_000);
        }
        attribute_filter(self, f);
        f.range("spec.allowOwnAS", self.allow_own_as, 0, 10);
        f.check(!self.families.is_empty(), "spec.families", || {
            "empty: expected IPv4, IPv6 or both".to_owned()
        });
        limits(self, f);
        findings.list
    }
}

/// Who it is a session with.
fn target(spec: &PeerSpec, f: &mut Findings) {
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
}

fn asn(spec: &PeerSpec, f: &mut Findings) {
    if spec.nodes.is_some() {
        // Other nodes are in our AS unless said otherwise, and what they say of theirs is known.
        f.check(spec.asn_from.is_none(), "spec.asnFrom", || {
            "not allowed with nodes: set asn, or leave both out for internal".to_owned()
        });
    } else {
        f.check(
            spec.asn.is_some() != spec.asn_from.is_some(),
            "spec.asn",
            || match spec.asn {
                Some(_) => "contradicts asnFrom: set only one of them".to_owned(),
                None => {
                    "missing: expected an AS number, internal or external, or asnFrom".to_owned()
                }
            },
        );
    }
    if let Some(PeerAs::Number(asn)) = spec.asn {
        f.asn("spec.asn", asn.0);
    }
}

fn addresses(spec: &PeerSpec, f: &mut Findings) {
    if let Some(address) = spec.address {
        let link_local = matches!(address.0, IpAddr::V6(a) if a.is_unicast_link_local());
        f.check(
            !link_local || spec.source_interface.is_some(),
            "spec.address",
            || format!("{address} is link-local: set sourceInterface to its interface"),
        );
        f.check(
            !(address.0.is_unspecified() || address.0.is_multicast()),
            "spec.address",
            || format!("{address} is not a host address"),
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
        || "contradicts localAddress: set only one of them".to_owned(),
    );
    f.check(
        spec.nodes.is_none() || (spec.local_address.is_none() && spec.local_address_from.is_none()),
        "spec.localAddress",
        || "not allowed with nodes: each node uses its own InternalIP".to_owned(),
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
                format!("\"{name}\" is not an interface name: expected 1 to 15 characters")
            });
        }
    }
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
            "every route needs it: no route would be left"
        } else if LOOP_DETECTION.contains(name.0) {
            "it is needed to detect routing loops: use treatAsWithdraw"
        } else if name.0 == AttributeCode::ONLY_TO_CUSTOMER && spec.role.is_some() {
            "with a role, it is needed to detect route leaks (RFC 9234 section 5): leave role out, or use \
             treatAsWithdraw"
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
            format!("{name} is in every route: all routes of the peer would be withdrawn")
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
                "{name} is always accepted, or never used: expected {}",
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

/// How much is taken of the peer, and for how long.
fn limits(spec: &PeerSpec, f: &mut Findings) {
    f.check(spec.max_prefixes != Some(0), "spec.maxPrefixes", || {
        "0 would close the session at the first prefix: leave it out for no limit".to_owned()
    });
    let received = spec.max_received_prefixes != Some(0);
    f.check(received, "spec.maxReceivedPrefixes", || {
        "0 would close the session at the first prefix: leave it out for no limit".to_owned()
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
}

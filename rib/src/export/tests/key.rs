//! No knob that changes the output is missing in the group's key.

use std::time::Duration;

use bgp::types::{Afi, Community, ExtendedCommunity, Nlri};
use bgp::wire::UpdateEncoder;
use bgp::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter, UnknownAttribute};
use bgp::wire::capability::{GracefulRestart, LongLivedFamily, Role};
use ipnet::{Ipv4Net, Ipv6Net};

use super::super::rules::DigestSeed;
use super::*;
use crate::originate::{AdvertisementId, Offer};
use crate::policy::{Action, Matches, Policy, Rule, Set};

type Knob = (
    &'static str,
    fn(&mut PeerConfig, &mut SessionInfo, &mut Negotiated),
);

/// Every field of the three structs, each set to something else.
fn knobs() -> Vec<Knob> {
    let mut all = knobs_of_peer();
    all.extend(knobs_of_session());
    all.extend(knobs_of_negotiation());
    all
}

/// The pattern names every field that a struct literal may name, so a new one does not compile until it is here.
fn knobs_of_peer() -> Vec<Knob> {
    let PeerConfig {
        kind: _,
        import: _,
        export: _,
        advertisements: _,
        knows_services: _,
        transit: _,
        allow_own_as: _,
        enforce_first_as: _,
        multihop: _,
        next_hop_self: _,
        remove_private_as: _,
        attribute_filter: _,
        max_prefixes: _,
        max_received: _,
        max_paths: _,
        max_next_hops: _,
        prefix_warning: _,
        long_lived_max: _,
    } = config(PeerKind::External);
    vec![
        ("kind", |c, _, _| {
            c.kind = match c.kind {
                PeerKind::Internal => PeerKind::ReflectorClient,
                PeerKind::ReflectorClient => PeerKind::Internal,
                PeerKind::External => PeerKind::External,
            };
        }),
        ("import", |c, _, _| c.import = vec![policy(Action::Reject)]),
        ("export rejects", |c, _, _| {
            c.export = vec![policy(Action::Reject)];
        }),
        ("export changes", |c, _, _| {
            c.export = vec![policy(Action::Accept)];
        }),
        ("advertisements", |c, _, _| {
            c.advertisements = [AdvertisementId(2)].into();
        }),
        ("knows_services", |c, _, _| c.knows_services ^= true),
        ("transit", |c, _, _| c.transit = !c.transit),
        ("allow_own_as", |c, _, _| c.allow_own_as += 1),
        ("enforce_first_as", |c, _, _| c.enforce_first_as ^= true),
        ("multihop", |c, _, _| c.multihop ^= true),
        ("next_hop_self", |c, _, _| c.next_hop_self ^= true),
        ("remove_private_as", |c, _, _| c.remove_private_as ^= true),
        ("attributes filtered", |c, _, _| {
            let code = AttributeCodes::of(&[AttributeCode(28)]);
            c.attribute_filter.discard = code;
        }),
        ("attributes accepted", |c, _, _| {
            c.attribute_filter.accept = AttributeFilter::ACCEPTABLE;
        }),
        ("max_prefixes", |c, _, _| c.max_prefixes = Some(3)),
        ("max_received", |c, _, _| c.max_received = Some(3)),
        ("max_paths", |c, _, _| c.max_paths = 3),
        ("max_next_hops", |c, _, _| c.max_next_hops = 3),
        ("prefix_warning", |c, _, _| c.prefix_warning = Some(2)),
    ]
}

/// The same.
fn knobs_of_session() -> Vec<Knob> {
    let SessionInfo {
        negotiated: _,
        remote_address: _,
        local_ipv4: _,
        local_ipv6: _,
        local_link_local: _,
        interface: _,
        subnets: _,
        single_hop: _,
    } = session(PeerKind::External, 1);
    vec![
        ("remote_address", |_, s, _| {
            s.remote_address = ip("192.0.2.99");
        }),
        ("local_ipv4", |_, s, _| {
            s.local_ipv4 = Some([10, 9, 9, 9].into());
        }),
        ("no local_ipv4", |_, s, _| s.local_ipv4 = None),
        ("local_ipv6", |_, s, _| {
            s.local_ipv6 = Some("2001:db8::9".parse().unwrap());
        }),
        ("no local_ipv6", |_, s, _| s.local_ipv6 = None),
        ("local_link_local", |_, s, _| {
            s.local_link_local = Some("fe80::9".parse().unwrap());
        }),
        ("interface", |_, s, _| s.interface = Some(7)),
        ("subnets", |_, s, _| s.subnets = vec![net("203.0.113.0/24")]),
        ("single_hop", |_, s, _| s.single_hop ^= true),
    ]
}

fn knobs_of_negotiation() -> Vec<Knob> {
    vec![
        ("peer_asn", |_, _, n| {
            if n.is_external() {
                n.peer_asn = Asn(65009);
            }
        }),
        ("peer_id", |_, _, n| n.peer_id = BgpIdentifier(98)),
        ("local_asn", |_, _, n| {
            if n.is_external() {
                n.local_asn = Asn(64513);
            }
        }),
        ("local_id", |_, _, n| n.local_id = BgpIdentifier(97)),
        ("hold_time", |_, _, n| n.hold_time = None),
        ("keepalive", |_, _, n| {
            n.keepalive = Some(Duration::from_secs(1));
        }),
        ("families", |_, _, n| {
            n.families = vec![Family::IPV6_UNICAST];
        }),
        ("four_octet_as", |_, _, n| n.four_octet_as ^= true),
        ("add_path_receive", |_, _, n| {
            n.add_path_receive = Family::ALL.to_vec();
        }),
        ("add_path_send", |_, _, n| {
            n.add_path_send = Family::ALL.to_vec();
        }),
        ("extended_next_hop", |_, _, n| {
            n.extended_next_hop = vec![(Family::IPV4_UNICAST, Afi::IPV6)];
        }),
        ("extended_message", |_, _, n| n.extended_message ^= true),
        ("route_refresh", |_, _, n| n.route_refresh ^= true),
        ("enhanced_route_refresh", |_, _, n| {
            n.enhanced_route_refresh ^= true;
        }),
        ("graceful_restart", |_, _, n| {
            n.graceful_restart = Some(GracefulRestart {
                restarting: false,
                notification: false,
                restart_time: 9,
                families: vec![],
            });
        }),
        ("notification_retains", |_, _, n| {
            n.notification_retains ^= true;
        }),
        ("long_lived", |_, _, n| {
            n.long_lived = vec![LongLivedFamily {
                family: Family::IPV4_UNICAST,
                forwarding: true,
                stale_time: 9,
            }];
        }),
        ("role customer", |_, _, n| {
            n.peer_role = Some(Role::Customer);
        }),
        ("role provider", |_, _, n| {
            n.peer_role = Some(Role::Provider);
        }),
        ("peer_host", |_, _, n| n.peer_host = Some("host".into())),
    ]
}

fn policy(action: Action) -> Arc<Policy> {
    let set = Set {
        add_communities: vec![Community(4711)],
        ..Set::default()
    };
    Arc::new(Policy {
        name: "p".to_owned(),
        rules: vec![Rule {
            name: "r".to_owned(),
            matches: Matches::default(),
            set,
            action,
        }],
    })
}

/// Routes that touch every rule.
fn routes() -> Vec<RouteAttributes> {
    let mut routes = Vec::new();
    let next_hops = [
        "203.0.113.1",
        "192.0.2.7",
        "2001:db8:9::1",
        "2001:db8::7",
        "fe80::7",
    ];
    let mut bases = vec![learned().0; 9];
    bases[1].communities = vec![Community::LLGR_STALE];
    bases[2].only_to_customer = Some(Asn(9));
    bases[3].as_path = "64999 4200000001 3356".parse().unwrap();
    bases[4].communities = (0..1500).map(Community).collect();
    bases[5].med = Some(3);
    bases[5].local_pref = Some(3);
    bases[6].extended_communities = vec![ExtendedCommunity([0x40; 8])];
    bases[7].communities = vec![Community::NO_EXPORT];
    bases[8].unknown = vec![UnknownAttribute {
        flags: 0xe0,
        code: AttributeCode::PREFIX_SID.0,
        value: Bytes::from_static(&[200, 0, 0]),
    }];
    for attributes in &bases {
        for next_hop in next_hops {
            routes.push(route(attributes, ip(next_hop).into()));
        }
    }
    routes
}

/// Everything that a peer may be told about a set of routes that touches every rule, as bytes.
fn output(key: &GroupKey) -> Vec<Vec<Bytes>> {
    let routes = routes();
    let offer = |number| Offer {
        advertisement: AdvertisementId(number),
        of_services: true,
        communities: vec![Community(number)],
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        local_preference: Some(number),
        med: None,
        prepend: number as u8,
    };
    let seed = DigestSeed::default();
    let mut all = Vec::new();
    for prefix in ["10.0.0.0/8", "2001:db8:1::/48"].map(net) {
        let mut tell = |advertised: Result<super::super::rules::Exported, Suppressed>| {
            let mut bytes = Vec::new();
            if let Ok(advertised) = advertised {
                let mut encoder = UpdateEncoder::new(key.codec);
                let path_id = bgp::types::PathId(1);
                match prefix {
                    IpNet::V4(prefix) => encoder.reach(
                        &advertised.set,
                        advertised.next_hop,
                        [Nlri::<Ipv4Net> { prefix, path_id }],
                        |b| bytes.push(b),
                    ),
                    IpNet::V6(prefix) => encoder.reach(
                        &advertised.set,
                        advertised.next_hop,
                        [Nlri::<Ipv6Net> { prefix, path_id }],
                        |b| bytes.push(b),
                    ),
                }
                .unwrap();
            }
            all.push(bytes);
        };
        for route in &routes {
            for kind in [
                PeerKind::External,
                PeerKind::Internal,
                PeerKind::ReflectorClient,
            ] {
                tell(key.learned(prefix, route.borrowed(), from(kind), &seed));
            }
        }
        let originated = Originated {
            prefix,
            offers: vec![offer(1), offer(2)],
        };
        tell(key.originated(&originated, &seed));
    }
    all
}

#[test]
fn every_knob_that_changes_the_output_changes_the_key() {
    let mut seen = BTreeSet::new();
    let bases = [
        PeerKind::External,
        PeerKind::Internal,
        PeerKind::ReflectorClient,
    ];
    for kind in bases {
        let mut before = config(kind);
        before.advertisements = [AdvertisementId(1)].into();
        let session = session(kind, 1);
        let old = key(&before, &session);
        let old_output = output(&old);
        for (name, turn) in knobs() {
            let (mut config, mut session) = (before.clone(), session.clone());
            let mut negotiated = Negotiated::clone(&session.negotiated);
            turn(&mut config, &mut session, &mut negotiated);
            session.negotiated = Arc::new(negotiated);
            let new = key(&config, &session);
            // The output is a function of the key: so equal keys give equal outputs, if the key has the knob at all.
            let differs = output(&new) != old_output;
            assert!(
                !differs || new != old,
                "{name} is missing in the key of {kind:?}"
            );
            if differs {
                seen.insert(name);
            }
            let splits_in_vain = new != old && !differs;
            assert!(
                !splits_in_vain,
                "{name} splits groups of {kind:?} and changes nothing"
            );
        }
    }
    // What must show: a rule that ignores its knob would pass the test above.
    for name in [
        "kind",
        "export rejects",
        "export changes",
        "advertisements",
        "knows_services",
        "transit",
        "next_hop_self",
        "remove_private_as",
        "local_ipv4",
        "no local_ipv4",
        "local_ipv6",
        "no local_ipv6",
        "local_link_local",
        "subnets",
        "single_hop",
        "local_asn",
        "local_id",
        "families",
        "four_octet_as",
        "add_path_send",
        "extended_next_hop",
        "extended_message",
        "long_lived",
        "role customer",
        "role provider",
        "attributes accepted",
    ] {
        assert!(seen.contains(name), "{name} changes no output");
    }
}

//! What a Peer, the mesh and reflectors give to a session: capabilities, timers, passwords, addresses.

use std::time::Duration;

use bgp::types::{Afi, Family};
use bgp::wire::attribute::{AttributeCodes, AttributeFilter};

use super::*;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

fn two() -> String {
    node("n1", "rack: a", "10.1.0.0/24", &["192.0.2.11"], "")
        + &node("n2", "rack: b", "10.2.0.0/24", &["192.0.2.12"], "")
}

#[test]
fn ipv4_over_ipv6_is_offered_on_ipv6_sessions_that_carry_ipv4_or_as_the_peer_says() {
    for (spec, expected) in [
        ("address: 192.0.2.1", false),
        ("address: 192.0.2.1, extendedNextHop: true", true),
        ("address: \"2001:db8::1\"", true),
        ("address: \"2001:db8::1\", extendedNextHop: false", false),
        ("address: \"2001:db8::1\", families: [ipv6]", false),
        ("address: \"2001:db8::1\", families: [ipv4]", true),
        ("interface: eth1", true),
        ("range: 192.0.2.0/24", false),
        ("range: \"2001:db8::/64\"", true),
    ] {
        let text = ours("Peer", "p", "", &format!("{{asn: 64500, {spec}}}"));
        let found = &intent(&text, "n1").peers[0]
            .session
            .protocol
            .extended_next_hop
            .clone();
        let expected = expected.then_some((V4, Afi::IPV6));
        assert_eq!(found.as_slice(), expected.as_slice(), "{spec}");
    }
}

#[test]
fn graceful_restart_is_offered_for_the_peers_families_unless_it_or_the_router_says_no() {
    let off = "gracefulRestart: {enabled: false, restartTime: 50s}";
    for (router, peer, expected) in [
        ("", "", Some((120, vec![(V4, true), (V6, true)]))),
        (
            "gracefulRestart: {restartTime: 60s}",
            "families: [ipv6]",
            Some((60, vec![(V6, true)])),
        ),
        ("", "gracefulRestart: false", None),
        (off, "", None),
        (
            off,
            "gracefulRestart: true",
            Some((50, vec![(V4, true), (V6, true)])),
        ),
    ] {
        let text = ours("Router", "r", "", &format!("{{{router}}}"))
            + &ours(
                "Peer",
                "p",
                "",
                &format!("{{asn: 64500, address: 192.0.2.1, {peer}}}"),
            );
        let intent = intent(&text, "n1");
        let found = intent.peers[0].session.protocol.graceful_restart.clone();
        let found = found.map(|restart| {
            assert!(restart.notification);
            (restart.restart_time.as_secs(), restart.families)
        });
        assert_eq!(found, expected, "{router} {peer}");
    }
}

#[test]
fn long_lived_stale_routes_are_kept_as_long_as_the_peer_or_else_the_router_allows() {
    let hours = |hours| Duration::from_hours(hours);
    let offered = "longLivedStaleTime: 1h";
    for (router, peer, expected, warned) in [
        ("", "", hours(24), false),
        ("maxLongLivedStaleTime: 2h", "", hours(2), false),
        (offered, "maxLongLivedStaleTime: 3h", hours(3), false),
        (offered, "", hours(24), false),
        (
            "maxLongLivedStaleTime: 2h",
            "maxLongLivedStaleTime: 3h",
            hours(3),
            true,
        ),
    ] {
        let router_spec = format!("{{gracefulRestart: {{{router}}}}}");
        let peer_spec = format!("{{asn: 64500, address: 192.0.2.1, {peer}}}");
        let text = ours("Router", "r", "", &router_spec) + &ours("Peer", "p", "", &peer_spec);
        let intent = intent(&text, "n1");
        assert_eq!(intent.peers[0].config.long_lived_max, expected, "{text}");
        let without_effect = intent.warnings.iter().any(|warning| {
            matches!(warning.kind, WarningKind::NoEffect { field, .. } if field == "spec.maxLongLivedStaleTime")
        });
        assert_eq!(without_effect, warned, "{text}");
    }
}

#[test]
fn an_interface_belongs_to_link_local_addresses_alone() {
    for (address, expected) in [
        ("\"fe80::1\"", "fe80::1%eth2"),
        ("\"2001:db8::1\"", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
    ] {
        let spec = format!("{{asn: 64500, address: {address}, sourceInterface: eth2}}");
        let intent = intent(&ours("Peer", "p", "", &spec), "n1");
        assert_eq!(intent.peers[0].target.to_string(), expected);
        assert_eq!(
            intent.peers[0].session.transport.device.as_deref(),
            Some("eth2")
        );
    }
}

#[test]
fn sessions_of_the_mesh_have_its_password_and_timers_and_carry_both_families() {
    let mesh = "{mesh: {password: {file: /etc/mesh}, timers: {hold: 12s, keepalive: 3s, connectRetry: 7s}}}";
    let intent = intent(&(two() + &ours("Router", "r", "", mesh)), "n1");
    let peer = intent.peer("mesh/n2").unwrap();
    assert_eq!(
        peer.password,
        Some(PasswordSource::File("/etc/mesh".into()))
    );
    let protocol = &peer.session.protocol;
    assert_eq!(protocol.hold_time, Some(Duration::from_secs(12)));
    assert_eq!(protocol.keepalive, Some(Duration::from_secs(3)));
    assert_eq!(protocol.connect_retry, Duration::from_secs(7));
    assert_eq!(protocol.families, [V4, V6]);
    assert_eq!(
        peer.labels,
        [("routelet.dev/mesh".to_owned(), "true".to_owned())].into()
    );
}

/// The nodes of rack b are in another AS.
#[test]
fn nodes_are_peers_where_their_as_is_the_one_that_the_peer_says() {
    let router = ours(
        "Router",
        "b",
        "",
        "{nodeSelector: {matchLabels: {rack: b}}, asn: 64513}",
    );
    for (asn, expected) in [
        ("64513", &["p/n2"][..]),
        // Seen from the other end, whose objects count too.
        ("64512", &["p/n2"]),
        ("64999", &[]),
        ("external", &["p/n2"]),
        ("internal", &[]),
    ] {
        let peer = format!("{{asn: {asn}, nodes: {{}}}}");
        let intent = intent(&(two() + &router + &ours("Peer", "p", "", &peer)), "n1");
        assert_eq!(peer_names(&intent), expected, "{asn}");
    }
    let one_way = "{asn: 64512, nodeSelector: {matchLabels: {rack: a}}, nodes: {selector: {matchLabels: {rack: b}}}}";
    let intent = intent(&(two() + &router + &ours("Peer", "p", "", one_way)), "n1");
    assert_eq!(peer_names(&intent), [""; 0]);
}

#[test]
fn a_reflector_of_another_as_serves_nobody_and_the_mesh_stays() {
    let rr = node("n3", "role: rr", "", &["192.0.2.13"], "");
    let other = ours(
        "Router",
        "other",
        "",
        "{nodeSelector: {matchLabels: {role: rr}}, asn: 64513}",
    );
    let peer = |asn: &str| {
        let spec = format!(
            "{{asn: {asn}, nodes: {{selector: {{matchLabels: {{role: rr}}}}, reflectors: true}}}}"
        );
        ours("Peer", "rr", "", &spec)
    };
    let served = intent(&(two() + &rr + &peer("internal")), "n1");
    assert_eq!(peer_names(&served), ["rr/n3"]);
    let elsewhere = intent(&(two() + &rr + &other + &peer("internal")), "n1");
    assert_eq!(peer_names(&elsewhere), ["mesh/n2"]);
    // A session with it, and still nobody who reflects to the other nodes of our AS.
    let external = intent(&(two() + &rr + &other + &peer("external")), "n1");
    assert_eq!(peer_names(&external), ["mesh/n2", "rr/n3"]);
}

#[test]
fn who_is_a_client_is_said_by_the_objects_own_end() {
    let clients = |spec: &str, node: &str| {
        let intent = intent(&(two() + &ours("Peer", "p", "", spec)), node);
        let peers = intent.peers.iter();
        peers
            .filter(|peer| peer.config.kind == rib::PeerKind::ReflectorClient)
            .map(|peer| peer.name.clone())
            .collect::<Vec<_>>()
    };
    // n1 takes those of rack b as its clients; they do not take it.
    let spec = "{asn: internal, routeReflectorClient: true, nodeSelector: {matchLabels: {rack: a}}, \
                nodes: {selector: {matchLabels: {rack: b}}}}";
    assert_eq!(clients(spec, "n1"), ["p/n2"]);
    assert_eq!(clients(spec, "n2"), [""; 0]);
    let plain = spec.replace("routeReflectorClient: true, ", "");
    assert_eq!(clients(&plain, "n1"), [""; 0]);
    // Reflectors are not each other's clients.
    let reflectors = "{asn: internal, routeReflectorClient: true, nodes: {reflectors: true}}";
    assert_eq!(clients(reflectors, "n1"), [""; 0]);
}

#[test]
fn a_password_is_named_by_where_it_stands() {
    for (password, expected) in [
        ("{file: /etc/tor}", "file /etc/tor"),
        (
            "{secretRef: {name: tor, key: password}}",
            "key password of Secret tor",
        ),
    ] {
        let spec = format!("{{asn: 64500, address: 192.0.2.1, password: {password}}}");
        let intent = intent(&ours("Peer", "p", "", &spec), "n1");
        let shown = intent.peers[0].password.as_ref().unwrap().to_string();
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_filter_of_attributes_reaches_the_session_and_the_rib() {
    let text = three()
        + &ours(
            "Peer",
            "tor",
            "",
            "{address: 192.0.2.1, asn: 65001, attributeFilter: {discard: [28, AIGP], treatAsWithdraw: [OTC], \
             accept: [PrefixSID]}}",
        )
        + &ours(
            "Peer",
            "reflector",
            "",
            "{address: 192.0.2.2, asn: internal, attributeFilter: {accept: [PrefixSID]}}",
        );
    let intent = intent(&text, "n1");
    let peer = intent.peer("tor").unwrap();
    let filter = peer.config.attribute_filter;
    let codes = |set: AttributeCodes| set.iter().map(|code| code.0).collect::<Vec<_>>();
    assert_eq!(codes(filter.discard), [26, 28]);
    assert_eq!(codes(filter.treat_as_withdraw), [35]);
    assert_eq!(codes(filter.accept), [40]);
    let settings = peer.settings("192.0.2.1".parse().unwrap(), None, None);
    assert_eq!(settings.session.attribute_filter, filter);
    let mut other = settings.clone();
    other.session.attribute_filter = AttributeFilter::DEFAULT;
    assert!(!other.needs_reset(&settings), "no session falls for it");
    assert_eq!(
        warnings(&intent),
        ["Peer reflector: spec.attributeFilter.accept has no effect: the peer is internal"]
    );
}

#[test]
fn bfd_is_over_one_hop_where_bgp_is_and_accepts_the_ttl_that_is_left_after_so_many_hops() {
    let seconds = Duration::from_secs;
    for (spec, distance, least_ttl) in [
        ("asn: 64500, bfd: {}", BfdDistance::Direct, 255),
        (
            "asn: 64500, bfd: {}, ttlSecurity: {hops: 1}",
            BfdDistance::Direct,
            255,
        ),
        (
            "asn: 64500, bfd: {}, ttlSecurity: {hops: 3}",
            BfdDistance::Routed,
            253,
        ),
        (
            "asn: 64500, bfd: {}, ebgpMultihop: 2",
            BfdDistance::Routed,
            254,
        ),
        (
            "asn: 64500, bfd: {}, ebgpMultihop: 255",
            BfdDistance::Routed,
            1,
        ),
        (
            "asn: 64500, bfd: {minimumTTL: 250}, ebgpMultihop: 2",
            BfdDistance::Routed,
            250,
        ),
        ("asn: internal, bfd: {}", BfdDistance::ByLink, 1),
        (
            "asn: internal, bfd: {minimumTTL: 254}",
            BfdDistance::Routed,
            254,
        ),
    ] {
        let text = ours("Peer", "p", "", &format!("{{address: 192.0.2.1, {spec}}}"));
        let bfd = intent(&text, "n1").peers[0].bfd.unwrap();
        assert_eq!(
            (bfd.distance, bfd.least_ttl.get()),
            (distance, least_ttl),
            "{spec}"
        );
        assert_eq!(
            (bfd.interval, bfd.multiplier.get()),
            (Duration::from_millis(300), 3)
        );
        assert_eq!((bfd.strict, bfd.passive), (None, false));
    }
    for (strict, expected) in [
        ("strict: true", Some(seconds(30))),
        ("strict: true, holdTime: 5s", Some(seconds(5))),
        ("holdTime: 5s", None),
    ] {
        let spec = format!("{{address: 192.0.2.1, asn: 64500, bfd: {{passive: true, {strict}}}}}");
        let bfd = intent(&ours("Peer", "p", "", &spec), "n1").peers[0]
            .bfd
            .unwrap();
        assert_eq!((bfd.strict, bfd.passive), (expected, true), "{strict}");
    }
}

#[test]
fn a_least_ttl_has_no_effect_on_a_peer_that_is_directly_connected() {
    let warns = |more: &str| {
        let spec = format!("{{address: 192.0.2.1, bfd: {{minimumTTL: 250}}, {more}}}");
        let intent = intent(&ours("Peer", "p", "", &spec), "n1");
        let is_meant = |warning: &Warning| {
            matches!(
                warning.kind,
                WarningKind::NoEffect {
                    field: "spec.bfd.minimumTTL",
                    ..
                }
            )
        };
        intent.warnings.iter().any(is_meant)
    };
    assert!(warns("asn: 64500"));
    assert!(!warns("asn: 64500, ebgpMultihop: 2"));
    assert!(!warns("asn: internal"));
}

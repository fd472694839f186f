#![allow(clippy::unwrap_used)]

use ipnet::IpNet;
use routelet_fib::kernel::event::{Event, Link, Presence};
use routelet_fib::types::MAIN_TABLE;

use super::*;

/// The interfaces of all cases.
const LO: u32 = 1;
pub(super) const ETH0: u32 = 2;
pub(super) const ETH1: u32 = 3;

fn link(ifindex: u32, name: &str) -> Event {
    Event::Link(
        Presence::Present,
        Link {
            ifindex,
            name: name.to_owned(),
            admin_up: true,
            up: true,
            loopback: name == "lo",
        },
    )
}

/// `2001:db8::5/64 temporary deprecated`
fn address(ifindex: u32, text: &str) -> Event {
    let mut words = text.split(' ');
    let net: IpNet = words.next().unwrap().parse().unwrap();
    let mut address = Address {
        ifindex,
        address: net.addr(),
        prefix_len: net.prefix_len(),
        peer: None,
        tentative: false,
        deprecated: false,
        secondary: false,
    };
    for word in words {
        match word {
            "tentative" => address.tentative = true,
            "deprecated" => address.deprecated = true,
            "temporary" | "secondary" => address.secondary = true,
            other => panic!("{other}"),
        }
    }
    Event::Address(Presence::Present, address)
}

pub(super) fn view(addresses: &[(u32, &str)]) -> KernelView {
    let mut view = KernelView::new(MAIN_TABLE, 1);
    for event in [link(LO, "lo"), link(ETH0, "eth0"), link(ETH1, "eth1")] {
        view.apply(event);
    }
    for (ifindex, text) in [(LO, "127.0.0.1/8"), (LO, "::1/128")]
        .iter()
        .chain(addresses)
    {
        view.apply(address(*ifindex, text));
    }
    view
}

fn place(local: &str, interface: u32, on_link: bool) -> Place {
    Place {
        local: local.parse().unwrap(),
        interface: Some(interface),
        on_link,
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The address of the other family, or why there is none.
fn other(chosen: &OwnNextHops, local: IpAddr) -> String {
    let text = match local {
        IpAddr::V4(_) => chosen.ipv6.as_ref().map(ToString::to_string),
        IpAddr::V6(_) => chosen.ipv4.as_ref().map(ToString::to_string),
    };
    text.unwrap_or_else(ToString::to_string)
}

/// An own address of each family.
const V4: &str = "192.0.2.1";
const V6: &str = "2001:db8::1";

/// What the case is; our address on the session; whether the peer is on the link; InternalIPs of the Node; addresses of interfaces; and
/// the next hop of the other family, or why there is none.
type Case = (
    &'static str,
    &'static str,
    bool,
    &'static [&'static str],
    &'static [(u32, &'static str)],
    &'static str,
);

const OTHER_FAMILY: &[Case] = &[
    (
        "one address",
        V4,
        true,
        &[],
        &[(ETH0, "2001:db8::5/64")],
        "2001:db8::5",
    ),
    (
        "the same the other way round",
        V6,
        true,
        &[],
        &[(ETH0, "192.0.2.5/24")],
        "192.0.2.5",
    ),
    (
        "not one of another interface",
        V4,
        true,
        &[],
        &[(ETH1, "2001:db8::5/64")],
        "interface eth0 has no IPv6 address that can be the next hop; the Node has no IPv6 InternalIP",
    ),
    (
        "the InternalIP before others",
        V4,
        true,
        &["192.0.2.1", "2001:db8::9"],
        &[(ETH0, "2001:db8::5/64"), (ETH0, "2001:db8::9/64")],
        "2001:db8::9",
    ),
    (
        "one on the interface before the InternalIP on another",
        V4,
        true,
        &["2001:db8::9"],
        &[(ETH0, "2001:db8::5/64"), (ETH1, "2001:db8::9/64")],
        "2001:db8::5",
    ),
    (
        "but an InternalIP where the peer is not on the link",
        V4,
        false,
        &["2001:db8::9"],
        &[(ETH0, "2001:db8::5/64"), (ETH1, "2001:db8::9/64")],
        "2001:db8::9",
    ),
    (
        "and one on the interface where there is no InternalIP",
        V4,
        false,
        &["192.0.2.1"],
        &[(ETH0, "2001:db8::5/64")],
        "2001:db8::5",
    ),
    (
        "an InternalIP on another interface rather than none",
        V4,
        true,
        &["2001:db8::9"],
        &[(LO, "2001:db8::9/128")],
        "2001:db8::9",
    ),
    (
        "an InternalIP that no interface has",
        V4,
        true,
        &["2001:db8::9"],
        &[],
        "interface eth0 has no IPv6 address that can be the next hop: 2001:db8::9 is the Node's InternalIP, but on no \
             interface of this node",
    ),
    (
        "what is temporary, deprecated, tentative or link-local",
        V4,
        true,
        &[],
        &[
            (ETH0, "fe80::1/64"),
            (ETH0, "2001:db8::2/64 temporary"),
            (ETH0, "2001:db8::3/64 deprecated"),
            (ETH0, "2001:db8::4/64 tentative"),
        ],
        "interface eth0 has no IPv6 address that can be the next hop: 2001:db8::2 is temporary, 2001:db8::3 is \
             deprecated, 2001:db8::4 has not passed duplicate address detection; the Node has no IPv6 InternalIP",
    ),
    (
        "a good one among them",
        V4,
        true,
        &[],
        &[
            (ETH0, "2001:db8::2/64 temporary"),
            (ETH0, "2001:db8::3/64 deprecated"),
            (ETH0, "2001:db8::4/64 tentative"),
            (ETH0, "2001:db8::5/64"),
        ],
        "2001:db8::5",
    ),
    (
        "an InternalIP that is a duplicate",
        V4,
        true,
        &["2001:db8::9"],
        &[(ETH0, "2001:db8::9/64 tentative")],
        "interface eth0 has no IPv6 address that can be the next hop: 2001:db8::9 has not passed duplicate address \
             detection",
    ),
    (
        "an InternalIP that is deprecated is still what the node is known by",
        V4,
        true,
        &["2001:db8::9"],
        &[
            (ETH0, "2001:db8::5/64"),
            (ETH0, "2001:db8::9/64 deprecated"),
        ],
        "2001:db8::9",
    ),
    (
        "a host's address, such as a virtual one that moves, after one with a network",
        V4,
        true,
        &[],
        &[(ETH0, "2001:db8::1/128"), (ETH0, "2001:db8::5/64")],
        "2001:db8::5",
    ),
    (
        "a secondary one after the primary one",
        V6,
        true,
        &[],
        &[(ETH0, "192.0.2.4/24 secondary"), (ETH0, "192.0.2.5/24")],
        "192.0.2.5",
    ),
    (
        "169.254.0.0/16 where there is no other",
        V6,
        true,
        &[],
        &[(ETH0, "169.254.10.2/30")],
        "169.254.10.2",
    ),
    (
        "169.254.0.0/16 after any other",
        V6,
        true,
        &[],
        &[(ETH0, "169.254.10.2/30"), (ETH0, "192.0.2.5/32")],
        "192.0.2.5",
    ),
    (
        "169.254.0.0/16 where the peer is further away",
        V6,
        false,
        &[],
        &[(ETH0, "169.254.10.2/30")],
        "interface eth0 has no IPv4 address that can be the next hop: 169.254.10.2 is link-local; the Node has no IPv4 \
             InternalIP",
    ),
    (
        "the least of several",
        V4,
        true,
        &[],
        &[(ETH0, "2001:db8::6/64"), (ETH0, "2001:db8::5/64")],
        "2001:db8::5",
    ),
];

#[test]
fn the_other_familys_next_hop_is_a_good_address_of_the_sessions_interface() {
    for (name, local, on_link, internal_ips, addresses, expected) in OTHER_FAMILY {
        let chosen = choose(
            &view(addresses),
            &ips(internal_ips),
            place(local, ETH0, *on_link),
            None,
        );
        assert_eq!(other(&chosen, local.parse().unwrap()), *expected, "{name}");
    }
}

#[test]
fn a_loopback_address_is_never_chosen_and_a_global_one_on_the_loopback_interface_may_be() {
    let local = "10.0.0.1";
    let on_lo = |addresses| {
        choose(
            &view(addresses),
            &ips(&["::1"]),
            place(local, LO, false),
            None,
        )
    };
    let chosen = on_lo(&[]);
    assert_eq!(
        other(&chosen, local.parse().unwrap()),
        "interface lo has no IPv6 address that can be the next hop: ::1 is a loopback address"
    );
    let chosen = on_lo(&[(LO, "2001:db8::1/128")]);
    assert_eq!(chosen.ipv6, Ok("2001:db8::1".parse().unwrap()));
}

#[test]
fn the_sessions_own_family_has_its_local_address() {
    let all = view(&[(ETH0, "192.0.2.4/24"), (ETH0, "2001:db8::4/64")]);
    let internal_ips = ips(&["192.0.2.4", "2001:db8::4"]);
    let chosen = choose(&all, &internal_ips, place("192.0.2.1", ETH0, true), None);
    assert_eq!(chosen.ipv4, Ok("192.0.2.1".parse().unwrap()));
    let chosen = choose(&all, &internal_ips, place("2001:db8::1", ETH0, true), None);
    assert_eq!(chosen.ipv6, Ok("2001:db8::1".parse().unwrap()));
}

#[test]
fn rfc_2545_3_the_link_local_address_goes_along_on_the_link_once_it_is_usable() {
    type Case<'a> = (&'a str, bool, &'a [(u32, &'a str)], Option<&'a str>);
    let cases: &[Case<'_>] = &[
        (
            "on the link",
            true,
            &[(ETH0, "fe80::5/64")],
            Some("fe80::5"),
        ),
        ("not beyond it", false, &[(ETH0, "fe80::5/64")], None),
        ("of that interface", true, &[(ETH1, "fe80::5/64")], None),
        (
            "not before it is sure",
            true,
            &[(ETH0, "fe80::5/64 tentative")],
            None,
        ),
    ];
    for (name, on_link, addresses, expected) in cases {
        let chosen = choose(
            &view(addresses),
            &[],
            place("192.0.2.1", ETH0, *on_link),
            None,
        );
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(chosen.link_local, expected, "{name}");
    }
    // A session between link-local addresses has its own end, and a global address if there is one.
    let several = view(&[
        (ETH0, "fe80::5/64"),
        (ETH0, "fe80::7/64"),
        (ETH0, "2001:db8::5/64"),
    ]);
    let chosen = choose(&several, &[], place("fe80::7", ETH0, true), None);
    assert_eq!(chosen.link_local, Some("fe80::7".parse().unwrap()));
    assert_eq!(chosen.ipv6, Ok("2001:db8::5".parse().unwrap()));
}

#[test]
fn what_was_chosen_stays_where_nothing_speaks_for_another_one() {
    let place = place("192.0.2.1", ETH0, true);
    let before = choose(&view(&[(ETH0, "2001:db8::5/64")]), &[], place, None);
    let next = |internal_ips: &[&str], addresses: &[(u32, &str)]| {
        let chosen = choose(&view(addresses), &ips(internal_ips), place, Some(&before));
        chosen.ipv6.unwrap().to_string()
    };
    let both = &[(ETH0, "2001:db8::4/64"), (ETH0, "2001:db8::5/64")];
    assert_eq!(next(&[], both), "2001:db8::5", "it is as good");
    assert_eq!(next(&["2001:db8::4"], both), "2001:db8::4", "it is better");
    let deprecated = &[
        (ETH0, "2001:db8::4/64"),
        (ETH0, "2001:db8::5/64 deprecated"),
    ];
    assert_eq!(
        next(&[], deprecated),
        "2001:db8::4",
        "it is not good any more"
    );
    assert_eq!(
        next(&[], &[(ETH0, "2001:db8::4/64")]),
        "2001:db8::4",
        "it is gone"
    );
}

#[test]
fn many_that_do_not_fit_are_not_all_named() {
    let many: Vec<String> = (1..=9)
        .map(|n| format!("2001:db8::{n}/64 temporary"))
        .collect();
    let many: Vec<(u32, &str)> = many.iter().map(|text| (ETH0, text.as_str())).collect();
    let chosen = choose(&view(&many), &[], place("192.0.2.1", ETH0, true), None);
    let why = chosen.ipv6.unwrap_err().to_string();
    assert!(
        why.contains("2001:db8::4 is temporary and 5 more; the Node"),
        "{why}"
    );
}

//! Which next hop is advertised to a peer (RFC 4271 5.1.3, RFC 2545, RFC 8950).

use super::*;

fn hop(
    key: &GroupKey,
    prefix: &str,
    received: NextHop,
    source: PeerKind,
) -> Result<NextHop, Suppressed> {
    let (attributes, _) = learned();
    tell(key, prefix, &route(&attributes, received), source).map(|advertised| advertised.next_hop)
}

#[test]
fn rfc4271_5_1_3_next_hops_of_ipv4_routes() {
    let (far, shared, ours) = (ip("203.0.113.1"), ip("192.0.2.7"), ip("192.0.2.254"));
    let external = key(&config(External), &session(External, 1));
    let of = |key: &_, received: IpAddr, source| hop(key, "10.0.0.0/8", received.into(), source);
    assert_eq!(of(&external, far, External), Ok(ours.into()));
    assert_eq!(
        of(&external, shared, External),
        Ok(shared.into()),
        "third party"
    );
    let mut multihop = session(External, 1);
    multihop.single_hop = false;
    let multihop = key(&config(External), &multihop);
    assert_eq!(of(&multihop, shared, External), Ok(ours.into()));
    let internal = key(&config(Internal), &session(Internal, 1));
    assert_eq!(of(&internal, far, External), Ok(far.into()));
    let mut with_self = config(ReflectorClient);
    with_self.next_hop_self = true;
    let with_self = key(&with_self, &session(ReflectorClient, 1));
    assert_eq!(of(&with_self, far, External), Ok(ours.into()));
    assert_eq!(
        of(&with_self, far, Internal),
        Ok(far.into()),
        "reflection changes none"
    );
    let own = advertise(
        &config(Internal),
        &session(Internal, 1),
        &originated("10.1.0.0/24", vec![offer(1)]),
    );
    assert_eq!(own.unwrap().next_hop, ours.into());
}

#[test]
fn rfc2545_3_the_link_local_address_goes_along_on_the_link_only() {
    let (global, link_local): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
        ("2001:db8::254".parse().unwrap(), "fe80::1".parse().unwrap());
    let ours = |single_hop, local_ipv6| {
        let mut session = session(External, 1);
        session.single_hop = single_hop;
        session.local_ipv6 = local_ipv6;
        session.local_link_local = Some(link_local);
        let route = originated("2001:db8:1::/48", vec![offer(1)]);
        advertise(&config(External), &session, &route).map(|advertised| advertised.next_hop)
    };
    assert_eq!(
        ours(true, Some(global)),
        Ok(NextHop::Ipv6WithLinkLocal { global, link_local })
    );
    assert_eq!(
        ours(true, None),
        Ok(NextHop::Ipv6(link_local)),
        "unnumbered"
    );
    assert_eq!(ours(false, Some(global)), Ok(NextHop::Ipv6(global)));
    assert_eq!(ours(false, None), Err(Suppressed::NoNextHop));
    let internal = key(&config(Internal), &session(Internal, 1));
    let far = "2001:db8:9::1".parse().unwrap();
    let pair = NextHop::Ipv6WithLinkLocal {
        global: far,
        link_local,
    };
    let passed_on = hop(&internal, "2001:db8:1::/48", pair, External);
    assert_eq!(passed_on, Ok(NextHop::Ipv6(far)), "without the link's part");
    let on_link = hop(
        &internal,
        "2001:db8:1::/48",
        NextHop::Ipv6(link_local),
        External,
    );
    assert_eq!(on_link, Ok(NextHop::Ipv6(global)), "ours instead");
}

#[test]
fn rfc8950_ipv4_routes_have_an_ipv6_next_hop_only_where_that_was_negotiated() {
    let far = NextHop::from(ip("2001:db8:9::1"));
    for extended in [false, true] {
        let mut session = session(Internal, 1);
        let mut negotiated = negotiated(OWN);
        if extended {
            negotiated.extended_next_hop = vec![(Family::IPV4_UNICAST, bgp::types::Afi::IPV6)];
        }
        session.negotiated = Arc::new(negotiated);
        let passed_on = hop(
            &key(&config(Internal), &session),
            "10.0.0.0/8",
            far,
            External,
        );
        let ours = originated("10.1.0.0/24", vec![offer(1)]);
        let both = advertise(&config(Internal), &session, &ours).unwrap();
        assert_eq!(
            both.next_hop,
            ip("192.0.2.254").into(),
            "IPv4 where there is one"
        );
        session.local_ipv4 = None;
        let own =
            advertise(&config(Internal), &session, &ours).map(|advertised| advertised.next_hop);
        if extended {
            assert_eq!((passed_on, own), (Ok(far), Ok(ip("2001:db8::254").into())));
        } else {
            let expected = (
                Err(Suppressed::NextHopOfOtherFamily),
                Err(Suppressed::NoNextHop),
            );
            assert_eq!((passed_on, own), expected);
        }
    }
}

//! What sessions are of.

use super::*;

use BfdDistance::{ByLink, Direct, Routed};

fn at(remote: &str, distance: BfdDistance) -> Wanted {
    let mut wanted = wanted();
    wanted.remote = ip(remote);
    wanted.bfd.distance = distance;
    wanted
}

/// Bound to eth0.
fn bound(remote: &str, distance: BfdDistance) -> Wanted {
    Wanted {
        interface: Some(2),
        ..at(remote, distance)
    }
}

fn with(local: &str, wanted: Wanted) -> Wanted {
    Wanted {
        local: Some(ip(local)),
        ..wanted
    }
}

/// The key of a peer whose BGP session is this.
fn key(wanted: Wanted, session: BgpSession) -> String {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted);
    owner.session(session);
    owner.words()
}

#[test]
fn without_a_bgp_session_the_key_is_that_of_the_path_that_the_kernel_takes() {
    let on_link = "192.0.2.11 192.0.2.1 2 Single";
    let link_local = "fe80::11 fe80::1 2 Single";
    let gateway = "198.51.100.11 203.0.113.1 0 Multi";
    for (wanted, expected) in [
        (at("192.0.2.1", Direct), on_link),
        (at("192.0.2.1", ByLink), on_link),
        (at("192.0.2.1", Routed), "192.0.2.11 192.0.2.1 0 Multi"),
        (
            with("192.0.2.13", at("192.0.2.1", Direct)),
            "192.0.2.13 192.0.2.1 2 Single",
        ),
        (
            at("2001:db8::1", Direct),
            "2001:db8::11 2001:db8::1 2 Single",
        ),
        // A link-local address means nothing without its interface.
        (at("fe80::1", Direct), "none"),
        (bound("fe80::1", Direct), link_local),
        (bound("fe80::1", ByLink), link_local),
        // Behind the default gateway.
        (at("203.0.113.1", Direct), "none"),
        (at("203.0.113.1", ByLink), gateway),
        (at("203.0.113.1", Routed), gateway),
        // No route leads to it.
        (at("2001:db8:f::1", Direct), "none"),
        (at("2001:db8:f::1", ByLink), "none"),
        (at("2001:db8:f::1", Routed), "none"),
    ] {
        assert_eq!(
            key(wanted.clone(), BgpSession::Down),
            expected,
            "{wanted:?}"
        );
    }
}

#[test]
fn the_address_of_the_bgp_session_counts_more_than_a_guess_and_than_the_configuration() {
    let (one, other) = ("192.0.2.11", "192.0.2.12");
    for (wanted, local, expected) in [
        (
            at("192.0.2.1", Direct),
            other,
            "192.0.2.12 192.0.2.1 2 Single",
        ),
        (
            with(one, at("192.0.2.1", Direct)),
            other,
            "192.0.2.12 192.0.2.1 2 Single",
        ),
        (
            at("203.0.113.1", Routed),
            one,
            "192.0.2.11 203.0.113.1 0 Multi",
        ),
        (
            at("2001:db8:f::1", Routed),
            "2001:db8::11",
            "2001:db8::11 2001:db8:f::1 0 Multi",
        ),
    ] {
        assert_eq!(
            key(wanted.clone(), established(local)),
            expected,
            "{wanted:?}"
        );
    }
}

#[test]
fn multihop_sessions_ask_for_the_least_ttl() {
    for (distance, least_ttl) in [(Direct, None), (Routed, Some(254))] {
        let mut owner = Owner::default();
        owner.feed(Input::View(view(true)));
        let mut wanted = wanted();
        wanted.bfd.distance = distance;
        owner.want(wanted);
        let request = &owner.thread[&7].2;
        assert_eq!(request.least_ttl.map(NonZeroU8::get), least_ttl);
    }
}

#[test]
fn another_address_of_the_session_makes_another_user_of_another_key() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted());
    let (before, ..) = owner.thread[&7];
    let stale = owner.state(UserLevel::Up, 0, false);
    owner.session(established("192.0.2.12"));
    let (after, ..) = owner.thread[&7];
    assert!(after.generation > before.generation);
    assert_eq!(owner.feed(Input::States(&[stale])), []);
}

#[test]
fn a_failed_interface_replaces_no_session() {
    for session in [established("192.0.2.11"), BgpSession::Down] {
        let mut owner = Owner::default();
        owner.feed(Input::View(view(true)));
        let mut wanted = wanted();
        wanted.bfd.distance = ByLink;
        owner.want(wanted);
        owner.session(session);
        let before = owner.thread[&7].clone();
        assert_eq!(owner.feed(Input::View(view(false))), [], "{session:?}");
        assert_eq!(owner.thread[&7], before);
    }
}

#[test]
fn the_session_that_bgp_used_is_kept_when_bgp_loses_its_session() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted());
    // An address of another interface: the peer connected to that one.
    owner.session(established("198.51.100.11"));
    let before = owner.thread[&7].clone();
    owner.session(BgpSession::Down);
    assert_eq!(owner.thread[&7], before);
}

#[test]
fn another_configured_path_replaces_the_session_even_if_nothing_is_known_of_it() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted());
    let elsewhere = Wanted {
        remote: ip("203.0.113.1"),
        ..wanted()
    };
    owner.want(elsewhere);
    assert_eq!(owner.words(), "none");
}

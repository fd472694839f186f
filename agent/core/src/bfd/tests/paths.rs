//! What sessions are of.

use super::*;

#[test]
fn the_key_is_that_of_the_path_that_bgp_takes() {
    let none = BgpSession::Down;
    let at = |remote: &str, distance| {
        let mut wanted = wanted();
        wanted.remote = ip(remote);
        wanted.bfd.distance = distance;
        wanted
    };
    let bound = |remote: &str, distance| Wanted {
        interface: Some(2),
        ..at(remote, distance)
    };
    let with = |local: &str, wanted: Wanted| Wanted {
        local: Some(ip(local)),
        ..wanted
    };
    use BfdDistance::{ByLink, Direct, Routed};
    for (wanted, session, expected) in [
        (
            at("192.0.2.1", Direct),
            none,
            "192.0.2.11 192.0.2.1 2 Single",
        ),
        (
            at("192.0.2.1", ByLink),
            none,
            "192.0.2.11 192.0.2.1 2 Single",
        ),
        (
            at("192.0.2.1", Routed),
            none,
            "192.0.2.11 192.0.2.1 0 Multi",
        ),
        // The session knows better than a guess, and than the configuration.
        (
            at("192.0.2.1", Direct),
            established("192.0.2.12"),
            "192.0.2.12 192.0.2.1 2 Single",
        ),
        (
            with("192.0.2.13", at("192.0.2.1", Direct)),
            none,
            "192.0.2.13 192.0.2.1 2 Single",
        ),
        (
            at("2001:db8::1", Direct),
            none,
            "2001:db8::11 2001:db8::1 2 Single",
        ),
        // A link-local address means nothing without its interface.
        (at("fe80::1", Direct), none, "none"),
        (bound("fe80::1", Direct), none, "fe80::11 fe80::1 2 Single"),
        (bound("fe80::1", ByLink), none, "fe80::11 fe80::1 2 Single"),
        // Behind the default gateway.
        (at("203.0.113.1", Direct), none, "none"),
        (
            at("203.0.113.1", ByLink),
            none,
            "198.51.100.11 203.0.113.1 0 Multi",
        ),
        (
            at("203.0.113.1", Routed),
            none,
            "198.51.100.11 203.0.113.1 0 Multi",
        ),
        // No route leads to it.
        (at("2001:db8:f::1", Direct), none, "none"),
        (at("2001:db8:f::1", ByLink), none, "none"),
        (at("2001:db8:f::1", Routed), none, "none"),
        (
            with("192.0.2.11", at("203.0.113.1", Routed)),
            none,
            "192.0.2.11 203.0.113.1 0 Multi",
        ),
        (
            at("203.0.113.1", Routed),
            established("192.0.2.11"),
            "192.0.2.11 203.0.113.1 0 Multi",
        ),
    ] {
        let mut owner = Owner::default();
        owner.feed(Input::View(view(true)));
        owner.want(wanted.clone());
        owner.session(session);
        assert_eq!(owner.words(), expected, "{wanted:?} {session:?}");
    }
}

#[test]
fn multihop_sessions_ask_for_the_least_ttl() {
    for (distance, least_ttl) in [
        (BfdDistance::Direct, None),
        (BfdDistance::Routed, Some(254)),
    ] {
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
        wanted.bfd.distance = BfdDistance::ByLink;
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

//! Claims about the machine, with a model of the BFD thread.
#![allow(clippy::unwrap_used)]

mod failures;
mod order;
mod paths;

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use routelet_bfd::packet::Diagnostic;
use routelet_bfd::{DownReason, Hops, LastDown};
use routelet_fib::kernel::event::{Address, Event, Hop, Link, Presence, Route, RouteKind};
use routelet_fib::types::MAIN_TABLE;

use super::*;
use crate::intent::{BfdDistance, BfdIntent};

const PEER: PeerId = PeerId(7);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What is wanted of the peer at 192.0.2.1, directly connected.
fn wanted() -> Wanted {
    Wanted {
        bfd: BfdIntent {
            interval: Duration::from_millis(300),
            multiplier: NonZeroU8::new(3).unwrap(),
            passive: false,
            least_ttl: NonZeroU8::new(254).unwrap(),
            distance: BfdDistance::Direct,
            strict: None,
        },
        remote: ip("192.0.2.1"),
        local: None,
        interface: None,
        is_dynamic: false,
    }
}

/// eth0 (2) has 192.0.2.11/24, 2001:db8::11/64 and fe80::11, eth1 (3) has 198.51.100.11/24 and the IPv4 default route.
/// `up`: whether eth0 is.
fn view(up: bool) -> Arc<KernelView> {
    let mut view = KernelView::new(MAIN_TABLE, 1);
    for (ifindex, name) in [(2, "eth0"), (3, "eth1")] {
        let link = Link {
            ifindex,
            name: name.to_owned(),
            admin_up: true,
            up: up || ifindex != 2,
            loopback: false,
        };
        view.apply(Event::Link(Presence::Present, link));
    }
    for (ifindex, address, prefix_len) in [
        (2, "192.0.2.11", 24),
        (2, "2001:db8::11", 64),
        (2, "fe80::11", 64),
        (3, "198.51.100.11", 24),
    ] {
        let address = Address {
            ifindex,
            address: ip(address),
            prefix_len,
            peer: None,
            tentative: false,
            deprecated: false,
            secondary: false,
        };
        view.apply(Event::Address(Presence::Present, address));
        if address.address != ip("fe80::11") {
            let net = address.network().unwrap();
            view.apply(Event::Route(Presence::Present, route(net, None, ifindex)));
        }
    }
    let gateway = Some(ip("198.51.100.1"));
    let default = route("0.0.0.0/0".parse().unwrap(), gateway, 3);
    view.apply(Event::Route(Presence::Present, default));
    Arc::new(view)
}

fn route(prefix: IpNet, gateway: Option<IpAddr>, ifindex: u32) -> Route {
    let hop = Hop {
        gateway,
        ifindex,
        onlink: false,
    };
    Route {
        prefix,
        table: MAIN_TABLE,
        protocol: 2,
        metric: 0,
        kind: RouteKind::Unicast,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: [hop].into_iter().collect(),
    }
}

fn established(local: &str) -> BgpSession {
    BgpSession::Established(Ends {
        local: ip(local),
        interface: None,
    })
}

/// The machine, and what the BFD thread has.
#[derive(Default)]
struct Owner {
    machine: Bfd,
    thread: BTreeMap<u64, (UserId, SessionKey, Request)>,
}

impl Owner {
    /// What is done for an input. The thread follows.
    fn feed(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.machine.handle(input, &mut out);
        for action in &out {
            match action {
                Action::Set(user, Some((key, request))) => {
                    let all = (*user, *key, request.clone());
                    self.thread.insert(user.number, all);
                }
                Action::Set(user, None) => {
                    self.thread.remove(&user.number);
                }
                Action::Route(..) | Action::Bgp(..) | Action::EndRetention(_) => {}
            }
        }
        out
    }

    fn want(&mut self, wanted: Wanted) -> Vec<Action> {
        self.feed(Input::Peer(PEER, Some(wanted)))
    }

    fn session(&mut self, session: BgpSession) -> Vec<Action> {
        self.feed(Input::Session(PEER, session))
    }

    /// The thread reports a state of the peer's session.
    fn report(&mut self, level: UserLevel, transitions: u32, independent: bool) -> Vec<Action> {
        let state = self.state(level, transitions, independent);
        self.feed(Input::States(&[state]))
    }

    fn state(&self, level: UserLevel, transitions: u32, independent: bool) -> UserState {
        let (user, key, _) = self.thread[&u64::from(PEER.0)];
        UserState {
            user,
            key,
            state: level,
            transitions,
            last_down: (transitions > 0).then(|| LastDown {
                at: Instant::now(),
                reason: TIMEOUT,
                control_plane_independent: independent,
            }),
            change_refused: None,
            send_error: None,
            status: None,
        }
    }

    /// The key of the peer's session.
    fn key(&self) -> Option<SessionKey> {
        let (_, key, _) = self.thread.get(&u64::from(PEER.0))?;
        Some(*key)
    }

    /// The key in short: `192.0.2.11 192.0.2.1 2 Single`.
    fn words(&self) -> String {
        self.key().map_or_else(
            || "none".to_owned(),
            |key| {
                let interface = key.interface.map_or(0, std::num::NonZeroU32::get);
                format!("{} {} {interface} {:?}", key.local, key.remote, key.hops)
            },
        )
    }
}

const TIMEOUT: DownReason = DownReason::DetectionTimeExpired;
const RESTARTED: DownReason = DownReason::NeighborSignaledDown(Diagnostic::NONE);

#[test]
fn a_change_of_parameters_is_a_request_for_the_same_session() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted());
    owner.report(UserLevel::Up, 0, false);
    let (user, key, _) = owner.thread[&7].clone();
    let mut faster = wanted();
    faster.bfd.interval = Duration::from_millis(50);
    let out = owner.want(faster.clone());
    assert_eq!(out.len(), 1, "{out:?}");
    assert!(matches!(&out[0], Action::Set(id, Some((of, _))) if *id == user && *of == key));
    assert_eq!(owner.want(faster), []);
}

#[test]
fn a_peer_that_is_removed_or_has_no_bfd_any_more_releases_its_session() {
    for removal in [Input::Removed(PEER), Input::Peer(PEER, None)] {
        let mut owner = Owner::default();
        owner.feed(Input::View(view(true)));
        owner.want(wanted());
        owner.report(UserLevel::Up, 0, false);
        let old = owner.state(UserLevel::Down(TIMEOUT), 1, true);
        let out = owner.feed(removal);
        assert!(matches!(out[0], Action::Route(_, None)), "{out:?}");
        assert!(matches!(out[1], Action::Set(_, None)), "{out:?}");
        assert_eq!(owner.machine.level(PEER), Level::Unknown);
        assert_eq!(owner.machine.show(PEER), None);
        assert_eq!(owner.feed(Input::States(&[old])), []);
        // Wanted again, it is another user: what was on its way is not of it.
        owner.want(wanted());
        assert_eq!(owner.feed(Input::States(&[old])), []);
    }
}

#[test]
fn a_peer_of_a_range_has_a_session_from_its_first_bgp_session_on_and_keeps_it() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    let dynamic = Wanted {
        is_dynamic: true,
        ..wanted()
    };
    assert_eq!(owner.want(dynamic), []);
    owner.session(established("192.0.2.11"));
    assert_eq!(owner.words(), "192.0.2.11 192.0.2.1 2 Single");
    let user = owner.thread[&7].0;
    owner.session(BgpSession::Down);
    assert_eq!(owner.thread[&7].0, user);
    owner.feed(Input::Removed(PEER));
    assert_eq!(owner.words(), "none");
}

/// In strict mode there is no BGP session before there is one of BFD.
#[test]
fn a_peer_of_a_range_that_waits_for_bfd_gets_its_session() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(Wanted {
        is_dynamic: true,
        ..wanted()
    });
    assert_eq!(owner.words(), "none");
    let BgpSession::Established(ends) = established("192.0.2.11") else {
        unreachable!()
    };
    owner.session(BgpSession::AwaitsBfd(ends));
    assert_eq!(owner.words(), "192.0.2.11 192.0.2.1 2 Single");
}

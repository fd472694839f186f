//! What import makes of attributes, seen from outside: the filter of a peer's attributes, changed while its session runs.

mod roles;

use bgp::fsm::{Config, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Nlri, RoutePrefix};
use bgp::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter, UnknownAttribute};
use bgp::wire::capability::Role;
use bgp::wire::{AttributeSet, Capability, Open, PathAttributes, Reach, Update};
use ipnet::{Ipv4Net, Ipv6Net};

use super::super::RibConfig;
use super::*;
use crate::RouteFilter;
use crate::attrs::Resolution;
use crate::peer::PeerKind;
use crate::table::{PathStatus, PathView, Rejection};

const FROM: PeerId = PeerId(0);
const TO: PeerId = PeerId(1);
/// Of each family.
const NEXT_HOPS: [&str; 2] = ["10.9.0.1", "2001:db8::1"];

/// A RIB with a peer that says things and one that hears them.
struct Border {
    rib: Rib,
    now: Instant,
}

/// Takes everything: what a peer is told is asked of the RIB.
struct Sink;

impl crate::Transport for Sink {
    fn send(&mut self, _: PeerId, _: &bytes::Bytes) -> Result<(), crate::Full> {
        Ok(())
    }
}

/// A session with one of [`PEERS`], towards which this is our role.
fn session_as(number: usize, ours: Option<Role>) -> SessionInfo {
    let mut session = session(number, PLAIN);
    let config = Config {
        role: ours,
        ..Config::new(OWN, ROUTER_ID, RemoteAsn::Any, 1)
    };
    // It sends no role of its own.
    let open = Open {
        asn: Asn(PEERS[number].0),
        hold_time: 90,
        identifier: BgpIdentifier(7),
        capabilities: Family::ALL.map(Capability::Multiprotocol).to_vec(),
    };
    session.negotiated = Arc::new(negotiate(&config, &open).unwrap());
    session.local_ipv6 = Some("2001:db8::fe".parse().unwrap());
    session
}

impl Border {
    /// `from` and `to` are places in [`PEERS`].
    fn new(from: (usize, Option<Role>), to: (usize, Option<Role>)) -> Self {
        let mut border = Self {
            rib: Rib::new(RibConfig::new(OWN, ROUTER_ID)),
            now: Instant::now(),
        };
        let reachable = NEXT_HOPS.map(|gateway| {
            let gateway: IpAddr = gateway.parse().unwrap();
            let resolution = Resolution {
                gateway,
                ifindex: 3,
                metric: 0,
                connected: true,
                onlink: false,
            };
            (gateway, resolution)
        });
        let resolver = Resolver(Arc::new(reachable.into_iter().collect()));
        border.rib.next_hops_changed(Arc::new(resolver));
        border.rib.open_gate(border.now);
        for (id, (number, role)) in [(FROM, from), (TO, to)] {
            let config = PeerConfig {
                transit: true,
                ..PeerConfig::new(PEERS[number].1)
            };
            border.rib.set_peer(id, config);
            let session = session_as(number, role);
            border.rib.session_up(id, session, border.now);
        }
        border
    }

    fn announce(&mut self, attributes: &PathAttributes) {
        let v4 = Nlri::new("10.1.0.0/16".parse().unwrap());
        let v6 = Nlri::new("2001:db8:1::/48".parse().unwrap());
        let update = Update {
            attributes: AttributeSet::from_attributes(attributes).unwrap(),
            reach: [Ipv4Net::list(vec![v4]), Ipv6Net::list(vec![v6])]
                .into_iter()
                .zip(NEXT_HOPS)
                .map(|(nlri, next_hop)| Reach {
                    next_hop: next_hop.parse::<IpAddr>().unwrap().into(),
                    nlri,
                })
                .collect(),
            ..Update::default()
        };
        self.rib.updates(FROM, &(&update).into());
    }

    fn filter(&mut self, filter: AttributeFilter) {
        let config = PeerConfig {
            attribute_filter: filter,
            ..self.rib.peers[&FROM].config.clone()
        };
        self.rib.set_peer(FROM, config);
        while self.rib.poll(self.now, 100, &mut Sink) {}
    }

    /// Both families look alike: what each held path says.
    fn held<T: PartialEq + std::fmt::Debug>(&self, say: impl Fn(&PathView<'_>) -> T) -> T {
        let mut said = Vec::new();
        for family in Family::ALL {
            let filter = RouteFilter::all(family);
            let mut each = |route: crate::table::RouteView<'_>| {
                said.extend(route.paths.iter().map(&say));
            };
            self.rib
                .routes(&filter, crate::RoutesCursor::default(), 1000, &mut each);
        }
        let [first, second] = <[T; 2]>::try_from(said).unwrap();
        assert_eq!(first, second);
        first
    }

    /// What the other peer is told in both families.
    fn told(&self) -> Option<PathAttributes> {
        let [first, second] = ["10.1.0.0/16", "2001:db8:1::/48"].map(|prefix| {
            let told = self.rib.explain_export(TO, prefix.parse().unwrap());
            told.unwrap().ok().map(|told| told.attributes.parse())
        });
        assert_eq!(first, second);
        first
    }
}

fn codes(list: &[u8]) -> AttributeCodes {
    list.iter().copied().map(AttributeCode).collect()
}

fn plain(number: usize) -> PathAttributes {
    plain_attributes(1).build(number)
}

fn with_unknown(number: usize, codes: &[u8]) -> PathAttributes {
    let unknown = |code: &u8| UnknownAttribute {
        flags: 0xe0,
        code: *code,
        value: vec![1, 2].into(),
    };
    PathAttributes {
        unknown: codes.iter().map(unknown).collect(),
        med: Some(5),
        ..plain(number)
    }
}

fn unknown_of(attributes: &PathAttributes) -> Vec<u8> {
    attributes.unknown.iter().map(|one| one.code).collect()
}

#[test]
fn a_filter_set_while_the_session_runs_corrects_the_routes_that_are_held() {
    let mut border = Border::new((0, None), (2, None));
    border.announce(&with_unknown(0, &[28, 99]));
    let passed_on = |border: &Border| border.told().map(|told| unknown_of(&told));
    assert_eq!(passed_on(&border), Some(vec![28, 99]));

    border.filter(AttributeFilter {
        discard: codes(&[99]),
        ..AttributeFilter::DEFAULT
    });
    assert_eq!(passed_on(&border), Some(vec![28]));
    let kept = border.held(|path| {
        let received = path.received.map(|set| unknown_of(&set.set.parse()));
        (unknown_of(&path.attributes.set.parse()), received)
    });
    assert_eq!(kept, (vec![28], Some(vec![28, 99])));

    border.filter(AttributeFilter {
        treat_as_withdraw: codes(&[99]),
        ..AttributeFilter::DEFAULT
    });
    assert_eq!(passed_on(&border), None);
    let rejected = border.held(|path| (path.status, path.filtered));
    let status = PathStatus::Rejected(Rejection::AttributeFilter);
    assert_eq!(rejected, (status, Some(AttributeCode(99))));
    // What comes meanwhile is no different.
    border.announce(&with_unknown(0, &[99]));
    assert_eq!(border.held(|path| path.status), status);
    border.announce(&with_unknown(0, &[28]));
    assert_eq!(passed_on(&border), Some(vec![28]));
    border.announce(&with_unknown(0, &[28, 99]));

    border.filter(AttributeFilter::DEFAULT);
    assert_eq!(passed_on(&border), Some(vec![28, 99]), "as it was");
    assert!(border.held(|path| path.received.is_none()));
}

#[test]
fn a_filter_is_about_attributes_that_most_routes_have_too() {
    let mut border = Border::new((0, None), (3, None));
    let mut attributes = with_unknown(0, &[]);
    attributes.communities = vec![Community(7)];
    border.announce(&attributes);
    border.filter(AttributeFilter {
        discard: codes(&[4, 8]),
        ..AttributeFilter::DEFAULT
    });
    let told = border.told().unwrap();
    assert_eq!((told.med, told.communities.as_slice()), (None, &[][..]));
    border.filter(AttributeFilter {
        treat_as_withdraw: codes(&[8]),
        ..AttributeFilter::DEFAULT
    });
    assert_eq!(border.told(), None);
}

#[test]
fn policies_see_a_route_without_what_the_filter_discards() {
    let mut border = Border::new((0, None), (3, None));
    let mut attributes = plain(0);
    attributes.communities = vec![Community(7)];
    border.announce(&attributes);
    let mut config = border.rib.peers[&FROM].config.clone();
    config.import = policies(3);
    border.rib.set_peer(FROM, config);
    border.filter(AttributeFilter {
        discard: codes(&[8]),
        ..AttributeFilter::DEFAULT
    });
    // The policy prepends to the path of routes with this community.
    let told = border.told().unwrap();
    assert_eq!(told.as_path, plain(0).as_path);
    assert_eq!(border.held(|path| path.policy_rule), None);
}

#[test]
fn rfc_8669_5_and_rfc_9012_11_some_attributes_do_not_leave_the_as_and_do_not_come_in() {
    // Between internal peers they are passed on as they came.
    let mut border = Border::new((4, None), (3, None));
    border.announce(&with_unknown(4, &[23, 40, 99]));
    assert_eq!(unknown_of(&border.told().unwrap()), [23, 40, 99]);

    // From an internal peer to an external one, unless that one is of the same administration.
    let mut border = Border::new((4, None), (0, None));
    border.announce(&with_unknown(4, &[23, 40, 99]));
    assert_eq!(unknown_of(&border.told().unwrap()), [99]);
    for (accept, passed) in [(&[40][..], &[40, 99][..]), (&[23, 40], &[23, 40, 99])] {
        let mut config = border.rib.peers[&TO].config.clone();
        config.attribute_filter.accept = codes(accept);
        border.rib.set_peer(TO, config);
        assert_eq!(unknown_of(&border.told().unwrap()), passed);
    }

    // From an external one that was accepted and is not any more: what is held is corrected.
    let mut border = Border::new((0, None), (3, None));
    let accepting = AttributeFilter {
        accept: AttributeFilter::ACCEPTABLE,
        ..AttributeFilter::DEFAULT
    };
    border.filter(accepting);
    border.announce(&with_unknown(0, &[22, 23, 26, 29, 40, 99]));
    assert_eq!(unknown_of(&border.told().unwrap()), [23, 40, 99]);
    border.filter(AttributeFilter::DEFAULT);
    assert_eq!(unknown_of(&border.told().unwrap()), [99]);
}

/// One import policy of one rule for everything.
fn policy(set: crate::policy::Set) -> Vec<Arc<crate::policy::Policy>> {
    vec![Arc::new(crate::policy::Policy {
        name: "test".into(),
        rules: vec![crate::policy::Rule {
            name: "rule".into(),
            matches: crate::policy::Matches::default(),
            set,
            action: crate::policy::Action::Accept,
        }],
    })]
}

#[test]
fn rfc_8326_4_2_a_route_with_graceful_shutdown_has_local_pref_0_here_and_goes_on_with_it() {
    use crate::policy::Set;
    let gshut = vec![Community::GRACEFUL_SHUTDOWN];
    let none = Set::default;
    let prefer = Set {
        local_preference: Some(200),
        ..none()
    };
    let clear = Set {
        clear_communities: true,
        ..none()
    };
    let add = Set {
        add_communities: gshut.clone(),
        ..prefer.clone()
    };
    let discards = AttributeFilter {
        discard: codes(&[8]),
        ..AttributeFilter::DEFAULT
    };
    // From outside, from a client, and from an internal peer to a client.
    for (from, to) in [(0, 3), (0, 4), (4, 3), (3, 4), (0, 2)] {
        let external = PEERS[from].1 == PeerKind::External;
        let outside = PEERS[to].1 == PeerKind::External;
        let announced = (!external).then_some(150);
        for (communities, set, filter, expected) in [
            (&[][..], none(), None, announced),
            (&gshut, none(), None, Some(0)),
            // A policy that prefers the peer does not keep it in use; one that takes the community away does.
            (&gshut, prefer.clone(), None, Some(0)),
            (&gshut, clear.clone(), None, announced),
            (&[], add.clone(), None, Some(0)),
            (&gshut, none(), Some(discards), announced),
        ] {
            let mut border = Border::new((from, None), (to, None));
            let mut config = border.rib.peers[&FROM].config.clone();
            config.import = policy(set.clone());
            border.rib.set_peer(FROM, config);
            border.filter(filter.unwrap_or(AttributeFilter::DEFAULT));
            border.announce(&PathAttributes {
                communities: communities.to_vec(),
                local_pref: announced,
                ..plain(from)
            });
            let case = format!("{from} to {to}: {communities:?} {set:?} {filter:?}");
            let held = border.held(|path| path.attributes.set.local_pref());
            assert_eq!(held, expected, "{case}");
            let told = border.told().unwrap();
            let passed_on = (!outside).then_some(expected.unwrap_or(100));
            assert_eq!(told.local_pref, passed_on, "{case}");
            // The community goes on, wherever it was not taken away.
            let kept = told.communities.contains(&Community::GRACEFUL_SHUTDOWN);
            assert_eq!(kept, expected == Some(0), "{case}");
        }
    }
}

//! Attributes that grow past what any attribute can have when import changes them: a peer must not get past a policy, or
//! past LLGR_STALE, by sending as many communities as a message holds.
#![allow(clippy::unwrap_used)]

use bgp::types::{Nlri, RoutePrefix};
use bgp::wire::{AttributeSet, PathAttributes, Reach, Update};
use ipnet::Ipv4Net;

use super::*;
use crate::policy::{Action, Matches, Policy, Rule as PolicyRule, Set};
use crate::table::{PathStatus, Rejection};

/// As many communities as an attribute holds: with one more it has 65,536 octets.
const MOST: u32 = 65_535 / 4;

fn set(set: Set) -> Vec<Arc<Policy>> {
    vec![Arc::new(Policy {
        name: "import".to_owned(),
        rules: vec![PolicyRule {
            name: "all".to_owned(),
            matches: Matches::default(),
            set,
            action: Action::Accept,
        }],
    })]
}

/// Peer 1, with graceful restart of both kinds and this import policy, announces a prefix with so many communities.
fn announced(import: Vec<Arc<Policy>>, communities: u32) -> World {
    let mut world = World::new();
    let config = PeerConfig {
        import,
        ..peer_config(1)
    };
    world.set_peer(1, config);
    let kind = SessionKind {
        graceful: true,
        restarting: false,
        forwarding: true,
        long_lived: true,
        ipv6: false,
    };
    world.apply(&Op::Up(1, kind));
    let attributes = PathAttributes {
        communities: (0..communities).map(Community).collect(),
        ..plain_attributes(1).build(1)
    };
    let nlri = vec![Nlri::new("10.0.0.0/16".parse::<Ipv4Net>().unwrap())];
    let reach = Reach {
        next_hop: plain_attributes(1).next_hop(),
        nlri: Ipv4Net::list(nlri),
    };
    let update = Update {
        attributes: AttributeSet::from_attributes(&attributes).unwrap(),
        reach: [reach].into_iter().collect(),
        ..Update::default()
    };
    world.update(1, &update);
    while world.poll(100) {}
    world
}

/// What became of the path.
fn status(world: &World) -> Option<PathStatus> {
    let route = world.rib.route("10.0.0.0/16".parse().unwrap())?;
    let path = route.paths.iter().find(|path| path.peer.is_some())?;
    Some(path.status)
}

#[test]
fn a_path_that_grows_too_long_in_an_import_policy_is_rejected_and_not_used_without_the_policy() {
    let lower = Set {
        local_preference: Some(10),
        add_communities: vec![Community(u32::MAX)],
        ..Set::default()
    };
    let rejected = announced(set(lower.clone()), MOST);
    let too_long = PathStatus::Rejected(Rejection::TooLong);
    assert_eq!(status(&rejected), Some(too_long));
    let fits = announced(set(lower), MOST - 1);
    assert!(matches!(status(&fits), Some(PathStatus::Best(_))));
}

#[test]
fn rfc9494_4_3_a_stale_path_without_room_for_llgr_stale_is_not_kept() {
    for (communities, kept) in [(MOST - 1, true), (MOST, false)] {
        let mut world = announced(Vec::new(), communities);
        assert!(matches!(status(&world), Some(PathStatus::Best(_))));
        world.apply(&Op::Down(1, true));
        // The restart time is 30 s; what is long-lived stale after it stays 100 s more.
        world.now += Duration::from_secs(31);
        while world.poll(100) {}
        let now = status(&world);
        if kept {
            assert!(matches!(now, Some(PathStatus::Best(_))), "{now:?}");
        } else {
            assert_eq!(now, Some(PathStatus::Rejected(Rejection::TooLong)));
        }
    }
}

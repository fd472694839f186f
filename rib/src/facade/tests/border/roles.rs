//! Only to Customer (RFC 9234 section 5) for every role, in both families.

use super::*;

/// Our roles towards external peers, and what the peer is then.
const ROLES: [(Option<Role>, Option<Role>); 6] = [
    (None, None),
    (Some(Role::Customer), Some(Role::Provider)),
    (Some(Role::RouteServerClient), Some(Role::RouteServer)),
    (Some(Role::RouteServer), Some(Role::RouteServerClient)),
    (Some(Role::Provider), Some(Role::Customer)),
    (Some(Role::Peer), Some(Role::Peer)),
];

#[test]
fn rfc_9234_5_ingress_by_our_role_towards_a_peer_that_sends_none() {
    let peer = Asn(PEERS[0].0);
    let other = Asn(4711);
    for (ours, theirs) in ROLES {
        for mark in [None, Some(peer), Some(other)] {
            let mut border = Border::new((0, ours), (3, None));
            border.announce(&PathAttributes {
                only_to_customer: mark,
                ..plain(0)
            });
            let leaked = match theirs {
                // Rule 1.
                Some(Role::Customer | Role::RouteServerClient) => mark.is_some(),
                // Rule 2.
                Some(Role::Peer) => mark == Some(other),
                _ => false,
            };
            let rejected = border.held(|path| path.status);
            let leak = PathStatus::Rejected(Rejection::RouteLeak);
            assert_eq!(rejected == leak, leaked, "{theirs:?} sends {mark:?}");
            // Rule 3; inside the AS the mark stays as it is.
            let expected = match theirs {
                Some(Role::Provider | Role::Peer | Role::RouteServer) => mark.or(Some(peer)),
                _ => mark,
            };
            let told = border.told().map(|told| told.only_to_customer);
            assert_eq!(
                told,
                (!leaked).then_some(expected),
                "{theirs:?} sends {mark:?}"
            );
        }
    }
}

#[test]
fn rfc_9234_5_egress_by_our_role_towards_a_peer_that_sends_none() {
    for (ours, theirs) in ROLES {
        for mark in [None, Some(Asn(4711))] {
            let mut border = Border::new((3, None), (0, ours));
            border.announce(&PathAttributes {
                only_to_customer: mark,
                ..plain(3)
            });
            let told = border.told().map(|told| told.only_to_customer);
            let expected = match (theirs, mark) {
                // Rule 2.
                (Some(Role::Provider | Role::Peer | Role::RouteServer), Some(_)) => None,
                // Rule 1.
                (Some(Role::Customer | Role::Peer | Role::RouteServerClient), _) => {
                    Some(mark.or(Some(OWN)))
                }
                _ => Some(mark),
            };
            assert_eq!(told, expected, "{theirs:?} is told {mark:?}");
        }
    }
}

#[test]
fn rfc_9234_internal_peers_are_never_marked_and_marks_are_reflected() {
    // A role that was configured for an internal peer by mistake, in each direction.
    for (ours, _) in ROLES {
        for mark in [None, Some(OWN), Some(Asn(4711))] {
            let mut border = Border::new((4, ours), (3, ours));
            border.announce(&PathAttributes {
                only_to_customer: mark,
                ..plain(4)
            });
            let told = border.told().map(|told| told.only_to_customer);
            assert_eq!(told, Some(mark), "{ours:?}");
        }
    }
}

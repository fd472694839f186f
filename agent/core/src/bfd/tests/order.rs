//! Inputs are levels: their order does not matter, nor whether they are repeated.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Fact {
    View,
    Peer,
    Session,
    State,
}

fn distances() -> impl Strategy<Value = BfdDistance> {
    prop_oneof![
        Just(BfdDistance::Direct),
        Just(BfdDistance::Routed),
        Just(BfdDistance::ByLink)
    ]
}

fn levels() -> impl Strategy<Value = (UserLevel, u32)> {
    prop_oneof![
        Just((UserLevel::NotYetUp, 0)),
        Just((UserLevel::Up, 0)),
        Just((UserLevel::RemoteAdminDown, 0)),
    ]
}

proptest! {
    #[test]
    fn any_order_of_the_same_facts_ends_in_the_same_outputs(
        order in Just(vec![Fact::View, Fact::Peer, Fact::Session, Fact::State]).prop_shuffle(),
        repeated in proptest::collection::vec(any::<bool>(), 4),
        distance in distances(),
        is_dynamic in any::<bool>(),
        local in prop_oneof![Just("192.0.2.11"), Just("192.0.2.12")],
        level in levels(),
    ) {
        let run = |order: &[(Fact, bool)]| {
            let mut owner = Owner::default();
            // The thread reports a state for each new user, and again whatever it says now.
            let report = |owner: &mut Owner| {
                if owner.key().is_some() {
                    owner.report(level.0, level.1, false);
                }
            };
            for (fact, is_repeated) in order {
                for _ in 0..=u8::from(*is_repeated) {
                    match fact {
                        Fact::View => drop(owner.feed(Input::View(view(true)))),
                        Fact::Peer => {
                            let mut wanted = wanted();
                            wanted.bfd.distance = distance;
                            wanted.is_dynamic = is_dynamic;
                            owner.want(wanted);
                        }
                        Fact::Session => drop(owner.session(established(local))),
                        Fact::State => {}
                    }
                    report(&mut owner);
                }
            }
            let router = owner.machine.peers[&PEER].router;
            let request = owner.thread.get(&7).map(|(_, _, request)| request.clone());
            (owner.key(), request, router, owner.machine.level(PEER))
        };
        let shuffled: Vec<_> = order.iter().copied().zip(repeated).collect();
        let plain = [Fact::View, Fact::Peer, Fact::Session].map(|fact| (fact, false));
        let found = run(&shuffled);
        prop_assert!(found.0.is_some());
        prop_assert_eq!(found, run(&plain));
    }
}

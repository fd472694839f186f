//! A plan that is brought up to date is the one made from nothing, whatever changes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use routelet_fib::Refusal;

use super::generators::{GAPS, STEPS, facts, gap, mixed, phase, with_gaps};
use super::*;
use crate::intent::tests::properties::documents;

proptest! {
    #![proptest_config(crate::soak::cases(96))]

    #[test]
    fn a_plan_that_is_brought_up_to_date_is_one_that_is_made_from_nothing(
        clusters in prop::collection::vec(documents(), 2..5),
        what in prop::collection::vec(0..STEPS.len(), 4),
        phases in prop::collection::vec(phase(), 4),
        mut views in prop::collection::vec(facts(), 5),
        known in prop::collection::vec(any::<bool>(), 4),
        gaps in prop::collection::vec(prop::collection::vec(gap(), 4), 5),
    ) {
        let mut index = with_gaps(state(&clusters[0].concat()), &gaps[0]);
        let mut planner = Planner::new("n0");
        let (mut intent, change) = planner.plan(&index, &views[0], Phase::default());
        prop_assert_eq!(change, Change::Everything);
        let (mut routes, mut refusals) = (originated(&intent), refused(&intent));
        let mut at = Phase::default();
        for (step, cluster) in clusters.iter().enumerate().skip(1) {
            let kinds = STEPS[what[step - 1]];
            let at_nodes = if kinds.contains(&"Node") || kinds == [GAPS] { step } else { 0 };
            let wanted = with_gaps(mixed(&clusters[0], cluster, kinds), &gaps[at_nodes]);
            let before = index.clone();
            follow_all(&mut index, &wanted);
            // Now and then something else changes at the same time.
            // As the agent does, which hands in what the last plan found.
            if known[step - 1] {
                views[step].identity = intent.router.identity;
            }
            let phase = if what[step - 1] == 1 { phases[step - 1] } else { at };
            let (next, change) = planner.plan(&index, &views[step], phase);
            let (from_nothing, _) = Planner::new("n0").plan(&wanted, &views[step], phase);
            prop_assert_eq!(&next, &from_nothing);
            let ground_is_the_same = phase == at && before.advertisements == index.advertisements;
            match change {
                Change::Nothing => prop_assert_eq!(&next, &intent),
                Change::Parts(parts) => {
                    prop_assert!(ground_is_the_same);
                    for RouteChange { prefix, route, refusal } in parts.routes {
                        let before = (routes.get(&prefix), refusals.get(&prefix).copied());
                        prop_assert_ne!(before, (route.as_ref(), refusal));
                        match route {
                            Some(route) => routes.insert(prefix, route),
                            None => routes.remove(&prefix),
                        };
                        match refusal {
                            Some(refusal) => refusals.insert(prefix, refusal),
                            None => refusals.remove(&prefix),
                        };
                    }
                    prop_assert_eq!(&refusals, &refused(&next));
                    prop_assert_eq!(&routes, &originated(&next));
                    let peers = (&next.peers, &next.policies, &next.warnings);
                    prop_assert_eq!(parts.peers, peers != (&intent.peers, &intent.policies, &intent.warnings));
                    if !parts.guard {
                        prop_assert_eq!(&next.router, &intent.router);
                    }
                    let mut router = next.router.clone();
                    router.fib.clone_from(&intent.router.fib);
                    prop_assert_eq!(&router, &intent.router);
                }
                Change::Everything => (routes, refusals) = (originated(&next), refused(&next)),
            }
            (intent, at) = (next, phase);
        }
    }
}

fn originated(intent: &Intent) -> BTreeMap<IpNet, rib::Originated> {
    let routes = intent.originated.iter();
    routes.map(|(p, r)| (*p, r.route.clone())).collect()
}

fn refused(intent: &Intent) -> BTreeMap<IpNet, Refusal> {
    let routes = intent.originated.iter();
    routes.filter_map(|(p, r)| Some((*p, r.refusal?))).collect()
}

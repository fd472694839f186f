//! Claims about plans that are brought up to date: they are those that are made from nothing, and what is said to be new in
//! them is all that is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::properties::documents;
use super::*;
use crate::cluster::Map;

/// Makes a map another one as an index does: what differs is put in or taken out, the rest is shared.
fn follow<K: Ord + Clone, V: Clone + PartialEq>(map: &mut Map<K, V>, wanted: &Map<K, V>) {
    for (key, value) in wanted {
        if map.get(key) != Some(value) {
            map.insert(key.clone(), value.clone());
        }
    }
    let gone: Vec<K> = map
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .collect();
    for key in gone {
        map.remove(&key);
    }
}

fn follow_all(state: &mut ClusterState, wanted: &ClusterState) {
    follow(&mut state.routers, &wanted.routers);
    follow(&mut state.peers, &wanted.peers);
    follow(&mut state.advertisements, &wanted.advertisements);
    follow(&mut state.policies, &wanted.policies);
    follow(&mut state.nodes, &wanted.nodes);
    follow(&mut state.namespaces, &wanted.namespaces);
    follow(&mut state.services, &wanted.services);
    follow(&mut state.endpoint_slices, &wanted.endpoint_slices);
}

/// A state that differs from another in a part of its documents: of two clusters, those of one kind from the second.
fn mixed(one: &[String], other: &[String], kinds: &[&str]) -> ClusterState {
    let is_of = |text: &String| {
        kinds
            .iter()
            .any(|kind| text.contains(&format!("kind: {kind}\n")))
    };
    let kept = one.iter().filter(|text| !is_of(text));
    let all: Vec<String> = kept
        .chain(other.iter().filter(|text| is_of(text)))
        .cloned()
        .collect();
    state(&all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_is_brought_up_to_date_is_one_that_is_made_from_nothing(
        clusters in prop::collection::vec(documents(), 2..5),
        what in prop::collection::vec(0..4usize, 4),
        drains in prop::collection::vec(any::<bool>(), 4),
    ) {
        let mut index = state(&clusters[0].concat());
        let mut planner = Planner::new("n0");
        let (mut intent, change) = planner.plan(&index, &LocalFacts::default(), false);
        prop_assert_eq!(change, Change::Everything);
        let mut routes: BTreeMap<IpNet, rib::Originated> =
            intent.originated.iter().map(|(p, r)| (*p, r.route.clone())).collect();
        let mut drained = false;
        for (step, cluster) in clusters.iter().enumerate().skip(1) {
            let kinds: &[&str] = [&["EndpointSlice"][..], &["Service"], &["Service", "EndpointSlice"], &["Advertisement"]]
                [what[step - 1]];
            let wanted = mixed(&clusters[0], cluster, kinds);
            let before = index.clone();
            follow_all(&mut index, &wanted);
            // Now and then something else changes at the same time.
            let drain = drains[step - 1] && what[step - 1] == 1;
            let (next, change) = planner.plan(&index, &LocalFacts::default(), drain);
            let (from_nothing, _) = Planner::new("n0").plan(&wanted, &LocalFacts::default(), drain);
            prop_assert_eq!(&next, &from_nothing);
            let only_services = drain == drained && before.advertisements == index.advertisements;
            match change {
                Change::Nothing => prop_assert_eq!(&next, &intent),
                Change::Services { routes: changes, guard } => {
                    prop_assert!(only_services);
                    for RouteChange { prefix, route } in changes {
                        prop_assert_ne!(routes.get(&prefix), route.as_ref());
                        match route {
                            Some(route) => routes.insert(prefix, route),
                            None => routes.remove(&prefix),
                        };
                    }
                    let now: BTreeMap<_, _> = next.originated.iter().map(|(p, r)| (*p, r.route.clone())).collect();
                    prop_assert_eq!(&routes, &now);
                    if !guard {
                        prop_assert_eq!(&next.router, &intent.router);
                    }
                    let mut router = next.router.clone();
                    router.fib.clone_from(&intent.router.fib);
                    prop_assert_eq!(&router, &intent.router);
                    prop_assert_eq!(&next.peers, &intent.peers);
                }
                Change::Everything => {
                    routes = next.originated.iter().map(|(p, r)| (*p, r.route.clone())).collect();
                }
            }
            (intent, drained) = (next, drain);
        }
    }
}

/// What does not change costs nothing, and is shared.
#[test]
fn an_endpoint_that_turns_ready_changes_the_routes_of_its_service_and_nothing_else() {
    let service = |n: u32| {
        let address = format!("{{ip: 203.0.113.{n}}}");
        service(&format!("s{n}"), "type: LoadBalancer", &address)
    };
    let text: String = (0..100).map(service).collect();
    let ready = |ready| slice("e", "s7", "IPv4", &[("n1", &format!("ready: {ready}"))]);
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "") + &text;
    let mut index = state(&(base.clone() + &ready(false)));
    let mut planner = Planner::new("n0");
    let (before, _) = planner.plan(&index, &LocalFacts::default(), false);
    let (same, change) = planner.plan(&index, &LocalFacts::default(), false);
    assert!(Arc::ptr_eq(&before, &same) && change == Change::Nothing);
    follow_all(&mut index, &state(&(base + &ready(true))));
    let (after, change) = planner.plan(&index, &LocalFacts::default(), false);
    let Change::Services {
        routes: changes,
        guard: false,
    } = change
    else {
        panic!("{change:?}");
    };
    let changed: Vec<String> = changes.iter().map(|c| c.prefix.to_string()).collect();
    assert_eq!(changed, ["203.0.113.7/32"]);
    assert!(changes[0].route.is_some());
    assert!(Arc::ptr_eq(&before.peers, &after.peers));
    let key = |n: u32| crate::cluster::ObjectKey::new("d", format!("s{n}"));
    assert!(Arc::ptr_eq(
        &before.services[&key(8)],
        &after.services[&key(8)]
    ));
}

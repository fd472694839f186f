//! An allocation that is kept up to date is the one that is made from nothing.

use proptest::prelude::*;

use super::properties::{Drawn, drawn_state, request, service};
use super::*;

/// What happens between two allocations.
#[derive(Clone, Debug)]
enum Step {
    /// Services appear or change.
    Put(Vec<(usize, Drawn)>),
    /// One goes.
    Remove(usize),
    /// The decisions on some are written: those whose place, modulo 7, has its bit.
    Write(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec((0..16_usize, service()), 1..4).prop_map(Step::Put),
        1 => (0..16_usize).prop_map(Step::Remove),
        3 => any::<u8>().prop_map(Step::Write),
    ]
}

/// The Service of a number: its namespace is drawn, so that it may be in either.
fn keys(state: &State, number: usize) -> Vec<ObjectKey> {
    let name = format!("s{number}");
    let named = state.services.keys().filter(|key| *key.name == *name);
    named.cloned().collect()
}

/// Does a step to the state. Returns the Services that it touched.
fn take(state: &mut State, allocation: &Allocation, step: &Step) -> BTreeSet<ObjectKey> {
    let mut touched = BTreeSet::new();
    match step {
        Step::Put(services) => {
            for (number, drawn) in services {
                let request = request(*number, drawn);
                touched.insert(request.key.clone());
                state
                    .services
                    .insert(request.key.clone(), Arc::new(request));
            }
        }
        Step::Remove(number) => {
            for key in keys(state, *number) {
                state.services.remove(&key);
                touched.insert(key);
            }
        }
        Step::Write(some) => {
            let mut written = allocation.clone();
            let mut at = 0;
            written.services.retain(|_, _| {
                at += 1;
                some & (1 << (at % 7)) != 0
            });
            write(state, &written);
            touched.extend(written.services.into_keys());
        }
    }
    touched
}

fn update(
    allocator: &mut Allocator,
    state: &State,
    touched: BTreeSet<ObjectKey>,
) -> BTreeSet<ObjectKey> {
    allocator.update(touched.into_iter().map(|key| {
        let request = state.services.get(&key).cloned();
        (key, request)
    }))
}

proptest! {
    #![proptest_config(crate::soak::cases(512))]

    #[test]
    fn it_equals_the_one_made_from_nothing(first in drawn_state(), steps in prop::collection::vec(step(), 1..12)) {
        let mut state = first;
        let mut allocator = Allocator::new(state.clone());
        for step in steps {
            let before = allocator.allocation().clone();
            let touched = take(&mut state, &before, &step);
            let looked = update(&mut allocator, &state, touched);
            prop_assert_eq!(allocator.state(), &state);
            let expected = allocate(&state);
            prop_assert_eq!(allocator.allocation(), &expected, "after {:?}", step);
            let differs = |key: &&ObjectKey| before.services.get(*key) != expected.services.get(*key);
            let differing = before.services.keys().chain(expected.services.keys()).filter(differs);
            for key in differing {
                prop_assert!(looked.contains(key), "{} is not looked at after {:?}", key, step);
            }
        }
    }
}

/// Two hundred Services that have their addresses, and one that waits.
fn settled() -> (Cluster, Allocator) {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0-203.0.113.199]")]);
    for at in 0..200 {
        cluster.service(&format!("s{at:03}"), V4);
    }
    cluster.settle();
    cluster.service("waits", V4);
    let allocator = Allocator::new(cluster.state.clone());
    (cluster, allocator)
}

#[test]
fn only_who_waits_and_who_changed_is_decided_upon() {
    let (mut cluster, mut allocator) = settled();
    assert_eq!(allocator.unsettled(), [key("waits")]);
    // A Service that is refused whatever others have is not looked at again either.
    cluster.annotated("asks", V4, "routelet.dev/addresses: 192.0.2.1");
    let looked = update(&mut allocator, &cluster.state, [key("asks")].into());
    assert_eq!(looked, [key("asks")].into());
    assert_eq!(allocator.unsettled(), [key("waits")]);
    // One goes, and the one that waits gets its address; once that is written nobody is left.
    cluster.state.services.remove(&key("s017"));
    let looked = update(&mut allocator, &cluster.state, [key("s017")].into());
    assert_eq!(looked, [key("s017"), key("waits")].into());
    let decision = &allocator.allocation().services[&key("waits")];
    assert_eq!(shown(decision), "203.0.113.17 p");
    cluster.settle();
    let looked = update(&mut allocator, &cluster.state, [key("waits")].into());
    assert_eq!(looked, [key("waits")].into());
    assert_eq!(allocator.unsettled(), []);
}

#[test]
fn an_older_service_that_turns_up_with_the_address_of_one_that_is_settled_displaces_it() {
    let (mut cluster, mut allocator) = settled();
    cluster.holding("s199", V4, &["203.0.113.7"]);
    cluster.change("s199", |request| request.created = Created(Some(0)));
    let looked = update(&mut allocator, &cluster.state, [key("s199")].into());
    // The address that this one had is for the older of the two that are without.
    assert_eq!(looked, [key("s007"), key("s199")].into());
    let shown = |name| shown(&allocator.allocation().services[&key(name)]);
    assert_eq!(
        [shown("s007"), shown("s199")],
        ["203.0.113.199 p", "203.0.113.7 p"]
    );
    assert_eq!(allocator.unsettled(), [key("s007"), key("waits")]);
}

/// What a Service holds back from others: its cluster IP, its external IP, an address of another load balancer.
#[test]
fn what_others_cannot_have_because_of_a_service_counts_at_once() {
    let (mut cluster, _) = settled();
    let mut waiting = Vec::new();
    for (at, spec) in [
        "type: ClusterIP, clusterIP: 203.0.113.200",
        "type: LoadBalancer, loadBalancerClass: example.com/other",
    ]
    .into_iter()
    .enumerate()
    {
        cluster.pool("q", "addresses: [203.0.113.200]");
        cluster.holding("other", spec, &["203.0.113.200"][..at]);
        let mut allocator = Allocator::new(cluster.state.clone());
        waiting.push(shown(&allocator.allocation().services[&key("waits")]));
        cluster.state.services.remove(&key("other"));
        let looked = update(&mut allocator, &cluster.state, [key("other")].into());
        assert!(looked.contains(&key("waits")), "{spec}: {looked:?}");
        let decision = &allocator.allocation().services[&key("waits")];
        assert_eq!(shown(decision), "203.0.113.200 q");
    }
    assert!(
        waiting
            .iter()
            .all(|text| text.contains("no IPv4 address is free")),
        "{waiting:?}"
    );
}

//! Claims about what is refused: which rules and routes there are, in which order they come and go, and that others win.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::refusal::{DEFAULT_TABLE, METRIC, RULE_PRIORITY, Refusal, RefusalChange};

const SERVICE: &str = "203.0.113.7/32";
const SERVICE_6: &str = "2001:db8:f::7/128";
const AGGREGATE: &str = "203.0.113.0/24";
const PODS: &str = "10.244.3.0/24";
const OTHER: &str = "198.51.100.0/24";

fn wanted() -> Vec<(IpNet, Refusal)> {
    vec![
        (net(SERVICE), Refusal::Service),
        (net(SERVICE_6), Refusal::Service),
        (net(AGGREGATE), Refusal::Aggregate),
        (net(PODS), Refusal::FreePodAddresses),
        (net(OTHER), Refusal::Aggregate),
    ]
}

/// A world whose node refuses all of [`wanted`].
fn refusing() -> World {
    let mut world = World::new();
    world.plan.set_refused(None, wanted());
    world.step(Step::Drive);
    world
}

/// The rules of a family as `ip rule` shows those parts that differ.
fn rules(world: &World, ipv6: bool) -> Vec<String> {
    let of = world.kernel.rules.iter().filter(|rule| rule.ipv6 == ipv6);
    let shown = of.map(|rule| {
        assert_eq!(rule.priority, RULE_PRIORITY);
        assert_eq!(rule.not_local, rule.destination.is_none());
        let to = rule
            .destination
            .map_or("all".to_owned(), |net| net.to_string());
        let suppress = rule.suppress.map(|s| format!(" suppress {s}"));
        format!("{to}: {}{}", rule.table, suppress.unwrap_or_default())
    });
    shown.collect()
}

/// The destinations that the table holds.
fn refused(world: &World) -> Vec<String> {
    let routes = world.kernel.routes.iter();
    let ours = routes.filter(|(id, route)| {
        let refuses = route.protocol == ROUTE_PROTOCOL && route.target == Target::Unreachable;
        assert!(
            !refuses || (id.1, id.2) == (DEFAULT_TABLE, METRIC),
            "{id:?}"
        );
        refuses
    });
    ours.map(|(id, _)| id.0.to_string()).collect()
}

fn change(prefix: &str, refusal: Option<Refusal>) -> RefusalChange {
    RefusalChange {
        prefix: net(prefix),
        refusal,
    }
}

#[test]
fn addresses_have_a_route_and_networks_a_rule_before_it_that_lets_the_main_table_answer() {
    let world = refusing();
    let last = format!("all: {DEFAULT_TABLE}");
    let mut of_v4 = rules(&world, false);
    assert_eq!(of_v4.pop().as_ref(), Some(&last), "it comes last");
    of_v4.sort();
    assert_eq!(
        of_v4,
        [
            "10.244.3.0/24: 254 suppress 23",
            "198.51.100.0/24: 254 suppress 23",
            "203.0.113.0/24: 254 suppress 23",
        ]
    );
    assert_eq!(rules(&world, true), [last]);
    assert_eq!(
        refused(&world),
        [PODS, OTHER, AGGREGATE, SERVICE, SERVICE_6]
    );
    let all = world.plan.refused_after(None, 2);
    let rest = world.plan.refused_after(all.last().copied(), 100);
    let all = all.into_iter().chain(rest);
    let shown: Vec<RefusalStatus> = all
        .filter_map(|prefix| world.plan.refusal(prefix, world.now))
        .collect();
    assert_eq!(shown.len(), 5);
    for one in shown {
        assert_eq!(one.state, Some(FibRouteState::Installed), "{one:?}");
    }
    let counters = world.plan.counters();
    assert_eq!((counters.refusing_ipv4, counters.refusing_ipv6), (4, 1));
}

#[test]
fn learned_routes_in_a_table_of_their_own_win_like_those_of_the_main_table() {
    let space = RouteSpace {
        table: 100,
        metric: 20,
    };
    let mut world = World::new();
    world.plan = Plan::new(space, DEFAULT_TABLE, GuardRails::default());
    adopt(&mut world.plan, &world.kernel);
    world
        .plan
        .set_refused(None, [(net(AGGREGATE), Refusal::Aggregate)]);
    world.step(Step::Drive);
    let expected = [
        "203.0.113.0/24: 100 suppress 23",
        "203.0.113.0/24: 254 suppress 23",
    ];
    let mut first = rules(&world, false);
    assert_eq!(first.pop(), Some(format!("all: {DEFAULT_TABLE}")));
    first.sort();
    assert_eq!(first, expected);
}

/// At no moment is a network refused that the main table has not been asked about.
#[test]
fn a_network_is_never_refused_before_its_rule_is_there_nor_after_it_has_gone() {
    let mut world = World::new();
    let steps = [
        vec![change(AGGREGATE, Some(Refusal::Aggregate))],
        vec![
            change(PODS, Some(Refusal::FreePodAddresses)),
            change(SERVICE, Some(Refusal::Service)),
        ],
        vec![change(AGGREGATE, Some(Refusal::FreePodAddresses))],
        vec![change(AGGREGATE, None)],
        vec![change(PODS, None), change(SERVICE, None)],
    ];
    world.plan.set_refused(None, []);
    for changes in steps {
        world.plan.change_refused(changes);
        loop {
            let ops = world.plan.next_batch(world.now, 1);
            if ops.is_empty() {
                break;
            }
            for op in &ops {
                world.kernel.apply(op).unwrap();
                asks_the_main_table_first(&world);
            }
            world.plan.carried_out(&ops);
        }
    }
    assert_eq!((refused(&world).len(), world.kernel.rules.len()), (0, 0));
}

fn asks_the_main_table_first(world: &World) {
    for prefix in refused(world).iter().map(|text| net(text)) {
        let family = world.kernel.rules.iter();
        let family = family.filter(|rule| rule.ipv6 == prefix.addr().is_ipv6());
        let rules: Vec<&Rule> = family.collect();
        let refuses = rules.iter().position(|rule| rule.suppress.is_none());
        let length = prefix.prefix_len();
        let yields = |rule: &&Rule| {
            rule.destination.is_none_or(|to| to == prefix)
                && rule.suppress.is_some_and(|s| s < length)
        };
        let asked = rules.iter().position(yields);
        let is_address = length == prefix.max_prefix_len();
        if let Some(refuses) = refuses
            && !is_address
        {
            assert!(
                asked.is_some_and(|asked| asked < refuses),
                "{prefix}: {rules:?}"
            );
        }
    }
}

#[test]
fn many_networks_of_one_length_share_a_rule_and_few_again_have_their_own() {
    let mut world = World::new();
    let all: Vec<IpNet> = many(40).collect();
    let refuse = |nets: &[IpNet]| {
        nets.iter()
            .map(|net| (*net, Refusal::Aggregate))
            .collect::<Vec<_>>()
    };
    for few in [false, true, false] {
        let nets = if few { &all[..32] } else { &all };
        world.plan.set_refused(None, refuse(nets));
        world.step(Step::Drive);
        let rules = rules(&world, false);
        assert_eq!(rules.len(), if few { 33 } else { 2 }, "{rules:?}");
        assert_eq!(rules.contains(&"all: 254 suppress 23".to_owned()), !few);
        assert_eq!(refused(&world).len(), nets.len());
    }
}

#[test]
fn an_address_that_somebody_has_a_route_to_is_left_to_it_while_it_is_there() {
    let mut world = refusing();
    for kind in [RouteKind::Unicast, RouteKind::Other] {
        let foreign = Route {
            prefix: net(SERVICE),
            table: 254,
            protocol: 4,
            metric: 0,
            kind,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::SmallVec::new(),
        };
        world.plan.route_event(Presence::Present, &foreign);
        world.step(Step::Drive);
        assert!(!refused(&world).contains(&SERVICE.to_owned()));
        let shown = world.plan.refusal(net(SERVICE), world.now).unwrap();
        assert_eq!(shown.state, None, "shown as somebody else's");
        // There may be another one, so a listing has to tell.
        world.plan.route_event(Presence::Gone, &foreign);
        world.step(Step::Drive);
        assert!(refused(&world).contains(&SERVICE.to_owned()));
    }
}

#[test]
fn a_table_with_routes_of_others_is_not_consulted() {
    let mut world = refusing();
    let id = (net("0.0.0.0/0"), DEFAULT_TABLE, 0);
    let stranger = FakeRoute {
        protocol: 4,
        target: Target::Unreachable,
    };
    world.kernel.routes.insert(id, stranger.clone());
    adopt(&mut world.plan, &world.kernel);
    world.step(Step::Drive);
    assert!(!rules(&world, false).contains(&format!("all: {DEFAULT_TABLE}")));
    assert_eq!(
        rules(&world, true),
        [format!("all: {DEFAULT_TABLE}")],
        "the other family is"
    );
    assert_eq!(world.plan.stranger(), Some((DEFAULT_TABLE, id.0)));
    let shown = world.plan.refusal(net(SERVICE), world.now).unwrap();
    let Some(FibRouteState::Failed { error, .. }) = shown.state else {
        panic!("{shown:?}")
    };
    assert!(
        error.text.contains("has routes of other programs"),
        "{error}"
    );
    assert_eq!(world.kernel.routes.get(&id), Some(&stranger));
    world.kernel.routes.remove(&id);
    adopt(&mut world.plan, &world.kernel);
    world.step(Step::Drive);
    assert!(rules(&world, false).contains(&format!("all: {DEFAULT_TABLE}")));
}

#[test]
fn another_table_is_not_consulted_before_it_is_known_who_uses_it() {
    let mut world = refusing();
    let consults = |world: &World, table: u32| {
        let last = format!("all: {table}");
        rules(world, false).contains(&last)
    };
    // Without a listing.
    let settle = |world: &mut World| loop {
        let batch = world.plan.next_batch(world.now, 3);
        if batch.is_empty() && !world.plan.is_walking() {
            break;
        }
        for op in &batch {
            world.kernel.apply(op).unwrap();
        }
        world.plan.carried_out(&batch);
    };
    world.plan.set_refused(Some(4711), wanted());
    settle(&mut world);
    assert!(!consults(&world, 4711) && !consults(&world, DEFAULT_TABLE));
    // A listing that began when another table was ours says nothing about this one.
    begin_routes(&mut world.plan);
    world.plan.set_refused(Some(4712), wanted());
    end_routes(&mut world.plan);
    settle(&mut world);
    assert!(!consults(&world, 4711) && !consults(&world, 4712));
    world.step(Step::Drive);
    assert!(consults(&world, 4712));
}

#[test]
fn a_rule_that_stays_for_a_stuck_route_keeps_nobody_busy() {
    let mut world = refusing();
    // The rule of one network is not removed, and then the route of another one.
    world.plan.change_refused([change(PODS, None)]);
    world.step(Step::Refuse(2));
    world.step(Step::Drive);
    assert_eq!(world.plan.counters().failed, 1);
    world.plan.change_refused([change(OTHER, None)]);
    world.step(Step::Refuse(1));
    world.step(Step::Drive);
    world.step(Step::Wait);
    world.step(Step::Refuse(1));
    world.step(Step::Drive);
    assert_eq!(world.plan.counters().failed, 2);
    assert!(world.plan.next_retry().is_some_and(|at| at > world.now));
    world.rest();
    assert_eq!(world.plan.counters().failed, 0);
    assert_eq!(world.kernel.rules.len(), 3);
}

#[test]
fn a_successor_leaves_it_as_it_is_until_it_knows_what_to_refuse_and_then_says_nothing_if_that_is_the_same()
 {
    let mut world = refusing();
    let (rules, routes) = (world.kernel.rules.clone(), world.kernel.routes.clone());
    world.restart();
    assert_eq!(messages(&mut world), 0, "nothing was asked for yet");
    world.plan.converged();
    assert_eq!(
        messages(&mut world),
        0,
        "convergence is about learned routes"
    );
    world.plan.set_refused(None, wanted());
    assert_eq!(messages(&mut world), 0, "no duplicates");
    assert_eq!(
        (&world.kernel.rules, &world.kernel.routes),
        (&rules, &routes)
    );
    // Another table: all of it moves, and nothing is left behind.
    world.plan.set_refused(Some(4711), wanted());
    world.step(Step::Drive);
    let of_ours = world
        .kernel
        .routes
        .iter()
        .filter(|(_, r)| r.protocol == ROUTE_PROTOCOL);
    assert!(of_ours.clone().count() == 5 && of_ours.clone().all(|(id, _)| id.1 == 4711));
    let mut rules = world.kernel.rules.iter();
    assert!(rules.all(|rule| rule.table != DEFAULT_TABLE));
    world.plan.withdraw();
    world.step(Step::Drive);
    assert!(
        world.plan.is_gone() && world.kernel.rules.is_empty() && world.kernel.ours().is_empty()
    );
}

proptest! {
    #![proptest_config(crate::soak::cases(256))]

    /// Whatever others remove and the kernel refuses meanwhile, in the end the kernel holds what is wanted, in the right order,
    /// and there is nothing more to say.
    #[test]
    fn whatever_happens_what_is_wanted_is_refused_in_the_end(
        steps in prop::collection::vec((0..5usize, 0..5usize, 0..8usize), 0..40),
    ) {
        let mut world = World::new();
        let all = wanted();
        let mut chosen: BTreeMap<IpNet, Refusal> = BTreeMap::new();
        world.plan.set_refused(None, []);
        for (what, which, nth) in steps {
            let (prefix, refusal) = all[which];
            match what {
                0 | 1 => {
                    let refusal = (what == 0).then_some(refusal);
                    match refusal {
                        Some(refusal) => chosen.insert(prefix, refusal),
                        None => chosen.remove(&prefix),
                    };
                    world.plan.change_refused([RefusalChange { prefix, refusal }]);
                }
                2 => world.step(Step::Refuse(nth + 1)),
                3 if nth < world.kernel.rules.len() => {
                    let rule = world.kernel.rules.remove(nth);
                    world.plan.rule_event(Presence::Gone, &rule);
                }
                3 => {}
                _ => world.step(Step::DeleteRoute(nth)),
            }
            if nth % 2 == 0 {
                world.step(Step::Drive);
                // Also while there is something that the kernel does not do. Of two, one may be to stop refusing.
                if world.plan.counters().failed < 2 {
                    asks_the_main_table_first(&world);
                }
            }
        }
        world.rest();
        let refused: BTreeSet<IpNet> = refused(&world).iter().map(|text| net(text)).collect();
        prop_assert_eq!(refused, chosen.keys().copied().collect::<BTreeSet<_>>());
        asks_the_main_table_first(&world);
        let networks = chosen.values().filter(|refusal| **refusal != Refusal::Service).count();
        let families: BTreeSet<bool> = chosen.keys().map(|net| net.addr().is_ipv6()).collect();
        prop_assert_eq!(world.kernel.rules.len(), networks + families.len());
        prop_assert_eq!(world.plan.counters().failed, 0);
        prop_assert_eq!(messages(&mut world), 0);
    }
}

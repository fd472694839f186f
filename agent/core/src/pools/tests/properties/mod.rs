//! What holds for every state.

mod check;
mod drawn;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::check::{check, claims};
use self::drawn::place;
pub(super) use self::drawn::{Drawn, drawn_state, request, service};
use super::*;

/// The addresses of every Service that has some.
fn addresses(allocation: &Allocation) -> BTreeMap<ObjectKey, BTreeSet<IpAddr>> {
    let all = allocation.services.iter();
    all.map(|(key, decision)| (key.clone(), decision.addresses().collect()))
        .filter(|(_, addresses): &(_, BTreeSet<_>)| !addresses.is_empty())
        .collect()
}

proptest! {
    #![proptest_config(crate::soak::cases(192))]

    #[test]
    fn every_address_is_of_a_pool_for_its_service_and_has_no_other_owner_but_by_sharing(state in drawn_state()) {
        check(&state, &allocate(&state));
    }

    #[test]
    fn an_allocation_that_is_written_leads_to_itself(mut state in drawn_state()) {
        let first = allocate(&state);
        write(&mut state, &first);
        let second = allocate(&state);
        prop_assert_eq!(addresses(&first), addresses(&second));
        for (key, decision) in &second.services {
            prop_assert!(decision.is_written(&state.services[key]), "{}: {:?}", key, decision);
        }
    }

    #[test]
    fn nobody_moves_because_a_service_comes_or_goes(mut state in drawn_state(), new in service(), gone in any::<prop::sample::Index>()) {
        let first = allocate(&state);
        write(&mut state, &first);
        let before = addresses(&first);
        let mut request = request(99, &new);
        request.ingress = Box::default();
        let key = request.key.clone();
        state.services.insert(key.clone(), Arc::new(request));
        let with = allocate(&state);
        check(&state, &with);
        let after = addresses(&with);
        for (key, had) in &before {
            prop_assert!(after.get(key).is_some_and(|has| has.is_superset(had)), "{} had {:?}", key, had);
        }
        state.services.remove(&key);
        if !state.services.is_empty() {
            let gone = gone.get(&state.services.keys().collect::<Vec<_>>()).to_owned().clone();
            state.services.remove(&gone);
            let without = allocate(&state);
            check(&state, &without);
            let after = addresses(&without);
            for (key, had) in before.iter().filter(|(key, _)| **key != gone) {
                prop_assert!(after.get(key).is_some_and(|has| has.is_superset(had)), "{} had {:?}", key, had);
            }
        }
    }

    #[test]
    fn nobody_moves_because_a_pool_is_deleted_nor_because_another_is_made(mut state in drawn_state(), gone in any::<prop::sample::Index>()) {
        let first = allocate(&state);
        write(&mut state, &first);
        // What it is written with is judged by the version that was decided upon; by now nothing else is to be said.
        let again = allocate(&state);
        write(&mut state, &again);
        let before = addresses(&first);
        if state.pools.is_empty() {
            return Ok(());
        }
        let gone = gone.get(&state.pools.keys().collect::<Vec<_>>()).to_owned().clone();
        let deleted = state.pools.remove(&gone).unwrap();
        // Of pools that overlap, the younger takes over what the older had.
        let all = (0..32).flat_map(|at| [IpAddr::from([203, 0, 113, at]), place(9 + at).parse().unwrap()]);
        let mut claimed = all.filter(|address| claims(&deleted, *address));
        let alone = !claimed.any(|address| state.pools.values().any(|pool| claims(pool, address)));
        if !alone {
            return Ok(());
        }
        for more in ["", "addresses: [198.51.100.0/24, \"2001:db8:1::/112\"], priority: 9"] {
            if !more.is_empty() {
                let mut cluster = Cluster::default();
                cluster.pool("more", more);
                state.pools.extend(cluster.state.pools);
            }
            let after = allocate(&state);
            let has = addresses(&after);
            for (key, had) in &before {
                // Left to another load balancer, it keeps them as well.
                let is_left = after.services[key].outcome == Outcome::NotOurs(NotOurs::NoClass);
                let is_kept = is_left || has.get(key).is_some_and(|has| has.is_superset(had));
                prop_assert!(is_kept, "{} had {:?}: {:?}", key, had, after.services[key]);
                prop_assert!(!after.services[key].release.iter().any(|a| had.contains(a)));
            }
            write(&mut state, &after);
        }
    }

    #[test]
    fn nobody_moves_because_a_pool_is_replaced_by_one_of_another_name(mut state in drawn_state(), old in any::<prop::sample::Index>(), new_first in any::<bool>()) {
        for _ in 0..2 {
            let allocation = allocate(&state);
            write(&mut state, &allocation);
        }
        let before = addresses(&allocate(&state));
        if state.pools.is_empty() {
            return Ok(());
        }
        let old = old.get(&state.pools.keys().collect::<Vec<_>>()).to_owned().clone();
        let mut new = Pool::clone(&state.pools[&old]);
        new.name = "renamed".to_owned();
        // Of pools that overlap, the older has the address: that of the same age as all others goes on being that.
        let overlaps = state.pools.values().filter(|pool| pool.name != old).any(|pool| {
            let mut all = (0..32).flat_map(|at| [IpAddr::from([203, 0, 113, at]), place(9 + at).parse().unwrap()]);
            all.any(|address| claims(pool, address) && claims(&new, address))
        });
        if overlaps {
            return Ok(());
        }
        new.created = Created(Some(100));
        for step in [new_first, !new_first] {
            if step {
                state.pools.insert(new.name.clone(), Arc::new(new.clone()));
            } else {
                state.pools.remove(&old);
            }
            let allocation = allocate(&state);
            check(&state, &allocation);
            write(&mut state, &allocation);
        }
        let after = allocate(&state);
        check(&state, &after);
        let has = addresses(&after);
        for (key, had) in &before {
            prop_assert!(has.get(key).is_some_and(|has| has.is_superset(had)), "{} had {:?}: {:?}", key, had, after.services[key]);
        }
    }

    #[test]
    fn the_order_in_which_things_came_is_of_no_account(state in drawn_state(), seed in any::<u64>()) {
        let mut again = State {
            namespaces: state.namespaces.clone(),
            reserved: state.reserved.clone(),
            external_ips: state.external_ips.clone(),
            unknown_pools: state.unknown_pools.clone(),
            ..State::default()
        };
        let mut services: Vec<_> = state.services.iter().collect();
        let mut pools: Vec<_> = state.pools.iter().collect();
        for (at, by) in (1..services.len()).zip(seed..) {
            services.swap(at, (by % (at as u64 + 1)) as usize);
        }
        let by = seed as usize % pools.len().max(1);
        pools.rotate_left(by);
        for (key, service) in services {
            again.services.insert(key.clone(), Arc::clone(service));
            // What is decided in between is of no account either.
            allocate(&again);
        }
        for (name, pool) in pools {
            again.pools.insert(name.clone(), Arc::clone(pool));
        }
        prop_assert_eq!(allocate(&state), allocate(&again));
    }

    #[test]
    fn whatever_is_written_in_between_it_comes_to_rest_at_once(mut state in drawn_state(), later in drawn_state()) {
        // Pools change under what is assigned.
        let allocation = allocate(&state);
        write(&mut state, &allocation);
        state.pools = later.pools;
        let changed = allocate(&state);
        check(&state, &changed);
        write(&mut state, &changed);
        prop_assert_eq!(addresses(&changed), addresses(&allocate(&state)));
    }
}

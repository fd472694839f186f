//! What holds for every state.

use std::collections::BTreeSet;

use ipnet::IpNet;
use proptest::prelude::*;

use super::super::request::Needed;
use super::tenancy::allowed;
use super::*;
use crate::cluster::{ServiceType, TrafficPolicy};

/// What a test draws of a Service; all numbers choose from a few, so that Services clash.
pub(super) type Drawn = ((u8, u8, u8, u8), (u8, u8, u8, u8), Vec<u8>);

/// Where an Advertisement may allow external IPs.
const EXTERNAL: &str = "203.0.113.0/30";

/// A few addresses, inside and outside of the pools.
fn place(at: u8) -> String {
    match at {
        0..=7 => format!("203.0.113.{at}"),
        8 => "10.0.0.1".to_owned(),
        _ => format!("2001:db8::{:x}", at - 9),
    }
}

const LAST_PLACE: u8 = 13;

pub(super) fn request(name: usize, drawn: &Drawn) -> Request {
    let ((kind, age, port, sharing), (asks, pool, namespace, label), held) = drawn;
    let families = match kind {
        0..=2 => V4,
        3 => V6,
        4 | 5 => REQUIRE,
        6 | 7 => PREFER,
        8 => "type: LoadBalancer",
        9 => "type: ClusterIP",
        10 => "type: LoadBalancer, loadBalancerClass: routelet.dev/bgp",
        _ => "type: LoadBalancer, loadBalancerClass: example.com/other",
    };
    let local = if *port > 3 { "Local" } else { "Cluster" };
    let spec = format!(
        "{families}, ports: [{{port: {}}}], externalTrafficPolicy: {local}, selector: {{app: a{}}}, clusterIP: {}, externalIPs: [{}]",
        port % 4 + 1,
        label % 2,
        if *asks == 29 {
            place(*port)
        } else {
            "10.96.0.1".to_owned()
        },
        if *asks > 26 {
            place(*port)
        } else {
            String::new()
        }
    );
    let mut annotations = Vec::new();
    match sharing {
        0 | 1 => annotations.push(format!("routelet.dev/sharing-key: k{sharing}")),
        2 => annotations.push("metallb.io/allow-shared-ip: k0".to_owned()),
        _ => {}
    }
    if *asks <= LAST_PLACE {
        let second = place((asks * 5 + port) % (LAST_PLACE + 1));
        let list = if *label == 0 {
            format!("{},{second}", place(*asks))
        } else {
            place(*asks)
        };
        annotations.push(format!("routelet.dev/addresses: \"{list}\""));
    }
    if *pool < 3 {
        annotations.push(format!("routelet.dev/address-pool: p{pool}"));
    }
    let ingress: Vec<String> = held
        .iter()
        .map(|at| format!("{{ip: \"{}\"}}", place(*at)))
        .collect();
    let yaml = Yaml {
        namespace: Some(["a", "b"][usize::from(*namespace)]),
        labels: ["x: \"0\"", "x: \"1\"", ""][usize::from(*label)],
        annotations: &annotations.join(", "),
        spec: &spec,
        ingress: &ingress.join(", "),
    };
    yaml.read(&format!("s{name}"), i64::from(*age))
}

pub(super) fn service() -> impl Strategy<Value = Drawn> {
    (
        (0..12u8, 0..4u8, 0..8u8, 0..5u8),
        (0..30u8, 0..12u8, 0..2u8, 0..3u8),
        prop::collection::vec(0..=LAST_PLACE, 0..3),
    )
}

/// Pools, as what they say beside their addresses, and the first and last of those.
fn pool() -> impl Strategy<Value = (u8, u8, u8, u8, u8)> {
    (0..8u8, 0..4u8, 0..3u8, 0..8u8, 0..3u8)
}

pub(super) fn drawn_state() -> impl Strategy<Value = State> {
    let pools = prop::collection::vec(pool(), 0..4);
    let services = prop::collection::vec(service(), 0..12);
    let reserved = prop::collection::vec((0..=LAST_PLACE, any::<bool>()), 0..3);
    let (external, known) = (any::<bool>(), any::<bool>());
    let drawn = (pools, services, reserved, (external, known));
    drawn.prop_map(|(pools, services, reserved, (external, known))| {
        let mut cluster = Cluster::default();
        if external {
            cluster.state.external_ips = vec![allowed(EXTERNAL)];
        }
        cluster.namespace("a", &[("team", "a")]);
        if known {
            cluster.namespace("b", &[]);
        }
        for (at, (first, size, selector, more, age)) in pools.into_iter().enumerate() {
            let selector = [
                "",
                ", serviceSelector: {matchLabels: {x: \"0\"}}",
                ", namespaceSelector: {matchLabels: {team: a}}",
            ][usize::from(selector)];
            let more = [
                "",
                ", autoAssign: false",
                ", priority: 1",
                ", excludeFirstAndLast: true",
                ", maxPerNamespace: 1",
                ", maxPerService: 1",
                ", allowRequests: false",
                ", requireClass: true",
            ][usize::from(more)];
            let name = format!("p{at}");
            let last = first + size;
            let block = if size == 3 {
                "203.0.113.0/29".to_owned()
            } else {
                format!("203.0.113.{first}-203.0.113.{last}")
            };
            let v6 = if size == 2 {
                String::new()
            } else {
                format!(", \"2001:db8::{first:x}-2001:db8::{last:x}\"")
            };
            cluster.pool(&name, &format!("addresses: [{block}{v6}]{selector}{more}"));
            Arc::make_mut(cluster.state.pools.get_mut(&name).unwrap()).created =
                Created(Some(i64::from(age)));
        }
        for (at, drawn) in services.iter().enumerate() {
            let request = request(at, drawn);
            cluster
                .state
                .services
                .insert(request.key.clone(), Arc::new(request));
        }
        for (at, whole) in reserved {
            let address = IpNet::from(place(at).parse::<IpAddr>().unwrap());
            let length = if whole {
                address.max_prefix_len() - 1
            } else {
                address.max_prefix_len()
            };
            cluster.state.reserved.push(Reserved {
                net: IpNet::new(address.addr(), length).unwrap().trunc(),
                holder: Holder::Node("n".into()),
            });
        }
        cluster.state
    })
}

/// The same said again, block by block: whether a pool hands out an address at all, without regard to other pools.
fn claims(pool: &Pool, address: IpAddr) -> bool {
    pool.spec.addresses.iter().any(|block| {
        let prefix = block.to_string().contains('/');
        let edge = address == block.first() || address == block.last();
        let inside = block.first() <= address && address <= block.last();
        block.family() == IpFamily::of(address)
            && inside
            && !(prefix && edge && pool.spec.exclude_first_and_last)
    })
}

/// Whether an external IP is one by leave of an Advertisement.
fn is_allowed(state: &State, address: IpAddr) -> bool {
    let net: IpNet = EXTERNAL.parse().unwrap();
    !state.external_ips.is_empty() && net.contains(&address)
}

/// Whether an older Service of another namespace has an address as an external IP.
fn is_anothers(state: &State, request: &Request, address: IpAddr) -> bool {
    let mut others = state.services.values();
    is_allowed(state, address)
        && others.any(|other| {
            other.external_ips.contains(&address)
                && other.key.namespace != request.key.namespace
                && (other.created, &other.key) < (request.created, &request.key)
        })
}

/// That no namespace was given more of a pool than it may have.
fn check_limits(state: &State, owners: &BTreeMap<IpAddr, Vec<&Request>>) {
    let mut all: BTreeMap<_, (u32, u32)> = BTreeMap::new();
    for (address, owners) in owners {
        let Some(pool) = owner_pool(state, *address) else {
            continue;
        };
        let namespaces: BTreeSet<_> = owners.iter().map(|o| &o.key.namespace).collect();
        for namespace in namespaces {
            let mut theirs = owners.iter().filter(|o| o.key.namespace == *namespace);
            let is_held = theirs.any(|o| o.held().contains(address));
            let key = (&pool.name, IpFamily::of(*address), namespace);
            let (count, held) = all.entry(key).or_default();
            *count += 1;
            *held += u32::from(is_held);
        }
    }
    for ((pool, ..), (count, held)) in all {
        let most = state.pools[pool].spec.max_per_namespace;
        assert!(most.is_none_or(|most| count <= most.max(held)), "{pool}");
    }
}

fn may_share(a: &Request, b: &Request) -> bool {
    let (Some(one), Some(two)) = (&a.asked.sharing, &b.asked.sharing) else {
        return false;
    };
    let namespaces = a.key.namespace == b.key.namespace
        || (one.namespaces == Namespaces::All && two.namespaces == Namespaces::All);
    let endpoints = a.external_traffic_policy == TrafficPolicy::Cluster || a.selector == b.selector;
    one.key == two.key
        && namespaces
        && a.ports != b.ports
        && a.external_traffic_policy == b.external_traffic_policy
        && endpoints
}

fn check(state: &State, allocation: &Allocation) {
    let mut owners: BTreeMap<IpAddr, Vec<&Request>> = BTreeMap::new();
    assert!(allocation.services.keys().eq(state.services.keys()));
    for (key, decision) in &allocation.services {
        let request = &*state.services[key];
        for address in decision.addresses() {
            owners.entry(address).or_default().push(request);
        }
        match &decision.outcome {
            Outcome::Assigned { addresses, missing } => {
                check_assigned(state, request, addresses, missing.as_ref());
            }
            Outcome::NotOurs(why) => {
                let ours = request.service_type == ServiceType::LoadBalancer
                    && request.load_balancer_class.is_none()
                    && state.classless() == Classless::Ours;
                let unknown = *why == NotOurs::UnknownNamespace;
                assert!(!ours || unknown);
                assert!(!unknown || !state.namespaces.contains_key(&*key.namespace));
                assert!(!unknown || decision.release.is_empty());
            }
            Outcome::Refused(_) => {}
        }
        for address in &decision.release {
            assert!(!decision.addresses().any(|a| a == *address));
        }
    }
    check_limits(state, &owners);
    for (address, owners) in &owners {
        for (at, a) in owners.iter().enumerate() {
            for b in &owners[..at] {
                assert!(may_share(a, b), "{address}: {} and {}", a.key, b.key);
            }
        }
    }
    for (name, report) in &allocation.pools {
        let pool = &state.pools[name];
        for (usage, family) in [(report.ipv4, IpFamily::Ipv4), (report.ipv6, IpFamily::Ipv6)] {
            let places = (0..32).map(|at| match family {
                IpFamily::Ipv4 => IpAddr::from([203, 0, 113, at]),
                IpFamily::Ipv6 => place(9 + at).parse().unwrap(),
            });
            let theirs = places.filter(|a| {
                let is_had = state
                    .services
                    .values()
                    .any(|r| r.ingress.iter().any(|i| i.ip == *a));
                owner_pool(state, *a).is_some_and(|p| p.name == pool.name)
                    && (!is_reserved(state, *a)
                        || (is_had || is_allowed(state, *a)) && owners.contains_key(a)
                        || is_foreign(state, *a))
            });
            assert_eq!(
                usage.total,
                i64::try_from(theirs.count()).unwrap(),
                "{name} {family}"
            );
            assert_eq!(usage.total, usage.assigned + usage.available);
        }
    }
}

fn is_reserved(state: &State, address: IpAddr) -> bool {
    let mut services = state.services.values();
    state.reserved.iter().any(|one| one.net.contains(&address))
        || services.any(|request| {
            request.cluster_ips.contains(&address)
                || is_allowed(state, address) && request.external_ips.contains(&address)
        })
}

/// Whether another load balancer assigned it, or a Service has it of which nothing is decided yet.
fn is_foreign(state: &State, address: IpAddr) -> bool {
    state.services.values().any(|request| {
        let ownership = state.ownership(request, state.classless());
        let is_others = !matches!(ownership, Ok(_) | Err(NotOurs::Type(_)));
        let mut ingress = request.ingress.iter();
        ingress.any(|entry| entry.ip == address && (is_others || entry.proxy))
    })
}

/// Of the pools that claim an address the oldest.
fn owner_pool(state: &State, address: IpAddr) -> Option<&Pool> {
    let claiming = state.pools.values().filter(|pool| claims(pool, address));
    claiming
        .map(Arc::as_ref)
        .min_by_key(|pool| (pool.created, &pool.name))
}

fn check_assigned(
    state: &State,
    request: &Request,
    addresses: &[Assignment],
    missing: Option<&Refusal>,
) {
    let families = request.families();
    assert!(!addresses.is_empty());
    let asked = request.asked.addresses.as_ref();
    let asked = asked.map(|a| {
        a.addresses
            .as_ref()
            .expect("who asks for what is no address gets none")
    });
    for Assignment {
        address,
        pool,
        pool_is,
    } in addresses
    {
        if *pool_is != PoolIs::Known {
            assert!(!state.pools.contains_key(&**pool) && request.held().contains(address));
            let is_unknown = state.unknown_pools.contains(&**pool);
            assert_eq!(is_unknown, *pool_is == PoolIs::Unknown);
            continue;
        }
        let owner = owner_pool(state, *address).expect("in no pool");
        assert_eq!(owner.name, **pool);
        let team_a = request.key.namespace == *"a";
        assert!(owner.spec.namespace_selector.is_none() || team_a);
        assert!(owner.spec.service_selector.is_none() || request.labels.get("x") == Some("0"));
        if let Some(named) = &request.asked.pool {
            assert_eq!(named.pool, *pool);
        }
        let ours = asked.is_some_and(|asked| asked.contains(address));
        let held = request.held().contains(address);
        let is_somebodys = match is_allowed(state, *address) {
            true => is_anothers(state, request, *address),
            false => is_reserved(state, *address),
        };
        assert!(held || !is_somebodys, "{address} is reserved");
        let asks = ours || request.asked.pool.is_some();
        assert!(owner.spec.auto_assign || held || asks);
        assert!(owner.spec.allow_requests || held || !asks);
        assert!(!owner.spec.require_class || held || request.load_balancer_class.is_some());
        let most = owner.spec.max_per_service.unwrap_or(u32::MAX);
        let beside = addresses.iter().filter(|other| other.pool == *pool);
        let beside = beside.filter(|other| IpFamily::of(other.address) == IpFamily::of(*address));
        assert!(held || beside.count() as u64 <= u64::from(most));
    }
    if let Some(asked) = asked {
        assert!(
            asked
                .iter()
                .all(|ip| addresses.iter().any(|a| a.address == *ip))
        );
    }
    for family in IpFamily::ALL {
        let asks = asked.is_some_and(|a| a.iter().any(|ip| IpFamily::of(*ip) == family));
        let of_family = addresses
            .iter()
            .filter(|a| IpFamily::of(a.address) == family);
        let also = of_family.filter(|a| !asked.is_some_and(|asked| asked.contains(&a.address)));
        assert!(
            !asks || also.count() == 0,
            "an address beside those that it asks for"
        );
        let count = addresses
            .iter()
            .filter(|a| IpFamily::of(a.address) == family)
            .count();
        let wanted = families.wanted.contains(&family);
        assert!(asks || count <= usize::from(wanted));
        assert!(!wanted || count > 0 || families.needed != Needed::All);
        assert!(!wanted || count > 0 || families.needed != Needed::Any || missing.is_some());
    }
}

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

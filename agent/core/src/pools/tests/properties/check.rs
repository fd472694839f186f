//! What holds of every allocation, said a second time and without regard to cost.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::super::*;
use super::drawn::{EXTERNAL, place};
use crate::cluster::{ServiceType, TrafficPolicy};
use crate::pools::request::Needed;

/// The same said again, block by block: whether a pool hands out an address at all, without regard to other pools.
pub(super) fn claims(pool: &Pool, address: IpAddr) -> bool {
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

pub(super) fn check(state: &State, allocation: &Allocation) {
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

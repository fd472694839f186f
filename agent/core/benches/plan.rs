//! What a change of a large cluster costs a node's plan, and the controller's: `cargo bench -p routelet-core --bench plan`. 5,000
//! Services with two slices each, 1,000 Nodes.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use large_cluster::{Cluster, Layout};
use routelet_core::cluster::{
    ClusterState, EndpointSlice, LoadBalancerIngress, Node, ObjectKey, ServiceType, manifests,
};
use routelet_core::intent::{LocalFacts, Phase, Planner, intend};
use routelet_core::pools::{Allocator, Pool, Request, Reserved, State, allocate};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The node whose plan it is.
const NODE: &str = "node-1";
/// Another one.
const OTHER: &str = "node-500";

fn main() {
    divan::main();
}

static STATE: LazyLock<ClusterState> = LazyLock::new(|| {
    let cluster = Cluster {
        services: 5_000,
        nodes: 1_000,
    };
    let directory = tempfile::tempdir().unwrap();
    cluster.write(directory.path(), Layout::Kind).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    assert_eq!(snapshot.state.endpoint_slices.len(), cluster.services * 2);
    ClusterState::clone(&snapshot.state)
});

/// Everything from nothing.
#[divan::bench]
fn plan_from_nothing(bencher: Bencher<'_, '_>) {
    let facts = LocalFacts::default();
    bencher.bench_local(|| intend(&STATE, NODE, &facts));
}

#[divan::bench]
fn an_endpoint_turns_ready_or_not(bencher: Bencher<'_, '_>) {
    let mut other = STATE.clone();
    let (key, slice) = STATE.endpoint_slices.iter().next().unwrap();
    let mut slice = EndpointSlice::clone(slice);
    slice.endpoints[0].ready ^= true;
    other.endpoint_slices.insert(key.clone(), Arc::new(slice));
    to_and_fro(bencher, &other);
}

#[divan::bench]
fn another_node_gets_a_label_or_loses_it(bencher: Bencher<'_, '_>) {
    let mut other = STATE.clone();
    let mut node = Node::clone(&STATE.nodes[OTHER]);
    node.labels = [("zone".into(), "a".into())].into_iter().collect();
    other.nodes.insert(OTHER.to_owned(), Arc::new(node));
    to_and_fro(bencher, &other);
}

#[divan::bench]
fn another_node_goes_or_joins(bencher: Bencher<'_, '_>) {
    let mut other = STATE.clone();
    other.nodes.remove(OTHER).unwrap();
    to_and_fro(bencher, &other);
}

/// A plan follows the state from one to the other and back, a step each time.
fn to_and_fro(bencher: Bencher<'_, '_>, other: &ClusterState) {
    let facts = LocalFacts::default();
    let mut planner = Planner::new(NODE);
    planner.plan(&STATE, &facts, Phase::default());
    let mut states = [other, &STATE].into_iter().cycle();
    bencher.bench_local(|| planner.plan(states.next().unwrap(), &facts, Phase::default()));
}

/// All addresses of 5,000 Services that have theirs.
#[divan::bench]
fn allocation_from_nothing(bencher: Bencher<'_, '_>) {
    let state = addresses();
    bencher.bench_local(|| allocate(&state));
}

/// What the controller does when one of them changes.
#[divan::bench]
fn a_service_gets_an_address_or_goes(bencher: Bencher<'_, '_>) {
    let state = addresses();
    let mut request = Request::clone(state.services.values().next().unwrap());
    request.key = ObjectKey::new(request.key.namespace, "another");
    request.ingress = Box::default();
    let (key, request) = (request.key.clone(), Arc::new(request));
    let mut allocator = Allocator::new(state);
    let mut versions = [Some(request), None].into_iter().cycle();
    bencher.bench_local(|| allocator.update([(key.clone(), versions.next().unwrap())]));
}

fn addresses() -> State {
    let pool = Pool {
        name: "public".to_owned(),
        spec: serde_json::from_value(json!({"addresses": ["100.64.0.0/16"]})).unwrap(),
        ..Pool::default()
    };
    let services = STATE.services.values().enumerate().map(|(at, service)| {
        let ip = Ipv4Addr::from_bits(0x6440_0000 + at as u32).into();
        let request = Request {
            key: service.key.clone(),
            service_type: ServiceType::LoadBalancer,
            cluster_ips: service.cluster_ips.clone(),
            ingress: [LoadBalancerIngress { ip, proxy: false }].into(),
            ..Request::default()
        };
        (service.key.clone(), Arc::new(request))
    });
    State {
        pools: [(pool.name.clone(), Arc::new(pool))].into(),
        services: services.collect(),
        namespaces: (STATE.services.keys())
            .map(|key| (key.namespace.to_string(), Arc::default()))
            .collect(),
        reserved: STATE
            .nodes
            .values()
            .flat_map(|node| Reserved::of_node(node))
            .collect(),
        external_ips: Vec::new(),
        ..State::default()
    }
}

//! What a change of a large cluster costs a node's plan: `cargo bench -p agent --bench plan`. 5,000 Services with two slices
//! each, 1,000 Nodes.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../examples/make_manifests/cluster.rs"]
mod cluster;

use std::fs;
use std::sync::{Arc, LazyLock};

use agent::cluster::{ClusterState, EndpointSlice, Node, manifests};
use agent::intent::{LocalFacts, Planner, intend};
use cluster::Cluster;
use divan::Bencher;

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
    let slices = cluster.services * 2;
    let nodes = (0..cluster.nodes).map(|at| cluster.node(at));
    let services = (0..cluster.services).map(|at| cluster.service(at));
    let documents: Vec<String> = [cluster.configuration().to_owned()]
        .into_iter()
        .chain(nodes)
        .chain(services)
        .chain((0..slices).map(|at| cluster.slice(at)))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    fs::write(file, documents.join("---\n")).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    assert_eq!(snapshot.state.endpoint_slices.len(), slices);
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
    planner.plan(&STATE, &facts, false);
    let mut states = [other, &STATE].into_iter().cycle();
    bencher.bench_local(|| planner.plan(states.next().unwrap(), &facts, false));
}

//! What the agents of a mesh write into the API server, simulated: the bounds that hold whatever its size.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../examples/storms/mesh.rs"]
mod mesh;

use routelet::metrics::PeerSeries;

/// Where each node lists all sessions and writes at any change, a node that flaps among 300 costs 129 MB.
#[test]
fn a_node_that_restarts_costs_a_large_mesh_nothing_but_its_own_writes() {
    let written = mesh::away(300, mesh::RESTART).unwrap();
    assert!((1..10_000).contains(&written.caused), "{written:?}");
}

#[test]
fn a_node_that_is_lost_costs_each_other_node_two_writes_and_few_at_a_time() {
    let written = mesh::away(100, mesh::LOST).unwrap();
    let each = written.caused / written.largest / 99;
    assert!((1..=3).contains(&each), "{written:?}");
    assert!(written.most <= 6 * mesh::WINDOW.as_secs(), "{written:?}");
    assert!(written.largest < 4096, "{written:?}");
}

/// 39 GB of 300 nodes, where each node lists all sessions and writes at any change.
#[test]
fn a_rolling_update_costs_a_few_writes_of_each_node() {
    let written = mesh::rolling_update(100).unwrap();
    assert!(written.caused < 100 * 60 * 4096, "{written:?}");
    let quiet = mesh::quiet(100).unwrap();
    assert_eq!(quiet.caused, 0);
    assert!(
        (100 * 12..=100 * 16).contains(&(quiet.bytes / written.largest)),
        "{quiet:?}"
    );
}

#[test]
fn a_page_of_a_thousand_peers_is_not_larger_than_one_of_ten() {
    let size = |peers| mesh::page(peers, PeerSeries::default()).unwrap().0.len();
    assert!(
        size(1000).abs_diff(size(10)) < 200,
        "{} and {}",
        size(1000),
        size(10)
    );
}

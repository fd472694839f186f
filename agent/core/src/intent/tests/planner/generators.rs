//! States that differ in a part, and what else a plan is made of.

use proptest::prelude::*;

use super::*;
use crate::cluster::AtomMap;

/// A state that differs from another in a part of its documents: of two clusters, those of one kind from the second.
pub(super) fn mixed(one: &[String], other: &[String], kinds: &[&str]) -> ClusterState {
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

/// No kind of document: what the API lacks of Nodes.
pub(super) const GAPS: &str = "gaps";

/// What may differ from one state to the next, by kind of document; the last step of a plan begins anew if it must.
pub(super) const STEPS: [&[&str]; 9] = [
    &["EndpointSlice"],
    &["Service"],
    &["Service", "EndpointSlice"],
    &["Advertisement"],
    &["Node"],
    &["Peer"],
    &["Namespace"],
    &["Node", "Peer", "Service", "Namespace"],
    &[GAPS],
];

/// What the API lacks of a Node: nothing, its object, or pod CIDRs, which are from before then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gap {
    None,
    Object,
    PodCidrs,
    Labels,
}

pub(super) fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![3 => Just(Gap::None), 2 => Just(Gap::Object), 1 => Just(Gap::PodCidrs), 1 => Just(Gap::Labels)]
}

/// The state as an agent on `n0` holds it.
pub(super) fn with_gaps(mut state: ClusterState, gaps: &[Gap]) -> ClusterState {
    let names = state.nodes.keys().cloned().collect::<Vec<_>>();
    for (name, gap) in names.iter().zip(gaps) {
        let mut node = Node::clone(&state.nodes[name]);
        node.departed = *gap == Gap::Object;
        node.pod_cidrs_bridged = *gap == Gap::PodCidrs;
        if *gap == Gap::Labels {
            let bare = Node {
                labels: AtomMap::default(),
                ..node.clone()
            };
            node.as_object = Some(bare.into());
        }
        if node.departed && name != "n0" {
            node.pod_cidrs = Box::default();
        }
        state.nodes.insert(name.clone(), node.into());
    }
    state
}

pub(super) fn phase() -> impl Strategy<Value = Phase> {
    let leaving = prop_oneof![
        3 => Just(Leaving::No),
        1 => Just(Leaving::Drained),
        1 => Just(Leaving::WithoutServices),
        1 => Just(Leaving::WithoutPods),
        1 => Just(Leaving::Gone),
    ];
    (any::<bool>(), leaving).prop_map(|(services_wait, leaving)| Phase {
        services_wait,
        leaving,
    })
}

/// An interface that Advertisements name, one that none does, and a gateway.
pub(super) fn facts() -> impl Strategy<Value = LocalFacts> {
    let numbers = (0..2u8, 0..3u8, 0..2u8, any::<bool>(), any::<bool>());
    numbers.prop_map(|(own, pod, gateway, cni, up)| LocalFacts {
        interfaces: [("eth1", own), ("veth1", pod)]
            .map(|(name, last)| Interface {
                name: name.to_owned(),
                addresses: vec![format!("198.18.{last}.1/24").parse().unwrap()],
                up,
            })
            .into(),
        gateways: vec![Gateway {
            address: [198, 18, 0, 250 + gateway].into(),
            interface: "eth1".to_owned(),
        }],
        connects_pods: cni,
        ..LocalFacts::default()
    })
}

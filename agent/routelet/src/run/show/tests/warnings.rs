//! Why a node does not use an object completely: the problems of a status.

use std::collections::BTreeMap;

use routelet_control::model::{Problem, ProblemReason as Code};
use routelet_core::intent::{LocalFacts, Phase, intend};

use super::events::{address, link};
use super::world::World;

const NODE: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {example.com/tor: nonsense}}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
"#;

/// Other nodes: one of IPv6 alone, one with the same pod CIDR.
const OTHERS: &str = r#"
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-3}
status: {addresses: [{type: InternalIP, address: "2001:db8::13"}]}
"#;

fn ours(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: routelet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}

fn problems(manifests: &str) -> Vec<Problem> {
    let mut kernel = vec![link(2, "eth0")];
    kernel.extend(address(2, "10.0.0.11/24"));
    let world = World::new(manifests, kernel, Phase::default());
    world.status(world.now, &[]).problems
}

/// Every reason with the texts in which it was found.
pub(super) fn found() -> BTreeMap<Code, Vec<String>> {
    let peers = [
        ours(
            "Peer",
            "a1",
            "address: 192.0.2.1, asn: 64500, import: [missing]",
        ),
        ours("Peer", "a2", "address: 192.0.2.1, asn: 64500"),
        ours(
            "Peer",
            "label",
            "addressFrom: {nodeLabel: example.com/none}, asn: 64500",
        ),
        ours(
            "Peer",
            "value",
            "addressFrom: {nodeLabel: example.com/tor}, asn: 64500",
        ),
        ours("Peer", "itself", "address: 10.0.0.11, asn: internal"),
        ours("Peer", "gateway", "gateway: IPv4, asn: 64500"),
        ours(
            "Peer",
            "internal",
            "address: 10.0.0.21, asn: internal, attributeFilter: {accept: [40]}",
        ),
    ];
    let routers = [
        ours("Router", "all", "asn: 64512"),
        ours(
            "Router",
            "one",
            "nodeSelector: {matchLabels: {example.com/tor: nonsense}}, asn: 64512, listen: {enabled: false}, \
             defaultAdvertisement: {enabled: false}",
        ),
    ];
    let silent = ours("Router", "silent", "asn: 64512, listen: {enabled: false}");
    let interface = ours(
        "Advertisement",
        "anycast",
        "interfaces: [nosuch], peerSelector: {matchLabels: {no: peer}}",
    );
    let states = [
        format!(
            "{NODE}{OTHERS}{}{}{interface}",
            routers.concat(),
            peers.concat()
        ),
        format!("{NODE}{OTHERS}{silent}"),
        OTHERS.to_owned(),
    ];
    let mut found: BTreeMap<Code, Vec<String>> = BTreeMap::new();
    for problem in states.iter().flat_map(|state| problems(state)) {
        if let Some(reason) = problem.reason {
            let object = problem.object.unwrap_or_default();
            let text = format!("{object}: {}", problem.message);
            found.entry(reason).or_default().push(text);
        }
    }
    found.insert(Code::Unusable, unusable());
    found
}

/// Both sources reject an object without a required field. The planner reports one all the same.
fn unusable() -> Vec<String> {
    let mut state = routelet_core::cluster::ClusterState::default();
    let peer = routelet_core::cluster::Object::<routelet_api::PeerSpec> {
        name: "empty".to_owned(),
        ..Default::default()
    };
    state.peers.insert(peer.name.clone(), peer.into());
    let intent = intend(&state, "node-1", &LocalFacts::default());
    let warnings = intent.warnings.iter();
    let unusable = warnings.filter(|warning| warning.kind.reason() == Code::Unusable);
    unusable.map(ToString::to_string).collect()
}

//! References to objects that do not exist.

use super::Finding;
use crate::cluster::state::{ClusterState, ObjectRef};

/// References to objects that do not exist, by the object that makes them.
pub fn references(state: &ClusterState) -> Vec<(ObjectRef, Finding)> {
    let mut findings = Vec::new();
    for peer in state.peers.values() {
        for (field, names) in [("import", &peer.spec.import), ("export", &peer.spec.export)] {
            for (at, name) in names.iter().enumerate() {
                if !state.policies.contains_key(name) {
                    findings.push((
                        ObjectRef::cluster("Peer", &peer.name),
                        Finding {
                            path: format!("spec.{field}[{at}]"),
                            reason: format!(
                                "RoutePolicy {name} does not exist; until it does, every route is rejected"
                            ),
                        },
                    ));
                }
            }
        }
    }
    findings
}

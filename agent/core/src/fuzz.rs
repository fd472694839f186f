//! The fuzz targets of this crate as plain functions; see [`bgp::fuzz`].

use std::net::IpAddr;

pub use crate::cluster::manifests::fuzz::manifests;

use crate::cluster::validate::Validate;
use crate::cluster::{ClusterState, Snapshot};
use crate::intent::{Gateway, Interface, LocalFacts, Planner, intend};

/// The node whose plans are made.
const NODE: &str = "node-1";

/// What plans are made of beside the state.
fn facts() -> LocalFacts {
    let interface = |name: &str, address: &str| Interface {
        name: name.to_owned(),
        addresses: address.parse().into_iter().collect(),
        up: true,
    };
    LocalFacts {
        interfaces: vec![
            interface("eth0", "192.0.2.10/24"),
            interface("eth1", "2001:db8::10/64"),
        ],
        gateways: vec![Gateway {
            address: IpAddr::from([192, 0, 2, 1]),
            interface: "eth0".to_owned(),
        }],
        ..LocalFacts::default()
    }
}

/// Takes one snapshot after the other, as an agent does.
pub struct Checks {
    planner: Planner,
    facts: LocalFacts,
}

impl Default for Checks {
    /// Of a node that has seen nothing so far.
    fn default() -> Self {
        Self {
            planner: Planner::new(NODE),
            facts: facts(),
        }
    }
}

impl Checks {
    /// Every object in force is valid, what is wrong can be said, and the plan that is brought up to date is the one that
    /// is made from nothing.
    pub fn check(&mut self, snapshot: &Snapshot) {
        valid(&snapshot.state);
        for problem in snapshot.problems.iter() {
            assert!(!problem.to_string().is_empty() && !problem.reason.is_empty());
        }
        let (intent, _) = self.planner.plan(
            &snapshot.state,
            &self.facts,
            crate::intent::Phase::default(),
        );
        assert_eq!(intent, intend(&snapshot.state, NODE, &self.facts));
    }
}

fn valid(state: &ClusterState) {
    macro_rules! valid {
        ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
            $(for object in state.$collection.values() {
                assert_eq!(object.spec.validate(), []);
            })*
        };
    }
    routelet_api::kinds!(valid);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_manifests_holds() {
        assert!(bgp::fuzz::replay("manifests", super::manifests) > 20);
    }
}

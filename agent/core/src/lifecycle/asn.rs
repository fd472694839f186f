//! Whether the AS of the node is known, so that its agent can begin.
//!
//! Sessions with another AS would be refused by its peers, and routes of a predecessor would go since nobody announces them.

use bgp::types::Asn;

use super::unread_router::unread_router;
use crate::cluster::Snapshot;
use crate::intent::{Intent, Warning};

/// Why the AS of an intent is not known, or not that of the node; `None`: it is. `before`: the AS of the node's last agent, if
/// that is known.
pub fn missing_asn(before: Option<Asn>, loaded: &Snapshot, intent: &Intent) -> Option<String> {
    let asn = intent.router.asn;
    if intent.router.knows_asn() {
        let before = before.filter(|before| *before != asn)?;
        let mut routers = loaded.state.routers.values();
        if !loaded.state.nodes.contains_key(&intent.node)
            && routers.any(|router| router.spec.node_selector.is_some())
        {
            return Some(format!(
                "there is no Node {}, whose labels select its Router; without it the node would be in AS {asn} instead of \
                 {before}",
                intent.node
            ));
        }
        // It may be the node's, also where a less specific one is used without it.
        let problem = unread_router(loaded)?;
        return Some(format!(
            "a Router cannot be read; without it the node would be in AS {asn} instead of {before}: {problem}"
        ));
    }
    let router = intent.router.object.as_deref();
    let about = |warning: &&Warning| {
        &*warning.object.kind == "Router" && Some(&*warning.object.name) == router
    };
    Some(match intent.warnings.iter().find(about) {
        Some(warning) => warning.to_string(),
        None => "the node's AS is unknown".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use routelet_api::{RouterSpec, ValueFrom};

    use super::*;
    use crate::cluster::{ClusterState, Node, Object, ObjectRef, Problem, Severity};
    use crate::intent::{LocalFacts, intend};

    /// Routers of a name, an AS, and the rack that one selects.
    fn state(routers: &[(&str, u32, Option<&str>)]) -> ClusterState {
        let mut state = ClusterState::default();
        for (name, asn, rack) in routers {
            let selector = rack.map(|rack| {
                serde_json::from_value(serde_json::json!({"matchLabels": {"rack": rack}})).unwrap()
            });
            let spec = RouterSpec {
                asn: Some(*asn),
                node_selector: selector,
                ..RouterSpec::default()
            };
            add(&mut state, name, spec);
        }
        state
    }

    fn add(state: &mut ClusterState, name: &str, spec: RouterSpec) {
        let router = Object {
            name: name.to_owned(),
            labels: routelet_api::selector::Labels::default(),
            spec,
        };
        state.routers.insert(name.to_owned(), Arc::new(router));
    }

    fn node() -> Arc<Node> {
        Arc::new(Node {
            name: "n1".to_owned(),
            ..Node::default()
        })
    }

    /// That a Router of this name cannot be read, and has no earlier version.
    fn unread(router: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            file: None,
            line: None,
            object: Some(ObjectRef::cluster("Router", router)),
            path: "spec.asn".to_owned(),
            reason: "cannot be read".to_owned(),
            meanwhile: None,
        }
    }

    fn missing(before: Option<u32>, state: ClusterState, problems: &[Problem]) -> Option<String> {
        let intent = intend(&state, "n1", &LocalFacts::default());
        let loaded = Snapshot {
            state: Arc::new(state),
            problems: Arc::new(problems.to_vec()),
            ..Snapshot::default()
        };
        missing_asn(before.map(Asn), &loaded, &intent)
    }

    #[test]
    fn an_as_from_a_label_is_waited_for_and_the_label_is_named() {
        let mut state = ClusterState::default();
        let spec = RouterSpec {
            asn_from: Some(ValueFrom {
                node_label: Some("asn".to_owned()),
                ..ValueFrom::default()
            }),
            ..RouterSpec::default()
        };
        add(&mut state, "r", spec);
        let why = missing(None, state.clone(), &[]).unwrap();
        assert!(why.contains("label asn"), "{why}");
        let mut labelled = Node::clone(&node());
        labelled.labels = [("asn".into(), "64601".into())].into_iter().collect();
        state.nodes.insert("n1".to_owned(), labelled.into());
        assert_eq!(missing(None, state, &[]), None);
    }

    /// Without it the built-in defaults would count, or a less specific Router, with an AS that is not the node's.
    #[test]
    fn a_router_that_cannot_be_read_does_not_give_the_node_another_as() {
        let mut all = state(&[("all", 64_700, None)]);
        all.nodes.insert("n1".to_owned(), node());
        let none = ClusterState::default();
        let default = 64_512;
        for (state, before, is_unread, expected) in [
            (&none, None, true, true),
            (&none, Some(default), true, true),
            (&none, Some(64_600), true, false),
            (&none, Some(64_600), false, true),
            (&all, Some(65_101), true, false),
            (&all, Some(65_101), false, true),
        ] {
            let problems: Vec<Problem> = is_unread.then(|| unread("rack-a")).into_iter().collect();
            let found = missing(before, state.clone(), &problems);
            assert_eq!(
                found.is_none(),
                expected,
                "{before:?} {is_unread} {found:?}"
            );
        }
        // One whose earlier version is in force is the node's as it was.
        let mut held = unread("rack-a");
        held.meanwhile = Some(crate::cluster::Meanwhile::LastGood);
        assert_eq!(missing(Some(64_600), none, &[held]), None);
    }

    /// Of a Node that is not there nobody knows which Router selects it.
    #[test]
    fn an_agent_without_its_node_takes_no_other_as_than_the_last_one_where_routers_select_nodes() {
        let (rack_a, rack_b) = (("rack-a", 65_101, Some("a")), ("rack-b", 65_102, Some("b")));
        for (routers, expected) in [
            (vec![rack_a], false),
            (vec![("all", 64_700, None), rack_a], false),
            (vec![("all", 65_101, None), rack_b], true),
            // Changed while no agent ran.
            (vec![("all", 64_700, None)], true),
        ] {
            let found = missing(Some(65_101), state(&routers), &[]);
            assert_eq!(found.is_none(), expected, "{routers:?} {found:?}");
        }
    }
}

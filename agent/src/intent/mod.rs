//! Intent: from the state of the cluster to what one node does, and why.
//!
//! A pure function, [`intend`], recomputed from the whole state after each change; whoever acts on it compares two
//! intents and does the difference. Equal states give equal intents, whatever the order of events or documents.
//!
//! | room | decides |
//! |---|---|
//! | `router` | which Router is the node's, and its settings |
//! | `peers` | the node's peers: explicit ones, other nodes by selector, the mesh |
//! | `services` | which Service addresses this node advertises: the truth table |
//! | `advertise` | what is originated, with attributes and aggregates, and to which peers |
//! | `policies` | RoutePolicy objects as the RIB runs them |
//!
//! What always holds: every originated prefix names the objects that justify it, every address of a Service that is not
//! advertised names the rule that suppressed it, and an object that cannot be used is left out alone, with a warning.

mod advertise;
mod facts;
mod peers;
mod policies;
mod router;
mod services;
#[cfg(test)]
mod tests;
mod types;

pub use facts::{Gateway, Interface, LocalFacts};
pub use types::{
    AddressDecision, AdvertisementIds, BfdIntent, Decision, EndpointCounts, FibIntent, Intent,
    Justification, ListenIntent, MissingSecret, OriginatedRoute, PasswordSource, PeerIntent,
    PeerTarget, RouterSettings, Rule, ServiceDecision, Source, Suppressed, Warning, WarningKind,
};

use crate::cluster::{ClusterState, Node, ObjectRef};

/// What the node of this name does in this state of the cluster.
///
/// A node without a Node object still has the peers and static prefixes of objects that select all nodes.
pub fn intend(state: &ClusterState, node_name: &str, local: &LocalFacts) -> Intent {
    let unknown = Node {
        name: node_name.to_owned(),
        ..Node::default()
    };
    let node = state.nodes.get(node_name).map_or(&unknown, AsRef::as_ref);
    let mut warnings = Vec::new();

    let routers = router::candidates(state, node);
    let chosen = routers.first().copied();
    warnings.extend(not_used(&routers, node));
    let mut settings = router::settings(chosen, node, &mut warnings);
    if let Some(fib) = &mut settings.fib {
        fib.guard.service_addresses = advertise::guarded(state);
    }

    let active = advertise::active(state, node);
    let mut services = services::decide(state, node, &active);
    let mut builder = advertise::Builder::new(state, node, &active, settings.drain);
    builder.pod_cidrs(state, &mut warnings);
    builder.statics(local, &mut warnings);
    builder.services(&mut services);
    let advertised = builder.finish();

    let policies = policies::policies(state);
    let peers = peers::peers(
        &peers::Context {
            state,
            node,
            facts: local,
            settings: &settings,
            router: &chosen.map(|r| r.spec.clone()).unwrap_or_default(),
            policies: &policies,
            active: &active,
        },
        &mut warnings,
    );
    warnings.sort();
    warnings.dedup();
    Intent {
        node: node_name.to_owned(),
        router: settings,
        peers,
        originated: advertised.originated,
        suppressed: advertised.suppressed,
        services,
        advertisements: advertise::names(&active),
        policies,
        warnings,
    }
}

/// A word on each Router that selects the node in vain.
fn not_used(
    routers: &[&crate::cluster::Object<crate::crd::RouterSpec>],
    node: &Node,
) -> Vec<Warning> {
    let conditions = |r: &crate::cluster::Object<crate::crd::RouterSpec>| {
        let selector = r.spec.node_selector.as_ref();
        selector.map_or(0, |s| s.conditions())
    };
    let Some((chosen, rest)) = routers.split_first() else {
        return Vec::new();
    };
    rest.iter()
        .map(|other| Warning {
            object: ObjectRef::cluster("Router", &other.name),
            kind: WarningKind::RouterNotUsed {
                node: node.name.clone(),
                chosen: chosen.name.clone(),
                more_specific: conditions(chosen) > conditions(other),
            },
        })
        .collect()
}

/// FNV-1a. Not against adversaries: for numbers that must be the same in every process and version.
fn stable_hash64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The same, folded to 32 bits.
fn stable_hash32(text: &str) -> u32 {
    let hash = stable_hash64(text);
    (hash ^ (hash >> 32)) as u32
}

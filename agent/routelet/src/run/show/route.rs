//! Routes of the three RIBs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bgp::wire::PathAttributes;
use bgp::wire::attribute::{AttributeCode, Origin};
use ipnet::IpNet;
use rib::PeerId;
use rib::attrs::RouteAttributesRef;
use rib::export::Suppressed;
use rib::policy::RuleRef;
use rib::table::{PathStatus, PathView, Rejection, RouteView};
use routelet_api::{AttributeName, IpFamily};
use routelet_control::model::{Reason, Route, RouteOrigin, RouteState};
use routelet_core::intent::PeerIntent;
use routelet_core::own_next_hops::OwnNextHops;

use super::reason;
use crate::run::next_hops::Resolver;

/// Names of peers for queries of routes, as of the time of the query.
#[derive(Clone, Default)]
pub(crate) struct PeerNames {
    /// Names, and those of their policies.
    pub(crate) peers: BTreeMap<PeerId, Arc<PeerIntent>>,
    /// Our own next hops on their sessions.
    pub(crate) next_hops: HashMap<PeerId, OwnNextHops>,
    /// Where next hops lead.
    pub(crate) resolver: Option<Arc<Resolver>>,
}

impl PeerNames {
    /// A peer's name, or its number if it has just gone.
    pub(crate) fn peer(&self, id: PeerId) -> String {
        self.peers
            .get(&id)
            .map_or_else(|| format!("#{}", id.0), |peer| peer.name.clone())
    }

    /// A rule of one of the peer's policies, in words.
    pub(crate) fn rule(&self, peer: Option<PeerId>, rule: RuleRef, import: bool) -> String {
        let policies = peer.and_then(|peer| self.peers.get(&peer)).map(|peer| {
            if import {
                &peer.config.import
            } else {
                &peer.config.export
            }
        });
        let policy = policies.and_then(|all| all.get(usize::from(rule.policy)));
        let named = policy.and_then(|policy| {
            let rule = policy.rules.get(usize::from(rule.rule))?;
            Some(format!("rule {} of RoutePolicy {}", rule.name, policy.name))
        });
        named.unwrap_or_else(|| format!("policy rule {rule}"))
    }
}

/// Which attributes of a path are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// As the peer sent them.
    Received,
    /// As the decision process saw them.
    Used,
}

/// The model of a path.
pub(crate) fn path(
    route: &RouteView<'_>,
    path: &PathView<'_>,
    shown: As,
    names: &PeerNames,
) -> Route {
    let attributes = match shown {
        As::Received => path.received.unwrap_or(path.attributes),
        As::Used => path.attributes,
    };
    let (state, reason) = state_of(path, names);
    let mut model = attributes_of(route.prefix, attributes);
    model.peer = path.peer.map(|peer| names.peer(peer));
    model.state = state;
    model.reason = Some(reason);
    model.stale = path.stale || path.long_lived_stale;
    model.path_id = (path.path_id != bgp::types::PathId::NONE).then_some(path.path_id.0);
    model.weight = (path.weight > 1).then_some(path.weight);
    model.igp_cost = path.resolution.map(|resolution| resolution.metric);
    if path.peer.is_none() {
        // What this node originates gets its attributes when it is advertised: ORIGIN is always IGP then.
        model.origin = RouteOrigin::Igp;
        model.next_hop = None;
        model.next_hop_link_local = None;
    }
    model
}

/// A route with these attributes; the caller fills in what it is.
pub(crate) fn attributes_of(prefix: IpNet, attributes: RouteAttributesRef<'_>) -> Route {
    let set: PathAttributes = attributes.set.parse();
    let address = attributes.next_hop.address();
    Route {
        prefix,
        peer: None,
        state: RouteState::Candidate,
        stale: false,
        reason: None,
        next_hop: Some(address),
        next_hop_link_local: attributes
            .next_hop
            .link_local()
            .filter(|link_local| address != std::net::IpAddr::V6(*link_local)),
        path_id: None,
        as_path: set.as_path.to_string(),
        origin: match set.origin {
            Some(Origin::Igp) => RouteOrigin::Igp,
            Some(Origin::Egp) => RouteOrigin::Egp,
            Some(Origin::Incomplete) | None => RouteOrigin::Incomplete,
        },
        med: set.med,
        local_preference: set.local_pref,
        communities: set.communities.iter().map(ToString::to_string).collect(),
        large_communities: set
            .large_communities
            .iter()
            .map(ToString::to_string)
            .collect(),
        extended_communities: set
            .extended_communities
            .iter()
            .map(ToString::to_string)
            .collect(),
        aggregator: set
            .aggregator
            .map(|aggregator| format!("{} {}", aggregator.asn, aggregator.address)),
        atomic_aggregate: set.atomic_aggregate,
        originator_id: set.originator_id,
        cluster_list: set.cluster_list,
        only_to_customer: set.only_to_customer,
        unknown_attributes: set.unknown.iter().map(|unknown| unknown.code).collect(),
        weight: None,
        igp_cost: None,
    }
}

fn state_of(path: &PathView<'_>, names: &PeerNames) -> (RouteState, Reason) {
    match path.status {
        PathStatus::Best(rule) => (
            RouteState::Best,
            Reason::new(reason::code_of_step(rule), rule),
        ),
        PathStatus::Multipath(rule) => (
            RouteState::Multipath,
            Reason::new(
                reason::code_of_step(rule),
                format!("equal; the best has {rule}"),
            ),
        ),
        PathStatus::Lost(rule) => (
            RouteState::Candidate,
            Reason::new(reason::code_of_step(rule), format!("the best has {rule}")),
        ),
        PathStatus::NextHopUnreachable => {
            let next_hop = path.attributes.next_hop.address();
            let resolver = names.resolver.as_ref();
            let is_denied = resolver.is_some_and(|resolver| resolver.is_denied(next_hop));
            (RouteState::Unreachable, reason::of_unreachable(is_denied))
        }
        PathStatus::Rejected(rejection) => (
            RouteState::Rejected,
            Reason::new(
                reason::code_of_rejection(rejection),
                match (rejection, path.policy_rule) {
                    (Rejection::Policy, Some(rule)) => names.rule(path.peer, rule, true),
                    (Rejection::AttributeFilter, _) => filtered(path.filtered),
                    _ => rejection.to_string(),
                },
            ),
        ),
    }
}

/// Why a path counts as withdrawn. `None`: because of an attribute that is not in the filter any more.
fn filtered(attribute: Option<AttributeCode>) -> String {
    match attribute {
        Some(code) => {
            let name = AttributeName(code);
            format!("treated as withdrawn: attribute {name} is in the peer's attributeFilter")
        }
        None => Rejection::AttributeFilter.to_string(),
    }
}

/// Why the route to a prefix is not advertised to a peer.
pub(super) fn suppressed(
    why: Suppressed,
    peer: PeerId,
    prefix: IpNet,
    names: &PeerNames,
) -> Reason {
    let text = match why {
        Suppressed::NoNextHop => {
            let family = IpFamily::of(prefix.addr());
            let next_hops = names.next_hops.get(&peer);
            match next_hops.and_then(|next_hops| next_hops.missing(family)) {
                Some(cause) => format!("{why}: {cause}"),
                None => why.to_string(),
            }
        }
        Suppressed::Policy(rule) => format!("rejected by {}", names.rule(Some(peer), rule, false)),
        other => other.to_string(),
    };
    Reason::new(reason::code_of_suppressed(why), text)
}

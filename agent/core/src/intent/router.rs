//! Which Router is a node's, and what it says.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp::types::{Asn, BgpIdentifier};
use routelet_api::router::DEFAULT_ASN;
use routelet_api::text::Address;
use routelet_api::{IpFamily, RouterSpec, ValueFrom, selector};
use routelet_fib::guard::{GuardRails, ServiceAddresses};

use super::{
    Consequence, DrainReason, FibIntent, Identity, Leaving, ListenIntent, RouterSettings, Warning,
    WarningKind,
};
use crate::cluster::{ClusterState, Map, Node, Object, ObjectRef};

/// Routers by name.
pub(super) type Routers = Map<String, Arc<Object<RouterSpec>>>;

/// The Routers that select a node, the one in use first: most conditions, then least name.
pub(super) fn candidates<'a>(state: &'a ClusterState, node: &Node) -> Vec<&'a Object<RouterSpec>> {
    candidates_of(&state.routers, node)
}

/// The same of a state with these Routers.
pub(super) fn candidates_of<'a>(routers: &'a Routers, node: &Node) -> Vec<&'a Object<RouterSpec>> {
    let mut routers: Vec<&Object<RouterSpec>> = routers
        .values()
        .filter(|r| selector::selects(r.spec.node_selector.as_ref(), &node.labels))
        .map(AsRef::as_ref)
        .collect();
    // Stable, and by name before: ties fall to the least name.
    routers.sort_by_key(|r| std::cmp::Reverse(conditions(r)));
    routers
}

fn conditions(router: &Object<RouterSpec>) -> usize {
    router
        .spec
        .node_selector
        .as_ref()
        .map_or(0, |s| s.conditions())
}

/// Why a value could not be taken from a Node.
pub(super) enum NoValue {
    /// There is no such label or annotation, or the reference names none.
    Missing(String),
    /// It is there, but its text is not of the wanted form.
    Unusable(String, String),
}

impl NoValue {
    /// As a warning about a field.
    pub(super) fn warning(
        self,
        field: &'static str,
        node: &Node,
        expected: &'static str,
        consequence: Consequence,
    ) -> WarningKind {
        let node = node.name.clone();
        match self {
            Self::Missing(what) => WarningKind::ValueMissing {
                field,
                what,
                node,
                consequence,
            },
            Self::Unusable(what, value) => WarningKind::ValueUnusable {
                field,
                what,
                value,
                node,
                expected,
                consequence,
            },
        }
    }
}

/// A value that a node brings with it, if it is one that an object could have: a label is checked by nobody before.
pub(super) fn value_from<T: std::str::FromStr>(
    from: &ValueFrom,
    node: &Node,
    is_usable: impl FnOnce(&T) -> bool,
) -> Result<T, NoValue> {
    let (what, value) = match (&from.node_label, &from.node_annotation) {
        (Some(key), _) => (format!("label {key}"), node.labels.get(key)),
        (None, Some(key)) => (format!("annotation {key}"), node.annotations.get(key)),
        (None, None) => ("label (no key is given)".to_owned(), None),
    };
    let Some(value) = value else {
        return Err(NoValue::Missing(what));
    };
    let parsed = value.trim().parse().ok().filter(is_usable);
    parsed.ok_or_else(|| NoValue::Unusable(what, value.to_owned()))
}

/// An address of a host out of a label or annotation.
pub(super) fn address_from(from: &ValueFrom, node: &Node) -> Result<IpAddr, NoValue> {
    let is_host = |found: &Address| !found.0.is_unspecified() && !found.0.is_multicast();
    value_from(from, node, is_host).map(|found| found.0)
}

/// The AS of a node under its Router, as other nodes know it: the last one that was found while none is, as its own agent goes on with
/// that. `None`: none was found so far.
pub(super) fn asn(router: Option<&RouterSpec>, node: &Node) -> Option<Asn> {
    let default = RouterSpec::default();
    let found = own_asn(router.unwrap_or(&default), node).ok();
    found.or(node.asn_before)
}

/// An AS out of a label or annotation.
pub(super) fn asn_from(from: &ValueFrom, node: &Node) -> Result<Asn, NoValue> {
    value_from(from, node, |asn: &Asn| !asn.is_reserved())
}

/// The AS that a Router says a node is in.
pub(super) fn own_asn(router: &RouterSpec, node: &Node) -> Result<Asn, NoValue> {
    match &router.asn_from {
        Some(from) => asn_from(from, node),
        None => Ok(Asn(router.asn.unwrap_or(DEFAULT_ASN))),
    }
}

/// The settings of the node, but for the guard rails that hang on Services. `known`: who the node was so far.
pub(super) fn settings(
    router: Option<&Object<RouterSpec>>,
    node: &Node,
    known: Identity,
    warnings: &mut Vec<Warning>,
) -> RouterSettings {
    let mut identity = known;
    let spec = router.map(|r| r.spec.clone()).unwrap_or_default();
    let mut warn = |kind| {
        if let Some(router) = router {
            let object = ObjectRef::cluster("Router", &router.name);
            warnings.push(Warning { object, kind });
        }
    };
    let asn = match own_asn(&spec, node) {
        Ok(asn) => {
            // The default without a Router is nobody's decision: a Router that comes later does not go on with it.
            if router.is_some() {
                identity.asn = Some(asn);
            }
            Some(asn)
        }
        Err(missing) => {
            let consequence = match known.asn {
                Some(_) => Consequence::SameAs,
                None => Consequence::NoAs,
            };
            warn(missing.warning("spec.asnFrom", node, "an AS number", consequence));
            known.asn
        }
    };
    let router_id = router_id(&spec, node, &mut identity, &mut warn);
    RouterSettings {
        object: router.map(|r| r.name.clone()),
        asn: asn.unwrap_or(Asn(DEFAULT_ASN)),
        router_id,
        cluster_id: spec.cluster_id.map_or(router_id, BgpIdentifier::from),
        listen: spec.listen.enabled.then(|| ListenIntent {
            port: spec.listen.port,
            addresses: spec.listen.addresses.iter().map(|a| a.0).collect(),
        }),
        max_paths: spec.multipath.max_paths.max(1),
        relax_as_path: spec.multipath.relax_as_path,
        restart_time: spec
            .graceful_restart
            .enabled
            .then_some(spec.graceful_restart.restart_time.0),
        fib: spec.fib.enabled.then(|| FibIntent {
            table: spec.fib.table,
            metric: spec.fib.metric,
            guard: GuardRails {
                pod_cidrs: node.pod_cidrs.to_vec(),
                service_addresses: ServiceAddresses::new(),
                connected: Vec::new(),
                foreign: BTreeSet::new(),
                accept_default_route: spec.fib.accept_default_route,
                max_routes: (spec.fib.max_routes != 0).then_some(spec.fib.max_routes),
            },
        }),
        resolve_via_default: spec.fib.resolve_via_default_route,
        refusing_table: spec.fib.refuse.enabled.then_some(spec.fib.refuse.table),
        transit: spec.transit,
        drain: DrainReason::of(node, &spec),
        leaving: Leaving::No,
        leave_wait: spec.leave.wait.0,
        identity,
        internal_ips: node.internal_ips.clone(),
    }
}

/// Configured, else what was derived before, else the IPv4 InternalIP, else a hash of the node's name that looks like an
/// address of a host.
fn router_id(
    spec: &RouterSpec,
    node: &Node,
    identity: &mut Identity,
    warn: &mut impl FnMut(WarningKind),
) -> BgpIdentifier {
    if let Some(from) = &spec.router_id_from {
        let missing = match value_from(from, node, |id: &Ipv4Addr| !id.is_unspecified()) {
            Ok(id) => {
                let id = id.into();
                identity.router_id_from = Some(id);
                return id;
            }
            Err(missing) => missing,
        };
        let consequence = match identity.router_id_from {
            Some(_) => Consequence::SameIdentifier,
            None => Consequence::DefaultIdentifier,
        };
        let expected = "an identifier like 192.0.2.1, other than 0.0.0.0";
        warn(missing.warning("spec.routerIDFrom", node, expected, consequence));
        if let Some(found_before) = identity.router_id_from {
            return found_before;
        }
    } else if let Some(id) = spec.router_id.filter(|id| !id.is_unspecified()) {
        return id.into();
    }
    *identity
        .derived_router_id
        .get_or_insert_with(|| derived_router_id(node))
}

fn derived_router_id(node: &Node) -> BgpIdentifier {
    match node.internal_ip(IpFamily::Ipv4) {
        Some(IpAddr::V4(address)) if is_plain(&address) => address.into(),
        // RFC 6286: any non-zero number that is unique in the AS. The hash never changes for a name.
        _ => (0..)
            .map(|attempt| match attempt {
                0 => super::stable_hash32(&node.name),
                _ => super::stable_hash32(&format!("{}#{attempt}", node.name)),
            })
            .map(Ipv4Addr::from)
            .find(is_plain)
            .map_or(BgpIdentifier(1), Into::into),
    }
}

/// Whether an identifier looks like an address of a host. Peers of the days before RFC 6286 refuse others.
fn is_plain(id: &Ipv4Addr) -> bool {
    !matches!(id.octets()[0], 0 | 127 | 224..)
}

/// A warning for each Router that selects the node and is not used.
pub(super) fn not_used(routers: &[&Object<RouterSpec>]) -> Vec<Warning> {
    let Some((chosen, rest)) = routers.split_first() else {
        return Vec::new();
    };
    rest.iter()
        .map(|other| Warning {
            object: ObjectRef::cluster("Router", &other.name),
            kind: WarningKind::RouterNotUsed {
                chosen: chosen.name.clone(),
                more_specific: conditions(chosen) > conditions(other),
            },
        })
        .collect()
}

//! Which Services may have one address together.

use std::fmt;

use super::request::{Port, Request};
use crate::cluster::{Atom, AtomMap, TrafficPolicy};

/// Why two Services do not share an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// Another load balancer gave it to the other, which it alone decides about.
    Foreign,
    /// The one that asks has no sharing key.
    NoKey,
    /// The other has no sharing key, or another one.
    OtherKey(Atom),
    /// One does not allow the other's namespace.
    Namespace(Atom),
    /// Both have a port.
    Port(Port),
    /// One is `externalTrafficPolicy: Local`, the other is not: nodes would attract traffic that they drop.
    TrafficPolicy,
    /// Both are `externalTrafficPolicy: Local` and may have endpoints on different nodes.
    Selector,
}

impl fmt::Display for Unshared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("another load balancer assigned it"),
            Self::NoKey => f.write_str(
                "to share it, set the same annotation routelet.dev/sharing-key on both",
            ),
            Self::OtherKey(key) => write!(f, "it does not share with sharing key \"{key}\""),
            Self::Namespace(namespace) => write!(
                f,
                "sharing across namespaces needs both to allow it, and one does not allow {namespace}"
            ),
            Self::Port(port) => write!(f, "both have port {port}"),
            Self::TrafficPolicy => {
                f.write_str("to share it, both need the same externalTrafficPolicy")
            }
            Self::Selector => f.write_str(
                "with externalTrafficPolicy: Local, both need the same spec.selector, and not an empty one",
            ),
        }
    }
}

/// Whether two Services may have one address together; if not, what the one that asks has to know.
pub(super) fn check(asks: &Request, has: &Request) -> Result<(), Unshared> {
    let Some(mine) = &asks.asked.sharing else {
        return Err(Unshared::NoKey);
    };
    let Some(theirs) = has.asked.sharing.as_ref().filter(|s| s.key == mine.key) else {
        return Err(Unshared::OtherKey(mine.key.clone()));
    };
    let (here, there) = (&asks.key.namespace, &has.key.namespace);
    if here != there {
        if !mine.namespaces.have(there) {
            return Err(Unshared::Namespace(there.clone()));
        }
        if !theirs.namespaces.have(here) {
            return Err(Unshared::Namespace(here.clone()));
        }
    }
    if let Some(port) = asks.ports.iter().find(|port| has.ports.contains(port)) {
        return Err(Unshared::Port(port.clone()));
    }
    match (asks.external_traffic_policy, has.external_traffic_policy) {
        (TrafficPolicy::Cluster, TrafficPolicy::Cluster) => Ok(()),
        (TrafficPolicy::Local, TrafficPolicy::Local) => {
            // Without a selector somebody makes the endpoints by hand: nothing says that they are the same.
            let same = asks.selector == has.selector && asks.selector != AtomMap::default();
            same.then_some(()).ok_or(Unshared::Selector)
        }
        (TrafficPolicy::Cluster, TrafficPolicy::Local)
        | (TrafficPolicy::Local, TrafficPolicy::Cluster) => Err(Unshared::TrafficPolicy),
    }
}

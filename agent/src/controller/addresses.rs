//! From an allocation to what has to be written into the statuses of Services. Pure.

use serde_json::{Value, json};

use super::store::Key;
use super::world::{Served, World};
use crate::pools::{Allocation, Decision};

/// What a Service's status has to become.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    /// Namespace and name.
    pub(super) key: Key,
    /// A merge patch of the status. It holds the version that was decided upon: if there is a newer one, it is refused.
    pub(super) patch: Value,
}

/// The Services whose status is not as the allocation says. While a pool is not known, no Service loses an address: it may be
/// of that pool.
pub(super) fn writes(world: &World, allocation: &Allocation) -> Vec<Write> {
    let unsure = world.has_unknown_pools();
    world
        .services
        .iter()
        .filter_map(|(key, served)| {
            let decision = allocation.services.get(&served.request.key)?;
            let moves = !decision.release.is_empty();
            let is_right = decision.is_written(&served.request) || unsure && moves;
            (!is_right).then(|| Write {
                key: key.clone(),
                patch: json!({
                    "metadata": {"resourceVersion": served.version},
                    "status": {"loadBalancer": {"ingress": ingress(served, decision)}},
                }),
            })
        })
        .collect()
}

/// All entries: those of other load balancers that have nothing but a host name stay.
fn ingress(served: &Served, decision: &Decision) -> Vec<Value> {
    let addresses = decision.ingress(&served.request);
    let names = served.request.host_names.iter();
    addresses
        .iter()
        .map(|entry| match entry.proxy {
            true => json!({"ip": entry.ip, "ipMode": "Proxy"}),
            false => json!({"ip": entry.ip}),
        })
        .chain(names.map(|name| json!({"hostname": name})))
        .collect()
}

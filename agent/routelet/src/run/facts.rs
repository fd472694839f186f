//! The local facts of the intent, from the kernel's view.

use ipnet::IpNet;
use routelet_fib::KernelView;

use routelet_core::intent::{Gateway, Identity, Interface, LocalFacts};

/// Interfaces with their addresses, by name, and the default gateway of each family; besides, who the node was so far.
pub(crate) fn local_facts(
    view: &KernelView,
    connects_pods: bool,
    identity: Identity,
) -> LocalFacts {
    let mut interfaces: Vec<Interface> = view
        .links()
        .map(|link| Interface {
            name: link.name.clone(),
            addresses: view
                .addresses(link.ifindex)
                .filter_map(|address| IpNet::new(address.address, address.prefix_len).ok())
                .collect(),
            up: link.up,
        })
        .collect();
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    let gateways = [false, true]
        .into_iter()
        .filter_map(|ipv6| view.default_gateway(ipv6))
        .filter_map(|(address, ifindex)| {
            Some(Gateway {
                address,
                interface: view.link(ifindex)?.name.clone(),
            })
        })
        .collect();
    LocalFacts {
        interfaces,
        gateways,
        connects_pods,
        identity,
    }
}

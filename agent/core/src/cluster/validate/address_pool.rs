//! What is wrong with an AddressPool.

use std::net::IpAddr;

use routelet_api::{AddressBlock, AddressPoolSpec, Cidr};

use super::findings::Findings;
use super::{Finding, Validate};

impl Validate for AddressPoolSpec {
    fn validate(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let f = &mut findings;
        f.selector("spec.serviceSelector", self.service_selector.as_ref());
        f.selector("spec.namespaceSelector", self.namespace_selector.as_ref());
        f.check(!self.addresses.is_empty(), "spec.addresses", || {
            "empty: expected at least one prefix, range or address".to_owned()
        });
        f.check(self.auto_assign || self.allow_requests, "spec.allowRequests", || {
            "false, and autoAssign is false too: no Service could get an address; set one of them to true".to_owned()
        });
        for (name, limit) in [
            ("spec.maxPerService", self.max_per_service),
            ("spec.maxPerNamespace", self.max_per_namespace),
        ] {
            f.check(limit != Some(0), name, || {
                "0: expected at least 1; leave it out for no limit".to_owned()
            });
        }
        for (at, block) in self.addresses.iter().enumerate() {
            let path = format!("spec.addresses[{at}]");
            if let AddressBlock::Prefix(net) = block {
                f.cidr(&path, Cidr(*net));
                let hosts = net.max_prefix_len() - net.prefix_len();
                f.check(!self.exclude_first_and_last || hosts > 1, &path, || {
                    format!("{block} has only a first and a last address, which excludeFirstAndLast excludes")
                });
            }
            let ends = [block.first(), block.last()];
            f.check(!ends.into_iter().any(is_special), &path, || {
                format!("{block} has addresses that no Service can have: unspecified, loopback, link-local or multicast")
            });
            let earlier = self.addresses[..at]
                .iter()
                .find(|other| other.first() <= block.last() && block.first() <= other.last());
            if let Some(other) = earlier {
                f.add(
                    path,
                    format!("{block} overlaps {other}: list each address once"),
                );
            }
        }
        findings.list
    }
}

/// Whether an address can never be routed to a Service.
fn is_special(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast()
}

//! What is wrong with an Advertisement.

use routelet_api::AdvertisementSpec;
use routelet_api::advertisement::Mode;

use super::findings::Findings;
use super::{Finding, Validate};

impl Validate for AdvertisementSpec {
    fn validate(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let f = &mut findings;
        f.selector("spec.nodeSelector", self.node_selector.as_ref());
        f.selector("spec.peerSelector", self.peer_selector.as_ref());
        for (at, cidr) in self.prefixes.iter().enumerate() {
            f.cidr(&format!("spec.prefixes[{at}]"), *cidr);
        }
        if let Some(services) = &self.services {
            f.selector("spec.services.selector", services.selector.as_ref());
            f.selector(
                "spec.services.namespaceSelector",
                services.namespace_selector.as_ref(),
            );
            for (at, cidr) in services.external_ips.iter().enumerate() {
                f.cidr(&format!("spec.services.externalIPs[{at}]"), *cidr);
            }
            f.check(
                !services.addresses.is_empty(),
                "spec.services.addresses",
                || "empty: expected some of LoadBalancer, External and Cluster".to_owned(),
            );
        }
        match (&self.aggregate, self.mode) {
            (None, Some(mode @ (Mode::Aggregated | Mode::Both))) => {
                f.add("spec.mode", format!("{mode:?} needs aggregate"));
            }
            (Some(aggregate), _) => {
                if let Some(length) = aggregate.ipv4 {
                    f.range("spec.aggregate.ipv4", length, 1, 32);
                }
                if let Some(length) = aggregate.ipv6 {
                    f.range("spec.aggregate.ipv6", length, 1, 128);
                }
            }
            (None, None | Some(Mode::Exact)) => {}
        }
        f.range("spec.attributes.prepend", self.attributes.prepend, 0, 32);
        findings.list
    }
}

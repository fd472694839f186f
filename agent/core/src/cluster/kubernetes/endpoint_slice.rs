//! The fields of an EndpointSlice that are used.

use routelet_api::IpFamily;
use routelet_api::text::Address;
use serde::Deserialize;

use super::{Meta, Metadata};
use crate::cluster::atom::Atoms;
use crate::cluster::each::Each;
use crate::cluster::state::{Endpoint, EndpointSlice};
use crate::cluster::validate::Finding;

/// An EndpointSlice, as it comes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawEndpointSlice<M = Meta> {
    /// Its metadata.
    pub metadata: M,
    address_type: RawAddressType,
    #[serde(default)]
    endpoints: Each<RawEndpoint>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum RawAddressType {
    #[serde(rename = "IPv4")]
    Ipv4,
    #[serde(rename = "IPv6")]
    Ipv6,
    #[serde(rename = "FQDN")]
    Fqdn,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(default)]
    addresses: Each<Address>,
    #[serde(default)]
    conditions: RawConditions,
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl<M: Metadata> RawEndpointSlice<M> {
    /// The slice for the index; `None` for one that belongs to no Service or whose endpoints are names. Endpoints that cannot
    /// be used are named.
    pub fn into_slice(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Option<EndpointSlice> {
        let service = self.metadata.labels()?;
        let service = service.get("kubernetes.io/service-name")?;
        let family = match self.address_type {
            RawAddressType::Ipv4 => IpFamily::Ipv4,
            RawAddressType::Ipv6 => IpFamily::Ipv6,
            RawAddressType::Fqdn => return None,
        };
        let (key, service) = (self.metadata.key(atoms), atoms.atom(service));
        let mut bad = Vec::new();
        let all = self.endpoints.take("endpoints", left_out);
        let endpoints = all
            .filter_map(|(index, raw)| raw.into_endpoint(index, family, atoms, &mut bad))
            .collect();
        left_out.append(&mut bad);
        Some(EndpointSlice {
            key,
            service,
            family,
            endpoints,
        })
    }
}

impl RawEndpoint {
    /// The endpoint, unless it has addresses and none of them is one of the slice's family: kube-proxy has nobody to send
    /// packets to then.
    fn into_endpoint(
        self,
        index: usize,
        family: IpFamily,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Option<Endpoint> {
        let fits = |ip: &Address| IpFamily::of(ip.0) == family;
        let is_served = self.addresses.is_empty() || self.addresses.good().any(fits);
        if !self.addresses.is_all(fits) {
            let path = format!("endpoints[{index}].addresses");
            let addresses: Vec<_> = self.addresses.take(&path, left_out).collect();
            let others = addresses
                .iter()
                .filter(|(_, ip)| IpFamily::of(ip.0) != family);
            left_out.extend(others.map(|(place, ip)| Finding {
                path: format!("{path}[{place}]"),
                reason: format!("{ip} is not an {family} address, and addressType is {family}"),
            }));
        }
        if !is_served {
            return None;
        }
        // The API's words: absent ready is true, absent serving is as ready, absent terminating is false.
        let ready = self.conditions.ready.unwrap_or(true);
        Some(Endpoint {
            node: self.node_name.map(|name| atoms.atom(&name)),
            ready,
            serving: self.conditions.serving.unwrap_or(ready),
            terminating: self.conditions.terminating.unwrap_or(false),
        })
    }
}

//! Pod CIDRs as a CNI configuration list.

use ipnet::IpNet;
use serde::Serialize;

use routelet_api::IpFamily;

/// The version of the CNI specification: the newest that every maintained container runtime and the plugins since 1.0
/// know.
const CNI_VERSION: &str = "1.0.0";

/// The name of the network. `host-local` keeps its allocations in a directory of this name: another one would forget
/// them.
const NETWORK: &str = "routelet";

/// The bridge of `bridge`: the plugin's own default.
const BRIDGE: &str = "cni0";

/// How pods are connected to their node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Attachment {
    /// A veth pair for each, and a route of the host.
    #[default]
    Ptp,
    /// All by one bridge, an Ethernet among the pods of the node.
    Bridge,
}

/// What decides about the list besides the pod CIDRs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListSettings {
    /// How pods are connected.
    pub attachment: Attachment,
    /// The MTU of the pods' interfaces, in bytes; `None`: as the plugin finds it.
    pub mtu: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    cni_version: &'static str,
    name: &'static str,
    plugins: [Plugin<'a>; 2],
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Plugin<'a> {
    Ptp(Interface<'a>),
    Bridge(Bridge<'a>),
    Portmap { capabilities: Capabilities },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bridge<'a> {
    bridge: &'static str,
    /// The bridge has the gateway's addresses.
    is_gateway: bool,
    /// A pod may reach itself by the address of its Service.
    hairpin_mode: bool,
    #[serde(flatten)]
    interface: Interface<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interface<'a> {
    /// Never: routers know the pods' addresses.
    ip_masq: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    ipam: Ipam<'a>,
}

#[derive(Serialize)]
struct Ipam<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// A pod gets one address of each list.
    ranges: Vec<Vec<Range<'a>>>,
    routes: Vec<Route>,
}

#[derive(Clone, Copy, Serialize)]
struct Range<'a> {
    subnet: &'a IpNet,
}

#[derive(Serialize)]
struct Route {
    dst: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    port_mappings: bool,
}

/// The list as the text of its file, with a newline at its end; `None` without pod CIDRs.
///
/// The family of the first CIDR comes first: it is that of the pods' primary address.
pub(super) fn render(settings: ListSettings, pod_cidrs: &[IpNet]) -> Option<String> {
    let first = IpFamily::of(pod_cidrs.first()?.addr());
    let families = match first {
        IpFamily::Ipv4 => [IpFamily::Ipv4, IpFamily::Ipv6],
        IpFamily::Ipv6 => [IpFamily::Ipv6, IpFamily::Ipv4],
    };
    let mut ipam = Ipam {
        kind: "host-local",
        ranges: Vec::new(),
        routes: Vec::new(),
    };
    for family in families {
        let range: Vec<Range> = pod_cidrs
            .iter()
            .filter(|cidr| IpFamily::of(cidr.addr()) == family)
            .map(|subnet| Range { subnet })
            .collect();
        // A default route without an address of its family is an error to the plugins.
        if !range.is_empty() {
            ipam.ranges.push(range);
            ipam.routes.push(default_route(family));
        }
    }
    let interface = Interface {
        ip_masq: false,
        mtu: settings.mtu,
        ipam,
    };
    let list = List {
        cni_version: CNI_VERSION,
        name: NETWORK,
        plugins: [
            match settings.attachment {
                Attachment::Ptp => Plugin::Ptp(interface),
                Attachment::Bridge => Plugin::Bridge(Bridge {
                    bridge: BRIDGE,
                    is_gateway: true,
                    hairpin_mode: true,
                    interface,
                }),
            },
            Plugin::Portmap {
                capabilities: Capabilities {
                    port_mappings: true,
                },
            },
        ],
    };
    // Texts, numbers and lists only: nothing of it can fail to be JSON.
    serde_json::to_string_pretty(&list)
        .ok()
        .map(|text| text + "\n")
}

fn default_route(family: IpFamily) -> Route {
    Route {
        dst: match family {
            IpFamily::Ipv4 => "0.0.0.0/0",
            IpFamily::Ipv6 => "::/0",
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn rendered(settings: ListSettings, cidrs: &[&str]) -> Option<String> {
        let cidrs: Vec<IpNet> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        render(settings, &cidrs)
    }

    fn ipam(cidrs: &[&str]) -> Value {
        let text = rendered(ListSettings::default(), cidrs).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        list["plugins"][0]["ipam"].clone()
    }

    #[test]
    fn by_default_pods_of_both_families_have_a_cable_each() {
        let text = rendered(
            ListSettings::default(),
            &["10.244.1.0/24", "fd00:244:1::/64"],
        );
        insta::assert_snapshot!(text.unwrap());
    }

    #[test]
    fn a_bridge_is_the_gateway_of_its_pods() {
        let settings = ListSettings {
            attachment: Attachment::Bridge,
            mtu: Some(8950),
        };
        let text = rendered(settings, &["10.244.1.0/24", "fd00:244:1::/64"]);
        insta::assert_snapshot!(text.unwrap());
    }

    #[test]
    fn there_is_no_list_without_pod_cidrs() {
        assert_eq!(rendered(ListSettings::default(), &[]), None);
    }

    #[test]
    fn a_family_without_addresses_has_no_default_route() {
        assert_eq!(
            ipam(&["fd00:244:1::/64"]),
            json!({
                "type": "host-local",
                "ranges": [[{"subnet": "fd00:244:1::/64"}]],
                "routes": [{"dst": "::/0"}],
            })
        );
    }

    #[test]
    fn the_family_of_the_first_cidr_is_the_primary_one_and_cidrs_of_one_family_share_a_list() {
        let found = ipam(&["fd00:1::/64", "10.244.1.0/24", "fd00:2::/64"]);
        assert_eq!(
            found["ranges"],
            json!([
                [{"subnet": "fd00:1::/64"}, {"subnet": "fd00:2::/64"}],
                [{"subnet": "10.244.1.0/24"}],
            ])
        );
        assert_eq!(
            found["routes"],
            json!([{"dst": "::/0"}, {"dst": "0.0.0.0/0"}])
        );
    }
}

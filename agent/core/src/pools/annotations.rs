//! What a Service asks for, in our annotations and in those of the load balancers that people come from.
//!
//! Of several annotations that say the same thing the first of the table counts; an empty one counts as absent.

use std::net::IpAddr;

use routelet_api::selector::Labels;

use crate::cluster::{Atom, Atoms};

/// Addresses, separated by commas.
pub const ADDRESSES: &str = "routelet.dev/addresses";

/// The AddressPool to take addresses from.
pub const ADDRESS_POOL: &str = "routelet.dev/address-pool";

/// The key that Services have in common that may share an address.
pub const SHARING_KEY: &str = "routelet.dev/sharing-key";

/// The namespaces with which an address may be shared, separated by commas; `*`: all.
pub const SHARING_NAMESPACES: &str = "routelet.dev/sharing-namespaces";

const METALLB: [&str; 3] = [
    "metallb.io/loadBalancerIPs",
    "metallb.io/address-pool",
    "metallb.io/allow-shared-ip",
];

/// The older names of the same, which MetalLB still reads.
const METALLB_OLD: [&str; 3] = [
    "metallb.universe.tf/loadBalancerIPs",
    "metallb.universe.tf/address-pool",
    "metallb.universe.tf/allow-shared-ip",
];

const ADDRESS_NAMES: [&str; 7] = [
    ADDRESSES,
    METALLB[0],
    METALLB_OLD[0],
    "lbipam.cilium.io/ips",
    "io.cilium/lb-ipam-ips",
    "purelb.io/addresses",
    "kube-vip.io/loadbalancerIPs",
];

const POOL_NAMES: [&str; 4] = [
    ADDRESS_POOL,
    METALLB[1],
    METALLB_OLD[1],
    "purelb.io/service-group",
];

/// Which namespaces a sharing key reaches.
enum Reach {
    /// All of them, as with MetalLB and PureLB.
    Everywhere,
    /// The Service's own, and those that one of these annotations lists.
    Listed(&'static [&'static str]),
}

const CILIUM_NAMESPACES: Reach = Reach::Listed(&[
    "lbipam.cilium.io/sharing-cross-namespace",
    "io.cilium/lb-ipam-sharing-cross-namespace",
]);

const SHARING_NAMES: [(&str, Reach); 6] = [
    (SHARING_KEY, Reach::Listed(&[SHARING_NAMESPACES])),
    (METALLB[2], Reach::Everywhere),
    (METALLB_OLD[2], Reach::Everywhere),
    ("lbipam.cilium.io/sharing-key", CILIUM_NAMESPACES),
    ("io.cilium/lb-ipam-sharing-key", CILIUM_NAMESPACES),
    ("purelb.io/allow-shared-ip", Reach::Everywhere),
];

/// The last word, after all annotations.
const LOAD_BALANCER_IP: &str = "spec.loadBalancerIP";

/// What a Service asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Certain addresses.
    pub addresses: Option<AskedAddresses>,
    /// Addresses of a certain pool.
    pub pool: Option<AskedPool>,
    /// To share addresses.
    pub sharing: Option<Sharing>,
}

/// Addresses that a Service asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedAddresses {
    /// The annotation or field.
    pub source: &'static str,
    /// The addresses, each once, in their order; or the first text among them that is none.
    pub addresses: Result<Box<[IpAddr]>, Atom>,
}

/// A pool that a Service asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPool {
    /// The annotation.
    pub source: &'static str,
    /// The pool's name.
    pub pool: Atom,
}

/// How a Service is ready to share its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The annotation with the key.
    pub source: &'static str,
    /// What all that share an address have in common; never empty.
    pub key: Atom,
    /// With which other namespaces.
    pub namespaces: Namespaces,
}

/// Namespaces, besides a Service's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All.
    All,
    /// These.
    Listed(Box<[Atom]>),
}

impl Namespaces {
    /// Whether a namespace is among them.
    pub(super) fn have(&self, namespace: &Atom) -> bool {
        match self {
            Self::All => true,
            Self::Listed(list) => list.contains(namespace),
        }
    }
}

impl Asked {
    /// Whether an annotation of ours asks for something, not one of other load balancers.
    pub(super) fn is_of_us(&self) -> bool {
        let addresses = self.addresses.as_ref().map(|asked| asked.source);
        let pool = self.pool.as_ref().map(|asked| asked.source);
        let sharing = self.sharing.as_ref().map(|sharing| sharing.source);
        [
            (addresses, ADDRESSES),
            (pool, ADDRESS_POOL),
            (sharing, SHARING_KEY),
        ]
        .iter()
        .any(|(source, ours)| *source == Some(*ours))
    }

    /// What annotations and `spec.loadBalancerIP` ask for.
    pub fn read(
        annotations: Option<&Labels>,
        load_balancer_ip: Option<&str>,
        atoms: &mut Atoms,
    ) -> Self {
        let value = |name: &'static str| {
            let text = annotations?.get(name)?.trim();
            (!text.is_empty()).then_some((name, text))
        };
        let field = load_balancer_ip.map(str::trim).filter(|t| !t.is_empty());
        let field = field.map(|text| (LOAD_BALANCER_IP, text));
        let asked = ADDRESS_NAMES.into_iter().find_map(value).or(field);
        let addresses = asked.map(|(source, text)| AskedAddresses {
            source,
            addresses: addresses(text).map_err(|text| atoms.atom(text)),
        });
        let pool = POOL_NAMES.into_iter().find_map(value);
        let pool = pool.map(|(source, name)| AskedPool {
            source,
            pool: atoms.atom(name),
        });
        let key = SHARING_NAMES
            .iter()
            .find_map(|(name, reach)| Some((value(name)?, reach)));
        let sharing = key.map(|((source, key), reach)| Sharing {
            source,
            key: atoms.atom(key),
            namespaces: match reach {
                Reach::Everywhere => Namespaces::All,
                Reach::Listed(names) => {
                    let listed = names.iter().find_map(|name| value(name));
                    namespaces(listed.map_or("", |(_, text)| text), atoms)
                }
            },
        });
        Self {
            addresses,
            pool,
            sharing,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|w| !w.is_empty())
}

fn addresses(text: &str) -> Result<Box<[IpAddr]>, &str> {
    let mut all = Vec::new();
    for word in words(text) {
        let address = word.parse().map_err(|_| word)?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    // Nothing but commas.
    if all.is_empty() {
        return Err(text);
    }
    Ok(all.into())
}

fn namespaces(text: &str, atoms: &mut Atoms) -> Namespaces {
    if words(text).any(|word| word == "*") {
        return Namespaces::All;
    }
    Namespaces::Listed(words(text).map(|word| atoms.atom(word)).collect())
}

//! Why a Service does not get an address, and what its owner can do.

use std::fmt;
use std::net::IpAddr;

use routelet_api::IpFamily;

use super::reserved::Holder;
use super::sharing::Unshared;
use crate::cluster::{Atom, ObjectKey};

/// The most pools that a text names.
const NAMED: usize = 4;

/// Why a Service does not get an address. All but the last three are for the Service's owner to mend, those for whoever makes
/// the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is being deleted.
    Deleting,
    /// It asks for something that is no address.
    NotAnAddress {
        /// The annotation or field.
        source: &'static str,
        /// What stands there.
        text: Atom,
    },
    /// It asks for an address of a family that it does not have.
    OtherFamily {
        /// The annotation or field.
        source: &'static str,
        /// The address.
        address: IpAddr,
    },
    /// It asks for an address that is in no pool.
    OutsidePools {
        /// The annotation or field.
        source: &'static str,
        /// The address.
        address: IpAddr,
    },
    /// It asks for the first or last address of a prefix, which the pool leaves out.
    LeftOut {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: Atom,
    },
    /// It asks for an address that is somebody's.
    Reserved {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        holder: Holder,
    },
    /// It asks for an address of one pool and names another.
    OtherPool {
        /// The address.
        address: IpAddr,
        /// The pool that the address is in.
        pool: Atom,
        /// The pool that it names.
        named: Atom,
    },
    /// It asks for an address of a pool that is not for it.
    NotForIt {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: Atom,
        /// Why it is not.
        why: Unfit,
    },
    /// It asks for an address that another Service has.
    Owned {
        /// The address.
        address: IpAddr,
        /// The other Service.
        owner: ObjectKey,
        /// Why they cannot share it.
        why: Unshared,
    },
    /// It names a pool that does not exist.
    UnknownPool {
        /// The annotation.
        source: &'static str,
        /// The pool.
        pool: Atom,
    },
    /// It names a pool that exists, but of which no valid version is known.
    InvalidPool {
        /// The annotation.
        source: &'static str,
        /// The pool.
        pool: Atom,
    },
    /// No pool would give it an address of a family.
    NoPool {
        /// The family.
        family: IpFamily,
        /// Every pool, or the one that it names, and why that does not.
        pools: Box<[(Atom, Unfit)]>,
    },
    /// The pools that would give it an address of a family have none left.
    Exhausted {
        /// The family.
        family: IpFamily,
        /// Those pools.
        pools: Box<[Atom]>,
    },
}

/// Why a pool gives a Service no address, whether or not one is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its `namespaceSelector` does not select the namespace.
    Namespace,
    /// Its `serviceSelector` does not select the Service.
    Labels,
    /// It has `autoAssign: false`, and the Service does not name it.
    OnRequest,
    /// It has no addresses of the family.
    Family,
    /// It has `requireClass: true`, and the Service has no class.
    NoClass,
    /// It has `allowRequests: false`, and the Service asks.
    NoRequests,
    /// It exists, but no valid version of it is known.
    Invalid,
    /// The Service has as many addresses of a family as `maxPerService` says.
    PerService(u32),
    /// The Services of the namespace have as many addresses of a family as `maxPerNamespace` says.
    PerNamespace(u32),
}

impl Refusal {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deleting => "deleting",
            Self::NotAnAddress { .. } => "notAnAddress",
            Self::OtherFamily { .. } => "otherFamily",
            Self::OutsidePools { .. } => "outsidePools",
            Self::LeftOut { .. } => "leftOut",
            Self::Reserved { .. } => "reserved",
            Self::OtherPool { .. } => "otherPool",
            Self::NotForIt { .. } => "notForIt",
            Self::Owned { .. } => "owned",
            Self::UnknownPool { .. } => "unknownPool",
            Self::InvalidPool { .. } => "invalidPool",
            Self::NoPool { .. } => "noPool",
            Self::Exhausted { .. } => "exhausted",
        }
    }

    /// The same as the reason of a condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Deleting => "Deleting",
            Self::NotAnAddress { .. } => "NotAnAddress",
            Self::OtherFamily { .. } => "OtherFamily",
            Self::OutsidePools { .. } => "OutsidePools",
            Self::LeftOut { .. } => "LeftOut",
            Self::Reserved { .. } => "Reserved",
            Self::OtherPool { .. } => "OtherPool",
            Self::NotForIt { .. } => "NotForIt",
            Self::Owned { .. } => "Owned",
            Self::UnknownPool { .. } => "UnknownPool",
            Self::InvalidPool { .. } => "InvalidPool",
            Self::NoPool { .. } => "NoPool",
            Self::Exhausted { .. } => "Exhausted",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerService(most) => {
                return write!(f, "a Service gets at most {most} of each family (maxPerService)");
            }
            Self::PerNamespace(most) => {
                return write!(
                    f,
                    "the Services of the namespace have {most} of that family, the maximum (maxPerNamespace)"
                );
            }
            Self::NoClass => {
                "only for Services with loadBalancerClass: routelet.dev/bgp (requireClass)"
            }
            Self::NoRequests => {
                "it does not allow requests (allowRequests: false); remove the request from the Service"
            }
            Self::Namespace => "its namespaceSelector does not select the namespace",
            Self::Labels => "its serviceSelector does not select the Service",
            Self::OnRequest => "only for Services that name it with routelet.dev/address-pool",
            Self::Family => "it has no addresses of that family",
            Self::Invalid => "it is not valid, see its condition Accepted",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleting => f.write_str("the Service is being deleted"),
            Self::NotAnAddress { source, text } => write!(
                f,
                "{source}: \"{text}\" is not an address: expected one such as 192.0.2.1 or 2001:db8::1, several with \
                 commas between them"
            ),
            Self::OtherFamily { source, address } => write!(
                f,
                "{source} asks for {address}, but {} is not among the Service's ipFamilies",
                IpFamily::of(*address)
            ),
            Self::OutsidePools { source, address } => write!(
                f,
                "{source} asks for {address}, which no AddressPool has: ask for another, or add it to a pool"
            ),
            Self::LeftOut { address, pool } => write!(
                f,
                "{address} is the first or last address of a prefix, which AddressPool {pool} excludes \
                 (excludeFirstAndLast): ask for another"
            ),
            Self::Reserved { address, holder } => write!(
                f,
                "{address} is {holder}, which no Service may take: ask for another"
            ),
            Self::OtherPool {
                address,
                pool,
                named,
            } => write!(
                f,
                "{address} is in AddressPool {pool}, but the Service names {named}: ask for another, or name {pool}"
            ),
            Self::NotForIt { address, pool, why } => {
                write!(f, "{address} is in AddressPool {pool}: {why}")
            }
            Self::Owned {
                address,
                owner,
                why,
            } => write!(f, "Service {owner} has {address}: {why}"),
            Self::UnknownPool { source, pool } => {
                write!(f, "{source} names AddressPool {pool}, which does not exist")
            }
            Self::InvalidPool { source, pool } => {
                write!(f, "{source} names AddressPool {pool}: {}", Unfit::Invalid)
            }
            Self::NoPool { family, pools } if pools.is_empty() => {
                write!(f, "there is no AddressPool with {family} addresses")
            }
            Self::NoPool { family, pools } => {
                write!(f, "no AddressPool assigns it an {family} address: ")?;
                list(f, pools, "; ", |f, (pool, why)| write!(f, "{pool}: {why}"))
            }
            Self::Exhausted { family, pools } => {
                write!(f, "no {family} address is free in AddressPool ")?;
                list(f, pools, ", ", |f, pool| write!(f, "{pool}"))?;
                f.write_str(": add addresses, or delete Services that have some")
            }
        }
    }
}

/// The first few of a list, and how many more there are.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    all: &[T],
    between: &str,
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in all.iter().take(NAMED).enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        one(f, item)?;
    }
    match all.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, "{between}and {more} more"),
    }
}

//! Which of this node's addresses is the next hop of what it advertises on a session: pure, decided again whenever an address
//! of the node changes.
//!
//! The next hop of the session's own family is its local address. That of the other family is the first of these that there
//! is, where the peer is on the link:
//!
//! 1. an InternalIP of the Node on the session's interface;
//! 2. another address on that interface: preferred (not deprecated), not temporary, past duplicate address detection (RFC 4862,
//!    RFC 8981). Of several: one with a network around it before a host's (which may be a virtual one that moves), a primary
//!    one before a secondary one, one of wider scope before 169.254.0.0/16, the one used so far, the least;
//! 3. an InternalIP of the Node on another interface.
//!
//! Where the peer is further away, InternalIPs come first, whichever interface they are on. A loopback address is never chosen
//! (a global one on the loopback interface may be), nor one that no interface of this node has.
//!
//! The link-local address goes along where the peer is on the link (RFC 2545 section 3), alone if there is no other: that is
//! what BIRD and FRR take. Where there is no address of a family, its routes are not advertised on the session, and
//! [`NoNextHop`] says why; IPv4 routes may go over IPv6 (RFC 8950).

mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use routelet_api::IpFamily;
use routelet_fib::KernelView;
use routelet_fib::kernel::event::Address;

pub use session::{Placed, Session};

/// How many addresses that do not fit are named.
const NAMED: usize = 4;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Our end.
    local: IpAddr,
    /// The interface that has it, if it is known.
    interface: Option<u32>,
    /// Whether the peer is on that interface's link.
    on_link: bool,
}

/// The node's own next hops on one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNextHops {
    /// Of IPv4 routes.
    pub ipv4: Result<Ipv4Addr, NoNextHop>,
    /// Of IPv6 routes.
    pub ipv6: Result<Ipv6Addr, NoNextHop>,
    /// What goes along with it, where the peer is on the link.
    pub link_local: Option<Ipv6Addr>,
}

impl OwnNextHops {
    /// Why there is none of a family; `None`: there is one.
    pub fn missing(&self, family: IpFamily) -> Option<&NoNextHop> {
        match family {
            IpFamily::Ipv4 => self.ipv4.as_ref().err(),
            IpFamily::Ipv6 => self.ipv6.as_ref().err(),
        }
    }
}

/// Why no address of a family can be the next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNextHop {
    family: IpFamily,
    /// The session's interface.
    interface: Option<String>,
    /// Addresses that were looked at.
    unfit: Vec<(IpAddr, Unfit)>,
    /// Whether the Node has an InternalIP of the family.
    has_internal_ip: bool,
}

/// Why an address does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    Loopback,
    LinkLocal,
    Tentative,
    Deprecated,
    Temporary,
    NotHere,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "is a loopback address",
            Self::LinkLocal => "is link-local",
            Self::Tentative => "has not passed duplicate address detection",
            Self::Deprecated => "is deprecated",
            Self::Temporary => "is temporary",
            Self::NotHere => "is the Node's InternalIP, but on no interface of this node",
        })
    }
}

impl fmt::Display for NoNextHop {
    /// A sentence without its full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            family,
            interface,
            unfit,
            has_internal_ip,
        } = self;
        match interface {
            Some(name) => write!(
                f,
                "interface {name} has no {family} address that can be the next hop"
            )?,
            None => write!(f, "no {family} address of this node can be the next hop")?,
        }
        for (at, (address, why)) in unfit.iter().take(NAMED).enumerate() {
            let sign = if at == 0 { ": " } else { ", " };
            write!(f, "{sign}{address} {why}")?;
        }
        if unfit.len() > NAMED {
            write!(f, " and {} more", unfit.len() - NAMED)?;
        }
        if !has_internal_ip {
            write!(f, "; the Node has no {family} InternalIP")?;
        }
        Ok(())
    }
}

/// The own next hops of a session. `internal_ips`: those of the Node, in their order. `before`: what was chosen last for
/// this session, which stays where nothing speaks for another one.
fn choose(
    view: &KernelView,
    internal_ips: &[IpAddr],
    place: Place,
    before: Option<&OwnNextHops>,
) -> OwnNextHops {
    let before_ipv4 = before.and_then(|before| before.ipv4.as_ref().ok());
    let before_ipv6 = before.and_then(|before| before.ipv6.as_ref().ok());
    let look = |family, before: Option<IpAddr>| Look {
        view,
        internal_ips,
        place,
        family,
        before,
    };
    let of_ipv4 = match place.local {
        IpAddr::V4(local) => Ok(local),
        IpAddr::V6(_) => {
            let look = look(IpFamily::Ipv4, before_ipv4.map(|a| (*a).into()));
            look.chosen().and_then(ipv4).ok_or_else(|| look.refused())
        }
    };
    let of_ipv6 = match place.local {
        IpAddr::V6(local) if !local.is_unicast_link_local() => Ok(local),
        _ => {
            let look = look(IpFamily::Ipv6, before_ipv6.map(|a| (*a).into()));
            look.chosen().and_then(ipv6).ok_or_else(|| look.refused())
        }
    };
    let link_local = place.interface.filter(|_| place.on_link).and_then(|on| {
        let usable = view.addresses(on).filter(|address| !address.tentative);
        let all = usable.filter_map(|address| match address.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        });
        // The session's own end, if it is one; else the one used so far.
        let used = before.and_then(|before| before.link_local);
        all.min_by_key(|a| (IpAddr::from(*a) != place.local, Some(*a) != used, *a))
    });
    OwnNextHops {
        ipv4: of_ipv4,
        ipv6: of_ipv6,
        link_local,
    }
}

struct Look<'a> {
    view: &'a KernelView,
    internal_ips: &'a [IpAddr],
    place: Place,
    family: IpFamily,
    before: Option<IpAddr>,
}

impl Look<'_> {
    /// The address that becomes the next hop of a family that the session's address is not of.
    fn chosen(&self) -> Option<IpAddr> {
        let internal = || self.internal_ip();
        match self.place.on_link {
            true => self.on_interface().or_else(internal),
            false => internal().or_else(|| self.on_interface()),
        }
    }

    /// The best address on the session's interface.
    fn on_interface(&self) -> Option<IpAddr> {
        let addresses = self.view.addresses(self.place.interface?);
        let ranked = addresses
            .filter(|address| IpFamily::of(address.address) == self.family)
            .filter(|address| self.unfit(address).is_none())
            .map(|address| (self.rank(address), address.address));
        ranked.min().map(|(_, address)| address)
    }

    /// The first InternalIP that some interface of this node has.
    fn internal_ip(&self) -> Option<IpAddr> {
        let all = self.internal_ips.iter().copied();
        let mut fit = all.filter(|address| {
            IpFamily::of(*address) == self.family
                && self
                    .view
                    .address(*address)
                    .is_some_and(|known| self.unfit(known).is_none())
        });
        fit.next()
    }

    /// What speaks against an address: the less, the better.
    fn rank(&self, address: &Address) -> (usize, [bool; 4]) {
        let place = self.internal_place(address.address);
        let is_host = match address.address {
            IpAddr::V4(_) => address.prefix_len >= 32,
            IpAddr::V6(_) => address.prefix_len >= 128,
        };
        let against = [
            matches!(address.address, IpAddr::V4(a) if a.is_link_local()),
            is_host,
            address.secondary,
            self.before != Some(address.address),
        ];
        (place.unwrap_or(usize::MAX), against)
    }

    /// Where an address stands among the Node's InternalIPs.
    fn internal_place(&self, address: IpAddr) -> Option<usize> {
        self.internal_ips.iter().position(|own| *own == address)
    }

    /// Why an address cannot be the next hop. An InternalIP was chosen by whoever runs the node: of it only the least is asked.
    fn unfit(&self, address: &Address) -> Option<Unfit> {
        let is_internal = self.internal_place(address.address).is_some();
        let is_link_local = match address.address {
            // Ordinary on its link: clouds and VPNs use these.
            IpAddr::V4(a) => a.is_link_local() && !self.place.on_link,
            IpAddr::V6(a) => a.is_unicast_link_local(),
        };
        if address.address.is_loopback() {
            Some(Unfit::Loopback)
        } else if is_link_local {
            Some(Unfit::LinkLocal)
        } else if address.tentative {
            Some(Unfit::Tentative)
        } else if address.deprecated && !is_internal {
            Some(Unfit::Deprecated)
        } else if address.secondary && address.address.is_ipv6() && !is_internal {
            Some(Unfit::Temporary)
        } else {
            None
        }
    }

    fn refused(&self) -> NoNextHop {
        let interface = self.place.interface;
        let on_interface = interface.into_iter().flat_map(|on| self.view.addresses(on));
        let mut unfit: Vec<(IpAddr, Unfit)> = on_interface
            .filter(|address| IpFamily::of(address.address) == self.family)
            .filter_map(|address| Some((address.address, self.unfit(address)?)))
            // Every interface has one.
            .filter(|(address, why)| address.is_ipv4() || *why != Unfit::LinkLocal)
            .collect();
        let internal_ips = self.internal_ips.iter().copied();
        let internal_ips: Vec<IpAddr> = internal_ips
            .filter(|address| IpFamily::of(*address) == self.family)
            .collect();
        for address in &internal_ips {
            let why = match self.view.address(*address) {
                None => Some(Unfit::NotHere),
                Some(known) => self.unfit(known),
            };
            unfit.extend(why.map(|why| (*address, why)));
        }
        unfit.sort_by_key(|(address, _)| *address);
        unfit.dedup();
        let link = interface.and_then(|on| self.view.link(on));
        NoNextHop {
            family: self.family,
            interface: link.map(|link| link.name.clone()),
            unfit,
            has_internal_ip: !internal_ips.is_empty(),
        }
    }
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

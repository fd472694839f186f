//! What a BFD session is of: the addresses and the interface of a path.

use std::net::IpAddr;
use std::num::NonZeroU32;

use routelet_bfd::{Hops, SessionKey};
use routelet_fib::KernelView;
use routelet_fib::kernel::event::Address;

use super::{Ends, Wanted};
use crate::intent::BfdDistance;

/// A path to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// What the session is of.
    pub key: SessionKey,
    /// The gateway and interface that packets through the peer take, if the peer is on a link. One behind a router is
    /// not the gateway of its routes, and that router may still forward to others.
    pub router: Option<(IpAddr, u32)>,
}

/// The path to a peer; `None`: an address or the interface is not known. `ends`: of its BGP session.
/// `known`: the path of before, which a default route does not replace: it stays where a link has failed.
///
/// Our address is that of the BGP session, else the configured one, else that of before, else the one from which the
/// kernel reaches the peer: on the link, one of the link's network; otherwise the first one of the interface.
pub(super) fn find(
    wanted: &Wanted,
    ends: Option<Ends>,
    view: &KernelView,
    known: Option<&Path>,
) -> Option<Path> {
    let remote = wanted.remote;
    let scope = wanted.interface.or(ends.and_then(|ends| ends.interface));
    let resolved = view.resolve(remote, scope);
    if known.is_some() && resolved.is_none_or(|resolved| resolved.by_default) && ends.is_none() {
        return None;
    }
    let on_link = resolved.filter(|resolved| resolved.connected);
    let hops = match wanted.bfd.distance {
        BfdDistance::Direct => Hops::Single,
        BfdDistance::ByLink if is_link_local(remote) => Hops::Single,
        BfdDistance::ByLink if resolved?.connected => Hops::Single,
        BfdDistance::ByLink | BfdDistance::Routed => Hops::Multi,
    };
    let interface = match hops {
        Hops::Single => Some(scope.or(on_link.map(|resolved| resolved.ifindex))?),
        // Packets of a multihop session may come in over any interface, unless the addresses mean nothing without one.
        Hops::Multi => scope,
    };
    let local = ends
        .map(|ends| ends.local)
        .or(wanted.local)
        .or(known
            .map(|known| known.key.local)
            .filter(|own| view.is_local(*own, interface)))
        .or_else(|| source(remote, interface.or(resolved.map(|r| r.ifindex))?, view))?;
    Some(Path {
        key: SessionKey {
            local,
            remote,
            interface: interface.and_then(NonZeroU32::new),
            hops,
        },
        router: match hops {
            Hops::Single => interface.map(|ifindex| (remote, ifindex)),
            Hops::Multi => on_link.map(|resolved| (remote, resolved.ifindex)),
        },
    })
}

/// The address from which packets to `remote` are sent over an interface.
fn source(remote: IpAddr, ifindex: u32, view: &KernelView) -> Option<IpAddr> {
    let usable = view.addresses(ifindex).filter(|own| {
        !own.tentative
            && own.address.is_ipv4() == remote.is_ipv4()
            && is_link_local(own.address) == is_link_local(remote)
    });
    // The address on the remote system's network; of several none that is deprecated, temporary or secondary.
    let rank = |own: &&Address| {
        let network = own.network();
        let is_of_link = network.is_some_and(|network| network.contains(&remote));
        (!is_of_link, own.deprecated, own.secondary)
    };
    usable.min_by_key(rank).map(|own| own.address)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        // To the kernel an address like others.
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

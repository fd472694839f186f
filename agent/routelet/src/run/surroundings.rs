//! What the kernel adds to each Established session: our own next hops on it, its interface, whether the peer is on the link.
//!
//! Found when a session comes up, and again whenever the kernel's surroundings or the Node's addresses change. The RIB then
//! advertises anew what is another one; no session ends for it. What was known of a session's interface stays known while its
//! address is missing there for a moment.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bgp::fsm::Negotiated;
use bgp::types::{Afi, Family};
use ipnet::IpNet;
use rib::{PeerId, Rib, SessionInfo};
use routelet_api::IpFamily;
use routelet_fib::KernelView;
use routelet_fib::kernel::event::Address;
use tracing::{info, warn};

use routelet_core::own_next_hops::{self, OwnNextHops, Place};

/// Our own next hops on each session that is up, for those who ask. Written by the RIB's thread.
#[derive(Clone, Default)]
pub(crate) struct NextHopTable(Arc<Mutex<HashMap<PeerId, OwnNextHops>>>);

impl NextHopTable {
    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, OwnNextHops>> {
        // Whole between calls, whoever panicked elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those on the session of a peer; `None`: it is not up.
    pub(crate) fn get(&self, peer: PeerId) -> Option<OwnNextHops> {
        self.lock().get(&peer).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> HashMap<PeerId, OwnNextHops> {
        self.lock().clone()
    }
}

/// See the module.
pub(super) struct Surroundings {
    view: Arc<KernelView>,
    internal_ips: Box<[IpAddr]>,
    sessions: HashMap<PeerId, Session>,
    table: NextHopTable,
}

/// A session that is up.
struct Session {
    local: SocketAddr,
    next_hops: OwnNextHops,
    info: SessionInfo,
}

impl Surroundings {
    pub(super) fn new(table: NextHopTable) -> Self {
        Self {
            view: Arc::default(),
            internal_ips: Box::default(),
            sessions: HashMap::new(),
            table,
        }
    }

    /// The kernel's surroundings as last seen.
    pub(super) fn view(&self) -> &Arc<KernelView> {
        &self.view
    }

    /// The kernel's surroundings changed.
    pub(super) fn set_view(&mut self, view: Arc<KernelView>, rib: &mut Rib) {
        self.view = view;
        self.follow(rib);
    }

    /// The Node has these InternalIPs.
    pub(super) fn set_internal_ips(&mut self, internal_ips: Box<[IpAddr]>, rib: &mut Rib) {
        if self.internal_ips != internal_ips {
            self.internal_ips = internal_ips;
            self.follow(rib);
        }
    }

    /// A session came up.
    pub(super) fn begin(
        &mut self,
        peer: PeerId,
        negotiated: Arc<Negotiated>,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> SessionInfo {
        let (next_hops, info) = self.find(negotiated, local, remote.ip().to_canonical(), None);
        warn_of_missing(None, &next_hops, &info, local.ip().to_canonical());
        self.table.lock().insert(peer, next_hops.clone());
        let session = Session {
            local,
            next_hops,
            info: info.clone(),
        };
        self.sessions.insert(peer, session);
        info
    }

    /// A session ended.
    pub(super) fn end(&mut self, peer: PeerId) {
        self.sessions.remove(&peer);
        self.table.lock().remove(&peer);
    }

    /// Looks at every session again, and hands those that differ to the RIB.
    fn follow(&mut self, rib: &mut Rib) {
        let peers: Vec<PeerId> = self.sessions.keys().copied().collect();
        for peer in peers {
            let Some(session) = self.sessions.get(&peer) else {
                continue;
            };
            let (negotiated, remote) = (
                Arc::clone(&session.info.negotiated),
                session.info.remote_address,
            );
            let (next_hops, info) = self.find(negotiated, session.local, remote, Some(session));
            if next_hops != session.next_hops {
                let local = session.local.ip().to_canonical();
                say_what_changed(&session.next_hops, &next_hops, local, remote);
                warn_of_missing(Some(&session.next_hops), &next_hops, &info, local);
                self.table.lock().insert(peer, next_hops.clone());
            }
            if info != session.info {
                rib.session_changed(peer, &info);
            }
            if let Some(session) = self.sessions.get_mut(&peer) {
                session.next_hops = next_hops;
                session.info = info;
            }
        }
    }

    fn find(
        &self,
        negotiated: Arc<Negotiated>,
        local: SocketAddr,
        remote_address: IpAddr,
        before: Option<&Session>,
    ) -> (OwnNextHops, SessionInfo) {
        let view = &self.view;
        let local_address = local.ip().to_canonical();
        let known = before.map(|before| &before.info);
        // Of a session whose address is missing for a moment, what was known stays.
        let has_address = view.interface_of(local_address, scope(local));
        let interface = has_address.or_else(|| known.and_then(|known| known.interface));
        let resolved = interface.and_then(|on| view.resolve(remote_address, Some(on)));
        let single_hop = match resolved {
            Some(resolved) => resolved.connected,
            None => known.is_some_and(|known| known.single_hop && known.interface == interface),
        };
        let place = Place {
            local: local_address,
            interface,
            on_link: single_hop,
        };
        let before = before.map(|before| &before.next_hops);
        let next_hops = own_next_hops::choose(view, &self.internal_ips, place, before);
        let link = interface.filter(|_| single_hop);
        // The networks of the session's link: a third party's next hop in one of them may be passed on.
        let subnets = link
            .into_iter()
            .flat_map(|on| view.addresses(on))
            .filter_map(Address::network);
        let info = SessionInfo {
            subnets: sorted(subnets.collect()),
            negotiated,
            remote_address,
            local_ipv4: next_hops.ipv4.as_ref().ok().copied(),
            local_ipv6: next_hops.ipv6.as_ref().ok().copied(),
            local_link_local: next_hops.link_local,
            interface: link,
            single_hop,
        };
        (next_hops, info)
    }
}

fn sorted(mut networks: Vec<IpNet>) -> Vec<IpNet> {
    networks.sort_unstable();
    networks.dedup();
    networks
}

fn say_what_changed(before: &OwnNextHops, now: &OwnNextHops, local: IpAddr, remote: IpAddr) {
    let text = |next_hops: &OwnNextHops| {
        let of = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        [
            of(next_hops.ipv4.as_ref().ok().map(ToString::to_string)),
            of(next_hops.ipv6.as_ref().ok().map(ToString::to_string)),
            of(next_hops.link_local.map(|address| address.to_string())),
        ]
    };
    let [before, now] = [text(before), text(now)];
    if before != now {
        let [before, now] = [before.join(" "), now.join(" ")];
        info!(%local, %remote, before, now, "own next hops changed; routes are advertised again, the session stays");
    }
}

/// Says which negotiated families are not advertised for want of an address, and why; not if it was so before.
fn warn_of_missing(
    before: Option<&OwnNextHops>,
    next_hops: &OwnNextHops,
    info: &SessionInfo,
    local: IpAddr,
) {
    let negotiated = &info.negotiated;
    let over_ipv6 = negotiated
        .extended_next_hop
        .contains(&(Family::IPV4_UNICAST, Afi::IPV6));
    let missing = [
        (Family::IPV4_UNICAST, IpFamily::Ipv4, over_ipv6),
        (
            Family::IPV6_UNICAST,
            IpFamily::Ipv6,
            next_hops.link_local.is_some(),
        ),
    ];
    for (family, of, is_advertised) in missing {
        let was_missing = before.is_some_and(|before| before.missing(of).is_some());
        if let Some(why) = next_hops.missing(of)
            && !was_missing
            && !is_advertised
            && negotiated.families.contains(&family)
        {
            let remote = info.remote_address;
            warn!(%local, %remote, %family, "routes of the family are not advertised: {why}");
        }
    }
}

fn scope(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(address) if address.scope_id() != 0 => Some(address.scope_id()),
        _ => None,
    }
}

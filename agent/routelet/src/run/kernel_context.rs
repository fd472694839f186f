//! What the kernel adds to each Established session: our own next hops on it, its interface, whether the peer is on the
//! link.
//!
//! Found when a session comes up, and again whenever the kernel's view or the Node's addresses change. The RIB then
//! advertises routes whose next hop changed; no session ends for it. What was known of a session's interface stays
//! known while its address is missing there for a moment.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bgp::fsm::Negotiated;
use rib::{PeerId, Rib, SessionInfo};
use routelet_core::own_next_hops::{OwnNextHops, Placed, Session};
use routelet_fib::KernelView;
use tracing::{info, warn};

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
pub(super) struct KernelContext {
    view: Arc<KernelView>,
    internal_ips: Box<[IpAddr]>,
    sessions: HashMap<PeerId, (Session, Placed)>,
    table: NextHopTable,
}

impl KernelContext {
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
        let session = Session {
            negotiated,
            local,
            remote: remote.ip().to_canonical(),
        };
        let placed = session.place(&self.view, &self.internal_ips, None);
        warn_of_missing(&session, &placed, None);
        self.table.lock().insert(peer, placed.next_hops.clone());
        let info = placed.info.clone();
        self.sessions.insert(peer, (session, placed));
        info
    }

    /// A session ended.
    pub(super) fn end(&mut self, peer: PeerId) {
        self.sessions.remove(&peer);
        self.table.lock().remove(&peer);
    }

    /// Looks at every session again, and hands those that differ to the RIB.
    fn follow(&mut self, rib: &mut Rib) {
        for (peer, (session, before)) in &mut self.sessions {
            let now = session.place(&self.view, &self.internal_ips, Some(before));
            if now.next_hops != before.next_hops {
                say_what_changed(session, &before.next_hops, &now.next_hops);
                warn_of_missing(session, &now, Some(before));
                self.table.lock().insert(*peer, now.next_hops.clone());
            }
            if now.info != before.info {
                rib.session_changed(*peer, &now.info);
            }
            *before = now;
        }
    }
}

fn say_what_changed(session: &Session, before: &OwnNextHops, now: &OwnNextHops) {
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
        let (local, remote) = (session.local_address(), session.remote);
        info!(%local, %remote, before, now, "own next hops changed; routes are advertised again, the session stays");
    }
}

/// Says which negotiated families are not advertised for want of an address, and why; not if it was so before.
fn warn_of_missing(session: &Session, now: &Placed, before: Option<&Placed>) {
    let (local, remote) = (session.local_address(), session.remote);
    for (family, why) in now.newly_missing(before) {
        warn!(%local, %remote, %family, "routes of the family are not advertised: {why}");
    }
}

//! What a command or an event of a session changes.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use bgp::session::{Event, PeerKey};
use rib::{PeerId, RibEvent};
use routelet_base::timing::Step;
use routelet_fib::KernelView;
use tracing::{debug, info};

use super::Command;
use super::sessions::Session;
use super::thread::{RibThread, now};
use super::transaction::Routes;
use crate::run::next_hops::Resolver;

const fn id(key: PeerKey) -> PeerId {
    PeerId(key.0)
}

impl RibThread {
    pub(super) fn pass_on_events(&mut self) {
        for event in self.rib.take_events() {
            match &event {
                RibEvent::NextHopsLost(routers) => self.fib.set_nexthops_down(routers, true),
                RibEvent::NextHopsRegained(routers) => self.fib.set_nexthops_down(routers, false),
                _ => {}
            }
            self.notices.send(event);
        }
    }

    /// Asks again where every next hop leads.
    fn resolve_anew(&mut self, view: Arc<KernelView>) {
        self.denied.forget();
        let resolver = Resolver {
            view,
            via_default: self.via_default,
            denied: self.denied.clone(),
        };
        self.rib.next_hops_changed(Arc::new(resolver));
    }

    pub(super) fn command(&mut self, command: Command) {
        let started = now();
        let step = match command {
            Command::RibQuery(_) => Step::Query,
            _ => Step::Command,
        };
        self.obey_one(command);
        self.record(step, started);
    }

    fn obey_one(&mut self, command: Command) {
        match command {
            Command::Configure(config) => self.rib.set_config(config),
            Command::SetPeer(peer, config) => match self.sessions.known.entry(peer) {
                Entry::Occupied(_) => {
                    self.transaction.change_peer(&mut self.rib, peer, *config);
                }
                Entry::Vacant(entry) => {
                    entry.insert(None);
                    self.rib.set_peer(peer, *config);
                }
            },
            Command::SetUnexpected(peer) => self.rib.set_unexpected(peer),
            Command::EndRetention(peer) => self.rib.end_retention(peer),
            Command::RemovePeer(peer) => {
                self.sessions.known.remove(&peer);
                self.kernel_context.end(peer);
                self.refreshes.forget(peer);
                self.transaction.forget(peer);
                self.rib.remove_peer(peer);
                self.pass_on_events();
            }
            Command::Begin => self.transaction.begin(),
            Command::Commit => self.transaction.commit(&mut self.rib),
            Command::Originate(routes) => {
                self.transaction
                    .originate(&mut self.rib, Routes::All(routes));
            }
            Command::ChangeOriginated(changes) => {
                self.transaction
                    .originate(&mut self.rib, Routes::Changed(changes));
            }
            Command::NodeAddresses(addresses) => {
                self.kernel_context
                    .set_internal_ips(addresses, &mut self.rib);
            }
            Command::View(view) => {
                self.resolve_anew(Arc::clone(&view));
                self.kernel_context.set_view(view, &mut self.rib);
            }
            Command::ResolveViaDefault(allowed) => {
                if self.via_default != allowed {
                    self.via_default = allowed;
                    self.resolve_anew(Arc::clone(self.kernel_context.view()));
                }
            }
            Command::OpenGate => {
                info!("start gate open: advertising routes");
                self.rib.open_gate(now());
            }
            Command::HoldEndOfRib(hold) => self.rib.hold_end_of_rib(hold),
            Command::Expect(expected, clients) => self.rib.expect(expected, clients),
            Command::Fib(open) => self.rib.set_fib(open),
            Command::SoftReset(peer) => self.rib.soft_reset(peer),
            Command::RibQuery(look) => look(&self.rib),
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let (key, session) = event.source();
        let peer = id(key);
        match event {
            Event::Established {
                negotiated,
                outbox,
                local,
                remote,
                ..
            } => {
                let Some(slot) = self.sessions.known.get_mut(&peer) else {
                    debug!(peer = key.0, "session of a peer that was removed meanwhile");
                    return;
                };
                *slot = Some(Session {
                    id: session,
                    outbox,
                });
                self.transaction.session_up(&mut self.rib, peer);
                let info = self.kernel_context.begin(peer, negotiated, local, remote);
                self.rib.session_up(peer, info, now());
            }
            Event::Updates { updates, .. } if self.sessions.is_current(peer, session) => {
                self.rib.updates(peer, &updates);
            }
            Event::RouteRefresh { refresh, .. } if self.sessions.is_current(peer, session) => {
                let now = now();
                if self.refreshes.admit(peer, refresh, now) {
                    self.rib.route_refresh(peer, refresh, now);
                }
            }
            Event::Writable { .. } if self.sessions.is_current(peer, session) => {
                self.rib.writable(peer);
            }
            Event::Down { reason, .. } if self.sessions.is_current(peer, session) => {
                if let Some(slot) = self.sessions.known.get_mut(&peer) {
                    *slot = None;
                }
                self.kernel_context.end(peer);
                self.refreshes.session_down(peer);
                self.rib.session_down(peer, &reason, now());
                // The FIB is notified of a lost router before any work.
                self.pass_on_events();
            }
            // Of a peer that was removed while its last events were on the way.
            Event::Updates { .. }
            | Event::RouteRefresh { .. }
            | Event::Writable { .. }
            | Event::Down { .. } => {}
        }
    }
}

//! The sessions that run: the difference between the peers that the intent wants and those that there are.
//!
//! A peer has a name in the intent and a number here. The number is given once and never again, so an event that was on its
//! way when its peer was removed can never be taken for another's. A peer that cannot be started (its password file cannot
//! be read, or the kernel's key table is full) is kept as *blocked* with the reason and retried every few seconds: it
//! never runs without its password, and no listen range takes its connections in its place.
//! The listening sockets that peers share are in [`listening`], and what others see of peers is in [`table`].

mod dynamic;
mod listening;
mod passwords;
mod settings;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Cease, State, Stop};
use bgp::session::{
    Admissions, Candidate, Event, KeyError, ListenRange, Listener, PeerHandle, PeerKey,
    PeerSettings,
};
use rib::{PeerId, PeerKind};
use routelet_core::intent::{Intent, PasswordSource, PeerIntent, PeerTarget};
use routelet_fib::KernelView;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::rib_thread::{Command, RibHandle, Stopped};
use dynamic::of_range;
use listening::{Listening, ranges};
use passwords::Passwords;
use settings::settings;

pub(crate) use dynamic::takes_place;
pub(crate) use table::{PeerTable, PeerView, RunState};

/// Why a peer cannot be started; `None`: it can.
#[cfg(test)]
pub(crate) fn blocked(wanted: &PeerIntent, view: &KernelView) -> Option<String> {
    settings(wanted, view, &Passwords::default()).err()
}

/// Connections out of listen ranges that wait to be looked at; when full, the listener accepts no more for a moment.
pub(crate) const CANDIDATES: usize = 64;

/// How long the session with another node outlives the wish for it, and how long a reflector goes on to reflect. Nodes learn
/// of a change at different times, and routes must come by the new way before those of the old one go, from the mesh to
/// reflectors and back.
const LEAVING: Duration = Duration::from_secs(10);

/// How long peers may take to let go of the listener. A session that ends waits 2 s for the peer to read its last word.
const RELEASE: Duration = Duration::from_secs(3);

/// The running sessions.
pub(crate) struct Peers {
    table: PeerTable,
    rib: RibHandle,
    events: mpsc::Sender<Event>,
    candidates: mpsc::Sender<Candidate>,
    admissions: Arc<Admissions>,
    listener: Listener,
    listening: Option<Listening>,
    /// What the sockets and the sessions were given up for without success. Not again, until something else is wanted.
    in_vain: Option<(Listening, Arc<bgp::session::BindError>)>,
    passwords: Passwords,
    next: u32,
    /// While graceful restart is possible: until when our OPENs say that we restarted.
    restarting: Option<Instant>,
    settings: BTreeMap<String, PeerSettings>,
    /// Sessions with other nodes that are not wanted any more, and until when they are kept.
    leaving: BTreeMap<String, Instant>,
    /// Other nodes that are to be no clients of ours any more, and until when they are all the same.
    demoted: BTreeMap<String, Instant>,
    /// Peers of ranges that were handed a connection, and when.
    offered: BTreeMap<String, Instant>,
}

impl Peers {
    /// No peers yet. `restarting`: until when OPENs have the R bit of graceful restart (RFC 4724).
    pub(crate) fn new(
        rib: RibHandle,
        events: mpsc::Sender<Event>,
        candidates: mpsc::Sender<Candidate>,
        restarting: Option<Instant>,
    ) -> Self {
        Self {
            table: PeerTable::default(),
            rib,
            events,
            candidates,
            admissions: Arc::default(),
            listener: Listener::none(),
            listening: None,
            in_vain: None,
            passwords: Passwords::default(),
            next: 0,
            restarting,
            offered: BTreeMap::new(),
            settings: BTreeMap::new(),
            leaving: BTreeMap::new(),
            demoted: BTreeMap::new(),
        }
    }

    /// The peers as others see them.
    pub(crate) fn table(&self) -> PeerTable {
        self.table.clone()
    }

    /// What the listener let in and what not.
    pub(crate) fn admissions(&self) -> Arc<Admissions> {
        self.admissions.clone()
    }

    /// Where connections are accepted.
    pub(crate) fn listening(&self) -> Vec<SocketAddr> {
        self.listener.local_addresses().to_vec()
    }

    /// Reads the password files of all peers, those that end included.
    async fn read_passwords(&self, intent: &Intent) {
        let known = self.table.all();
        let known = known.values().map(|peer| peer.intent.as_ref());
        let all = intent.peers.iter().chain(known);
        let sources = all.filter_map(|peer| peer.password.as_ref());
        self.passwords.read(sources).await;
    }

    /// Makes the peers those of the intent. Sessions that need no reset are left alone.
    ///
    /// # Errors
    /// The RIB's thread has stopped. A socket that cannot be had is reported by [`Peers::listen`], before.
    pub(crate) async fn apply(
        &mut self,
        intent: &Intent,
        view: &KernelView,
    ) -> Result<(), Stopped> {
        self.read_passwords(intent).await;
        self.passwords.keep(intent);
        let gone: Vec<(String, PeerView)> = self
            .table
            .all()
            .into_iter()
            .filter(|(name, peer)| !is_wanted(intent, name, peer))
            .collect();
        self.leaving
            .retain(|name, _| gone.iter().any(|(gone, _)| gone == name));
        for (name, peer) in gone {
            if let Some(successor) = self.successor(intent, &peer) {
                info!(peer = %name, now = %successor.name, "peer has another name; its session stays");
                self.rename(&name, peer, successor.name.clone());
            } else if is_other_node(&peer) && is_established(&peer) {
                info!(peer = %name, seconds = LEAVING.as_secs(), "peer is no longer wanted and ends soon");
                let until = Instant::now() + LEAVING;
                self.leaving.entry(name).or_insert(until);
            } else {
                info!(peer = %name, "peer is no longer wanted");
                self.remove(&name, &peer, Cease::Deconfigured).await?;
            }
        }
        for wanted in intent.peers.iter() {
            self.put(wanted.clone(), view).await?;
        }
        // Whoever was quicker than this waits in the kernel: a peer that is refused as a stranger would take the
        // NOTIFICATION for the end of a graceful restart.
        self.listener.start_accepting();
        Ok(())
    }

    /// The new peer that is the same neighbour under another name.
    fn successor<'a>(&self, intent: &'a Intent, peer: &PeerView) -> Option<&'a PeerIntent> {
        let is_address = matches!(peer.intent.target, PeerTarget::Address { .. });
        if peer.is_dynamic() || !is_address {
            return None;
        }
        intent.peers.iter().find(|wanted| {
            wanted.target == peer.intent.target && self.table.get(&wanted.name).is_none()
        })
    }

    /// Moves a peer with its number and session to another name. All else changes when it is put.
    fn rename(&mut self, name: &str, peer: PeerView, new: String) {
        if let Some(settings) = self.settings.remove(name) {
            self.settings.insert(new.clone(), settings);
        }
        self.table.remove(name);
        let mut intent = peer.intent.as_ref().clone();
        intent.name = new;
        self.note(peer.id, intent, peer.run);
    }

    /// Adds a peer or goes over to what the intent says of it now.
    async fn put(&mut self, wanted: PeerIntent, view: &KernelView) -> Result<(), Stopped> {
        let known = self.table.get(&wanted.name);
        let id = match &known {
            Some(peer) => peer.id,
            None => {
                self.next += 1;
                PeerId(self.next)
            }
        };
        if let PeerTarget::Range { net } = wanted.target {
            for peer in self.table.dynamic(&wanted.name) {
                let own = of_range(&wanted, &peer.intent.name, peer.intent.target.clone());
                self.run(own, view, None).await?;
            }
            let failed = match self.passwords.find(&wanted) {
                Ok(_) => self
                    .listener
                    .range_error(net)
                    .map(|error| error.to_string()),
                Err(reason) => Some(reason),
            };
            let run = match failed {
                None => RunState::Range,
                Some(reason) => {
                    let before = known.as_ref().map(|peer| &peer.run);
                    if !is_blocked_by(before, &reason) {
                        warn!(peer = %wanted.name, %reason, "nobody is accepted from this range");
                    }
                    RunState::Blocked(reason)
                }
            };
            self.note(id, wanted, run);
            return Ok(());
        }
        self.run(wanted, view, Some(id)).await
    }

    /// Starts a peer, or changes it as softly as possible.
    async fn run(
        &mut self,
        mut wanted: PeerIntent,
        view: &KernelView,
        new: Option<PeerId>,
    ) -> Result<(), Stopped> {
        let known = self.table.get(&wanted.name);
        let id = match (&known, new) {
            (Some(peer), _) => peer.id,
            (None, Some(id)) => id,
            (None, None) => {
                self.next += 1;
                PeerId(self.next)
            }
        };
        let dynamic = wanted.requested_by.range().is_some();
        if self.is_still_client(known.as_ref(), &wanted) {
            wanted.config.kind = PeerKind::ReflectorClient;
        }
        let changed = known
            .as_ref()
            .is_none_or(|peer| peer.intent.config != wanted.config);
        if changed {
            // Before its session: the RIB must know a peer to take its routes.
            let config = Box::new(wanted.config.clone());
            self.rib.send(Command::SetPeer(id, config)).await?;
            // Once, at the first: from its first session on it is waited for as others are.
            if (dynamic || wanted.is_doubtful) && known.is_none() {
                self.rib.send(Command::SetUnexpected(id)).await?;
            }
        }
        let before = known.as_ref().map(|peer| &peer.run);
        let started = settings(&wanted, view, &self.passwords).and_then(|settings| {
            let handle = self.start(id, &wanted, &settings, before);
            let handle = handle.map_err(|error| error.to_string())?;
            Ok((settings, handle))
        });
        let run = match started {
            Ok((settings, handle)) => {
                self.settings.insert(wanted.name.clone(), settings);
                RunState::Running(handle)
            }
            Err(reason) => {
                if !is_blocked_by(before, &reason) {
                    warn!(peer = %wanted.name, %reason, "peer cannot be started");
                }
                // Fail closed: a session must not go on with a password that is not the configured one.
                if let Some(RunState::Running(handle)) = before {
                    handle.stop(Stop::Cease(Cease::ConfigurationChange));
                }
                self.settings.remove(&wanted.name);
                RunState::Blocked(reason)
            }
        };
        self.note(id, wanted, run);
        Ok(())
    }

    /// The task of a peer with these settings: a new one, or the one that runs.
    fn start(
        &self,
        id: PeerId,
        wanted: &PeerIntent,
        settings: &PeerSettings,
        before: Option<&RunState>,
    ) -> Result<Arc<PeerHandle>, KeyError> {
        if let Some(RunState::Running(handle)) = before
            && handle.is_running()
        {
            if self.settings.get(&wanted.name) != Some(settings) {
                handle.reconfigure(settings.clone())?;
            }
            return Ok(handle.clone());
        }
        let handle = bgp::session::spawn(
            PeerKey(id.0),
            settings.clone(),
            &self.listener,
            self.events.clone(),
            self.restarting,
        )?;
        debug!(peer = %wanted.name, address = %wanted.target, object = %wanted.object, "peer starts");
        Ok(Arc::new(handle))
    }

    /// Whether a node that is to be a client no more is treated as one for a while.
    fn is_still_client(&mut self, known: Option<&PeerView>, wanted: &PeerIntent) -> bool {
        let is_demoted = known.is_some_and(|known| {
            is_other_node(known)
                && is_established(known)
                && known.intent.config.kind == PeerKind::ReflectorClient
                && wanted.config.kind == PeerKind::Internal
        });
        let now = Instant::now();
        let until = self
            .demoted
            .entry(wanted.name.clone())
            .or_insert(now + LEAVING);
        let still = is_demoted && now < *until;
        if !still {
            self.demoted.remove(&wanted.name);
        }
        still
    }

    fn note(&self, id: PeerId, intent: PeerIntent, run: RunState) {
        let known = self.table.get(&intent.name);
        self.table.put(PeerView {
            id,
            intent: Arc::new(intent),
            run,
            keeps_routes: known.is_some_and(|known| known.keeps_routes),
        });
    }

    async fn remove(&mut self, name: &str, peer: &PeerView, cause: Cease) -> Result<(), Stopped> {
        if let RunState::Running(handle) = &peer.run {
            handle.stop(Stop::Cease(cause));
        }
        self.settings.remove(name);
        self.table.remove(name);
        self.rib.send(Command::RemovePeer(peer.id)).await
    }

    /// Whether an interface that a peer names is another than the one of its session: it has gone, or was made again.
    fn has_another_interface(&self, name: &str, intent: &PeerIntent, view: &KernelView) -> bool {
        let is_named = intent.device.is_some()
            || matches!(&intent.target, PeerTarget::Address { interface, .. } if interface.is_some());
        let indices = |settings: &PeerSettings| (settings.scope, settings.device_index);
        let known = self.settings.get(name).map(indices);
        is_named
            && settings(intent, view, &self.passwords)
                .ok()
                .as_ref()
                .map(indices)
                != known
    }

    /// Tries blocked peers again, reads password files again and looks for interfaces that were made again (both without an
    /// event of their own), and forgets dynamic peers that have been down for long.
    pub(crate) async fn tick(&mut self, intent: &Intent, view: &KernelView) -> Result<(), Stopped> {
        self.read_passwords(intent).await;
        if let Some(listening) = &mut self.listening {
            let ranges = ranges(intent, &self.passwords);
            // Also where a key could not be set: the table may have a free place now.
            let failed = |range: &ListenRange| self.listener.range_error(range.net).is_some();
            if listening.ranges != ranges || ranges.iter().any(failed) {
                self.listener.set_ranges(ranges.clone());
                listening.ranges = ranges;
            }
        }
        let now = Instant::now();
        let due: Vec<String> = self
            .demoted
            .iter()
            .filter(|(_, until)| now >= **until)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            match intent.peer(&name) {
                Some(wanted) => self.put(wanted.clone(), view).await?,
                None => drop(self.demoted.remove(&name)),
            }
        }
        self.offered.retain(|_, at| at.elapsed() <= dynamic::TRIED);
        let kept = self.kept_routes().await?;
        for (name, _) in self.table.all() {
            // What was done for another before, such as its range, may have changed it.
            let Some(peer) = self.table.get(&name) else {
                continue;
            };
            if self.leaving.get(&name).is_some_and(|until| now >= *until) {
                self.leaving.remove(&name);
                info!(peer = %name, "peer ends");
                self.remove(&name, &peer, Cease::Deconfigured).await?;
                continue;
            }
            let may_differ = matches!(peer.intent.password, Some(PasswordSource::File(_)))
                || self.has_another_interface(&name, &peer.intent, view);
            match &peer.run {
                RunState::Running(handle) if !handle.is_running() => {
                    error!(peer = %name, "the task of the peer failed and is started again");
                    let wanted = peer.intent.as_ref().clone();
                    let id = (!peer.is_dynamic()).then_some(peer.id);
                    self.run(wanted, view, id).await?;
                }
                // Of a range, the password or the key may fail or come back at any time.
                RunState::Blocked(_) | RunState::Range => {
                    if let Some(wanted) = intent.peer(&name) {
                        self.put(wanted.clone(), view).await?;
                    } else if peer.is_dynamic() {
                        // Its interface is gone, or its password; who comes again is known anew.
                        info!(peer = %name, "dynamic peer cannot go on and is forgotten");
                        self.remove(&name, &peer, Cease::Deconfigured).await?;
                    }
                }
                RunState::Running(handle) if peer.is_dynamic() => {
                    if self.is_forgotten(&peer, &handle.status(), &kept) {
                        info!(peer = %name, "dynamic peer is gone and is forgotten");
                        self.remove(&name, &peer, Cease::Deconfigured).await?;
                    } else if may_differ {
                        self.run(peer.intent.as_ref().clone(), view, None).await?;
                    }
                }
                RunState::Running(_) if may_differ => {
                    let wanted = peer.intent.as_ref().clone();
                    self.run(wanted, view, Some(peer.id)).await?;
                }
                RunState::Running(_) => {}
            }
        }
        Ok(())
    }

    /// Ends all sessions and waits until each has said its last word, `patience` at most.
    pub(crate) async fn stop(&mut self, how: Stop, patience: Duration) {
        let running: Vec<Arc<PeerHandle>> = self
            .table
            .all()
            .into_values()
            .filter_map(|peer| match peer.run {
                RunState::Running(handle) => Some(handle),
                RunState::Blocked(_) | RunState::Range => None,
            })
            .collect();
        for handle in &running {
            handle.stop(how.clone());
        }
        let all = futures::future::join_all(running.iter().map(|handle| handle.stopped()));
        if tokio::time::timeout(patience, all).await.is_err() {
            warn!("not every session ended in time");
        }
    }
}

/// Whether a peer stays. A dynamic one stays with its range, as long as no longer range has its address, and no configured
/// peer: that one's password counts from then on, also while it is blocked.
fn is_wanted(intent: &Intent, name: &str, peer: &PeerView) -> bool {
    if !peer.is_dynamic() {
        return intent.peer(name).is_some();
    }
    let target = &peer.intent.target;
    let PeerTarget::Address { address, .. } = target else {
        return false;
    };
    let ranges = intent
        .peers
        .iter()
        .filter_map(|wanted| match &wanted.target {
            PeerTarget::Range { net } if net.contains(address) => Some((net.prefix_len(), wanted)),
            _ => None,
        });
    let longest = ranges.max_by_key(|(length, _)| *length);
    let is_configured = intent.peers.iter().any(|wanted| wanted.target == *target);
    !is_configured
        && longest.is_some_and(|(_, range)| Some(&*range.name) == peer.intent.requested_by.range())
}

/// Whether this was said before.
fn is_blocked_by(before: Option<&RunState>, reason: &str) -> bool {
    matches!(before, Some(RunState::Blocked(said)) if said == reason)
}

/// Whether the peer is another node: of the mesh, or of a Peer object with `nodes`.
fn is_other_node(peer: &PeerView) -> bool {
    peer.intent.requested_by.is_node()
}

fn is_established(peer: &PeerView) -> bool {
    matches!(&peer.run, RunState::Running(handle) if handle.status().state == State::Established)
}

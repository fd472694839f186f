//! The sessions that run: the difference between the peers that the intent wants and those that there are.
//!
//! A peer has a name in the intent and a number here. The number is given once and never again, so an event that was on its
//! way when its peer was removed can never be taken for another's. A peer that cannot be started (its password file cannot
//! be read) is kept as *blocked* with the reason and tried again at every chance: it never runs without its password.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bgp::fsm::{Cease, State, Stop};
use bgp::session::{
    BindError, Candidate, Event, ListenRange, Listener, Password, PeerHandle, PeerKey,
    PeerSettings, Scope,
};
use rib::{PeerId, PeerKind};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::rib_thread::{Command, RibHandle, Stopped};
use crate::fib::KernelView;
use crate::intent::{Intent, ListenIntent, PasswordSource, PeerIntent, PeerTarget};

/// Connections out of listen ranges that wait to be looked at; when full, further ones are closed and come again.
pub(crate) const CANDIDATES: usize = 64;

/// How long a dynamic peer may be down before it is forgotten: longer than graceful restart usually takes.
const DYNAMIC_KEPT: Duration = Duration::from_secs(180);

/// How long the session with another node outlives the wish for it, and how long a reflector goes on to reflect. Nodes learn
/// of a change at different times, and routes must come by the new way before those of the old one go, from the mesh to
/// reflectors and back.
const LEAVING: Duration = Duration::from_secs(10);

/// How long peers may take to let go of the listener. A session that ends waits 2 s for the peer to read its last word.
const RELEASE: Duration = Duration::from_secs(3);

/// A peer as commands, metrics and notices see it.
#[derive(Clone)]
pub(crate) struct PeerView {
    /// Its number.
    pub(crate) id: PeerId,
    /// What the intent says; of a dynamic peer that of its range, under its own name and address.
    pub(crate) intent: Arc<PeerIntent>,
    /// Its session, or why it cannot be started.
    pub(crate) run: RunState,
    /// Whether it came out of a listen range.
    pub(crate) dynamic: bool,
}

/// Whether a peer runs.
#[derive(Clone)]
pub(crate) enum RunState {
    /// Its task runs.
    Running(Arc<PeerHandle>),
    /// It cannot be started for this reason.
    Blocked(String),
    /// A listen range: its peers come by themselves.
    Range,
}

/// The peers of the moment, by name, shared with those who show them.
pub(crate) type PeerTable = Arc<Mutex<BTreeMap<String, PeerView>>>;

/// Reads the table.
pub(crate) fn peers(table: &PeerTable) -> BTreeMap<String, PeerView> {
    // Entries are whole at every moment.
    table.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The running sessions.
pub(crate) struct Peers {
    table: PeerTable,
    rib: RibHandle,
    events: mpsc::Sender<Event>,
    candidates: mpsc::Sender<Candidate>,
    listener: Listener,
    listening: Option<Listening>,
    /// What the sockets and the sessions were given up for without success. Not again, until something else is wanted.
    in_vain: Option<(Listening, Arc<BindError>)>,
    next: u32,
    /// While graceful restart is possible: until when our OPENs say that we restarted.
    restarting: Option<Instant>,
    settings: BTreeMap<String, PeerSettings>,
    /// Sessions with other nodes that are not wanted any more, and until when they are kept.
    leaving: BTreeMap<String, Instant>,
    /// Other nodes that are to be no clients of ours any more, and until when they are all the same.
    demoted: BTreeMap<String, Instant>,
}

/// What the listener was made for.
#[derive(Clone, PartialEq)]
struct Listening {
    listen: Option<ListenIntent>,
    ranges: Vec<ListenRange>,
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
            listener: Listener::none(),
            listening: None,
            in_vain: None,
            next: 0,
            restarting,
            settings: BTreeMap::new(),
            leaving: BTreeMap::new(),
            demoted: BTreeMap::new(),
        }
    }

    /// The peers as others see them.
    pub(crate) fn table(&self) -> PeerTable {
        self.table.clone()
    }

    /// Where connections are accepted.
    pub(crate) fn listening(&self) -> Vec<SocketAddr> {
        self.listener.local_addresses().to_vec()
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
        let gone: Vec<(String, PeerView)> = peers(&self.table)
            .into_iter()
            .filter(|(name, peer)| !self.is_wanted(intent, name, peer))
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
        for wanted in &intent.peers {
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
        if peer.dynamic || !is_address {
            return None;
        }
        let table = peers(&self.table);
        intent
            .peers
            .iter()
            .filter(|wanted| !table.contains_key(&wanted.name))
            .find(|wanted| wanted.target == peer.intent.target)
    }

    /// Moves a peer with its number and session to another name. All else changes when it is put.
    fn rename(&mut self, name: &str, peer: PeerView, new: String) {
        if let Some(settings) = self.settings.remove(name) {
            self.settings.insert(new.clone(), settings);
        }
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let mut intent = peer.intent.as_ref().clone();
        intent.name = new;
        self.note(peer.id, intent, peer.run, false);
    }

    fn is_wanted(&self, intent: &Intent, name: &str, peer: &PeerView) -> bool {
        if peer.dynamic {
            // It stays with its range.
            return intent.peers.iter().any(|wanted| {
                matches!(wanted.target, PeerTarget::Range { net }
                    if name.strip_prefix(&wanted.name).is_some_and(|rest| rest.starts_with('/'))
                        && matches!(&peer.intent.target, PeerTarget::Address { address, .. } if net.contains(address)))
            });
        }
        intent.peers.iter().any(|wanted| wanted.name == name)
    }

    /// Adds a peer or goes over to what the intent says of it now.
    async fn put(&mut self, wanted: PeerIntent, view: &KernelView) -> Result<(), Stopped> {
        let known = peers(&self.table).remove(&wanted.name);
        let id = match &known {
            Some(peer) => peer.id,
            None => {
                self.next += 1;
                PeerId(self.next)
            }
        };
        if matches!(wanted.target, PeerTarget::Range { .. }) {
            let dynamic: Vec<String> = peers(&self.table)
                .into_iter()
                .filter(|(name, peer)| {
                    peer.dynamic
                        && name
                            .strip_prefix(&wanted.name)
                            .is_some_and(|rest| rest.starts_with('/'))
                })
                .map(|(name, _)| name)
                .collect();
            for name in dynamic {
                let own = of_range(&wanted, &name);
                self.run(own, view, None).await?;
            }
            let run = match password(wanted.password.as_ref()) {
                Ok(_) => RunState::Range,
                Err(reason) => {
                    let before = known.as_ref().map(|peer| &peer.run);
                    if !is_blocked_by(before, &reason) {
                        warn!(peer = %wanted.name, %reason, "nobody is accepted from this range");
                    }
                    RunState::Blocked(reason)
                }
            };
            self.note(id, wanted, run, false);
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
        let known = peers(&self.table).remove(&wanted.name);
        let id = match (&known, new) {
            (Some(peer), _) => peer.id,
            (None, Some(id)) => id,
            (None, None) => {
                self.next += 1;
                PeerId(self.next)
            }
        };
        let dynamic = known.as_ref().is_some_and(|peer| peer.dynamic) || new.is_none();
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
        }
        let settings = match settings(&wanted, view) {
            Ok(settings) => settings,
            Err(reason) => {
                let before = known.as_ref().map(|peer| &peer.run);
                if !is_blocked_by(before, &reason) {
                    warn!(peer = %wanted.name, %reason, "peer cannot be started");
                }
                // Fail closed: a session must not go on with a password that is not the configured one.
                if let Some(RunState::Running(handle)) = before {
                    handle.stop(Stop::Cease(Cease::ConfigurationChange));
                }
                self.settings.remove(&wanted.name);
                self.note(id, wanted, RunState::Blocked(reason), dynamic);
                return Ok(());
            }
        };
        let handle = match known.map(|peer| peer.run) {
            Some(RunState::Running(handle)) => {
                if self.settings.get(&wanted.name) != Some(&settings) {
                    handle.reconfigure(settings.clone());
                }
                handle
            }
            _ => {
                info!(peer = %wanted.name, address = %wanted.target, object = %wanted.object, "peer starts");
                Arc::new(bgp::session::spawn(
                    PeerKey(id.0),
                    settings.clone(),
                    &self.listener,
                    self.events.clone(),
                    self.restarting,
                ))
            }
        };
        self.settings.insert(wanted.name.clone(), settings);
        self.note(id, wanted, RunState::Running(handle), dynamic);
        Ok(())
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

    fn note(&self, id: PeerId, intent: PeerIntent, run: RunState, dynamic: bool) {
        let view = PeerView {
            id,
            intent: Arc::new(intent),
            run,
            dynamic,
        };
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(view.intent.name.clone(), view);
    }

    async fn remove(&mut self, name: &str, peer: &PeerView, cause: Cease) -> Result<(), Stopped> {
        if let RunState::Running(handle) = &peer.run {
            handle.stop(Stop::Cease(cause));
        }
        self.settings.remove(name);
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        self.rib.send(Command::RemovePeer(peer.id)).await
    }

    /// Listens as the intent says. Nothing happens if it does already.
    ///
    /// Sessions end when the sockets change, since connections are accepted through them.
    ///
    /// # Errors
    /// An address that cannot be had; what was listened on before still is, as far as it still can be had itself.
    pub(crate) async fn listen(&mut self, intent: &Intent) -> Result<(), ListenError> {
        let wanted = Listening {
            listen: intent.router.listen.clone(),
            ranges: intent.peers.iter().filter_map(range).collect(),
        };
        if self.listening.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let addresses = addresses(wanted.listen.as_ref());
        let same_sockets = self
            .listening
            .as_ref()
            .is_some_and(|before| before.listen == wanted.listen);
        if same_sockets {
            self.listener.set_ranges(wanted.ranges.clone());
            self.listening = Some(wanted);
            return Ok(());
        }
        // The new sockets first: where they cannot be had, the old ones stay, and the sessions with them.
        self.listener = match self.bind(&addresses, &wanted) {
            Ok(listener) => {
                self.reset_all().await?;
                listener
            }
            Err(error) if self.is_in_the_way(error.address) => {
                if let Some((failed, error)) = &self.in_vain
                    && *failed == wanted
                {
                    return Err(ListenError::Bind(error.clone()));
                }
                self.try_elsewhere(addresses, &wanted).await?;
                self.rebind(&wanted).await?
            }
            Err(error) => return Err(error.into()),
        };
        for address in self.listener.local_addresses() {
            info!(%address, "listening");
        }
        self.listening = Some(wanted);
        self.in_vain = None;
        Ok(())
    }

    fn bind(&self, addresses: &[SocketAddr], wanted: &Listening) -> Result<Listener, BindError> {
        Listener::bind(addresses, wanted.ranges.clone(), self.candidates.clone())
    }

    /// Whether we listen ourselves where another socket would overlap with `address`.
    fn is_in_the_way(&self, address: SocketAddr) -> bool {
        self.listener.local_addresses().iter().any(|own| {
            own.port() == address.port()
                && own.is_ipv4() == address.is_ipv4()
                && (own.ip().is_unspecified() || address.ip().is_unspecified() || own == &address)
        })
    }

    /// Finds out what is known to fail before anything is given up for it: an address where our own socket is in the way is
    /// tried on some other port.
    async fn try_elsewhere(
        &self,
        addresses: Vec<SocketAddr>,
        wanted: &Listening,
    ) -> Result<(), BindError> {
        for address in addresses {
            let mut trial = address;
            if self.is_in_the_way(address) {
                trial.set_port(0);
            }
            match self.bind(&[trial], wanted) {
                Ok(listener) => listener.close().await,
                Err(BindError { source, .. }) => return Err(BindError { address, source }),
            }
        }
        Ok(())
    }

    /// Gives the old sockets up before binding the new ones; takes them back if that fails.
    async fn rebind(&mut self, wanted: &Listening) -> Result<Listener, ListenError> {
        self.reset_all().await?;
        std::mem::replace(&mut self.listener, Listener::none())
            .close()
            .await;
        let before = self.listening.take();
        let error = match self.bind(&addresses(wanted.listen.as_ref()), wanted) {
            Ok(listener) => return Ok(listener),
            Err(error) => Arc::new(error),
        };
        self.in_vain = Some((wanted.clone(), error.clone()));
        if let Some(before) = before
            && let Ok(listener) = self.bind(&addresses(before.listen.as_ref()), &before)
        {
            self.listener = listener;
            self.listening = Some(before);
        }
        Err(ListenError::Bind(error))
    }

    /// Ends every peer, because each holds on to the listener that it was made with, and waits until their sockets are
    /// free. The intent makes them anew.
    async fn reset_all(&mut self) -> Result<(), Stopped> {
        let running = peers(&self.table);
        for (name, peer) in &running {
            info!(peer = %name, "reset: the addresses to listen on have changed");
            self.remove(name, peer, Cease::ConfigurationChange).await?;
        }
        let all = running.values().filter_map(|peer| match &peer.run {
            RunState::Running(handle) => Some(handle.stopped()),
            RunState::Blocked(_) | RunState::Range => None,
        });
        let all = futures::future::join_all(all);
        if tokio::time::timeout(RELEASE, all).await.is_err() {
            warn!("not every session ended in time");
        }
        Ok(())
    }

    /// A connection out of a listen range: makes a peer for it, or gives it to the one that there is.
    pub(crate) async fn candidate(
        &mut self,
        candidate: Candidate,
        intent: &Intent,
        view: &KernelView,
    ) -> Result<(), Stopped> {
        let range = intent.peers.iter().find(
            |peer| matches!(peer.target, PeerTarget::Range { net } if net == candidate.range),
        );
        let Some(range) = range else {
            // The range has gone meanwhile; dropping the candidate closes the connection.
            return Ok(());
        };
        let remote = candidate.remote.ip().to_canonical();
        let name = format!("{}/{remote}", range.name);
        let mut own = of_range(range, &name);
        own.target = PeerTarget::Address {
            address: remote,
            interface: scope_name(candidate.remote, view),
        };
        if !peers(&self.table).contains_key(&name) {
            self.run(own, view, None).await?;
        }
        if let Some(PeerView {
            run: RunState::Running(handle),
            ..
        }) = peers(&self.table).get(&name)
        {
            handle.accept(candidate);
        }
        Ok(())
    }

    /// Tries blocked peers again, reads password files again (they change without an event), and forgets dynamic peers
    /// that have been down for long.
    pub(crate) async fn tick(&mut self, intent: &Intent, view: &KernelView) -> Result<(), Stopped> {
        if let Some(listening) = &mut self.listening {
            let ranges: Vec<ListenRange> = intent.peers.iter().filter_map(range).collect();
            if listening.ranges != ranges {
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
            match intent.peers.iter().find(|wanted| wanted.name == name) {
                Some(wanted) => self.put(wanted.clone(), view).await?,
                None => drop(self.demoted.remove(&name)),
            }
        }
        for (name, peer) in peers(&self.table) {
            if self.leaving.get(&name).is_some_and(|until| now >= *until) {
                self.leaving.remove(&name);
                info!(peer = %name, "peer ends");
                self.remove(&name, &peer, Cease::Deconfigured).await?;
                continue;
            }
            let has_file = matches!(peer.intent.password, Some(PasswordSource::File(_)));
            match &peer.run {
                RunState::Blocked(_) => {
                    if let Some(wanted) = intent.peers.iter().find(|wanted| wanted.name == name) {
                        self.put(wanted.clone(), view).await?;
                    }
                }
                RunState::Running(handle) if peer.dynamic => {
                    let status = handle.status();
                    if status.state != State::Established && status.since.elapsed() > DYNAMIC_KEPT {
                        info!(peer = %name, "dynamic peer has not come back and is forgotten");
                        self.remove(&name, &peer, Cease::Deconfigured).await?;
                    } else if has_file {
                        self.run(peer.intent.as_ref().clone(), view, None).await?;
                    }
                }
                RunState::Running(_) if has_file => {
                    let wanted = peer.intent.as_ref().clone();
                    self.run(wanted, view, Some(peer.id)).await?;
                }
                RunState::Running(_) | RunState::Range => {}
            }
        }
        Ok(())
    }

    /// Ends all sessions and waits until each has said its last word, `patience` at most.
    pub(crate) async fn stop(&mut self, how: Stop, patience: Duration) {
        let running: Vec<Arc<PeerHandle>> = peers(&self.table)
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

/// Why the agent does not listen as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The kernel refuses an address.
    #[error(transparent)]
    Bind(Arc<BindError>),
    /// The agent is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<BindError> for ListenError {
    fn from(error: BindError) -> Self {
        Self::Bind(Arc::new(error))
    }
}

/// The sockets of a listener: all addresses of both families unless some are named.
fn addresses(listen: Option<&ListenIntent>) -> Vec<SocketAddr> {
    let Some(listen) = listen else {
        return Vec::new();
    };
    let any = [
        IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    ];
    let chosen: &[IpAddr] = match listen.addresses.as_slice() {
        [] => &any,
        named => named,
    };
    chosen
        .iter()
        .map(|address| SocketAddr::new(*address, listen.port))
        .collect()
}

/// Whether this was said before.
fn is_blocked_by(before: Option<&RunState>, reason: &str) -> bool {
    matches!(before, Some(RunState::Blocked(said)) if said == reason)
}

/// What the listener is told of a range. One whose password cannot be had is left out: it fails closed, and [`Peers::put`]
/// says so.
fn range(peer: &PeerIntent) -> Option<ListenRange> {
    let PeerTarget::Range { net } = peer.target else {
        return None;
    };
    let password = password(peer.password.as_ref()).ok()?;
    Some(ListenRange { net, password })
}

/// The intent of a peer out of a range: that of the range, under its own name, never dialled.
fn of_range(range: &PeerIntent, name: &str) -> PeerIntent {
    let mut own = range.clone();
    if let Some(Ok(address)) = name
        .strip_prefix(&range.name)
        .and_then(|rest| rest.strip_prefix('/'))
        .map(str::parse)
    {
        own.target = PeerTarget::Address {
            address,
            interface: None,
        };
    }
    own.name = name.to_owned();
    own.protocol.passive = true;
    own
}

fn scope_name(remote: SocketAddr, view: &KernelView) -> Option<String> {
    match remote {
        SocketAddr::V6(address) if address.scope_id() != 0 => {
            view.link(address.scope_id()).map(|link| link.name.clone())
        }
        _ => None,
    }
}

/// Whether the peer is another node: of the mesh, or of a Peer object with `nodes`, whose peers are named after both.
fn is_other_node(peer: &PeerView) -> bool {
    let object = &peer.intent.object;
    !peer.dynamic && (object.kind == "Router" || peer.intent.name != object.name)
}

fn is_established(peer: &PeerView) -> bool {
    matches!(&peer.run, RunState::Running(handle) if handle.status().state == State::Established)
}

/// What the session driver needs, or why it cannot be had.
fn settings(wanted: &PeerIntent, view: &KernelView) -> Result<PeerSettings, String> {
    let password = password(wanted.password.as_ref())?;
    let ifindex = |name: &str| {
        view.ifindex(name).ok_or_else(|| {
            format!("interface {name} does not exist on this node: check its name, or wait for it")
        })
    };
    if let Some(device) = &wanted.device {
        ifindex(device)?;
    }
    match &wanted.target {
        PeerTarget::Address {
            address,
            interface: None,
        } => Ok(wanted.settings(*address, None, password)),
        PeerTarget::Address {
            address,
            interface: Some(name),
        } => Ok(wanted.settings(*address, Some(Scope(ifindex(name)?)), password)),
        PeerTarget::Interface { name } => Err(format!(
            "the neighbour on interface {name} cannot be found by itself yet: give the peer an address (a link-local one \
             with sourceInterface will do)"
        )),
        PeerTarget::Range { net } => Err(format!("{net} is a range and not one peer")),
    }
}

fn password(source: Option<&PasswordSource>) -> Result<Option<Password>, String> {
    let text = match source {
        None => return Ok(None),
        Some(PasswordSource::File(path)) => std::fs::read_to_string(path)
            .map_err(|error| format!("password file {}: {error}", path.display()))?,
        Some(source @ PasswordSource::Secret { .. }) => {
            return Err(format!(
                "the password is {source}, and without an API server there are no Secrets: use password.file"
            ));
        }
    };
    text.trim_end()
        .parse()
        .map(Some)
        .map_err(|error| format!("password: {error}"))
}

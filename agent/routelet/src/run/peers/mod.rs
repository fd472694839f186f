//! The sessions that run. What is to be done is decided by [`Peering`]; here it is carried out, with tasks, sockets and
//! files, and what happens is handed in.
//!
//! [`bfd`] has the thread of BFD, [`bfd_of_peers`] what it and the sessions learn from each other, [`changes`] finds which
//! sessions have changed, [`listening`] has the sockets that peers share, [`password_files`] the threads that read files,
//! and [`table`] what others see of peers.

mod bfd;
mod bfd_of_peers;
mod changes;
mod listening;
mod password_files;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bgp::fsm::Stop;
use bgp::session::{
    Admissions, Candidate, Event, KeyError, Listener, PeerHandle, PeerKey, PeerSettings,
    PeerStatus, Refusal,
};
use bgp::types::Family;
use futures::FutureExt;
use futures::future::BoxFuture;
use rib::{PeerId, Rib};
use routelet_base::vital::Vital;
use routelet_core::intent::{Intent, PeerIntent};
use routelet_core::peering::{Action, Input, Listening, Peering, Run};
use routelet_fib::{FibHandle, KernelView};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::rib_thread::{Command, RibHandle, Stopped};
use bfd::BfdSessions;
use bfd_of_peers::bfd_state;
use changes::Changes;
use password_files::PasswordReader;
use table::facts;

pub(crate) use table::{PeerTable, PeerView};

/// Why a peer cannot be started; `None`: it can.
#[cfg(test)]
pub(crate) fn blocked(wanted: &PeerIntent, view: &KernelView) -> Option<String> {
    let mut passwords = routelet_core::peering::Passwords::default();
    routelet_core::peering::settings(wanted, view, &mut passwords).err()
}

/// Connections out of listen ranges that wait to be looked at; when full, the listener accepts no more for a moment.
pub(crate) const CANDIDATES: usize = 64;

/// How long peers may take to let go of the listener. A session that ends waits 2 s for the peer to read its last word.
const RELEASE: Duration = Duration::from_secs(3);

/// The running sessions.
pub(crate) struct Peers {
    machine: Peering,
    table: PeerTable,
    rib: RibHandle,
    events: mpsc::Sender<Event>,
    candidates: mpsc::Sender<Candidate>,
    admissions: Arc<Admissions>,
    listener: Listener,
    listening: Option<Listening>,
    /// What the sockets and the sessions were given up for without success. Not again, until something else is wanted.
    in_vain: Option<(Listening, Arc<bgp::session::BindError>)>,
    passwords: PasswordReader,
    /// While graceful restart is possible: until when our OPENs say that we restarted.
    restarting: Option<Instant>,
    sessions: BTreeMap<PeerId, Arc<PeerHandle>>,
    changes: Changes<BoxFuture<'static, Change>>,
    bfd: BfdSessions,
    /// The connection that the machine decides about.
    connecting: Option<Candidate>,
}

/// The session with this handle is in another state, or its task has ended: `None`.
type Change = (Weak<PeerHandle>, Option<watch::Receiver<PeerStatus>>);

impl Peers {
    /// No peers yet. `restarting`: until when OPENs have the R bit of graceful restart (RFC 4724).
    pub(crate) fn new(
        (rib, fib): (&RibHandle, &FibHandle),
        events: mpsc::Sender<Event>,
        candidates: mpsc::Sender<Candidate>,
        restarting: Instant,
    ) -> Self {
        Self {
            machine: Peering::default(),
            table: PeerTable::default(),
            rib: rib.clone(),
            events,
            candidates,
            admissions: Arc::default(),
            listener: Listener::none(),
            listening: None,
            in_vain: None,
            passwords: PasswordReader::default(),
            restarting: Some(restarting),
            sessions: BTreeMap::new(),
            changes: Changes::new(),
            bfd: BfdSessions::new(fib.clone()),
            connecting: None,
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

    /// The thread of BFD, for the watchdog.
    pub(crate) fn bfd_vital(&self) -> Vital {
        self.bfd.vital()
    }

    /// Where connections are accepted.
    pub(crate) fn listening(&self) -> Vec<SocketAddr> {
        self.listener.local_addresses().to_vec()
    }

    /// When [`Peers::look`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    /// Makes the peers those of the intent. Sessions that need no reset are left alone.
    ///
    /// # Errors
    /// The RIB's thread has stopped. A socket that cannot be had is reported by [`Peers::listen`], before.
    pub(crate) async fn apply(
        &mut self,
        intent: &Intent,
        view: Arc<KernelView>,
    ) -> Result<(), Stopped> {
        self.read_passwords(&intent.peers).await?;
        self.feed(Input::View(view)).await?;
        self.feed(Input::Wanted(intent.peers.clone())).await?;
        self.bfd.resume();
        // Whoever was quicker than this waits in the kernel: a peer that is refused as a stranger would take the
        // NOTIFICATION for the end of a graceful restart.
        self.listener.start_accepting();
        Ok(())
    }

    /// Time has passed, or the kernel's surroundings have changed.
    ///
    /// # Errors
    /// The RIB's thread has stopped.
    pub(crate) async fn look(&mut self, view: Arc<KernelView>) -> Result<(), Stopped> {
        self.read_passwords(&[]).await?;
        self.feed(Input::View(view)).await?;
        self.feed(Input::Look).await
    }

    /// Waits until a session of BGP or BFD is in another state. Loses nothing if it is dropped before.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            () = self.changes.happen() => {}
            () = self.bfd.reported() => {}
        }
    }

    /// Takes in how each session is.
    ///
    /// # Errors
    /// The RIB's thread has stopped.
    pub(crate) async fn follow_sessions(&mut self) -> Result<(), Stopped> {
        self.feed(None).await
    }

    /// A connection out of a listen range.
    ///
    /// # Errors
    /// The RIB's thread has stopped.
    pub(crate) async fn candidate(
        &mut self,
        candidate: Candidate,
        view: Arc<KernelView>,
    ) -> Result<(), Stopped> {
        let (range, remote) = (candidate.range, candidate.remote);
        self.feed(Input::View(view)).await?;
        self.connecting = Some(candidate);
        let fed = self.feed(Input::Candidate { range, remote }).await;
        self.connecting = None;
        fed
    }

    /// Ends all sessions and waits until each has said its last word, `patience` at most.
    pub(crate) async fn stop(&mut self, how: Stop, patience: Duration) {
        // First: peers must not find out that packets of BFD are missing.
        self.bfd.stop().await;
        let handles = self.handles();
        // Nothing of it is sent to the RIB, which may have stopped.
        let _ = self.feed(Input::End(how)).await;
        stopped(&handles, patience).await;
    }

    fn handles(&self) -> Vec<Arc<PeerHandle>> {
        self.sessions.values().cloned().collect()
    }

    /// Reads the password files of all peers, those that end included, and of those that are wanted now.
    async fn read_passwords(&mut self, wanted: &[PeerIntent]) -> Result<(), Stopped> {
        let sources = self.machine.password_sources(wanted);
        self.passwords.read(sources).await;
        let files = self.passwords.found();
        self.feed(Input::PasswordFiles(files)).await
    }

    /// Hands something in, after how each session is, and does what follows.
    async fn feed(&mut self, input: impl Into<Option<Input>>) -> Result<(), Stopped> {
        // Sessions first: one that had ended by itself before BFD failed is that of a peer that may be restarting.
        let mut inputs = VecDeque::from(self.session_inputs());
        let reported = self.bfd.take_reports();
        self.carry_out_bfd().await?;
        inputs.extend(input.into());
        let mut actions = Vec::new();
        while let Some(input) = inputs.pop_front() {
            if let Input::View(view) = &input {
                self.bfd.set_view(view);
            }
            self.machine.handle(Instant::now(), input, &mut actions);
            for action in actions.drain(..) {
                inputs.extend(self.carry_out(action).await?);
            }
        }
        for id in reported {
            self.put(id);
        }
        self.carry_out_bfd().await
    }

    /// How each session is that is another way than the machine knows.
    fn session_inputs(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (handle, status) in self.changes.take() {
            // Else it was stopped, or another has its place.
            let Some(handle) = handle.upgrade() else {
                continue;
            };
            let id = PeerId(handle.key().0);
            let current = self.sessions.get(&id);
            if !current.is_some_and(|current| Arc::ptr_eq(current, &handle)) {
                continue;
            }
            match status {
                Some(mut status) => {
                    let current = status.borrow_and_update();
                    inputs.push(Input::Session(id, facts(&current)));
                    self.bfd.session_changed(id, &current);
                    drop(current);
                    self.follow(&handle, status);
                }
                // The sender lives as long as the task.
                None => inputs.push(Input::Failed(id)),
            }
        }
        inputs
    }

    /// Has the next change of the status that is not seen so far found.
    fn follow(&mut self, handle: &Arc<PeerHandle>, status: watch::Receiver<PeerStatus>) {
        let handle = Arc::downgrade(handle);
        let change = changes::next(status).map(|status| (handle, status));
        self.changes.add(change.boxed());
    }

    /// Does something. Returns what came of it.
    async fn carry_out(&mut self, action: Action) -> Result<Vec<Input>, Stopped> {
        let mut inputs = Vec::new();
        match action {
            Action::SetRibPeer(id, config) => {
                self.rib.send(Command::SetPeer(id, config)).await?;
            }
            Action::SetUnexpected(id) => self.rib.send(Command::SetUnexpected(id)).await?,
            Action::RemoveRibPeer(id) => self.rib.send(Command::RemovePeer(id)).await?,
            Action::Start(id, settings) => {
                inputs.extend(not_started(id, self.start(id, *settings)));
            }
            Action::Reconfigure(id, settings) => {
                inputs.extend(not_started(id, self.reconfigure(id, *settings)));
            }
            Action::Stop(id, how) => {
                if let Some(session) = self.sessions.remove(&id) {
                    session.stop(how);
                }
            }
            Action::Accept(id) => {
                if let Some(candidate) = self.connecting.take() {
                    match self.sessions.get(&id) {
                        Some(session) => session.accept(candidate),
                        None => candidate.refuse(Refusal::Blocked),
                    }
                }
            }
            Action::Refuse(why) => {
                if let Some(candidate) = self.connecting.take() {
                    candidate.refuse(why);
                }
            }
            Action::SetRanges(ranges) => {
                inputs.push(Input::RangesSet(self.set_ranges(ranges)));
            }
            Action::AskKeptRoutes(peers) => {
                let kept = self.kept_routes(peers).await?;
                // A session may have come up meanwhile.
                inputs = self.session_inputs();
                inputs.push(Input::KeptRoutes(kept));
            }
            Action::Show(id) => self.show(id),
        }
        Ok(inputs)
    }

    fn start(&mut self, id: PeerId, settings: PeerSettings) -> Result<(), KeyError> {
        self.sessions.remove(&id);
        let handle = bgp::session::spawn(
            PeerKey(id.0),
            settings,
            &self.listener,
            self.events.clone(),
            self.restarting,
        )?;
        handle.bfd(bfd_state(self.bfd.level(id)));
        let handle = Arc::new(handle);
        self.follow(&handle, handle.watch());
        self.sessions.insert(id, handle);
        Ok(())
    }

    fn reconfigure(&mut self, id: PeerId, settings: PeerSettings) -> Result<(), KeyError> {
        let session = self.sessions.get(&id);
        let result = session.map_or(Ok(()), |session| session.reconfigure(settings));
        if result.is_err() {
            // It has stopped.
            self.sessions.remove(&id);
        }
        result
    }

    /// Whether graceful restart keeps routes of each.
    async fn kept_routes(&self, peers: Vec<PeerId>) -> Result<BTreeMap<PeerId, bool>, Stopped> {
        let look = move |rib: &Rib| {
            let has_stale = |id, family: &Family| rib.counts(id, *family).stale > 0;
            let is_kept = |id| Family::ALL.iter().any(|family| has_stale(id, family));
            peers.into_iter().map(|id| (id, is_kept(id))).collect()
        };
        self.rib.look(look).await
    }

    /// Shows the peer as it is now.
    fn put(&self, id: PeerId) {
        let Some(peer) = self.machine.peer(id) else {
            return self.table.remove(id);
        };
        let run = match (&peer.run, self.sessions.get(&id)) {
            (Run::Running(_), Some(session)) => Run::Running(Arc::clone(session)),
            // It could not be started, which the machine is about to hear.
            (Run::Running(_), None) | (Run::Stopped, _) => return,
            (Run::Blocked(reason), _) => Run::Blocked(reason.clone()),
            (Run::Range, _) => Run::Range,
        };
        self.table.put(PeerView {
            id,
            intent: peer.intent.clone(),
            run,
            keeps_routes: peer.keeps_routes,
            bfd: self.bfd.show(id),
        });
    }
}

fn not_started(id: PeerId, result: Result<(), KeyError>) -> Option<Input> {
    let error = result.err()?;
    Some(Input::NotStarted(id, error.to_string()))
}

/// Waits until these peers have said their last words, `patience` at most.
async fn stopped(handles: &[Arc<PeerHandle>], patience: Duration) {
    let all = futures::future::join_all(handles.iter().map(|handle| handle.stopped()));
    if tokio::time::timeout(patience, all).await.is_err() {
        warn!("not every session was closed in time");
    }
}

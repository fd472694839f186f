//! The sessions of the node, as a pure machine: which peer runs, with which settings, who gives way and who is kept.
//!
//! Facts go in as an [`Input`] with a `now`: what the intent wants, what the kernel and password files have, how each
//! session is, who connects to a listen range. [`Action`]s come out, to be carried out in order. At
//! [`Peering::deadline`] at the latest it wants [`Input::Look`]. The owner has the tasks, the sockets and the files,
//! and decides nothing.
//!
//! A peer has a name in the intent and a number here. The number is given once and never again, so an event that was on
//! its way when its peer was removed can never be taken for another's. A peer that cannot be started (its password file
//! cannot be read, or the kernel's key table is full) is kept as *blocked* with the reason and retried every few
//! seconds: it never runs without its password, and no listen range takes its connections in its place.
//!
//! - [`input`] and [`action`]: what goes in, and what comes out.
//! - [`peer`]: a peer at one moment.
//! - [`settings()`]: what its session is made with, or why it cannot be.
//! - [`passwords`]: which password is in force.
//! - [`listening`]: what the listener is to let in.
//! - [`wanted`]: who stays, who leaves and when, who takes whose place.
//! - [`deadlines`]: the times at which that is over, in order.
//! - [`dynamic`]: peers out of listen ranges, and their places.
//! - [`awaited`]: a machine of its own: which peers the RIB waits for although they are not configured.

mod action;
mod awaited;
mod deadlines;
mod dynamic;
mod input;
mod listening;
mod passwords;
mod peer;
mod settings;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Cease, Stop};
use rib::PeerId;
use routelet_fib::KernelView;
use tracing::{debug, error, info};

pub use action::Action;
pub use awaited::{Adopted, Awaited};
pub use dynamic::has_place;
pub use input::Input;
pub use listening::{HeldRanges, Listening};
pub use passwords::{PasswordFile, PasswordFiles, Passwords};
pub use peer::{Peer, Run, Session, SessionFacts};
pub use settings::settings;

use self::deadlines::Deadlines;
use crate::intent::{PasswordSource, PeerIntent, PeerTarget};

/// How often blocked peers are tried, password files and interfaces compared, and old dynamic peers forgotten.
const RETRY: Duration = Duration::from_secs(5);

/// The machine. See the module.
#[derive(Debug, Default)]
pub struct Peering {
    wanted: Arc<Vec<PeerIntent>>,
    view: Arc<KernelView>,
    passwords: Passwords,
    /// What the listener has; `None`: it was never made.
    held: Option<HeldRanges>,
    peers: BTreeMap<PeerId, Peer>,
    names: BTreeMap<String, PeerId>,
    /// Other nodes that are not wanted any more, and are kept until then.
    leaving: Deadlines<PeerId>,
    /// Other nodes that are to be no clients of ours any more, and are treated as such until then.
    demoted: Deadlines<PeerId>,
    /// The last number that was given.
    last: u32,
    next_look: Option<Instant>,
}

impl Peering {
    /// Takes in what has happened. `out`: what is to be done, in this order.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Wanted(wanted) => self.want(now, wanted, out),
            Input::View(view) => self.view = view,
            Input::PasswordFiles(files) => self.passwords.set_files(files),
            Input::Listening(held) => self.held = Some(held),
            Input::RangesSet(held) => {
                self.held = Some(held);
                self.judge_ranges(out);
            }
            Input::SocketsReplaced => self.reset_all(out),
            Input::Session(id, facts) => self.session_changed(now, id, facts, out),
            Input::Failed(id) => {
                if let Some(session) = self.session_mut(id) {
                    session.has_failed = true;
                }
            }
            Input::NotStarted(id, reason) => self.not_started(id, reason, out),
            Input::Candidate { range, remote } => self.candidate(now, range, remote, out),
            Input::KeptRoutes(kept) => self.forget_who_keeps_none(now, &kept, out),
            Input::Look => self.look(now, out),
            Input::End(how) => self.end(&how, out),
        }
    }

    /// When [`Input::Look`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let ends = [self.leaving.first(), self.demoted.first()];
        ends.into_iter().flatten().chain(self.next_look).min()
    }

    /// The peer of this number. `None`: it was removed.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    /// The password files of all peers, of those that these would make as well as of those that end.
    pub fn password_sources<'a>(
        &'a self,
        wanted: &'a [PeerIntent],
    ) -> impl Iterator<Item = &'a PasswordSource> {
        let known = self.peers.values().map(|peer| peer.intent.as_ref());
        let all = wanted.iter().chain(known);
        all.filter_map(|peer| peer.password.as_ref())
    }

    fn ids(&self) -> Vec<PeerId> {
        self.peers.keys().copied().collect()
    }

    fn named(&self, name: &str) -> Option<&Peer> {
        self.peers.get(self.names.get(name)?)
    }

    fn session_mut(&mut self, id: PeerId) -> Option<&mut Session> {
        match &mut self.peers.get_mut(&id)?.run {
            Run::Running(session) => Some(session),
            Run::Blocked(_) | Run::Range | Run::Stopped => None,
        }
    }

    fn session_changed(
        &mut self,
        now: Instant,
        id: PeerId,
        facts: SessionFacts,
        out: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let is_first = session.facts.sessions == 0 && facts.sessions > 0;
        session.facts = facts;
        if is_first {
            self.claim_place(now, id, out);
        }
    }

    /// Adds a peer or goes over to what the intent says of it now.
    fn put(&mut self, now: Instant, wanted: &PeerIntent, out: &mut Vec<Action>) {
        let is_range = |target: &PeerTarget| matches!(target, PeerTarget::Range { .. });
        // The RIB knows no range, and a session is not one's.
        if let Some(known) = self.named(&wanted.name)
            && is_range(&known.intent.target) != is_range(&wanted.target)
        {
            self.remove(known.id, Cease::Deconfigured, out);
        }
        match wanted.target {
            PeerTarget::Range { net } => self.put_range(now, wanted, net, out),
            PeerTarget::Address { .. } | PeerTarget::Interface { .. } => {
                self.run(now, wanted.clone(), out);
            }
        }
    }

    /// Starts a peer, or changes it as softly as possible.
    fn run(&mut self, now: Instant, mut wanted: PeerIntent, out: &mut Vec<Action>) -> PeerId {
        let settings = settings(&wanted, &self.view, &mut self.passwords);
        let id = match self.names.get(&wanted.name) {
            Some(id) => *id,
            None => self.add(&wanted, Run::Stopped, out),
        };
        let Some(peer) = self.peers.get_mut(&id) else {
            return id;
        };
        let client_until = peer.client_until(now, &wanted, self.demoted.of(id));
        self.demoted.set(id, client_until);
        if client_until.is_some() {
            wanted.config.kind = rib::PeerKind::ReflectorClient;
        }
        if peer.intent.config != wanted.config {
            let config = Box::new(wanted.config.clone());
            out.push(Action::SetRibPeer(id, config));
        }
        let mut is_shown = peer.set_intent(wanted);
        match (settings, &mut peer.run) {
            (Ok(settings), Run::Running(session)) if !session.has_failed => {
                if session.settings != settings {
                    session.settings = settings.clone();
                    out.push(Action::Reconfigure(id, Box::new(settings)));
                    // BFD follows an interface that was made again.
                    is_shown = true;
                }
            }
            (Ok(settings), _) => {
                debug!(peer = %peer.name(), address = %peer.intent.target, object = %peer.intent.object, "peer starts");
                out.push(Action::Start(id, Box::new(settings.clone())));
                peer.start(now, settings);
                is_shown = true;
            }
            (Err(reason), before) => {
                // Fail closed: a session must not go on with a password that is not the configured one.
                if let Run::Running(_) = before {
                    out.push(Action::Stop(id, Stop::Cease(Cease::ConfigurationChange)));
                }
                is_shown |= peer.block(reason, "peer cannot be started");
            }
        }
        if is_shown {
            out.push(Action::Show(id));
        }
        id
    }

    /// Gives a peer its number. The RIB is told of all but ranges.
    fn add(
        &mut self,
        wanted: &PeerIntent,
        run: Run<Box<Session>>,
        out: &mut Vec<Action>,
    ) -> PeerId {
        self.last += 1;
        let id = PeerId(self.last);
        let peer = Peer::new(id, Arc::new(wanted.clone()), run);
        if !matches!(wanted.target, PeerTarget::Range { .. }) {
            out.push(Action::SetRibPeer(id, Box::new(wanted.config.clone())));
            // Once, at the first: from its first session on it is waited for as others are.
            if peer.is_dynamic() || wanted.is_doubtful {
                out.push(Action::SetUnexpected(id));
            }
        }
        self.names.insert(wanted.name.clone(), id);
        self.peers.insert(id, peer);
        id
    }

    fn remove(&mut self, id: PeerId, cause: Cease, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.remove(&id) else {
            return;
        };
        self.names.remove(peer.name());
        self.leaving.set(id, None);
        self.demoted.set(id, None);
        if let Run::Running(_) = peer.run {
            out.push(Action::Stop(id, Stop::Cease(cause)));
        }
        // First: whoever does it may wait for the RIB's thread.
        out.push(Action::Show(id));
        if !matches!(peer.intent.target, PeerTarget::Range { .. }) {
            out.push(Action::RemoveRibPeer(id));
        }
    }

    fn not_started(&mut self, id: PeerId, reason: String, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let is_new = peer.block(reason, "peer cannot be started");
        if peer.is_dynamic() {
            // Whoever connects must not fill the table with such.
            self.remove(id, Cease::Deconfigured, out);
        } else if is_new {
            out.push(Action::Show(id));
        }
    }

    /// Tries blocked peers again, compares passwords and interfaces (both change without an event of their own), and
    /// ends those whose time is over.
    fn look(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.next_look = Some(now + RETRY);
        self.follow_ranges(out);
        for id in self.ids() {
            self.look_at(now, id, out);
        }
        self.ask_who_keeps_routes(now, out);
    }

    fn look_at(&mut self, now: Instant, id: PeerId, out: &mut Vec<Action>) {
        // What was done for another before, such as its range, may have removed it.
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let cannot_run = match &peer.run {
            Run::Running(session) => session.has_failed,
            Run::Blocked(_) => true,
            Run::Range | Run::Stopped => false,
        };
        if let Some(at) = self.leaving.of(id) {
            // Nothing of it changes before its end: its object or its address may be those of another peer by now, with
            // another password.
            if now >= at || cannot_run {
                info!(peer = %peer.name(), "peer ends");
                self.remove(id, Cease::Deconfigured, out);
            }
            return;
        }
        let is_due = self.demoted.of(id).is_some_and(|at| now >= at);
        let may_differ = is_due || peer.may_differ();
        match &peer.run {
            Run::Running(session) if session.has_failed => {
                error!(peer = %peer.name(), "the peer's task failed and is restarted");
                self.put_again(now, id, out);
            }
            Run::Running(_) => {
                peer.reason = None;
                if may_differ {
                    self.put_again(now, id, out);
                }
            }
            // Its interface is gone, or its password; who comes again is known anew.
            Run::Blocked(_) if peer.is_dynamic() => {
                info!(peer = %peer.name(), "dynamic peer removed: it cannot continue");
                self.remove(id, Cease::Deconfigured, out);
            }
            // Of a range, the password or the key may fail or come back at any time.
            Run::Blocked(_) | Run::Range => self.put_again(now, id, out),
            Run::Stopped => {}
        }
    }

    /// Puts a peer as it is wanted; a dynamic one, as its range has it.
    fn put_again(&mut self, now: Instant, id: PeerId, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let wanted = Arc::clone(&self.wanted);
        match wanted::named(&wanted, peer.name()) {
            Some(wanted) => self.put(now, wanted, out),
            None => {
                let intent = peer.intent.as_ref().clone();
                self.run(now, intent, out);
            }
        }
    }

    fn reset_all(&mut self, out: &mut Vec<Action>) {
        for id in self.ids() {
            if let Some(peer) = self.peers.get(&id) {
                info!(peer = %peer.name(), "reset: the addresses to listen on have changed");
            }
            self.remove(id, Cease::ConfigurationChange, out);
        }
    }

    fn end(&mut self, how: &Stop, out: &mut Vec<Action>) {
        self.demoted.clear();
        for peer in self.peers.values_mut() {
            if let Run::Running(_) = peer.run {
                peer.run = Run::Stopped;
                out.push(Action::Stop(peer.id, how.clone()));
            }
        }
    }
}

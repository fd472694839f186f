//! The loop of the thread.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::batch::{BATCH, Batch};
use super::handle::{Callback, Command, Mailbox, Stop};
use super::ports::{Port, RETRY};
use super::sockets::{MOST_WAITING, Sender};
use super::status::{SessionStatus, Status};
use super::{Priority, priority};
use crate::packet::Datagram;
use crate::random::Random;
use crate::sessions::{Action, Actions, Arrival, SessionKey, Sessions, Slot, UserState};

pub(super) struct Driver {
    mailbox: Arc<Mailbox>,
    callback: Callback,
    priority: Priority,
    sessions: Sessions,
    /// Of source ports.
    random: Random,
    ports: [Port; 4],
    /// By slot.
    links: Vec<Option<Link>>,
    worst_lateness: Duration,
    // Empty but for a moment; their memory is reused.
    batch: Batch,
    actions: Actions,
    commands: Vec<Command>,
    states: Vec<UserState>,
}

/// What waits to be taken.
#[derive(Clone, Copy)]
struct Ready {
    mailbox: bool,
    ports: [bool; 4],
}

impl Ready {
    /// It is not known: everything has to be asked.
    const ALL: Self = Self {
        mailbox: true,
        ports: [true; 4],
    };
}

/// The socket of a session, and how it does.
struct Link {
    key: SessionKey,
    sender: Option<Sender>,
    /// Until then no socket is tried again.
    again: Instant,
    unsent: u64,
    error: Option<io::ErrorKind>,
}

impl Driver {
    pub(super) fn new(mailbox: Arc<Mailbox>, mut random: Random, callback: Callback) -> Self {
        let mut seed = [0; 32];
        for octets in seed.chunks_exact_mut(4) {
            octets.copy_from_slice(&random.number().to_be_bytes());
        }
        Self {
            mailbox,
            callback,
            priority: Priority::Normal,
            sessions: Sessions::new(Random::new(seed)),
            random,
            ports: Port::all(),
            links: Vec::new(),
            worst_lateness: Duration::ZERO,
            batch: Batch::new(),
            actions: Actions::new(),
            commands: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Until it is stopped, or the kernel refuses to wait.
    pub(super) fn run(&mut self) {
        self.priority = priority::raise();
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(reason = %error, "BFD ends: the kernel refuses to wait");
                    return;
                }
            };
            if ready.mailbox
                && let Some(how) = self.obey()
            {
                self.finish(how);
                return;
            }
            // What has arrived before what is due. The kernel looks at the sockets again when the time is over.
            self.receive(ready.ports);
            self.expire();
            self.report();
        }
    }

    /// Carries out commands; returns how to stop, if that is one of them.
    fn obey(&mut self) -> Option<Stop> {
        let mut commands = std::mem::take(&mut self.commands);
        self.mailbox.take(&mut commands);
        let mut stop = None;
        for command in commands.drain(..) {
            let (now, out) = (Instant::now(), &mut self.actions);
            match command {
                Command::Set(user, wanted) => self.sessions.set(now, user, wanted, out),
                Command::Fail(interface, failure) => {
                    self.sessions.fail(now, interface, failure, out);
                }
                Command::FailUser(user, failure) => {
                    self.sessions.fail_user(now, user, failure, out);
                }
                Command::Show(answer) => {
                    // Who has lost patience does not want it any more.
                    let _ = answer.send(self.status());
                }
                Command::Stop(how) => stop = Some(how),
            }
            self.act(now);
        }
        self.commands = commands;
        stop
    }

    /// Takes in all that had arrived at these ports.
    fn receive(&mut self, ready: [bool; 4]) {
        for place in (0..ready.len()).filter(|place| ready[*place]) {
            let mut taken = 0;
            // What arrives meanwhile may wait: a flood does not keep the timers from their turn.
            while taken < MOST_WAITING {
                let Some(socket) = self.ports[place].socket() else {
                    break;
                };
                // An error is one of an earlier packet of ours, and is gone now.
                let count = self.batch.receive(socket.as_fd()).unwrap_or(0);
                let now = Instant::now();
                for message in (0..count).filter_map(|at| self.batch.message(at)) {
                    let arrival = Arrival {
                        local: message.local,
                        remote: message.remote,
                        interface: message.interface,
                        ttl: message.ttl,
                        hops: self.ports[place].hops,
                    };
                    self.sessions
                        .receive(now, &arrival, message.payload, &mut self.actions);
                }
                self.act(now);
                taken += count;
                if count < BATCH {
                    break;
                }
            }
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        if let Some(due) = self.sessions.deadline() {
            let lateness = now.saturating_duration_since(due);
            self.worst_lateness = self.worst_lateness.max(lateness);
        }
        self.sessions.expire(now, &mut self.actions);
        self.act(now);
        for port in &mut self.ports {
            port.retry(now);
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> io::Result<Ready> {
        let ports = self.ports.iter().filter_map(Port::deadline);
        let deadline = self.sessions.deadline().into_iter().chain(ports).min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // As many descriptors as there can be, the mailbox in the place of those that are not there.
        let mut descriptors: [PollFd<'_>; 5] = std::array::from_fn(|_| self.mailbox.poll());
        for (descriptor, port) in descriptors[1..].iter_mut().zip(&self.ports) {
            if let Some(socket) = port.socket() {
                *descriptor = PollFd::new(socket.as_fd(), PollFlags::POLLIN);
            }
        }
        match ppoll(&mut descriptors, timeout.map(TimeSpec::from_duration), None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::ALL),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| descriptors[at].any().unwrap_or(true);
        Ok(Ready {
            mailbox: is_ready(0),
            ports: std::array::from_fn(|port| is_ready(port + 1)),
        })
    }

    /// Carries out what the sessions put out.
    fn act(&mut self, now: Instant) {
        for action in self.actions.drain(..) {
            match action {
                Action::Open(Slot(slot), key) => {
                    for port in &mut self.ports {
                        port.need(now, &key);
                    }
                    if self.links.len() <= slot {
                        self.links.resize_with(slot + 1, || None);
                    }
                    self.links[slot] = Some(Link {
                        key,
                        sender: None,
                        again: now,
                        unsent: 0,
                        error: None,
                    });
                }
                Action::Send(Slot(slot), datagram) => {
                    if let Some(Some(link)) = self.links.get_mut(slot) {
                        link.send(now, &datagram, &mut self.random);
                    }
                }
                Action::SendEcho(..) => {}
                Action::Close(Slot(slot)) => {
                    if let Some(link) = self.links.get_mut(slot) {
                        *link = None;
                    }
                }
            }
        }
    }

    /// Reports what has changed in this turn.
    fn report(&mut self) {
        self.sessions.report(&mut self.states);
        if !self.states.is_empty() {
            (self.callback)(&self.states);
            self.states.clear();
        }
    }

    fn finish(&mut self, how: Stop) {
        if how == Stop::AdminDown {
            let users: Vec<_> = self
                .sessions
                .iter()
                .flat_map(|view| view.users.iter().map(|used| used.user))
                .collect();
            let now = Instant::now();
            for user in users {
                self.sessions.set(now, user, None, &mut self.actions);
            }
            self.act(now);
        }
    }

    fn status(&self) -> Status {
        let sessions = self.sessions.iter().map(|view| {
            let link = self.links.get(view.slot.0).and_then(Option::as_ref);
            SessionStatus {
                key: view.key,
                discriminator: view.session.discriminator(),
                status: view.session.status(),
                counters: view.counters,
                unsent: link.map_or(0, |link| link.unsent),
                send_error: link.and_then(|link| link.error),
                users: view.users.iter().map(|used| used.user).collect(),
            }
        });
        Status {
            priority: self.priority,
            ports: self.ports.iter().filter_map(Port::status).collect(),
            discards: *self.sessions.discards(),
            worst_lateness: self.worst_lateness,
            sessions: sessions.collect(),
        }
    }
}

impl Link {
    /// Sends a packet, or counts it as lost.
    fn send(&mut self, now: Instant, datagram: &Datagram, random: &mut Random) {
        let sent = match &self.sender {
            Some(sender) => sender.send(datagram),
            None if self.again > now => {
                self.unsent += 1;
                return;
            }
            None => Sender::open(&self.key, random).and_then(|sender| {
                let sent = sender.send(datagram);
                self.sender = Some(sender);
                sent
            }),
        };
        match sent {
            Ok(()) => self.error = None,
            Err(error) => {
                self.unsent += 1;
                if self.sender.is_none() {
                    self.again = now + RETRY;
                }
                if self.error != Some(error.kind()) {
                    let (local, remote) = (self.key.local, self.key.remote);
                    tracing::warn!(%local, %remote, reason = %error, "a BFD packet cannot be sent");
                    self.error = Some(error.kind());
                }
            }
        }
    }
}

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
    /// After packets.
    pause: Duration,
    // Empty but for a moment; their memory is reused.
    batch: Batch,
    actions: Actions,
    commands: Vec<Command>,
    states: Vec<UserState>,
}

/// The longest pause after packets, in which others may arrive: so much later a packet is answered at most.
const MOST_PAUSE: Duration = Duration::from_millis(1);
/// The shortest detection time is this many pauses at least.
const PAUSES: u32 = 64;
/// Between two packets of AdminDown at the end.
const FAREWELL: Duration = Duration::from_millis(7);
/// How often AdminDown is sent at the end at least.
const FAREWELLS: u8 = 3;

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
            pause: MOST_PAUSE,
            batch: Batch::new(),
            actions: Actions::new(),
            commands: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Until it is stopped, or the kernel refuses to wait.
    ///
    /// Nothing is logged here: the log may wait for others. What users need to know is in their states and in [`Status`].
    pub(super) fn run(&mut self) {
        self.priority = priority::raise();
        let mut is_pause = false;
        while let Ok(has_commands) = self.wait(is_pause) {
            let begun = Instant::now();
            let due = self.sessions.deadline();
            let lateness = due.map(|due| begun.saturating_duration_since(due));
            self.worst_lateness = self.worst_lateness.max(lateness.unwrap_or_default());
            if has_commands && let Some(how) = self.obey() {
                self.finish(how);
                return;
            }
            is_pause = self.receive();
            self.expire(begun);
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
        let shortest = self.sessions.shortest_detection();
        self.pause = shortest.map_or(MOST_PAUSE, |shortest| MOST_PAUSE.min(shortest / PAUSES));
        stop
    }

    /// Takes in all that has arrived. Returns whether anything has.
    fn receive(&mut self) -> bool {
        let mut is_any = false;
        for place in 0..self.ports.len() {
            let mut taken = 0;
            // All that had arrived when this began; what arrives meanwhile may wait.
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
                // A flood does not keep packets of ours from being sent.
                self.sessions.transmit(now, &mut self.actions);
                self.act(now);
                is_any |= count > 0;
                taken += count;
                if count < BATCH {
                    break;
                }
            }
        }
        is_any
    }

    /// Has expire what was over at `begun`, before packets were taken in, and sends what is due.
    fn expire(&mut self, begun: Instant) {
        self.sessions.expire(begun, &mut self.actions);
        self.act(begun);
        let now = Instant::now();
        self.sessions.transmit(now, &mut self.actions);
        self.act(now);
        for port in &mut self.ports {
            port.retry(now);
        }
    }

    /// Sleeps until there is something to do; in a pause packets do not end it. Returns whether commands wait.
    fn wait(&self, is_pause: bool) -> io::Result<bool> {
        let ports = self.ports.iter().filter_map(Port::deadline);
        let deadline = self.sessions.deadline().into_iter().chain(ports).min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let pause = is_pause.then_some(self.pause);
        let timeout = timeout.into_iter().chain(pause).min();
        // As many descriptors as there can be, the mailbox in the place of those that are not there.
        let mut descriptors: [PollFd<'_>; 5] = std::array::from_fn(|_| self.mailbox.poll());
        for (descriptor, port) in descriptors[1..].iter_mut().zip(&self.ports) {
            if let Some(socket) = port.socket() {
                *descriptor = PollFd::new(socket.as_fd(), PollFlags::POLLIN);
            }
        }
        let watched = if is_pause {
            &mut descriptors[..1]
        } else {
            &mut descriptors[..]
        };
        match ppoll(watched, timeout.map(TimeSpec::from_duration), None) {
            Ok(_) => Ok(descriptors[0].any().unwrap_or(true)),
            Err(Errno::EINTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
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
                        self.sessions.set_send_error(Slot(slot), link.error);
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
        if how == Stop::Silently {
            return;
        }
        let mults = self.sessions.iter();
        let mults = mults.map(|view| view.session.parameters().detect_mult.get());
        let count = mults.max().unwrap_or(0).clamp(FAREWELLS, 2 * FAREWELLS);
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
        // As often as packets may be lost without harm.
        for _ in 1..count {
            std::thread::sleep(FAREWELL);
            let now = Instant::now();
            self.sessions.repeat(now, &mut self.actions);
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
                if is_of_socket(&error) {
                    self.sender = None;
                }
                self.error = Some(error.kind());
            }
        }
    }
}

/// Whether another socket may do better: the interface or the address that this one is bound to is gone, or was.
fn is_of_socket(error: &io::Error) -> bool {
    let of_socket = [libc::ENODEV, libc::ENXIO, libc::EADDRNOTAVAIL, libc::EINVAL];
    error
        .raw_os_error()
        .is_some_and(|code| of_socket.contains(&code))
}

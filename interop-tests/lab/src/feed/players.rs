//! The other ends of a subject's sessions, feeds and receivers, all served by one loop on the caller's thread.
//!
//! Subject and players share few processors, so the loop is made to cost little: what feeds send is encoded beforehand
//! and written in large pieces, what receivers hear is kept and looked at later (see [`super::Recording`]), and between
//! two turns the loop sleeps for half a millisecond, while the kernel's buffers go on.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::dial::{Caller, dial};
use super::heard::Recording;
use super::tally::{Sets, Tally};
use crate::netns::Namespace;
use crate::raw::{KEEPALIVE, message};

/// Between two turns that had work to do. Times are only as exact as that.
const NAP: Duration = Duration::from_micros(500);
/// What one read takes at most.
const READ_AT_ONCE: usize = 1 << 20;
/// What one write gives at most, so that a feed does not keep receivers waiting.
const WRITE_AT_ONCE: usize = 1 << 18;
/// Events of one turn; the rest comes in the next.
const EVENTS_AT_ONCE: usize = 256;

/// What a player does with received routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    /// Keeps it.
    Keeps,
    /// Keeps a few numbers of it: one of a thousand receivers of a large table.
    Sums,
    /// Reads it and forgets it: a feed that must not block the subject.
    Forgets,
    /// Reads nothing: a receiver that blocks the subject, once what is between them is full.
    Deaf,
}

impl Ear {
    /// What it waits for.
    const fn events(self) -> EpollFlags {
        match self {
            Self::Keeps | Self::Sums | Self::Forgets => EpollFlags::EPOLLIN,
            Self::Deaf => EpollFlags::empty(),
        }
    }
}

/// The number of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(usize);

#[derive(Debug)]
struct Player {
    caller: Caller,
    stream: Option<TcpStream>,
    outgoing: VecDeque<Vec<u8>>,
    /// Octets of the first of `outgoing` that are written.
    written: usize,
    recording: Option<Recording>,
    tally: Option<Tally>,
    ear: Ear,
    next_keepalive: Instant,
}

/// All players of a run.
#[derive(Debug)]
pub struct Players {
    epoll: Epoll,
    players: Vec<Player>,
    sets: Sets,
    scratch: Vec<u8>,
    nap: Duration,
    last_heard: Instant,
}

impl Players {
    /// Nobody yet.
    ///
    /// # Errors
    /// The kernel refuses an epoll instance.
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?,
            players: Vec::new(),
            sets: Sets::default(),
            scratch: vec![0; READ_AT_ONCE],
            nap: NAP,
            last_heard: Instant::now(),
        })
    }

    /// Without sleep between turns: for times of less than a millisecond.
    pub fn sleepless(&mut self) {
        self.nap = Duration::ZERO;
    }

    /// Dials a session for each caller from inside `namespace`; they are Established when this returns. A feed is one
    /// that will send routes, and End-of-RIB after them.
    ///
    /// # Errors
    /// One is not within 45 s.
    pub fn join(
        &mut self,
        namespace: &Namespace,
        callers: Vec<Caller>,
        ear: Ear,
        feeds: bool,
    ) -> Result<Vec<PlayerId>> {
        let mut ids = Vec::new();
        // In parts, between which those that are there already are served.
        for some in callers.chunks(32) {
            let streams = namespace.enter(|| {
                some.iter()
                    .map(|caller| dial(caller, feeds))
                    .collect::<Result<Vec<_>>>()
            })??;
            for (caller, stream) in some.iter().zip(streams) {
                let id = self.players.len();
                self.epoll
                    .add(&stream, EpollEvent::new(ear.events(), id as u64))?;
                self.players.push(Player {
                    next_keepalive: Instant::now() + caller.hold_time / 3,
                    caller: caller.clone(),
                    stream: Some(stream),
                    outgoing: VecDeque::new(),
                    written: 0,
                    recording: (ear == Ear::Keeps).then(Recording::default),
                    tally: (ear == Ear::Sums).then(Tally::default),
                    ear,
                });
                ids.push(PlayerId(id));
            }
            self.turn(Duration::ZERO)?;
        }
        Ok(ids)
    }

    /// The routes received by a player that keeps them.
    ///
    /// # Errors
    /// It forgets.
    pub fn heard(&self, id: PlayerId) -> Result<&Recording> {
        let recording = self.players[id.0].recording.as_ref();
        recording.context("a player that forgets what it hears was asked for it")
    }

    /// The numbers of a player that keeps no more.
    ///
    /// # Errors
    /// It keeps more, or nothing.
    pub fn tally(&self, id: PlayerId) -> Result<&Tally> {
        let tally = self.players[id.0].tally.as_ref();
        tally.context("a player that does not count what it hears was asked for that")
    }

    /// How many prefixes were announced and withdrawn to a player so far.
    ///
    /// # Errors
    /// It forgets.
    pub fn counts(&self, id: PlayerId) -> Result<(u64, u64)> {
        if let Some(tally) = &self.players[id.0].tally {
            return Ok((tally.announced, tally.withdrawn));
        }
        let heard = self.heard(id)?;
        Ok((heard.announced, heard.withdrawn))
    }

    /// Has a player send octets, whole messages, as the loop comes to it.
    ///
    /// # Errors
    /// Its session is closed.
    pub fn send(&mut self, id: PlayerId, octets: Vec<u8>) -> Result<()> {
        let player = &mut self.players[id.0];
        ensure!(player.stream.is_some(), "{} is gone", player.caller.source);
        player.outgoing.push_back(octets);
        self.write(id.0)
    }

    /// Whether everything is in the kernel's hands that players were to send.
    pub fn is_all_sent(&self) -> bool {
        self.players.iter().all(|player| player.outgoing.is_empty())
    }

    /// When anything but KEEPALIVEs came last, on any session.
    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Closes a player's connection without a NOTIFICATION.
    pub fn close(&mut self, id: PlayerId) {
        let player = &mut self.players[id.0];
        player.outgoing.clear();
        // The kernel takes a closed socket out of the epoll instance.
        player.stream = None;
    }

    /// One turn of the loop: waits at most `wait` for something to do, and does it.
    ///
    /// # Errors
    /// The subject ended a session.
    pub fn turn(&mut self, wait: Duration) -> Result<()> {
        self.keepalives()?;
        let mut events = [EpollEvent::empty(); EVENTS_AT_ONCE];
        let wait = EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX);
        let count = match self.epoll.wait(&mut events, wait) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).context("epoll"),
        };
        for event in &events[..count] {
            let number = event.data() as usize;
            let flags = event.events();
            if flags.contains(EpollFlags::EPOLLOUT) {
                self.write(number)?;
            }
            if flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                self.read(number)?;
            }
        }
        if count > 0 && !self.nap.is_zero() {
            std::thread::sleep(self.nap);
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let player = &mut self.players[number];
        let Some(stream) = &mut player.stream else {
            return Ok(());
        };
        let read = stream.read(&mut self.scratch);
        let now = Instant::now();
        let octets = match read {
            Ok(0) => bail!("the subject closed the session of {}", player.caller.source),
            Ok(count) => &self.scratch[..count],
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return Ok(()),
                _ => {
                    let who = player.caller.source;
                    return Err(error).with_context(|| format!("the session of {who}"));
                }
            },
        };
        // A KEEPALIVE alone has 19 octets.
        if octets.len() > 19 {
            self.last_heard = now;
        }
        if let Some(recording) = &mut player.recording {
            recording
                .take_in(octets, now)
                .with_context(|| format!("on the session of {}", player.caller.source))?;
        }
        if let Some(tally) = &mut player.tally {
            tally
                .take_in(octets, now, &mut self.sets)
                .with_context(|| format!("on the session of {}", player.caller.source))?;
        }
        Ok(())
    }

    fn write(&mut self, number: usize) -> Result<()> {
        let player = &mut self.players[number];
        let Some(stream) = &mut player.stream else {
            return Ok(());
        };
        let mut left = WRITE_AT_ONCE;
        while let (Some(first), 1..) = (player.outgoing.front(), left) {
            let end = first.len().min(player.written + left);
            match stream.write(&first[player.written..end]) {
                Ok(count) => {
                    player.written += count;
                    left -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let who = player.caller.source;
                    return Err(error).with_context(|| format!("the session of {who}"));
                }
            }
            if player.written == first.len() {
                player.outgoing.pop_front();
                player.written = 0;
            }
        }
        let mut flags = player.ear.events();
        if !player.outgoing.is_empty() {
            flags |= EpollFlags::EPOLLOUT;
        }
        self.epoll
            .modify(&*stream, &mut EpollEvent::new(flags, number as u64))
            .context("epoll")
    }

    fn keepalives(&mut self) -> Result<()> {
        let now = Instant::now();
        for number in 0..self.players.len() {
            let player = &mut self.players[number];
            if now < player.next_keepalive || player.stream.is_none() {
                continue;
            }
            player.next_keepalive = now + player.caller.hold_time / 3;
            // Where a feed has more to send, that keeps the session alive.
            if player.outgoing.is_empty() {
                player.outgoing.push_back(message(KEEPALIVE, &[]));
                self.write(number)?;
            }
        }
        Ok(())
    }
}

//! Which peers the RIB waits for at the start although they are not configured one by one: those that a predecessor of
//! the agent had, as long as routes of theirs are in the kernel. The rule that follows is the RIB's
//! (`rib::facade::convergence`).

use std::time::{Duration, Instant};

use rib::{Expected, PeerKind};

use crate::intent::{PeerIntent, PeerTarget};

/// How often the kernel's routes of a predecessor are counted while peers are awaited that had announced them.
const COUNT: Duration = Duration::from_millis(250);

/// The routes of a predecessor in the kernel that nobody has announced again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// No routes are installed, so that there never were any.
    Never,
    /// So many.
    Count(u64),
    /// There may be some: nothing is written so far, and nobody has looked.
    Unknown,
}

/// See the module.
#[derive(Debug)]
pub struct Awaited {
    who: Expected,
    clients: bool,
    /// How many routes there were when they were counted last.
    adopted: Adopted,
    counted: Instant,
    /// Routes of such peers were there, and all of them have been announced again: nobody else is waited for.
    has_returned: bool,
    has_converged: bool,
}

impl Awaited {
    /// Nobody, as the RIB has it at first.
    pub const fn new(now: Instant) -> Self {
        Self {
            who: Expected::Nobody,
            clients: false,
            adopted: Adopted::Never,
            counted: now,
            has_returned: false,
            has_converged: false,
        }
    }

    /// The first exchange is over.
    pub const fn converged(&mut self) {
        self.has_converged = true;
    }

    /// Whether it matters how many routes there are: peers are waited for, or may be.
    pub fn is_counted(&self) -> bool {
        !self.has_converged || self.who != Expected::Nobody
    }

    /// The routes were counted, or these peers are wanted now. Returns who is to be waited for, and whether some of
    /// them would be clients of ours, if that is another answer than before.
    pub fn count(
        &mut self,
        now: Instant,
        peers: &[PeerIntent],
        adopted: Adopted,
    ) -> Option<(Expected, bool)> {
        let (mut who, clients) = expected(peers, adopted);
        self.has_returned |=
            matches!(self.adopted, Adopted::Count(1..)) && adopted == Adopted::Count(0);
        if self.has_returned && who == Expected::Perhaps {
            who = Expected::Nobody;
        }
        let is_new = (who, clients) != (self.who, self.clients);
        (self.who, self.clients) = (who, clients);
        (self.adopted, self.counted) = (adopted, now);
        is_new.then_some((who, clients))
    }

    /// Whether peers are waited for because of routes that they have announced to a predecessor.
    pub fn is_returning(&self) -> bool {
        self.who == Expected::Returning
    }

    /// When the routes are to be counted again.
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.is_returning() && !self.has_converged;
        waits.then(|| self.counted + COUNT)
    }
}

/// Which peers may come that are not configured one by one, and whether some of them would be clients of ours.
fn expected(peers: &[PeerIntent], adopted: Adopted) -> (Expected, bool) {
    let is_range = |peer: &&PeerIntent| matches!(peer.target, PeerTarget::Range { .. });
    let ranges = peers.iter().filter(is_range);
    let clients = ranges
        .clone()
        .any(|range| range.config.kind == PeerKind::ReflectorClient);
    let has_ranges = ranges.count() > 0;
    let who = match adopted {
        _ if !has_ranges && !peers.is_empty() => Expected::Nobody,
        Adopted::Count(1..) | Adopted::Unknown => Expected::Returning,
        // None of their routes is in the kernel: of a node that was switched off, or guard rails kept them out.
        Adopted::Count(0) | Adopted::Never if has_ranges => Expected::Perhaps,
        Adopted::Count(0) | Adopted::Never => Expected::Nobody,
    };
    (who, clients)
}

//! Threads and tasks that the process cannot do without. One that dies or hangs takes the process down, with a reason.
//!
//! A speaker whose sessions are alive while nobody looks after its routes attracts traffic that it loses. A process
//! that ends is started again; until then its routes stay in the kernel, and peers keep what it advertised (RFC 4724).
//!
//! | what happens | what follows |
//! |---|---|
//! | a panic, in whichever thread or task | the process ends at once ([`end_on_panic`]), though its log may hang |
//! | an agent that is stopped does not end | the process ends all the same ([`end_within`]) |
//! | a vital one ends though nobody stops it | the process ends within a second |
//! | a vital one is in one step for [`SLOW`] | `/healthz` answers 503, and `routelet status` names it |
//! | it is for [`HANGS`], and sessions are kept alive meanwhile | the process ends: peers must not rely on routes that nobody looks after |
//!
//! Time is counted in looks of the [`Watchdog`]: while the machine stands still, nobody hangs.

#[cfg(test)]
mod tests;

use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::error;

use crate::printable;

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks between two pokes of a thread that rests: it has to move at that.
const POKE: u32 = 5;

/// Looks that see one and the same step until that is said.
const SLOW: u32 = 10;

/// And until it counts as hanging: shorter than the hold time of 90 s, and longer than any step should be by far.
const HANGS: u32 = 60;

/// How long a process that panics may take to say so: its log may be a pipe that nobody reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The exit status of a process that ends so (`EX_SOFTWARE` of `sysexits.h`).
const EXIT: i32 = 70;

/// What a thread shows of itself: steps, with rests between them. Written by that thread alone.
#[derive(Debug, Default)]
pub struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// Another step begins.
    pub fn step(&self) {
        let now = self.0.load(Ordering::Relaxed);
        // Odd: in a step.
        self.0.store((now + 1) | 1, Ordering::Relaxed);
    }

    /// The step is over, and there is nothing to do.
    pub fn rest(&self) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store((now + 1) & !1, Ordering::Relaxed);
    }

    fn look(&self) -> ThreadState {
        let count = self.0.load(Ordering::Relaxed);
        ThreadState::Lives {
            count,
            is_in_step: count % 2 == 1,
        }
    }
}

/// How a vital thread or task is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThreadState {
    /// It is there, has moved so many times, and is in a step or rests.
    Lives { count: u64, is_in_step: bool },
    /// It is no more.
    Ended,
}

/// A thread or task that the process cannot do without.
pub struct Vital {
    name: &'static str,
    look: Box<dyn Fn() -> ThreadState + Send>,
    /// Gives it something to do, so that it moves if it can.
    poke: Option<Box<dyn Fn() + Send>>,
    /// Whether it must not hang: peers rely on it while their sessions are up.
    holds_sessions: bool,
    /// How often it had moved at the last look.
    count: u64,
    /// Whether it was poked since it moved.
    is_poked: bool,
    /// How many looks have found that it had not moved since the one before.
    still: u32,
}

impl Vital {
    fn new(name: &'static str, look: impl Fn() -> ThreadState + Send + 'static) -> Self {
        Self {
            name,
            look: Box::new(look),
            poke: None,
            holds_sessions: false,
            count: 0,
            is_poked: false,
            still: 0,
        }
    }

    /// A task, which has no pulse. `has_ended` asks whether it is no more.
    pub fn task(name: &'static str, has_ended: impl Fn() -> bool + Send + 'static) -> Self {
        Self::thread(name, Arc::default(), has_ended)
    }

    /// A thread with a pulse. `has_ended` asks whether it is no more.
    pub fn thread(
        name: &'static str,
        pulse: Arc<Heartbeat>,
        has_ended: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        Self::new(name, move || match has_ended() {
            true => ThreadState::Ended,
            false => pulse.look(),
        })
    }

    /// The same, of one that can be given something to do, and has to move at that even if it rests.
    pub fn poked(mut self, poke: impl Fn() + Send + 'static) -> Self {
        self.poke = Some(Box::new(poke));
        self
    }

    /// The same, of one that must not hang either.
    pub fn holding_sessions(mut self) -> Self {
        self.holds_sessions = true;
        self
    }

    /// Looks once more. What is wrong, and whether it is the end.
    fn check(&mut self) -> Option<(String, bool)> {
        let ThreadState::Lives { count, is_in_step } = (self.look)() else {
            return Some((format!("{} has ended", self.name), true));
        };
        self.still += 1;
        if count != self.count {
            (self.count, self.still, self.is_poked) = (count, 0, false);
        }
        if let Some(poke) = &self.poke
            && !is_in_step
            && !self.is_poked
            && self.still >= POKE
        {
            poke();
            (self.still, self.is_poked) = (0, true);
        }
        if self.still < SLOW || !(is_in_step || self.is_poked) {
            return None;
        }
        let seconds = u64::from(self.still) * LOOK.as_secs();
        let is_end = self.holds_sessions && self.still >= HANGS;
        Some((format!("{} has hung for {seconds} s", self.name), is_end))
    }
}

/// What hangs, in words.
pub type HungThreads = Arc<ArcSwap<Vec<String>>>;

/// Looks after vital threads and tasks, from a thread of its own, until it is dropped.
pub struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Begins to look. What hangs stands in `hanging`.
    pub fn start(mut vitals: Vec<Vital>, hanging: HungThreads) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    let mut found = Vec::new();
                    for (what, is_end) in vitals.iter_mut().filter_map(Vital::check) {
                        if is_end {
                            end(&what);
                        }
                        found.push(what);
                    }
                    let is_new = hanging.load().is_empty();
                    hanging.store(Arc::new(found.clone()));
                    if is_new && !found.is_empty() {
                        say(format!(
                            "{}: it should have taken milliseconds",
                            found.join("; ")
                        ));
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}

/// From now on a panic in any thread or task ends the process.
pub fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        // Who can't be sure to get past the report does not begin it.
        if end_in(LAST_WORDS, || {}) {
            report(panic);
        }
        let thread = std::thread::current();
        let message = panic.payload_as_str().unwrap_or("(no message)");
        let place = panic.location().map(ToString::to_string);
        end(&format!(
            "a bug: thread {} panicked at {}: {}",
            thread.name().unwrap_or("without a name"),
            place.unwrap_or_default(),
            printable::line(message)
        ));
    }));
}

/// The process ends after so long, whatever hangs, if it has not by then. For one that is stopping: what it waits for
/// is bounded by less.
pub fn end_within(bound: Duration) {
    end_in(bound, move || {
        say(format!(
            "the agent has not stopped within {} s, and is ended: its routes stay in the kernel",
            bound.as_secs()
        ));
    });
}

/// Ends the process after so long, from a thread of its own. Whether there is such a thread.
fn end_in(bound: Duration, last: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::Builder::new().name("end".to_owned());
    let end = move || {
        std::thread::sleep(bound);
        last();
        std::process::exit(EXIT)
    };
    thread.spawn(end).is_ok()
}

fn end(why: &str) -> ! {
    say(format!(
        "{why}. The process ends, and should be started again: its routes stay in the kernel, and peers that support graceful \
         restart keep what it advertised"
    ));
    std::process::exit(EXIT)
}

/// Writes to the log, unless that takes longer than a moment: what hangs may hang there.
fn say(text: String) {
    let (done, said) = mpsc::channel();
    let write = move || {
        error!("{text}");
        // Nobody may wait for it any more.
        let _ = done.send(());
    };
    if std::thread::Builder::new().spawn(write).is_ok() {
        let _ = said.recv_timeout(LOOK);
    }
}

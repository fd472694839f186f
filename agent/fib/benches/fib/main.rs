//! How long the plan of the FIB is held, and how long the thread that writes to the kernel works in one go, where there is much to do:
//! `cargo bench -p routelet-fib --bench fib`, with a number for other than 500,000 routes (`-- 100000`), or a part of a case's name. What is
//! measured are single calls, as [`routelet_fib`]'s thread and handle make them; none that holds the plan should take more than 2 ms,
//! since the thread of the RIB waits for it. Times are CPU time, so that other load on the machine does not count.

#![allow(clippy::unwrap_used, missing_docs)]

mod cases;
mod world;

use std::time::Duration;

use cases::CASES;
use nix::time::ClockId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a call should take at most.
const LONG: Duration = Duration::from_millis(2);

/// Calls of one case.
#[derive(Default)]
pub(crate) struct Calls {
    count: usize,
    all: Duration,
    longest: Duration,
    /// How many are longer than they should be.
    too_long: usize,
    /// Which one that was.
    which: (&'static str, usize),
}

impl Calls {
    pub(crate) fn call<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let started = cpu_time();
        let done = work();
        let took = cpu_time() - started;
        self.count += 1;
        self.all += took;
        self.too_long += usize::from(took > LONG);
        if took > self.longest {
            (self.longest, self.which) = (took, (what, self.count));
        }
        done
    }
}

fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

fn main() {
    let mut routes = 500_000;
    let mut wanted = None;
    for word in std::env::args().skip(1).filter(|word| word != "--bench") {
        match word.parse() {
            Ok(number) => routes = number,
            Err(_) => wanted = Some(word),
        }
    }
    println!("{routes} routes: longest call, all calls, how many, how many above {LONG:?}");
    for (name, run) in CASES {
        let is_other = |wanted: &String| !name.contains(wanted.as_str());
        if wanted.as_ref().is_some_and(is_other) {
            continue;
        }
        let mut calls = Calls::default();
        run(routes, &mut calls);
        let Calls {
            count,
            all,
            longest,
            too_long,
            which: (what, number),
        } = calls;
        println!(
            "{name:45} {longest:>10.2?} ({what}, call {number}), {all:>8.2?}, {count}, {too_long}"
        );
    }
}

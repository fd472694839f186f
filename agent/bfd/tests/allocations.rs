//! While no session comes or goes, the thread allocates nothing: an allocator may wait for others, and packets would be late.
//!
//! One test alone in its process, since it counts what all threads allocate. Needs root and `ip`.

#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::num::{NonZeroU8, NonZeroU32};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use routelet_bfd::driver::spawn;
use routelet_bfd::packet::Interval;
use routelet_bfd::session::Parameters;
use routelet_bfd::sessions::{Hops, Request, SessionKey, UserId, UserLevel};

static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn sessions_that_are_up_allocate_nothing() {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("SKIPPED: a network namespace of its own needs root ({error})");
        return;
    }
    let Ok(up) = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
    else {
        println!("SKIPPED: `ip` is not installed");
        return;
    };
    assert!(up.success());
    let (sender, reports) = channel();
    // Two ends of one session, both in one thread.
    let handle = spawn([7; 32], move |states| {
        for state in states {
            let _ = sender.send(*state);
        }
    })
    .unwrap();
    for (number, local, remote) in [(1, "127.0.0.1", "127.0.0.2"), (2, "127.0.0.2", "127.0.0.1")] {
        let key = SessionKey {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            interface: NonZeroU32::new(1),
            hops: Hops::Single,
        };
        let interval = Interval::from_millis(10);
        let parameters = Parameters::new(interval, NonZeroU8::new(20).unwrap());
        let user = UserId {
            number,
            generation: 0,
        };
        handle.set(user, Some((key, Request::new(parameters))));
    }
    let mut up = BTreeSet::new();
    while up.len() < 2 {
        let state = reports.recv_timeout(Duration::from_secs(15)).unwrap();
        if state.state == UserLevel::Up {
            up.insert(state.user);
        }
    }
    // The Poll Sequences, and what follows from them.
    std::thread::sleep(Duration::from_secs(1));
    let sent = || -> u64 {
        let sessions = handle.status().unwrap().sessions;
        sessions.iter().map(|session| session.counters.sent).sum()
    };
    let before = sent();
    let allocated = COUNT.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(2));
    let more = COUNT.load(Ordering::Relaxed) - allocated;
    let packets = sent() - before;
    assert!(packets > 200, "only {packets}");
    assert_eq!(more, 0, "allocations for {packets} packets");
}

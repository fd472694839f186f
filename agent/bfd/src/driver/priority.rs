//! The thread's place before others: without it a busy machine makes packets late, and the remote system takes that for a
//! failure.
#![allow(unsafe_code)]

use std::fmt;

/// Real-time, in the lower part of 1 to 99: above everything that is not real-time, below the kernel's threads of interrupts
/// (50).
const REAL_TIME: libc::c_int = 10;
/// As routing daemons have it, of -20 to 19.
const NICE: libc::c_int = -15;

/// What the thread was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It runs before everything that is not real-time (SCHED_RR).
    RealTime,
    /// It runs before most. Detection times below 150 ms may be missed on a busy machine: grant CAP_SYS_NICE, or a limit
    /// RLIMIT_RTPRIO of 10.
    Raised,
    /// As everything else. Detection times below 300 ms may be missed on a busy machine: grant CAP_SYS_NICE.
    Normal,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RealTime => "real-time",
            Self::Raised => "raised",
            Self::Normal => "normal",
        })
    }
}

/// Puts the calling thread before others as far as that is permitted, and has its timers fire when they are due.
pub(super) fn raise() -> Priority {
    // 50 microseconds unless set; real-time threads have none anyway.
    let _ = nix::sys::prctl::set_timerslack(1);
    // SAFETY: plain data, of which zeros are a valid value.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = REAL_TIME;
    // Threads that this one should ever start are not real-time.
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread; the kernel reads a live `sched_param`.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) } == 0 {
        return Priority::RealTime;
    }
    // SAFETY: no pointers; 0 is the calling thread, since Linux gives each a value of its own.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } == 0 {
        return Priority::Raised;
    }
    Priority::Normal
}

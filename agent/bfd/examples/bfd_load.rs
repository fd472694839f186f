//! The CPU time of many BFD sessions: `bfd_load --local 10.1.0.0 --remote 10.2.0.0 --interface eth0`.
//!
//! Session number n, from 1, is between the n-th address behind `--local` and the n-th behind `--remote`; all of them must be
//! there. The other end is another such process, with the addresses swapped. Prints the CPU time per second of this process,
//! once all sessions are Up.

#![allow(clippy::disallowed_methods)] // It waits.

use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use routelet_bfd::driver::spawn;
use routelet_bfd::packet::Interval;
use routelet_bfd::session::Parameters;
use routelet_bfd::sessions::{Hops, Request, SessionKey, UserId, UserLevel};

type Failure = Box<dyn std::error::Error>;

/// Many BFD sessions.
#[derive(Debug, Parser)]
struct Flags {
    /// The address before our first one.
    #[arg(long)]
    local: Ipv4Addr,
    /// The address before the first one of the other end.
    #[arg(long)]
    remote: Ipv4Addr,
    /// The interface between them.
    #[arg(long)]
    interface: String,
    /// How many sessions.
    #[arg(long, default_value_t = 256)]
    count: u32,
    /// Milliseconds between packets; three may be lost.
    #[arg(long, default_value_t = 50)]
    interval: u32,
    /// How long it is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

fn seconds(time: TimeVal) -> f64 {
    Duration::from_micros(u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000).as_secs_f64()
        + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0)).as_secs_f64()
}

fn main() -> Result<(), Failure> {
    let flags = Flags::parse();
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
    let losses = Arc::new(AtomicU32::new(0));
    let lost = losses.clone();
    let handle = spawn(seed, move |states| {
        let failed = states
            .iter()
            .filter(|state| matches!(state.state, UserLevel::Down(_)));
        lost.fetch_add(
            u32::try_from(failed.count()).unwrap_or(0),
            Ordering::Relaxed,
        );
    })?;
    let interface = NonZeroU32::new(nix::net::if_::if_nametoindex(flags.interface.as_str())?);
    let interval = Interval::from_millis(flags.interval);
    let behind = |base: Ipv4Addr, at| Ipv4Addr::from(u32::from(base) + at);
    for at in 1..=flags.count {
        let key = SessionKey {
            local: behind(flags.local, at).into(),
            remote: behind(flags.remote, at).into(),
            interface,
            hops: Hops::Single,
        };
        let parameters = Parameters::new(interval, NonZeroU8::new(3).ok_or("3")?);
        let user = UserId {
            number: at.into(),
            generation: 0,
        };
        handle.set(user, Some((key, Request::new(parameters))));
    }
    std::thread::sleep(Duration::from_secs(8));
    let before = losses.load(Ordering::Relaxed);
    let usage = || -> Result<(f64, f64, i64), Failure> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let user = seconds(usage.user_time());
        let system = seconds(usage.system_time());
        Ok((user, system, usage.voluntary_context_switches()))
    };
    let (start, first) = (Instant::now(), usage()?);
    std::thread::sleep(Duration::from_secs(flags.seconds));
    let (elapsed, last) = (start.elapsed().as_secs_f64(), usage()?);
    let status = handle.status().ok_or("the thread does not answer")?;
    let up = status.sessions.iter();
    let up = up.filter(|session| session.status.state == routelet_bfd::packet::State::Up);
    println!(
        "{} of {} Up, {} lost, {:.3} user + {:.3} system cores, {:.0} wake-ups/s, lateness {:?}",
        up.count(),
        flags.count,
        losses.load(Ordering::Relaxed) - before,
        (last.0 - first.0) / elapsed,
        (last.1 - first.1) / elapsed,
        f64::from(u32::try_from(last.2 - first.2)?) / elapsed,
        status.worst_lateness,
    );
    Ok(())
}

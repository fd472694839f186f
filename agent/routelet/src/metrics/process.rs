//! The `process_` metrics that every Prometheus dashboard expects, from `/proc/self`.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the kernel says about this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// CPU time used, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Memory in RAM, in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: u64,
    /// When it started, in seconds since 1970.
    pub start_time_seconds: f64,
    /// Threads.
    pub threads: u64,
}

impl Process {
    /// This process, now; `None` without `/proc`.
    pub fn this() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let ticks = u64::try_from(
            nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
                .ok()
                .flatten()?,
        )
        .ok()?;
        let page = u64::try_from(
            nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
                .ok()
                .flatten()?,
        )
        .ok()?;
        let fields = Fields::parse(&stat)?;
        let since_boot: f64 = uptime.split(' ').next()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let age = since_boot - fields.start as f64 / ticks as f64;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        Some(Self {
            cpu_seconds: fields.cpu as f64 / ticks as f64,
            resident_bytes: fields.resident_pages * page,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
            max_fds: max_fds(&limits)?,
            start_time_seconds: now.as_secs_f64() - age,
            threads: fields.threads,
        })
    }
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    cpu: u64,
    threads: u64,
    start: u64,
    resident_pages: u64,
}

impl Fields {
    /// The second field is the name in parentheses and may hold anything, also spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        // What follows begins with field 3.
        let field = |number: usize| rest.split(' ').nth(number - 3)?.trim().parse::<u64>().ok();
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            start: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|l| l.starts_with("Max open files"))?;
    let soft = line["Max open files".len()..].split_whitespace().next()?;
    match soft {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn this_process_is_described_plausibly() {
        let process = Process::this().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - process.start_time_seconds;
        assert!((-1.0..3600.0).contains(&age), "{process:?}");
        assert!(process.resident_bytes > 1_000_000, "{process:?}");
        assert!(process.open_fds >= 3 && process.max_fds >= process.open_fds);
        assert!(process.threads >= 1);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 0 0 0 7 5 0 0 20 0 3 0 900 1000 250 18446744073709551615 1";
        assert_eq!(
            Fields::parse(stat).unwrap(),
            Fields {
                cpu: 12,
                threads: 3,
                start: 900,
                resident_pages: 250
            }
        );
    }
}

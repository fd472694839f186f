//! What a speaker costs: the processor time and the memory of all its processes.
//!
//! A speaker has its namespace for itself, so its processes are those in the namespace: the daemons themselves, in a
//! container or not, with whatever they forked; not podman, which stays outside.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use interop_lab::Namespace;

/// Of the kernel's clock that counts processor time: `USER_HZ` is 100 on every architecture that Linux runs daemons on.
const TICK: Duration = Duration::from_millis(10);

/// What the processes of a namespace have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of user and system together, since each process began.
    pub cpu: Duration,
    /// The sum of what each had resident at most, in kB (`VmHWM`).
    pub peak_kb: u64,
    /// The sum of what each has resident now, in kB (`VmRSS`).
    pub resident_kb: u64,
}

impl Usage {
    /// Of everything that runs in `namespace`.
    ///
    /// # Errors
    /// Nothing does.
    pub fn of(namespace: &Namespace) -> Result<Self> {
        let path = namespace.path();
        let inode = std::fs::metadata(&path)
            .with_context(|| path.display().to_string())?
            .ino();
        let mut sum = Self::default();
        let mut found = false;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let folder = entry.path();
            // A process that ends while it is looked at, and what is no process, has nothing to tell.
            if std::fs::metadata(folder.join("ns/net")).is_ok_and(|ns| ns.ino() == inode)
                && let Some(one) = Self::of_process(&folder)
            {
                found = true;
                sum.cpu += one.cpu;
                sum.peak_kb += one.peak_kb;
                sum.resident_kb += one.resident_kb;
            }
        }
        ensure!(found, "nothing runs in {}", namespace.label());
        Ok(sum)
    }

    fn of_process(folder: &Path) -> Option<Self> {
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        Some(Self {
            cpu: processor_time(&stat)?,
            peak_kb: kilobytes(&status, "VmHWM:")?,
            resident_kb: kilobytes(&status, "VmRSS:")?,
        })
    }
}

/// What one process has of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// What it has resident, in kB.
    pub(super) resident_kb: u64,
    /// The same with pages that are shared divided by those who share them, in kB.
    pub(super) proportional_kb: u64,
}

/// The memory of a process.
///
/// # Errors
/// It has ended.
pub(super) fn memory_of(pid: i32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let field = |name| kilobytes(&text, name).with_context(|| format!("no {name} in {path}"));
    Ok(Memory {
        resident_kb: field("Rss:")?,
        proportional_kb: field("Pss:")?,
    })
}

/// The processor time of a process since it was started, to the nanosecond.
///
/// # Errors
/// It has ended.
pub(super) fn cpu_of(pid: i32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid));
    let clock = clock.with_context(|| format!("the processor time of process {pid}"))?;
    Ok(Duration::from(clock.now()?))
}

/// Fields 14 and 15 of `/proc/PID/stat`; the second one is the program's name in parentheses, which may hold anything.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
    Some(TICK * ticks)
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 99 0 0";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kilobytes(status, "VmHWM:"), Some(2048));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_used_some_memory() {
        let own = Usage::of_process(Path::new("/proc/self")).unwrap();
        assert!(own.peak_kb >= own.resident_kb && own.resident_kb > 0);
        let pid = std::process::id() as i32;
        let memory = memory_of(pid).unwrap();
        assert!(memory.resident_kb >= memory.proportional_kb && memory.proportional_kb > 0);
    }

    #[test]
    fn the_processor_time_of_a_process_is_that_of_all_its_threads() {
        let pid = std::process::id() as i32;
        let before = cpu_of(pid).unwrap();
        let burn = move || {
            let began = cpu_of(pid).unwrap();
            while cpu_of(pid).unwrap() < began + Duration::from_millis(20) {}
        };
        std::thread::spawn(burn).join().unwrap();
        assert!(cpu_of(pid).unwrap() >= before + Duration::from_millis(20));
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        assert!(cpu_of(gone.id() as i32).is_err(), "nobody");
    }
}

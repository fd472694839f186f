//! How the process holds memory: small while it has little to do, and given back after a large piece of work.
//!
//! | what | why |
//! |---|---|
//! | no transparent huge pages | every thread's few small allocations then make 2 MiB resident: 15 MB in an agent that has nothing to do |
//! | freed pages go back after [`PURGE_DELAY_MS`] | a table that comes in frees as much as it keeps; after the allocator's second, that adds a third to the peak |
//! | [`of_one_peer`] | a peer that sends more than fits ends its session, not the agent |
//! | [`forget_start`] when it is over | code that ran once stays mapped: two thirds of what an agent without routes holds |
//! | [`give_back`] after a load | the allocator looks after free pages only when it is called again: an agent that has settled down does not call |

mod mapped;

use std::ffi::c_long;
use std::path::Path;

use libmimalloc_sys::mi_option_t;

pub use mapped::forget_start;

/// How long freed pages are kept for the next allocation, in milliseconds: long enough for those that are about to be
/// used again, which cost a page fault each if they were given back.
const PURGE_DELAY_MS: c_long = 10;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const PURGE_DELAY: mi_option_t = 15;

// The number is a place in a list of mimalloc's: to be looked up again when the list is another one.
const _: () = assert!(libmimalloc_sys::_mi_option_last == 47);

/// Sets up the process. Called first, since what is resident by then stays so. The environment's word on the allocator
/// (`MIMALLOC_PURGE_DELAY`) has precedence.
pub fn start() {
    // Refused by kernels that know no huge pages and have none to turn off.
    let _ = nix::sys::prctl::set_thp_disable(true);
    set_purge_delay();
}

#[allow(unsafe_code)] // The allocator's own function has no safe form.
fn set_purge_delay() {
    // SAFETY: It stores a number that the allocator reads at its next purge, unless the environment has given another;
    // numbers of options that it does not know are ignored.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
}

/// Returns the free memory of the calling thread to the kernel. Takes about a millisecond per 10 MB: for the end of a
/// piece of work that freed much, not for the path of packets.
#[allow(unsafe_code)] // The allocator's own function has no safe form.
pub fn give_back() {
    // SAFETY: It may be called at any time, from any thread, also where another allocator serves the process (in
    // tests): it looks only at mimalloc's own heaps.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// The share of the process's memory limit for the routes of one peer, as a divisor: a full table fits into half of 256
/// MiB; Adj-RIB-Out, other peers and the program itself need the rest.
const PEER_SHARE: u64 = 2;

/// How much memory the routes of one peer may take, in bytes: half of what the process may use, by its cgroup or,
/// without a limit there, by the machine. `None`: that is not known, and nothing is limited.
pub fn of_one_peer() -> Option<u64> {
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limits_of_group(Path::new("/sys/fs/cgroup"), &group);
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(memory_of_machine);
    let most = limits.into_iter().chain(machine).min()?;
    Some(most / PEER_SHARE)
}

/// The limits of a process's cgroup and of those around it, under `root`. `groups`: its lines of `/proc/self/cgroup`.
/// Version 2 has one hierarchy, version 1 one for memory.
fn limits_of_group(root: &Path, groups: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, name) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            other if other.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container the path may be that of the host, of which only the root is seen: it is the container's own
        // group.
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            let text = std::fs::read_to_string(root.join(group).join(name));
            found.extend(text.ok().and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    found
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn memory_of_machine(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_smallest_limit_of_the_cgroups_around_counts_in_both_versions() {
        let root = std::env::temp_dir().join(format!("routelet-cgroup-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("pod/agent/memory.max", "max\n");
        put("pod/memory.max", "268435456\n");
        put("memory/pod/memory.limit_in_bytes", "1000\n");
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        for (groups, smallest) in [
            ("0::/pod/agent\n", Some(268_435_456)),
            ("0::/pod\n", Some(268_435_456)),
            ("0::/\n", None),
            ("5:cpu:/pod\n4:cpu,memory:/pod\n", Some(1000)),
            ("4:memory:/not/seen/here\n", Some(9_223_372_036_854_771_712)),
            ("", None),
            ("nonsense", None),
        ] {
            let found = limits_of_group(&root, groups);
            assert_eq!(found.into_iter().min(), smallest, "{groups}");
        }
        std::fs::remove_dir_all(&root).unwrap();
        let machine = memory_of_machine("MemFree: 1 kB\nMemTotal:        2048 kB\n");
        assert_eq!(machine, Some(2_097_152));
        assert_eq!(memory_of_machine("MemTotal: much\n"), None);
        assert!(
            of_one_peer().is_some_and(|bytes| bytes > 0),
            "every Linux says"
        );
    }

    #[allow(unsafe_code)]
    fn purge_delay() -> c_long {
        // SAFETY: It reads a number from the allocator's table.
        unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }
    }

    #[test]
    fn freed_pages_go_back_soon_and_huge_ones_are_off() {
        // The allocator's own value: the number is that of the option that is meant.
        assert_eq!(purge_delay(), 1_000);
        start();
        assert_eq!(purge_delay(), PURGE_DELAY_MS);
        assert_eq!(nix::sys::prctl::get_thp_disable(), Ok(true));
    }
}

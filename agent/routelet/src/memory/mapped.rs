//! What of the program's file and of its libraries is mapped.
//!
//! A page of code that ran once stays mapped, and with it those around it that the kernel maps along: of an agent that
//! has started, two thirds are code that will hardly run again (options, certificates, definitions, the first look at
//! the cluster). They count as its memory as long as they are mapped. The kernel keeps the file's pages in its cache
//! either way, so code that is needed again costs a minor fault and no disk.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};
use tracing::debug;

/// Unmaps what the start left mapped of the program: called once, when the start is over. What runs from now on comes
/// back at once, 64 KiB a fault.
pub fn forget_start() {
    let (mut parts, mut octets) = (0, 0);
    for range in of_program() {
        let length = range.len();
        if unmap(&range) {
            parts += 1;
            octets += length;
        }
    }
    debug!(parts, octets, "pages of the start-up code are unmapped");
}

/// Where the files of the program are mapped and nothing differs from them. Without /proc: nowhere, and nothing but
/// memory is lost.
fn of_program() -> Vec<Range<usize>> {
    std::fs::read_to_string("/proc/self/smaps")
        .map_or_else(|_| Vec::new(), |smaps| unchanged(&smaps))
}

/// Whether the kernel did.
#[allow(unsafe_code)] // What is known of the range is known here alone.
fn unmap(range: &Range<usize>) -> bool {
    let Some(start) = NonNull::new(range.start as *mut c_void) else {
        return false;
    };
    // SAFETY: The range is a whole mapping of the program's file or of a library's, private, and not writable, without
    // a page that differs from the file: what is read there afterwards is what was there before. It stays mapped as
    // long as the process lives.
    unsafe { madvise(start, range.len(), MmapAdvise::MADV_DONTNEED) }.is_ok()
}

/// The mappings of `/proc/self/smaps` that hold the content of a file with code and nothing else: private ones that
/// nobody may write, without a page that differs from it, in memory or swapped out. What the loader relocated has some.
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let code: Vec<Mapping<'_>> = smaps.lines().filter_map(Mapping::read).collect();
    let has_code = |found: &Mapping<'_>| {
        let mut of_file = code.iter().filter(|other| other.file == found.file);
        of_file.any(|other| other.is_code)
    };
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(anonymous) = line.strip_prefix("Anonymous:") {
            current = current.filter(|_| anonymous.trim() == "0 kB");
        } else if let Some(swapped) = line.strip_prefix("Swap:") {
            // Pages that are swapped out are not among the anonymous ones. Without this line nothing is unmapped.
            found.extend(current.take().filter(|_| swapped.trim() == "0 kB"));
        } else if !line.starts_with(|first: char| first.is_ascii_uppercase()) {
            current = Mapping::read(line)
                .filter(has_code)
                .map(|mapping| mapping.range);
        }
    }
    found
}

/// A private mapping of a file that nobody may write.
struct Mapping<'a> {
    range: Range<usize>,
    is_code: bool,
    /// Device, inode and path.
    file: (&'a str, &'a str, &'a str),
}

impl<'a> Mapping<'a> {
    /// Reads the first line of a mapping: range, permissions, offset, device, inode, path.
    fn read(line: &'a str) -> Option<Self> {
        let (head, path) = line.split_at_checked(line.find('/')?)?;
        let mut fields = head.split_ascii_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let is_meant = matches!(permissions, "r-xp" | "r--p");
        let (device, inode) = (fields.nth(1)?, fields.next()?);
        let (start, end) = range.split_once('-').filter(|_| is_meant)?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        (start < end).then_some(Self {
            range: start..end,
            is_code: permissions == "r-xp",
            file: (device, inode, path),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One mapping each: code, what the loader relocated, data, code that a debugger has changed, a library, a file
    /// without code, one that is shared, memory, constants, what is no file, and what the loader relocated and the
    /// kernel swapped out.
    const SMAPS: &str = "\
55c09e54b000-55c09f647000 r-xp 0037b000 fe:00 4711                       /usr/bin/routelet
Size:              17392 kB
Rss:               10344 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me sd
55c09f647000-55c09f6ae000 r--p 01476000 fe:00 4711                       /usr/bin/routelet
Rss:                 404 kB
Anonymous:           404 kB
Swap:                  0 kB
55c09f6ae000-55c09f6b5000 rw-p 014dc000 fe:00 4711                       /usr/bin/routelet
Anonymous:             0 kB
Swap:                  0 kB
7f0000000000-7f0000100000 r-xp 00000000 fe:00 4711                       /usr/bin/routelet
Anonymous:             4 kB
Swap:                  0 kB
7f0000180000-7f0000190000 r-xp 00000000 fe:00 4712                       /usr/lib/libc.so.6
Anonymous:             0 kB
Swap:                  0 kB
7f0000190000-7f00001a0000 r--p 00000000 fe:00 4713                       /usr/lib/locale/C.utf8/LC_CTYPE
Anonymous:             0 kB
Swap:                  0 kB
7f0000200000-7f0000300000 r--s 00000000 fe:00 4711                       /usr/bin/routelet
Anonymous:             0 kB
Swap:                  0 kB
7f0000400000-7f0000500000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7f0000600000-7f0000700000 r--p 00000000 fe:00 4711                       /usr/bin/routelet
Anonymous:             0 kB
Swap:                  0 kB
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
7f00007f0000-7f00007f1000 r--p 00001000 fe:00 4712                       /usr/lib/libc.so.6
Anonymous:             0 kB
Swap:                  4 kB
";

    #[test]
    fn only_what_equals_its_file_is_unmapped() {
        let expected = [
            0x55c0_9e54_b000..0x55c0_9f64_7000,
            0x7f00_0018_0000..0x7f00_0019_0000,
            0x7f00_0060_0000..0x7f00_0070_0000,
        ];
        assert_eq!(unchanged(SMAPS), expected);
        for strange in [
            "",
            "Anonymous: 0 kB\nnonsense\n",
            "/usr/bin/routelet\nAnonymous: 0 kB\n",
        ] {
            assert!(unchanged(strange).is_empty(), "{strange}");
        }
    }

    #[test]
    fn a_program_goes_on_with_less_of_its_files_mapped() {
        let mapped = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssFile:"));
            let kilobytes = line.unwrap().trim().strip_suffix("kB").unwrap();
            kilobytes.trim().parse::<u64>().unwrap()
        };
        // All of it is mapped, as after a start that used all.
        let use_all = || {
            let mut read = 0_u64;
            for range in of_program() {
                for page in range.step_by(4096) {
                    #[allow(unsafe_code)]
                    // SAFETY: The page is mapped for reading.
                    let octet = unsafe { std::ptr::read_volatile(page as *const u8) };
                    read += u64::from(octet);
                }
            }
            assert!(read > 0);
        };
        // Other tests of the process run beside it, and use what they need again.
        let looks: Vec<(u64, u64)> = (0..20)
            .map(|_| {
                use_all();
                let before = mapped();
                forget_start();
                (before, mapped())
            })
            .collect();
        let has_fallen = |(before, after): &(u64, u64)| *after < before / 2;
        assert!(looks.iter().any(has_fallen), "{looks:?} kB");
    }
}

//! How the process holds memory: small while it has little to do, and given back after a large piece of work.
//!
//! | what | why |
//! |---|---|
//! | no transparent huge pages | every thread's few small allocations then make 2 MiB resident: 15 MB in an agent that has nothing to do |
//! | freed pages go back after [`PURGE_DELAY_MS`] | a table that comes in frees as much as it keeps; after the allocator's second, that adds a third to the peak |
//! | [`give_back`] after a load | the allocator looks after free pages only when it is called again: an agent that has settled down does not call |

use std::ffi::c_long;

use libmimalloc_sys::mi_option_t;

/// How long freed pages are kept for the next allocation, in milliseconds: long enough for those that are about to be used
/// again, which cost a page fault each if they were given back.
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
    // SAFETY: It stores a number that the allocator reads at its next purge, unless the environment has given another; numbers
    // of options that it does not know are ignored.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
}

/// Returns the free memory of the calling thread to the kernel. Takes about a millisecond per 10 MB: for the end of a piece
/// of work that freed much, not for the path of packets.
#[allow(unsafe_code)] // The allocator's own function has no safe form.
pub fn give_back() {
    // SAFETY: It may be called at any time, from any thread, also where another allocator serves the process (in tests): it
    // looks only at mimalloc's own heaps.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! The binary `routelet`: the agent and its command line.

use std::process::ExitCode;

/// The RIB frees and allocates many small things from several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    routelet::memory::start();
    routelet::cli::main()
}

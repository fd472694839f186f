//! The running agent: threads, tasks and channels, without decisions.
//!
//! ```text
//!  source ---ClusterState---> loop --Planner--> peers  (peering decides; bgp::session, one task each)
//!  FIB thread --KernelView---/   |  \-----------> RIB thread --> FIB thread
//!  signals, control socket -----/                 ^
//!                       sessions --Event, bounded-/
//! ```
//!
//! The loop ([`event_loop`]) is the only one that acts on an intent. It updates the intent whenever the cluster's
//! state, the kernel's view or a command changes something. If only routes differ, as nearly always, the RIB receives
//! those; else each part goes to its owner, which applies the difference.
//!
//! [`start`] has the order of the start and its conditions, [`stop`] that of the end; the decisions of both are in
//! [`routelet_core::lifecycle`].

mod apply;
mod backend;
mod event_loop;
mod expected;
mod facts;
mod fib_sink;
mod gates;
mod inbox;
mod kernel_context;
mod leaving;
mod next_hops;
mod notices;
mod open_files;
mod options;
mod peers;
mod rib_events;
mod rib_thread;
mod runtime;
mod saved_state;
mod shared;
pub(crate) mod show;
mod signals;
mod source;
mod start;
mod startup_backend;
mod stop;
mod writer_lock;
mod writing;

use routelet_base::vital;
use routelet_core::lifecycle::limits;

pub(crate) use gates::KubeProxy;
pub(crate) use options::{Options, SourceOptions};
pub use routelet_core::lifecycle::limits::LONGEST as LONGEST_STOP;

use runtime::Runtime;
use start::Started;

/// Runs the agent until a signal ends it.
///
/// # Errors
/// The node cannot be worked on as configured: an address in use, a missing capability, an unreadable directory. The text
/// says what to do.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let withdraw = options.withdraw;
    let Some(started) = start::start(options).await? else {
        return Ok(());
    };
    let Started {
        mut runtime,
        mut inputs,
        watchdog,
    } = started;
    event_loop::turn_until_over(&mut runtime, &mut inputs, withdraw).await?;
    // From here on threads are to end.
    drop(watchdog);
    vital::end_within(limits::STOPPING);
    runtime.end(withdraw).await;
    Ok(())
}

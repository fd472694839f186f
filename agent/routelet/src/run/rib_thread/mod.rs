//! The thread that owns the RIB.
//!
//! One OS thread, one [`Rib`], no locks. It takes commands (what the intent wants, what the kernel looks like,
//! questions) and session events, lets the RIB work in steps of a few milliseconds, and hands the results to the
//! sessions' outboxes and to the FIB. Commands go first: they are few, and a peer must be known before its session. It
//! waits for nobody: what the FIB has no space for stays in the RIB.
//!
//! The thread runs a current-thread tokio runtime only to wait for two channels and a deadline at once.

mod fib_feed;
mod inputs;
mod sessions;
mod step_size;
mod thread;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;

use bgp::session::Event;
use rib::{Expected, Originated, PeerConfig, PeerId, Rib, RibConfig};
use routelet_base::timing::{Recorded, StepTimes};
use routelet_base::vital::Vital;
use routelet_core::intent::RouteChange;
use routelet_core::refreshes::Limited;
use routelet_fib::KernelView;
use tokio::sync::{mpsc, oneshot};

use super::fib_sink::FibSink;
use super::kernel_context::NextHopTable;
use super::next_hops::Denied;
use super::notices::Notices;
use thread::RibThread;

/// Commands that may wait. They are few (a change of manifests, a look at a table); when full, the sender waits.
const COMMANDS: usize = 64;

/// A query of the RIB, run on its thread. It must be short: walks are done in steps.
type RibQuery = Box<dyn FnOnce(&Rib) + Send>;

/// What the runtime asks of the RIB's thread.
pub(crate) enum Command {
    /// How this speaker decides.
    Configure(RibConfig),
    /// A peer as the intent wants it.
    SetPeer(PeerId, Box<PeerConfig>),
    /// This peer came by itself, out of a listen range.
    SetUnexpected(PeerId),
    /// A peer that is no longer wanted.
    RemovePeer(PeerId),
    /// Routes of a peer that graceful restart keeps are to go: it forwards nothing (RFC 5882 section 4.3).
    EndRetention(PeerId),
    /// What comes takes effect at [`Command::Commit`], as far as it is of peers that there are, or of routes that this
    /// node originates.
    Begin,
    /// It takes effect.
    Commit,
    /// All that this node originates.
    Originate(Vec<Originated>),
    /// What it originates otherwise from now on.
    ChangeOriginated(Vec<RouteChange>),
    /// The Node's InternalIPs, for next hops of a family that a session's address is not of.
    NodeAddresses(Box<[IpAddr]>),
    /// The kernel's view changed.
    View(Arc<KernelView>),
    /// Whether next hops may be resolved by the default route.
    ResolveViaDefault(bool),
    /// Everything is synced: start to tell.
    OpenGate,
    /// Whether End-of-RIB is kept back.
    HoldEndOfRib(bool),
    /// Which peers may come that are not configured, and whether some would be clients of ours.
    Expect(Expected, bool),
    /// Whether the FIB is open. Then it receives all routes.
    Fib(bool),
    /// Apply policies again for a peer, and advertise all routes again.
    SoftReset(PeerId),
    /// Look at the tables.
    RibQuery(RibQuery),
}

/// The grip on the RIB's thread.
#[derive(Clone)]
pub(crate) struct RibHandle {
    commands: mpsc::Sender<Command>,
    next_hops: NextHopTable,
    steps: Arc<StepTimes>,
    denied: Denied,
    refreshes: Arc<Limited>,
}

/// The RIB's thread is gone: the agent is stopping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the RIB's thread has stopped")]
pub(crate) struct Stopped;

impl RibHandle {
    /// Gives a command, in order with all others.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Our own next hops on the sessions that are up.
    pub(crate) fn own_next_hops(&self) -> &NextHopTable {
        &self.next_hops
    }

    /// How long the steps of the thread took, by kind.
    pub(crate) fn step_times(&self) -> Vec<(&'static str, Recorded)> {
        self.steps.read()
    }

    /// Requests for all routes that had to wait, and refreshes of peers that were ignored.
    pub(crate) fn limited_refreshes(&self) -> (u64, u64) {
        self.refreshes.read()
    }

    /// Next hops that are not used because the default route alone leads to them.
    pub(crate) fn denied_next_hops(&self) -> Vec<IpAddr> {
        self.denied.all()
    }

    /// Looks at the tables. Keep it short: the RIB does nothing else meanwhile.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Rib) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.send(Command::RibQuery(Box::new(move |rib| {
            // Nobody waits for the answer any more: nothing to do.
            let _ = sender.send(look(rib));
        })))
        .await?;
        receiver.await.map_err(|_| Stopped)
    }
}

/// Starts the thread. It ends when every [`RibHandle`] is gone; nobody has to wait for that, since what it still holds
/// is memory.
pub(crate) fn spawn(
    config: RibConfig,
    events: mpsc::Receiver<Event>,
    fib: FibSink,
    notices: Notices,
) -> std::io::Result<(RibHandle, Vital)> {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let next_hops = NextHopTable::default();
    let rib_thread = RibThread::new(config, fib, notices, next_hops.clone());
    let handle = RibHandle {
        commands: sender,
        next_hops,
        steps: Arc::clone(&rib_thread.times),
        denied: rib_thread.denied.clone(),
        refreshes: rib_thread.refreshes.limited(),
    };
    let pulse = Arc::clone(&rib_thread.pulse);
    let thread = std::thread::Builder::new()
        .name("rib".to_owned())
        .spawn(move || runtime.block_on(rib_thread.run(commands, events)))?;
    let vital = Vital::thread("thread rib, the owner of the routes,", pulse, move || {
        thread.is_finished()
    });
    // Weak: it must not keep the thread from ending.
    let poke = handle.commands.downgrade();
    let vital = vital.poked(move || {
        if let Some(commands) = poke.upgrade() {
            // A full queue means that there is work.
            let _ = commands.try_send(Command::RibQuery(Box::new(|_| {})));
        }
    });
    Ok((handle, vital.holding_sessions()))
}

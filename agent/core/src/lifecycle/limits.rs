//! How long stopping may take, and each part of it: what stops the agent has to give it that long, or kills it meanwhile.
//!
//! | | | at most |
//! |---|---|---|
//! | a node that goes away | waits for routers (`leave.wait`), withdraws in steps, ends its sessions | `LEAVING`; with what follows, [`LONGEST`] is enforced |
//! | every agent | ends its sessions; writes what is to be written to the kernel, or withdraws it | [`STOPPING`], enforced by [`end_within`](routelet_base::vital::end_within) |
//! | both | `terminationGracePeriodSeconds` and `TimeoutStopSec` in `deploy` are longer, as `agent/routelet/tests/deploy` checks | [`LONGEST`] |
//!
//! An update of an agent is of the second kind, and takes some milliseconds.

use std::time::Duration;

use routelet_api::router::LONGEST_LEAVE_WAIT;

use crate::intent::LEAVE_STEP;

/// How long sessions may take to say good-bye.
pub const GOOD_BYE: Duration = Duration::from_secs(3);

/// How long the kernel may take to forget our routes at `--withdraw`, or when the Node is deleted.
pub const WITHDRAW: Duration = Duration::from_secs(30);

/// How long stopping may take: longer than each part of it is waited for, all in all.
pub const STOPPING: Duration = Duration::from_secs(50);

/// How long a node may take to leave before: two steps follow the wait, and then its sessions end.
const LEAVING: Duration = LONGEST_LEAVE_WAIT
    .saturating_add(LEAVE_STEP.saturating_mul(2))
    .saturating_add(GOOD_BYE);

/// How long it may take from SIGTERM to the end of the process.
pub const LONGEST: Duration = LEAVING.saturating_add(STOPPING);

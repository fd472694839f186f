//! What every part of the agent uses and what knows none of them.
//!
//! - [`backoff`]: how long to wait before something is tried again.
//! - [`numbers`]: our protocol number, table and metric in the kernel.
//! - [`printable`]: text of others, so that a terminal, a log and an object of Kubernetes can show it.
//! - [`timing`]: how long steps and holds of a lock take.
//! - [`vital`]: threads and tasks that the process cannot do without, and their watchdog.

pub mod backoff;
pub mod numbers;
pub mod printable;
pub mod timing;
pub mod vital;

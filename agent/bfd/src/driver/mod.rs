//! The thread that runs all sessions of a process, and its sockets (RFC 5881, RFC 5883).
//!
//! One thread owns a [`Sessions`](crate::sessions::Sessions). It sleeps until a packet, a command or a timer; then it reads the
//! clock, takes all that has arrived, and only then has expire what had by that clock: a packet that waited in a socket while
//! the thread did not run has arrived in time. While packets are read, those that are due are sent. After packets it sleeps for a
//! moment whatever arrives, so that a packet does not cost a wake-up. Detection times hold on a busy machine only if the thread is let before others ([`Priority`]).
//!
//! While no session comes or goes, nothing is allocated. Commands do not wait for the thread ([`BfdHandle`]); what users get
//! to know goes to a callback that runs on the thread and must not block ([`spawn`]).
//!
//! A port is bound when the first session needs it, so that a node without BFD leaves the ports to others. If another daemon has
//! it, sessions stay Down, [`Status`] says why, and it is tried again each second. Likewise a session whose address is not
//! there yet.
//!
//! Not here: Echo packets. RFC 5881 4 has them return through the forwarding of the remote system, and Linux drops what arrives
//! with an address of its own as the source, so that they need packet sockets. The sessions can do it; the thread takes
//! `echo_tx` and `echo_rx` of a request for `None`.

mod batch;
mod filter;
mod handle;
mod ports;
mod priority;
mod sockets;
mod status;
mod thread;

pub use handle::{BfdHandle, Stop, spawn};
pub use priority::Priority;
pub use status::{PortStatus, SessionStatus, Status};

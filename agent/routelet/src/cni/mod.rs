//! The network of this node's pods, for clusters without another network plugin: a CNI configuration list that says how
//! the container runtime connects pods (<https://www.cni.dev/docs/spec/>).
//!
//! Standard plugins do the work: `ptp` or `bridge` with addresses by `host-local` from the node's pod CIDRs, and
//! `portmap` for host ports. The agent only writes the list; the routes to other nodes are BGP's. What always holds: no
//! rule translates addresses but for host ports; the file is whole at every moment, is written only if it changes, and
//! is never removed, for pods outlive the agent.
//!
//! | module | contents |
//! |---|---|
//! | `list` | pod CIDRs as a configuration list: pure |
//! | `file` | the file in the runtime's directory, and who would be read before it |
//! | `writer` | the task that follows this node's Node |

mod file;
mod list;
mod writer;

use std::path::PathBuf;

pub(crate) use list::{Attachment, ListSettings};
pub(crate) use writer::run;

/// The configuration list that is to be written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CniOptions {
    /// The directory that the container runtime reads, usually `/etc/cni/net.d`.
    pub directory: PathBuf,
    /// What the list says.
    pub settings: ListSettings,
}

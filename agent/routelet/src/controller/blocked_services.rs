//! Services that keep an address which is allocated to another one: the reason, and the condition of the Service that
//! waits. Pure.
//!
//! An address is assigned only after the Service that has it has lost it. That takes one write, unless the write is
//! never made. New addresses are therefore chosen among those that are free; a Service that waits all the same, because
//! it requests that address or no other is free, has a condition that names the other Service.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use routelet_core::pools::Statement;

use super::store::Key;

/// `reason` of the condition of a Service that waits for another to lose an address.
const WAITING: &str = "WaitingForRelease";

/// Services whose addresses are not written for now, and why.
pub(super) type BlockedServices = HashMap<Key, BlockReason>;

/// Why the addresses of a Service are not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockReason {
    /// Another controller writes them.
    LeftToAnother,
    /// The API server rejected the write more than once.
    Refused,
}

/// The condition of a Service that waits for an address of a blocked Service.
pub(super) fn by_blocked(address: IpAddr, (namespace, name): &Key, why: BlockReason) -> Statement {
    let why = match why {
        BlockReason::LeftToAnother => "another controller writes its addresses, see its condition",
        BlockReason::Refused => {
            "the API server rejects the change of its status; retrying, see the controller's log"
        }
    };
    statement(format!(
        "{address} is assigned once Service {namespace}/{name} has lost it, but {why}. To resolve this, remove \
         {address} from that status, request another address, or add addresses to the AddressPool"
    ))
}

/// The condition of a Service that waits for an address while no Service loses any.
pub(super) fn by_unknown_pools(address: IpAddr, pools: &BTreeSet<String>) -> Statement {
    let pools: Vec<&str> = pools.iter().map(String::as_str).collect();
    statement(format!(
        "another Service has {address}, and none loses an address while an AddressPool is not valid: {}. Correct or delete it, \
         or request another address",
        pools.join(", ")
    ))
}

fn statement(message: String) -> Statement {
    Statement {
        holds: false,
        reason: WAITING,
        message,
    }
}

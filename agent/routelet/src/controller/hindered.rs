//! Services that keep an address which another is to have: why they do, and what the one that waits says of it. Pure.
//!
//! Nobody gets an address before the Service that has it has lost it. That is a matter of one write, unless the write is never
//! made. New addresses are therefore chosen among those that are free at once; who waits all the same, because it asks for that
//! very address or nothing else is free, says for whom.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use routelet_core::pools::Statement;

use super::store::Key;

/// `reason` of the condition of a Service that waits for another to lose an address.
const WAITING: &str = "WaitingForRelease";

/// Services whose addresses are not written for now, and why.
pub(super) type Hindered = HashMap<Key, Hindrance>;

/// Why the addresses of a Service are not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// They are left to another controller.
    LeftToAnother,
    /// The API server has refused it more than once.
    Refused,
}

/// What a Service says that waiting for an address which a Service that is hindered has.
pub(super) fn by_hindered(address: IpAddr, (namespace, name): &Key, why: Hindrance) -> Statement {
    let why = match why {
        Hindrance::LeftToAnother => "another controller writes its addresses, see its condition",
        Hindrance::Refused => {
            "the API server rejects the change of its status; retrying, see the controller's log"
        }
    };
    statement(format!(
        "{address} is assigned once Service {namespace}/{name} has lost it, but {why}. To resolve this, remove \
         {address} from that status, request another address, or add addresses to the AddressPool"
    ))
}

/// What a Service says that waiting for an address while no Service loses any.
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

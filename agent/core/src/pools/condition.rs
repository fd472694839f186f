//! What the controller says of a Service's addresses in the condition `routelet.dev/AddressAssigned` of its status.
//!
//! The message is for people, with one exception: it begins with the addresses that are assigned and their pools. That is how
//! an address whose AddressPool was deleted is known to have been of that pool, see [`Condition::pool_of`].

use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use routelet_base::printable;

use super::request::Request;
use super::{Allocation, Decision, NotOurs, Outcome, PoolIs};

/// The longest message, in bytes: an etcd object ends at 1.5 MB, and every agent reads every Service.
const LONGEST: usize = 1024;

/// `type` of the condition.
pub const ADDRESS_ASSIGNED: &str = "routelet.dev/AddressAssigned";

/// Between an address and its pool.
const OF_POOL: &str = " of AddressPool ";

/// Between two addresses.
const BETWEEN: &str = ", ";

/// After the addresses, if there is more to say.
const MORE: &str = "; ";

/// The condition as it stands in the status of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `status` is `True`.
    pub holds: bool,
    /// `reason`.
    pub reason: Box<str>,
    /// `message`.
    pub message: Box<str>,
    /// `observedGeneration`.
    pub generation: Option<i64>,
    /// `lastTransitionTime`.
    pub since: Option<Timestamp>,
}

/// What the condition has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whether the Service has the addresses that it needs.
    pub holds: bool,
    /// One word for programs.
    pub reason: &'static str,
    /// Sentences for people.
    pub message: String,
}

impl Condition {
    /// The AddressPool that an address was assigned from, if the condition says so.
    pub fn pool_of(&self, address: IpAddr) -> Option<&str> {
        let listed = self.message.split(MORE).next().filter(|_| self.holds)?;
        let mut listed = listed.split(BETWEEN).map(|one| one.split_once(OF_POOL));
        listed.find_map(|one| {
            let (text, pool) = one?;
            (text.parse() == Ok(address)).then_some(pool)
        })
    }

    /// The same without the addresses, which stand in the status: the pools, or why there is no address.
    pub fn summary(&self) -> String {
        let (listed, more) = match self.message.split_once(MORE) {
            Some((listed, more)) => (listed, Some(more)),
            None => (&*self.message, None),
        };
        if !self.holds || !listed.contains(OF_POOL) {
            return format!("{} ({})", self.message, self.reason);
        }
        let mut pools: Vec<&str> = Vec::new();
        for (_, pool) in listed
            .split(BETWEEN)
            .filter_map(|one| one.split_once(OF_POOL))
        {
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
        let pools = pools.join(BETWEEN);
        match more {
            Some(more) => format!("AddressPool {pools}{MORE}{more}"),
            None => format!("AddressPool {pools}"),
        }
    }

    /// Whether it says the same, with regard to a generation.
    pub fn says(&self, statement: &Statement, generation: Option<i64>) -> bool {
        self.holds == statement.holds
            && *self.reason == *statement.reason
            && *self.message == *statement.message
            && self.generation == generation
    }
}

impl Decision {
    /// Addresses with their pools, as the condition and Events list them.
    pub fn listed(&self) -> String {
        let Outcome::Assigned { addresses, .. } = &self.outcome else {
            return String::new();
        };
        let one = |a: &super::Assignment| format!("{}{OF_POOL}{}", a.address, a.pool);
        let all: Vec<String> = addresses.iter().map(one).collect();
        all.join(BETWEEN)
    }

    /// What the condition has to say of a Service once its status is as decided; nothing of one that is not ours.
    pub fn statement(&self, request: &Request) -> Option<Statement> {
        let mut statement = self.full_statement(request)?;
        statement.message = printable::short_line(&statement.message, LONGEST);
        Some(statement)
    }

    fn full_statement(&self, request: &Request) -> Option<Statement> {
        match &self.outcome {
            Outcome::NotOurs(_) => None,
            Outcome::Assigned { addresses, missing } => {
                let mut message = self.listed();
                let mut reason = "Assigned";
                if let Some(asked) = &request.asked.addresses {
                    message.push_str(&format!("{MORE}requested by {}", asked.source));
                } else if let Some(asked) = &request.asked.pool {
                    message.push_str(&format!("{MORE}pool requested by {}", asked.source));
                }
                if let Some(missing) = missing {
                    reason = "OneFamily";
                    message.push_str(&format!("{MORE}{missing}"));
                }
                if let Some(gone) = addresses.iter().find(|a| a.pool_is == PoolIs::Deleted) {
                    reason = "AddressPoolDeleted";
                    message.push_str(&format!(
                        "{MORE}AddressPool {} does not exist: the Service keeps its address until it asks for another; to move \
                         it, request another pool or address, or create the AddressPool again",
                        gone.pool
                    ));
                }
                Some(Statement {
                    holds: true,
                    reason,
                    message,
                })
            }
            Outcome::Refused(refusal) => {
                let mut message = refusal.to_string();
                let mut kept = request.held();
                kept.retain(|address| !self.release.contains(address));
                if !kept.is_empty() {
                    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
                    message.push_str(&format!(
                        "{MORE}until then its status keeps {}, which no AddressPool has",
                        kept.join(BETWEEN)
                    ));
                }
                Some(Statement {
                    holds: false,
                    reason: refusal.reason(),
                    message,
                })
            }
        }
    }

    /// Whether the Service is left to others because it has no class.
    pub fn is_classless(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::NotOurs(NotOurs::NoClass | NotOurs::NoPools)
        )
    }

    /// Whether the condition stays as it is, since it is not known yet what the Service may have.
    pub fn is_of_unknown_namespace(&self) -> bool {
        matches!(self.outcome, Outcome::NotOurs(NotOurs::UnknownNamespace))
    }

    /// Whether it has an address of a pool of which no valid version is known.
    pub fn is_of_unknown_pool(&self) -> bool {
        let Outcome::Assigned { addresses, .. } = &self.outcome else {
            return false;
        };
        let mut addresses = addresses.iter();
        addresses.any(|assignment| assignment.pool_is == PoolIs::Unknown)
    }

    /// The pool that it keeps an address of although the pool was deleted.
    pub fn kept_of_deleted_pool(&self) -> Option<&str> {
        let Outcome::Assigned { addresses, .. } = &self.outcome else {
            return None;
        };
        let mut addresses = addresses.iter();
        let gone = addresses.find(|assignment| assignment.pool_is == PoolIs::Deleted)?;
        Some(&gone.pool)
    }
}

impl Allocation {
    /// Whether the condition of a Service stays as it is. That of a Service which is left to others is removed, but not while it
    /// has an address of a pool that was deleted or is not known: nothing else says of which pool that is, should the Service be
    /// ours again. Nor does it change while the labels of its namespace are not known.
    pub fn keeps_condition(&self, request: &Request, decision: &Decision) -> bool {
        if decision.is_of_unknown_namespace() {
            return true;
        }
        let Some(condition) = request.condition.as_ref() else {
            return false;
        };
        let is_known = |pool: &str| self.pools.contains_key(pool);
        let held = request.held();
        let mut pools = held.iter().filter_map(|a| condition.pool_of(*a));
        decision.is_classless() && pools.any(|pool| !is_known(pool))
    }
}

//! Reports to the API server: the status of this node's agent, and conditions of objects.
//!
//! | module | contents |
//! |---|---|
//! | `conditions` | findings as conditions, with the time of their last change |
//! | `router_state`, `sessions` | the agent's model of itself as the status of a `RouterState`: pure |
//! | `schedule` | how soon what has changed is written: pure |
//! | `writer` | the task that writes it |

pub(crate) mod conditions;
pub mod router_state;
pub mod schedule;
pub mod sessions;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

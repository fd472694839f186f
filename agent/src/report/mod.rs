//! What is told to the API server: the status of this node's agent, and conditions of objects.
//!
//! | room | |
//! |---|---|
//! | `conditions` | findings as conditions, with the time of their last change |
//! | `router_state` | the agent's model of itself as the status of a `RouterState`: pure |
//! | `writer` | the task that writes it |

pub mod conditions;
pub mod router_state;
#[cfg(test)]
mod tests;
pub mod writer;

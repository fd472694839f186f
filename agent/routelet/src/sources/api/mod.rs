//! The API server as the source of cluster state.
//!
//! Each kind has a watch: a list, then changes, taken up again after every failure with jittered exponential backoff.
//! Their events fill one index; whoever uses it gets whole snapshots. While the server is unreachable, or rejects
//! requests, everything that was known stays: nothing is withdrawn because nobody says anything. Before every kind has
//! been listed to its end once, the snapshot says so, and nothing is announced.
//!
//! Of large kinds only the fields in use are kept (see [`routelet_core::cluster::Indexed`]), and slices that no route
//! can come from are not even asked for. Of Secrets those are read that the node's sessions need, each by its name, in
//! the agent's own namespace.
//!
//! | module | contents |
//! |---|---|
//! | `cache` | events into the index: pure |
//! | `json` | an object as it came, in which `null` counts as absent |
//! | `listing` | the events of a watch as changes of what is kept: pure |
//! | `follow` | one watch of one kind, out of the server's cache |
//! | `pace` | how soon a watch that ended may begin again |
//! | `backoff` | how long a watch that fails waits |
//! | `watches` | watches of several kinds that feed one cache |
//! | `secrets` | which Secrets are needed, and what is known of each: pure |
//! | `received` | an object that was read, or what is known of one that cannot be |
//! | `client` | which server, who asks it, and over which connections |
//! | `clients` | how many of these, and which Secret is followed over which |
//! | `proxy` | by which proxy a server is asked: pure |
//! | `source` | what an agent watches there |

mod backoff;
mod cache;
mod client;
mod clients;
mod follow;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod json;
mod listing;
mod pace;
mod proxy;
mod received;
mod secrets;
mod source;
#[cfg(test)]
mod tests;
mod watches;

#[cfg(test)]
pub(crate) use cache::Cache;
pub(crate) use client::{ApiServerOptions, client, clients};
pub(crate) use listing::{Listing, WatchChange};
pub(crate) use received::{Received, Unreadable};
#[cfg(test)]
pub(crate) use secrets::WatchedSecret;
pub(crate) use source::ApiServer;
pub(crate) use watches::{Failure, Scope, WatchTarget, Watches};

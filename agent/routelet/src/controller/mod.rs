//! The controller: assigns addresses of pools to Services, and writes the status of our objects.
//!
//! ```text
//!  API server --watches--> ControllerCache --allocate()--> addresses --> statuses of Services
//!                            |  \--------------> statuses of our objects, Events
//!                            \-----------------> RouterStates whose node is gone
//! ```
//!
//! One replica is active, the one that holds the Lease. It keeps no state of its own: every write follows from what the
//! API server holds, so another replica continues where it stopped. While the API server is unreachable nothing is
//! changed and nothing is removed from the cache.
//!
//! | module | contents |
//! |---|---|
//! | `lease` | which replica is active |
//! | `store`, `cache`, `watches` | the state of the cluster, and the watches that feed it |
//! | `kubernetes` | the fields of a Node, a Namespace and a Service that are kept |
//! | `objects`, `custom_object`, `sessions` | our own objects by kind, each of them, and what RouterStates report |
//! | `reported` | what nodes report about an object: pure |
//! | `addresses` | the writes that follow from an allocation: pure |
//! | `blocked_services` | Services that wait for a status that is not written: pure |
//! | `statuses` | counts and conditions of our own objects: pure |
//! | `events` | which changes cause an Event |
//! | `orphans` | RouterStates whose Node is gone |
//! | `write_conflicts` | other controllers that write the same status: pure |
//! | `backoffs` | backoff of failed writes, by object |
//! | `work`, `requests` | the loop that writes, and its requests to the API server |
//! | `page` | health, readiness and metrics |

mod addresses;
mod backoffs;
mod blocked_services;
mod cache;
mod custom_object;
mod events;
mod kubernetes;
mod lease;
mod objects;
mod orphans;
mod page;
mod reported;
mod requests;
mod sessions;
mod statuses;
mod store;
#[cfg(test)]
mod tests;
mod watches;
mod work;
mod write_conflicts;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use routelet_base::vital;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use self::lease::Lease;
use self::page::Page;
use crate::sources::api::{self, ApiServerOptions};

pub use page::METRICS;

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The API server, and Routelet's own namespace there.
    pub api: ApiServerOptions,
    /// The identity of this replica.
    pub identity: String,
    /// Where health and metrics are served, if anywhere.
    pub http: Option<SocketAddr>,
}

/// Runs the controller until a signal ends it.
///
/// # Errors
/// The address is in use, or no API server is configured. One that does not answer is no error: it is waited for.
pub async fn run(options: Options) -> anyhow::Result<()> {
    vital::end_on_panic();
    let mut interrupt = signal(SignalKind::interrupt()).context(SIGNALS)?;
    let mut terminate = signal(SignalKind::terminate()).context(SIGNALS)?;
    let http = match options.http {
        Some(address) => Some(crate::http::bind(address).await?),
        None => None,
    };
    let client = api::client(&options.api).await?;
    let namespace = options.api.namespace.as_deref();
    let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
    let page = Arc::new(Page::default());
    if let Some(listener) = http {
        tokio::spawn(page::serve(listener, page.clone()));
    }
    info!(
        identity = options.identity,
        namespace, "the controller starts"
    );
    let mut lease = Lease::new(client.clone(), &namespace, options.identity.clone());
    let work = async {
        loop {
            lease.acquire(&page).await;
            page.set_active(true);
            tokio::select! {
                () = lease.hold(&page) => page.set_active(false),
                () = work::work(&client, &options.identity, &page) => {}
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    lease.release().await;
    Ok(())
}

const SIGNALS: &str = "signals cannot be listened for";

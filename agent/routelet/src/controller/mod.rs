//! The controller: hands addresses of pools to Services, and says at every object how it is.
//!
//! ```text
//!  API server --watches--> World --allocate()--> addresses --> statuses of Services
//!                            |  \--------------> statuses of our objects, Events
//!                            \-----------------> RouterStates whose node is gone
//! ```
//!
//! One replica works, the one with the Lease. It remembers nothing: what it does follows from what the API server holds, so
//! another one takes over where it stopped. While the API server is away nothing is changed and nothing is forgotten.
//!
//! | room | |
//! |---|---|
//! | `lease` | which replica works |
//! | `store`, `world`, `watches` | what is known of the cluster, and the watches that tell it |
//! | `kubernetes` | what is kept of a Node, a Namespace and a Service |
//! | `objects`, `ours`, `sessions` | our own objects by kind, each of them, and what nodes tell of themselves |
//! | `addresses` | from an allocation to what has to be written: pure |
//! | `statuses` | counts and conditions of our own objects: pure |
//! | `events` | what changed that somebody may want to know |
//! | `orphans` | RouterStates whose node is gone |
//! | `rivals` | another controller that writes the same statuses is not fought: pure |
//! | `backoffs` | what could not be written is left alone for a while |
//! | `work`, `requests` | the loop that does it, and what it asks of the API server |
//! | `page` | health, readiness and metrics |

mod addresses;
mod backoffs;
mod events;
mod hindered;
mod kubernetes;
mod lease;
mod objects;
mod orphans;
mod ours;
mod page;
mod reported;
mod requests;
mod rivals;
mod sessions;
mod statuses;
mod store;
#[cfg(test)]
mod tests;
mod watches;
mod work;
mod world;

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
    /// What tells this replica from the others.
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

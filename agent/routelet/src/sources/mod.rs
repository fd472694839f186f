//! Where the state of the cluster comes from: a directory of manifests that is followed ([`manifests`]), or an API
//! server ([`api`]).

pub(crate) mod api;
pub(crate) mod manifests;
#[cfg(test)]
mod tests;

pub(crate) use api::ApiServer;
pub(crate) use api::{
    Failure, Listing, Received, Scope, Unreadable, WatchChange, WatchTarget, Watches,
};
pub(crate) use manifests::Manifests;

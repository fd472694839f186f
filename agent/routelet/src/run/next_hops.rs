//! Next-hop tracking: the RIB's questions, answered by the kernel's view as [`routelet_core::next_hops`] says; and what
//! is not used because of the default route, for those who show it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bgp::types::NextHop;
use rib::attrs::{NextHopResolver, Resolution};

use routelet_core::next_hops::{Unusable, resolve};
use routelet_fib::KernelView;

/// Next hops that are not used because only the default route leads to them: since the resolver was made that is asked
/// now. A bounded number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denied(Arc<Mutex<BTreeSet<IpAddr>>>);

impl Denied {
    /// How many are kept. They are shown to people.
    const MOST: usize = 1000;

    /// All of them, ascending.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
        self.with(|all| all.iter().copied().collect())
    }

    /// Every next hop is asked about again.
    pub(crate) fn forget(&self) {
        self.with(BTreeSet::clear);
    }

    fn note(&self, next_hop: IpAddr) {
        self.with(|all| {
            if all.len() < Self::MOST {
                all.insert(next_hop);
            }
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeSet<IpAddr>) -> T) -> T {
        // Whole between calls, whoever panicked elsewhere.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers out of one snapshot of the kernel's routes.
pub(crate) struct Resolver {
    pub(crate) view: Arc<KernelView>,
    /// Whether the default route counts (`fib.resolveViaDefaultRoute`).
    pub(crate) via_default: bool,
    /// Where next hops are noted that the default route alone leads to.
    pub(crate) denied: Denied,
}

/// Why a next hop is not used though a route leads to it.
pub(crate) const BY_DEFAULT_ONLY: &str =
    "only the default route matches the next hop, and fib.resolveViaDefaultRoute is false";

impl Resolver {
    /// Whether it is the default route alone that keeps a next hop from being used.
    pub(crate) fn is_denied(&self, next_hop: IpAddr) -> bool {
        let found = resolve(&self.view, self.via_default, &next_hop.into(), None);
        found == Err(Unusable::OnlyByDefault)
    }
}

impl NextHopResolver for Resolver {
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        let found = resolve(&self.view, self.via_default, next_hop, interface);
        if found == Err(Unusable::OnlyByDefault) {
            self.denied.note(next_hop.address());
        }
        found.ok()
    }
}

//! The watches of the controller, by kind.

use std::time::Instant;

use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use routelet_core::cluster::Indexed;

use super::cache::ControllerCache;
use crate::sources::{Received, Scope, Watches};

/// All of them, which feed one [`ControllerCache`].
pub(super) fn watches(client: &Client) -> Watches<ControllerCache> {
    fn all<K: Resource<DynamicType = ()>>(client: &Client) -> Api<Received<K>> {
        Api::all_with(client.clone(), &())
    }
    let mut watches = Watches::<ControllerCache>::new();
    // The newest there is, once for each time that this replica becomes the one that works: what an older list does not
    // have, an address that another replica just gave, would be given again.
    let everything = watcher::Config::default;
    let of = Scope::all;
    macro_rules! written_by_people {
        ($($kind:ident $row:tt)*) => {
            $(watches.add(
                of(routelet_api::$kind::KIND),
                all(client),
                everything(),
                ControllerCache::object_event::<routelet_api::$kind>,
            );)*
        };
    }
    routelet_api::kinds!(written_by_people);
    watches.add(of("Node"), all(client), everything(), |cache, event| {
        cache.node_event(event, Instant::now());
    });
    watches.add(
        of("Namespace"),
        all(client),
        everything(),
        ControllerCache::namespace_event,
    );
    watches.add(
        of("Service"),
        all(client),
        everything(),
        ControllerCache::service_event,
    );
    // Many, and nothing is decided by them.
    let states = everything().any_semantic();
    watches.add(of("RouterState"), all(client), states, |cache, event| {
        cache.states.event(event);
    });
    watches
}

//! The kinds that people write, one row each. What treats all of them alike (definitions, watches, manifests, statuses, Events)
//! is made from these rows; what differs by kind is a trait that the compiler asks for.

/// Calls a macro with a row for each kind: its type, what a collection of its objects is called, and whether agents read it.
/// The controller reads all.
///
/// The order is that in which people meet them.
#[macro_export]
macro_rules! kinds {
    ($rows:ident) => {
        $rows! {
            Router { collection: routers, read_by_agents: true }
            Peer { collection: peers, read_by_agents: true }
            Advertisement { collection: advertisements, read_by_agents: true }
            RoutePolicy { collection: policies, read_by_agents: true }
            AddressPool { collection: pools, read_by_agents: false }
        }
    };
}

macro_rules! names {
    ($($kind:ident $row:tt)*) => {
        /// The names of the kinds that people write.
        pub const KINDS: &[&str] = &[$(stringify!($kind)),*];
    };
}

kinds!(names);

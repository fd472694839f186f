//! How much of the kernel is in doubt.

/// What the kernel has to be compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resync {
    /// Nothing is in doubt.
    #[default]
    None,
    /// Nexthop objects: cheap, there are few.
    Nexthops,
    /// Nexthop objects and all routes.
    Everything,
}

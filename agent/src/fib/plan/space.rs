//! Table and metric: the part of a route's identity that is the same for all of ours.

use super::super::types::{DEFAULT_METRIC, MAIN_TABLE};

/// Where our routes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSpace {
    /// The table.
    pub table: u32,
    /// The metric of every route, at least 1 (IPv6 takes 0 for its default).
    pub metric: u32,
}

impl Default for RouteSpace {
    fn default() -> Self {
        Self {
            table: MAIN_TABLE,
            metric: DEFAULT_METRIC,
        }
    }
}

//! The tables of all families, and what is done with each.

use bgp::types::{Family, RoutePrefix};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::table::Table;

/// The tables of all families.
pub(super) struct Tables {
    pub(super) v4: Table<Ipv4Net>,
    pub(super) v6: Table<Ipv6Net>,
}

/// The same expression on the table of each family.
macro_rules! each_table {
    ($tables:expr, |$table:ident| $body:expr) => {{
        {
            let $table = &mut $tables.v4;
            $body
        }
        {
            let $table = &mut $tables.v6;
            $body
        }
    }};
}

/// An expression on the table of one family; nothing for families that are not routed.
macro_rules! table_of {
    ($tables:expr, $family:expr, |$table:ident| $body:expr) => {
        match $family {
            Family::IPV4_UNICAST => {
                let $table = &mut $tables.v4;
                $body
            }
            Family::IPV6_UNICAST => {
                let $table = &mut $tables.v6;
                $body
            }
            _ => {}
        }
    };
}

pub(super) use {each_table, table_of};

/// The family of a table, as a value.
pub(super) fn family_of<P: RoutePrefix>(_: &Table<P>) -> Family {
    P::FAMILY
}

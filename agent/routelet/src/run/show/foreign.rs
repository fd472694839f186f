//! Routes of others that keep ours out of the kernel, in words.

use std::fmt::Write;

use routelet_fib::kernel::event::RouteKind;
use routelet_fib::{ForeignRoute, KernelView};

/// Who made a route, by its protocol number: the names of iproute2 and of the programs behind them.
pub(crate) fn owner(protocol: u8) -> String {
    let name = match protocol {
        1 => "ICMP redirects",
        2 => "the kernel",
        3 => "boot: an operator or a script, such as `ip route add`",
        4 => "static: an administrator or a network manager",
        9 => "router advertisements",
        11 | 187..=198 => "FRR",
        12 => "BIRD",
        14 => "netplan or systemd-networkd",
        16 => "DHCP",
        18 => "keepalived",
        42 => "Babel",
        80 => "Calico",
        99 => "Open/R",
        186 => "BGP of FRR",
        _ => "unknown program",
    };
    format!("protocol {protocol} ({name})")
}

/// A route: what `ip route` shows of it, its table, and whose it is.
pub(crate) fn route(route: &ForeignRoute, view: &KernelView) -> String {
    let mut text = String::new();
    match route.kind {
        RouteKind::Unicast | RouteKind::Other => {}
        RouteKind::Blackhole => text.push_str("blackhole "),
        RouteKind::Reject => text.push_str("unreachable "),
    }
    for hop in &route.hops {
        // Writing into a String cannot fail.
        if let Some(gateway) = hop.gateway {
            let _ = write!(text, "via {gateway} ");
        }
        match view.link(hop.ifindex) {
            Some(link) => _ = write!(text, "dev {} ", link.name),
            None => _ = write!(text, "ifindex {} ", hop.ifindex),
        }
    }
    let (table, metric) = (route.table, route.metric);
    let _ = write!(
        text,
        "table {table} metric {metric}, of {}",
        owner(route.protocol)
    );
    text
}

/// The first of these routes in words, and how many more there are.
pub(crate) fn routes(found: &[ForeignRoute], view: &KernelView) -> Option<String> {
    let text = route(found.first()?, view);
    Some(match found.len() - 1 {
        0 => text,
        more => format!("{text}, and {more} more"),
    })
}

//! Entries of the forwarding table.

use bgp::types::Family;
use ipnet::IpNet;

use crate::control::model::{
    FibEntry, FibNexthopEntry, FibQuery, FibRefusal, FibState, FibSummary,
};
use crate::fib::types::ROUTE_PROTOCOL;
use crate::fib::{FibNexthop, FibRouteState, FibRouteStatus, FibStatus, KernelView, RefusalStatus};

/// The model of an entry.
pub(crate) fn entry(status: &FibRouteStatus, view: &KernelView) -> FibEntry {
    let (state, reason, failing) = state(&status.state);
    let installed = status.installed.as_ref();
    let shown = status
        .desired
        .as_ref()
        .or_else(|| installed.and_then(|installed| installed.route.as_ref()));
    FibEntry {
        prefix: status.prefix,
        state,
        reason,
        failing_seconds: failing,
        refuses: None,
        nexthops: shown.map_or_else(Vec::new, |route| {
            let nexthops = route.nexthops.iter();
            nexthops.map(|nexthop| way(nexthop, view)).collect()
        }),
        nexthop_id: installed.and_then(|installed| installed.nexthop_id),
    }
}

/// The model of an entry of the table that refuses.
pub(crate) fn refusal(status: &RefusalStatus) -> FibEntry {
    let (state, reason, failing) = match &status.state {
        Some(known) => state(known),
        None => (
            FibState::Foreign,
            Some("somebody else's route to exactly this address answers".to_owned()),
            None,
        ),
    };
    FibEntry {
        prefix: status.prefix,
        state,
        reason,
        failing_seconds: failing,
        refuses: Some(FibRefusal {
            table: status.table,
            what: status.refusal.to_string(),
        }),
        nexthops: Vec::new(),
        nexthop_id: None,
    }
}

fn state(state: &FibRouteState) -> (FibState, Option<String>, Option<u64>) {
    match state {
        FibRouteState::Installed => (FibState::Installed, None, None),
        FibRouteState::Degraded => (
            FibState::Degraded,
            Some("some of its nexthops cannot be used now".to_owned()),
            None,
        ),
        FibRouteState::Pending => (FibState::Pending, None, None),
        FibRouteState::Failed {
            error, failing_for, ..
        } => (
            FibState::Failed,
            Some(error.to_string()),
            Some(failing_for.as_secs()),
        ),
        FibRouteState::Refused { reason } => (FibState::Refused, Some(reason.to_string()), None),
        FibRouteState::Stale => (FibState::Stale, None, None),
    }
}

fn way(nexthop: &FibNexthop, view: &KernelView) -> FibNexthopEntry {
    FibNexthopEntry {
        gateway: nexthop.gateway,
        interface: view.link(nexthop.ifindex).map_or_else(
            || format!("ifindex {}", nexthop.ifindex),
            |link| link.name.clone(),
        ),
        weight: nexthop.weight.get().into(),
    }
}

/// Whether the query asks for a prefix, as far as that can be told without its state.
pub(crate) fn asks_for(query: &FibQuery, prefix: &IpNet) -> bool {
    let family = match prefix {
        IpNet::V4(_) => Family::IPV4_UNICAST,
        IpNet::V6(_) => Family::IPV6_UNICAST,
    };
    query.family.is_none_or(|wanted| wanted.0 == family)
        && query.prefix.is_none_or(|filter| filter.passes(prefix))
}

/// The table in numbers.
pub(crate) fn summary(status: &FibStatus) -> FibSummary {
    let counters = &status.counters;
    FibSummary {
        table: Some(status.table),
        metric: Some(status.metric),
        protocol: Some(ROUTE_PROTOCOL),
        unavailable: status.channel_error.clone(),
        installed_ipv4: counters.installed_ipv4,
        installed_ipv6: counters.installed_ipv6,
        pending: counters.pending,
        failed: counters.failed,
        refused: counters.refused,
        over_limit: counters.over_limit,
        stale: counters.stale,
        nexthops: counters.nexthops,
        operations: counters.operations,
        batches: counters.batches,
        errors: counters.errors,
        resyncs: counters.resyncs,
        repairs: counters.repairs,
        refusing_ipv4: counters.refusing_ipv4,
        refusing_ipv6: counters.refusing_ipv6,
    }
}

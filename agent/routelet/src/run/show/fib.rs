//! Entries of the forwarding table.

use bgp::types::Family;
use ipnet::IpNet;
use routelet_control::model::{
    FibEntry, FibNexthopEntry, FibQuery, FibRefusal, FibState, FibSummary, Reason, ReasonCode,
};
use routelet_fib::types::{FailedObject, ROUTE_PROTOCOL};
use routelet_fib::{
    FibNexthop, FibRouteState, FibRouteStatus, FibStatus, ForeignRoute, KernelView, RefusalStatus,
    Rejection, RouteSpace,
};

use super::{foreign, reason};

/// The model of an entry. `space`: where learned routes belong.
pub(crate) fn entry(status: &FibRouteStatus, space: RouteSpace, view: &KernelView) -> FibEntry {
    let (state, reason, failing) = match &status.state {
        FibRouteState::Failed {
            error,
            about: FailedObject::Route,
            failing_for,
        } if error.errno == libc::EEXIST => {
            let text = place_taken(status.prefix, space, view);
            let reason = Reason::new(ReasonCode::ForeignRouteInPlace, text);
            (FibState::Foreign, Some(reason), Some(failing_for.as_secs()))
        }
        FibRouteState::Refused {
            reason: guard @ Rejection::ForeignRoute(net),
        } => {
            let on_link = |route: &ForeignRoute| route.hops.iter().any(|hop| hop.gateway.is_none());
            let mut found = view.foreign(*net);
            found.retain(on_link);
            let owner = foreign::routes(&found, view);
            let owner = owner.map(|text| format!(": {text}")).unwrap_or_default();
            let reason = Reason::new(reason::code_of_guard(guard), format!("{guard}{owner}"));
            (FibState::Refused, Some(reason), None)
        }
        FibRouteState::Stale => {
            let reason = Reason::new(ReasonCode::Leftover, stale(status, view));
            (FibState::Stale, Some(reason), None)
        }
        other => state(other),
    };
    let installed = status.installed.as_ref();
    let wanted = status.desired.as_ref();
    let held = installed.and_then(|installed| installed.route.as_ref());
    let shown = match state {
        // What is wanted so far may be a part of what will be.
        FibState::Stale => held,
        _ => wanted.or(held),
    };
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

/// Why a stale route is still there, and when it is removed.
fn stale(status: &FibRouteStatus, view: &KernelView) -> String {
    const UNTIL: &str = "when the routes have converged";
    if let Some(RouteSpace { table, metric }) = status.elsewhere {
        return format!(
            "left by a predecessor in table {table} with metric {metric}; removed {UNTIL}"
        );
    }
    match &status.desired {
        None => format!("left by a predecessor, no usable path so far; removed {UNTIL}"),
        Some(route) => {
            let ways = route.nexthops.iter().map(|one| way(one, view).to_string());
            let ways: Vec<String> = ways.collect();
            format!(
                "left by a predecessor; paths so far: {}; changed {UNTIL}",
                ways.join(", ")
            )
        }
    }
}

/// Who has the place of a route of ours.
fn place_taken(prefix: IpNet, space: RouteSpace, view: &KernelView) -> String {
    let RouteSpace { table, metric } = space;
    let mut found = view.foreign(prefix);
    found.retain(|route| (route.table, route.metric) == (table, metric));
    match foreign::routes(&found, view) {
        Some(text) => format!("another program's route has its place: {text}"),
        // Such as one that the kernel made for an address.
        None => format!("another program's route has its place, table {table} metric {metric}"),
    }
}

/// The model of an entry of the table that refuses.
pub(crate) fn refusal(status: &RefusalStatus, view: &KernelView) -> FibEntry {
    let (state, reason, failing) = match &status.state {
        Some(known) => state(known),
        None => {
            let owner = foreign::routes(&view.foreign(status.prefix), view);
            let owner = owner.map(|text| format!(": {text}")).unwrap_or_default();
            let text = format!("another program has a route to exactly this address{owner}");
            let reason = Reason::new(ReasonCode::ForeignRouteAnswers, text);
            (FibState::Foreign, Some(reason), None)
        }
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

fn state(state: &FibRouteState) -> (FibState, Option<Reason>, Option<u64>) {
    match state {
        FibRouteState::Installed => (FibState::Installed, None, None),
        FibRouteState::Degraded => (
            FibState::Degraded,
            Some(Reason::new(
                ReasonCode::NexthopsUnusable,
                "some of its nexthops cannot be used",
            )),
            None,
        ),
        FibRouteState::Pending => (FibState::Pending, None, None),
        FibRouteState::Failed {
            error, failing_for, ..
        } => (
            FibState::Failed,
            Some(Reason::new(ReasonCode::KernelRejected, error)),
            Some(failing_for.as_secs()),
        ),
        FibRouteState::Refused { reason: guard } => {
            let reason = Reason::new(reason::code_of_guard(guard), guard);
            (FibState::Refused, Some(reason), None)
        }
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

/// Whether the query asks for a prefix, as far as its state is not needed for that.
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
        disabled: status.space.is_none(),
        table: status.space.map(|space| space.table),
        metric: status.space.map(|space| space.metric),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use routelet_control::model::FibState::{Failed, Foreign, Refused, Stale};
    use routelet_fib::kernel::event::{Event, Hop, Link, Presence, Route, RouteKind};
    use routelet_fib::types::{FibRoute, InstalledRoute, KernelError};
    use routelet_fib::{Refusal, RouteSpace};

    use super::*;

    const PREFIX: &str = "198.51.100.0/24";

    /// A view with an interface and these routes of others: prefix, gateway, metric, protocol, kind.
    fn view(routes: &[(&str, Option<&str>, u32, u8, RouteKind)]) -> KernelView {
        let mut view = KernelView::new(254, 0);
        let link = Link {
            ifindex: 2,
            name: "eth1".to_owned(),
            admin_up: true,
            up: true,
            loopback: false,
        };
        view.apply(Event::Link(Presence::Present, link));
        for &(prefix, gateway, metric, protocol, kind) in routes {
            let hop = Hop {
                gateway: gateway.map(|text| text.parse().unwrap()),
                ifindex: 2,
                onlink: false,
            };
            let route = Route {
                prefix: prefix.parse().unwrap(),
                table: 254,
                protocol,
                metric,
                kind,
                replaces: false,
                special: false,
                nexthop_id: None,
                hops: smallvec::smallvec![hop],
            };
            view.apply(Event::Route(Presence::Present, route));
        }
        view
    }

    fn status(state: FibRouteState) -> FibRouteStatus {
        FibRouteStatus {
            prefix: PREFIX.parse().unwrap(),
            desired: Some(FibRoute::via("192.0.2.1".parse().unwrap(), 2)),
            installed: None,
            state,
            elsewhere: None,
        }
    }

    fn failed(errno: i32) -> FibRouteStatus {
        status(FibRouteState::Failed {
            error: KernelError::from_errno(errno),
            about: FailedObject::Route,
            failing_for: Duration::from_secs(7),
        })
    }

    #[test]
    fn the_owner_of_a_route_in_the_place_of_ours_is_named_and_no_other_failure_is_foreign() {
        let unicast = RouteKind::Unicast;
        let of_others = view(&[
            (PREFIX, Some("192.0.2.9"), 1790, 4, unicast),
            (PREFIX, Some("192.0.2.8"), 20, 186, unicast),
            ("198.51.101.0/24", None, 9000, 3, unicast),
            ("203.0.113.7/32", Some("192.0.2.7"), 0, 80, unicast),
        ]);
        let space = RouteSpace::default();
        let shown = entry(&failed(libc::EEXIST), space, &of_others);
        assert_eq!((shown.state, shown.failing_seconds), (Foreign, Some(7)));
        assert_eq!(
            shown.reason.unwrap().text,
            "another program's route has its place: via 192.0.2.9 dev eth1 table 254 metric 1790, of protocol 4 \
             (static: an administrator or a network manager)"
        );
        let nobody = entry(&failed(libc::EEXIST), space, &view(&[]));
        assert_eq!(nobody.state, Foreign);
        assert_eq!(
            nobody.reason.unwrap().text,
            "another program's route has its place, table 254 metric 1790"
        );
        let unreachable = entry(&failed(libc::ENETUNREACH), space, &of_others);
        assert_eq!(unreachable.state, Failed);
        let net = "198.51.101.0/24".parse().unwrap();
        let reason = Rejection::ForeignRoute(net);
        let on_link = entry(
            &status(FibRouteState::Refused { reason }),
            space,
            &of_others,
        );
        assert_eq!(on_link.state, Refused);
        assert_eq!(
            on_link.reason.unwrap().text,
            "other software on the node has an on-link route for exactly 198.51.101.0/24: dev eth1 table 254 metric 9000, \
             of protocol 3 (boot: an operator or a script, such as `ip route add`)"
        );
        let answered = RefusalStatus {
            prefix: "203.0.113.7/32".parse().unwrap(),
            refusal: Refusal::Service,
            table: 17_900,
            state: None,
        };
        let answered = refusal(&answered, &of_others);
        assert_eq!(answered.state, Foreign);
        assert_eq!(
            answered.reason.unwrap().text,
            "another program has a route to exactly this address: via 192.0.2.7 dev eth1 table 254 metric 0, of \
             protocol 80 (Calico)"
        );
    }

    #[test]
    fn a_stale_route_is_shown_as_the_kernel_holds_it_with_what_becomes_of_it() {
        let held = FibRoute::via("192.0.2.65".parse().unwrap(), 2);
        let installed = Some(InstalledRoute {
            nexthop_id: Some(7),
            route: Some(held),
        });
        let wanted = status(FibRouteState::Stale).desired;
        let elsewhere = RouteSpace {
            table: 100,
            metric: 20,
        };
        for (desired, elsewhere, why) in [
            (
                None,
                None,
                "left by a predecessor, no usable path so far; removed when the routes have converged",
            ),
            (
                wanted,
                None,
                "left by a predecessor; paths so far: via 192.0.2.1 dev eth1; changed when the routes have converged",
            ),
            (
                None,
                Some(elsewhere),
                "left by a predecessor in table 100 with metric 20; removed when the routes have converged",
            ),
        ] {
            let status = FibRouteStatus {
                desired,
                installed: installed.clone(),
                elsewhere,
                ..status(FibRouteState::Stale)
            };
            let shown = entry(&status, RouteSpace::default(), &view(&[]));
            let reason = shown.reason.as_ref().map(|reason| &*reason.text);
            assert_eq!((shown.state, reason), (Stale, Some(why)));
            assert_eq!(shown.nexthops[0].to_string(), "via 192.0.2.65 dev eth1");
        }
    }
}

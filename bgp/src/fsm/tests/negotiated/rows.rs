//! What two OPENs agree on, row by row: what differs from the defaults, and the outcome.

mod add_path;
mod capabilities;
mod restarts_and_roles;

use std::sync::Arc;
use std::time::Duration;

use super::{V4, V6};
use crate::fsm::negotiate::open;
use crate::fsm::tests::config;
use crate::fsm::{Config, GracefulRestartConfig, Negotiated};
use crate::types::{Afi, Asn, BgpIdentifier};
use crate::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};
use crate::wire::{Capability, Open};

/// AS 1 with the defaults, and what it agrees on with AS 2 that has them too.
pub(super) fn local() -> Config {
    config(1, 1)
}

pub(super) fn remote() -> Config {
    config(2, 2)
}

pub(super) fn base() -> Negotiated {
    Negotiated {
        peer_asn: Asn(2),
        peer_id: BgpIdentifier(2),
        local_asn: Asn(1),
        local_id: BgpIdentifier(1),
        hold_time: Some(Duration::from_secs(90)),
        keepalive: Some(Duration::from_secs(30)),
        families: vec![V4, V6],
        four_octet_as: true,
        add_path_receive: vec![],
        add_path_send: vec![],
        extended_next_hop: vec![],
        extended_message: true,
        route_refresh: true,
        enhanced_route_refresh: true,
        graceful_restart: None,
        notification_retains: false,
        long_lived: vec![],
        peer_role: None,
        announced_role: None,
        bfd_strict: false,
        peer_host: None,
        peer_open: Arc::new(open(&remote(), false)),
        first_as: Some(Asn(2)),
    }
}

pub(super) fn seconds(time: u64) -> Option<Duration> {
    Some(Duration::from_secs(time))
}

pub(super) fn restart(config: &mut Config, notification: bool) {
    config.graceful_restart = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(70),
        notification,
        families: vec![(V6, true)],
    });
}

pub(super) fn long(stale_time: u32) -> Vec<LongLivedFamily> {
    vec![LongLivedFamily {
        family: V4,
        forwarding: false,
        stale_time,
    }]
}

fn without(open: &mut Open, is: fn(&Capability) -> bool) {
    open.capabilities.retain(|capability| !is(capability));
}

/// What differs from the defaults: on our side, on the peer's, in its OPEN, and then in the outcome.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) local: fn(&mut Config),
    pub(super) remote: fn(&mut Config),
    pub(super) open: fn(&mut Open),
    pub(super) outcome: fn(&mut Negotiated),
}

const SAME: Row = Row {
    name: "defaults",
    local: |_| {},
    remote: |_| {},
    open: |_| {},
    outcome: |_| {},
};

fn identity() -> Vec<Row> {
    vec![
        SAME,
        Row {
            name: "the peer's AS past two octets",
            remote: |c| c.local_asn = Asn(70_000),
            outcome: |n| (n.peer_asn, n.first_as) = (Asn(70_000), Some(Asn(70_000))),
            ..SAME
        },
        Row {
            name: "the peer's identifier",
            remote: |c| c.local_id = BgpIdentifier(1),
            outcome: |n| n.peer_id = BgpIdentifier(1),
            ..SAME
        },
        Row {
            name: "our AS",
            local: |c| c.local_asn = Asn(3),
            outcome: |n| n.local_asn = Asn(3),
            ..SAME
        },
        Row {
            name: "our identifier",
            local: |c| c.local_id = BgpIdentifier(9),
            outcome: |n| n.local_id = BgpIdentifier(9),
            ..SAME
        },
    ]
}

fn timers() -> Vec<Row> {
    vec![
        Row {
            name: "the peer's hold time is smaller",
            remote: |c| c.hold_time = seconds(9),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(9), seconds(3)),
            ..SAME
        },
        Row {
            name: "our hold time is smaller",
            local: |c| c.hold_time = seconds(12),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(12), seconds(4)),
            ..SAME
        },
        Row {
            name: "RFC 4271 4.2: never under three seconds, with a KEEPALIVE every second",
            local: |c| c.hold_time = seconds(1),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(3), seconds(1)),
            ..SAME
        },
        Row {
            name: "as long as the field can say",
            local: |c| c.hold_time = seconds(100_000),
            remote: |c| c.hold_time = seconds(100_000),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(65_535), seconds(21_845)),
            ..SAME
        },
        Row {
            name: "no hold time here",
            local: |c| c.hold_time = None,
            outcome: |n| (n.hold_time, n.keepalive) = (None, None),
            ..SAME
        },
        Row {
            name: "no hold time there",
            remote: |c| c.hold_time = None,
            outcome: |n| (n.hold_time, n.keepalive) = (None, None),
            ..SAME
        },
        Row {
            name: "KEEPALIVE more often, as configured",
            local: |c| c.keepalive = seconds(7),
            outcome: |n| n.keepalive = seconds(7),
            ..SAME
        },
        Row {
            name: "KEEPALIVE no more seldom than a third",
            local: |c| c.keepalive = seconds(31),
            ..SAME
        },
        Row {
            name: "RFC 4271 4.4: KEEPALIVE no more often than once a second",
            local: |c| c.keepalive = Some(Duration::from_millis(1)),
            outcome: |n| n.keepalive = seconds(1),
            ..SAME
        },
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = identity();
    rows.extend(timers());
    rows.extend(capabilities::rows());
    rows.extend(add_path::rows());
    rows.extend(restarts_and_roles::rows());
    rows
}

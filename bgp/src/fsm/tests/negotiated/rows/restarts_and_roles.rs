//! Graceful restart, long-lived or not, and roles.

use super::*;

/// What [`restart`] says in an OPEN.
fn restarts(notification: bool) -> Option<GracefulRestart> {
    Some(GracefulRestart {
        restarting: false,
        notification,
        restart_time: 70,
        families: vec![(V6, true)],
    })
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = graceful_restart();
    rows.extend(long_lived());
    rows.extend(roles());
    rows
}

fn graceful_restart() -> Vec<Row> {
    vec![
        Row {
            name: "graceful restart on both sides, without the N bit there",
            local: |c| restart(c, true),
            remote: |c| restart(c, false),
            outcome: |n| n.graceful_restart = restarts(false),
            ..SAME
        },
        Row {
            name: "RFC 8538: without the N bit here",
            local: |c| restart(c, false),
            remote: |c| restart(c, true),
            outcome: |n| n.graceful_restart = restarts(true),
            ..SAME
        },
        Row {
            name: "RFC 8538: the N bit on both sides",
            local: |c| restart(c, true),
            remote: |c| restart(c, true),
            outcome: |n| (n.graceful_restart, n.notification_retains) = (restarts(true), true),
            ..SAME
        },
        Row {
            name: "graceful restart here only",
            local: |c| restart(c, true),
            ..SAME
        },
        Row {
            name: "graceful restart there only",
            remote: |c| restart(c, true),
            ..SAME
        },
    ]
}

fn long_lived() -> Vec<Row> {
    vec![
        Row {
            name: "long-lived on both sides: the peer's time counts",
            local: |c| {
                restart(c, false);
                c.long_lived = long(10);
            },
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            outcome: |n| (n.graceful_restart, n.long_lived) = (restarts(false), long(20)),
            ..SAME
        },
        Row {
            name: "long-lived there only",
            local: |c| restart(c, false),
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            outcome: |n| n.graceful_restart = restarts(false),
            ..SAME
        },
        Row {
            name: "RFC 9494 4.2: long-lived without graceful restart there",
            local: |c| {
                restart(c, false);
                c.long_lived = long(10);
            },
            open: |o| {
                o.capabilities
                    .push(Capability::LongLivedGracefulRestart(long(20)));
            },
            ..SAME
        },
        Row {
            name: "long-lived without graceful restart here",
            local: |c| c.long_lived = long(10),
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            ..SAME
        },
    ]
}

fn roles() -> Vec<Row> {
    vec![
        Row {
            name: "RFC 9234 4.2: the peer's role is the counterpart of ours",
            local: |c| c.role = Some(Role::Provider),
            remote: |c| c.role = Some(Role::Customer),
            outcome: |n| {
                (n.peer_role, n.announced_role) = (Some(Role::Customer), Some(Role::Customer));
            },
            ..SAME
        },
        Row {
            name: "RFC 9234 4.2: also of a peer that sends none",
            local: |c| c.role = Some(Role::Provider),
            outcome: |n| n.peer_role = Some(Role::Customer),
            ..SAME
        },
        Row {
            name: "RFC 9234 4.2: a role that the peer sends decides nothing by itself",
            remote: |c| c.role = Some(Role::RouteServer),
            outcome: |n| n.announced_role = Some(Role::RouteServer),
            ..SAME
        },
        Row {
            name: "RFC 7947 2.2.2.1: a route server is not the first of its paths",
            local: |c| c.role = Some(Role::RouteServerClient),
            outcome: |n| (n.peer_role, n.first_as) = (Some(Role::RouteServer), None),
            ..SAME
        },
        Row {
            name: "the first AS is not enforced",
            local: |c| c.enforce_first_as = false,
            outcome: |n| n.first_as = None,
            ..SAME
        },
        Row {
            name: "an internal peer is not the first of its paths",
            remote: |c| c.local_asn = Asn(1),
            outcome: |n| (n.peer_asn, n.first_as) = (Asn(1), None),
            ..SAME
        },
    ]
}

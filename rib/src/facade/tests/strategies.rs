//! Sequences of operations, at random.

use super::*;
use crate::facade::Expected;

const EXPECTED: [Expected; 3] = [Expected::Nobody, Expected::Perhaps, Expected::Returning];

pub(super) fn attributes() -> impl Strategy<Value = Attributes> {
    (
        (
            prop::option::weighted(0.3, prop::sample::select(vec![90, 100, 200])),
            prop::option::of(prop::sample::select(vec![0, 5])),
            prop::collection::vec(prop_oneof![8 => 100u32..103, 1 => Just(OWN.0)], 0..3),
            prop::bool::weighted(0.05),
        ),
        (
            prop::bool::weighted(0.9),
            prop::option::weighted(
                0.3,
                prop::sample::select(vec![
                    Community(7),
                    Community::GRACEFUL_SHUTDOWN,
                    Community::LLGR_STALE,
                    Community::NO_LLGR,
                ]),
            ),
            prop::option::weighted(0.2, prop::sample::select(vec![1, 2, ROUTER_ID.0])),
            prop::collection::vec(prop_oneof![6 => 1u32..4, 1 => Just(ROUTER_ID.0)], 0..2),
            prop::sample::subsequence(vec![40, 99], 0..3),
            1u8..5,
        ),
    )
        .prop_map(
            |(
                (local_pref, med, path, wrong_first),
                (igp, community, originator, clusters, unknown, next_hop),
            )| Attributes {
                local_pref,
                med,
                path,
                wrong_first,
                igp,
                community,
                originator,
                clusters,
                unknown,
                next_hop,
            },
        )
}

/// Sessions that come and go, with graceful restart or without.
pub(super) fn session_op(peers: usize, graceful: f64) -> impl Strategy<Value = Op> {
    let peer = 0..peers;
    let kind = (
        prop::bool::weighted(graceful),
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(graceful, forwarding, long_lived, ipv6, restarting)| SessionKind {
                graceful,
                restarting,
                forwarding,
                long_lived,
                ipv6,
            },
        );
    prop_oneof![
        6 => (peer.clone(), kind).prop_map(|(p, k)| Op::Up(p, k)),
        3 => (peer.clone(), prop::bool::weighted(0.5 + graceful / 2.0))
            .prop_map(|(p, r)| Op::Down(p, r)),
        3 => (peer.clone(), any::<bool>()).prop_map(|(p, six)| Op::EndOfRib(p, six)),
        1 => peer.clone().prop_map(Op::RefreshBegins),
        1 => peer.clone().prop_map(Op::EndRetention),
        1 => peer.prop_map(Op::RefreshEnds),
        3 => prop::sample::select(vec![1u64, 4, 5, 29, 31, 40, 101, 130]).prop_map(Op::Pass),
    ]
}

/// What a peer says.
pub(super) fn update_op(peers: usize) -> impl Strategy<Value = Op> {
    let peer = 0..peers;
    let nlri = prop::collection::vec((0..6usize, 0u32..3), 1..4);
    prop_oneof![
        4 => (peer.clone(), nlri, attributes()).prop_map(|(p, n, a)| Op::Announce(p, n, a)),
        1 => peer.clone().prop_map(Op::Repeat),
        1 => (peer.clone(), 0..6usize, 0u32..3).prop_map(|(p, n, i)| Op::Withdraw(p, n, i)),
        1 => (peer, 0u8..4).prop_map(|(p, way)| Op::Moved(p, way)),
    ]
}

/// What the operator and the node change.
pub(super) fn intent_op() -> impl Strategy<Value = Op> {
    let peer = 0..PEERS.len();
    let configure = (
        any::<bool>(),
        1u8..4,
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(always_med, max_paths, relax, other_id)| Op::Configure {
            always_med,
            max_paths,
            relax,
            other_id,
        });
    prop_oneof![
        3 => (peer.clone(), 0u8..5).prop_map(|(p, n)| Op::Import(p, n)),
        1 => (peer.clone(), 0u8..3).prop_map(|(p, n)| Op::AllowOwnAs(p, n)),
        3 => (peer.clone(), 0u8..6).prop_map(|(p, n)| Op::Filter(p, n)),
        1 => (peer.clone(), prop::sample::select(vec![20u64, 100, 86_400]))
            .prop_map(|(p, most)| Op::LongLivedMax(p, most)),
        1 => (peer.clone(), 1u32..4, 1u32..4).prop_map(|(p, n, h)| Op::Limits(p, n, h)),
        1 => peer.prop_map(Op::RemovePeer),
        3 => prop::collection::vec((1u8..5, 0u32..3, any::<bool>()), 0..5).prop_map(Op::NextHops),
        2 => prop::collection::vec((0..6usize, 0u8..2), 0..3).prop_map(Op::Originate),
        1 => configure,
        1 => (0..3usize, any::<bool>()).prop_map(|(n, clients)| Op::Expect(EXPECTED[n], clients)),
    ]
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => session_op(PEERS.len(), 0.5),
        8 => update_op(PEERS.len()),
        2 => intent_op(),
        2 => (0..6usize).prop_map(Op::Poll),
        1 => prop::bool::weighted(0.7).prop_map(Op::Fib),
    ]
}

/// Two peers that restart over and over.
pub(super) fn restart_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => session_op(2, 0.95),
        6 => update_op(2),
        1 => (0..2usize, 0u8..5).prop_map(|(p, n)| Op::Import(p, n)),
        1 => (0..2usize, prop::sample::select(vec![20u64, 86_400]))
            .prop_map(|(p, most)| Op::LongLivedMax(p, most)),
        2 => (0..4usize).prop_map(Op::Poll),
    ]
}

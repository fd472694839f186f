//! What may happen to a plan and its kernel, as strategies.

use super::*;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Submit(FibChange),
    Drive,
    Link(u32, bool),
    Down(usize, bool),
    /// Somebody deletes the nth of our nexthop objects or groups; the kernel tells.
    DeleteNexthop(usize),
    /// Somebody deletes the nth of our routes; the kernel tells.
    DeleteRoute(usize),
    /// The kernel refuses the nth message from now.
    Refuse(usize),
    Converged,
    /// This agent begins to write.
    ConvergesAgain,
    Wait,
    /// The configuration has this place for routes.
    Space(Option<RouteSpace>),
    /// Another agent writes; or does no more.
    Aside(bool),
}

/// Other places than the default one.
pub(super) const ELSEWHERE: [RouteSpace; 2] = [
    RouteSpace {
        table: 254,
        metric: 1024,
    },
    RouteSpace {
        table: 100,
        metric: DEFAULT_METRIC,
    },
];

pub(super) fn a_space() -> impl Strategy<Value = Option<RouteSpace>> {
    prop_oneof![
        Just(None),
        Just(Some(RouteSpace::default())),
        prop::sample::select(&ELSEWHERE[..]).prop_map(Some),
    ]
}

pub(super) fn a_route(v6: bool) -> impl Strategy<Value = FibRoute> {
    let first = if v6 { 2 } else { 0 };
    let members = prop::collection::vec((first..4usize, 1..4u8), 1..4);
    members.prop_map(|ways| route_to(&ways))
}

pub(super) fn a_change() -> impl Strategy<Value = FibChange> {
    (0..PREFIXES.len()).prop_flat_map(|i| {
        let prefix = net(PREFIXES[i]);
        prop_oneof![
            4 => a_route(matches!(prefix, IpNet::V6(_))).prop_map(move |r| FibChange::install(prefix, r)),
            1 => Just(FibChange::remove(prefix)),
        ]
    })
}

pub(super) fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => a_change().prop_map(Step::Submit),
        6 => Just(Step::Drive),
        2 => (2..4u32, any::<bool>()).prop_map(|(i, up)| Step::Link(i, up)),
        2 => (0..4usize, any::<bool>()).prop_map(|(i, d)| Step::Down(i, d)),
        1 => (0..8usize).prop_map(Step::DeleteNexthop),
        1 => (0..8usize).prop_map(Step::DeleteRoute),
        2 => (1..12usize).prop_map(Step::Refuse),
        1 => Just(Step::Converged),
        1 => Just(Step::ConvergesAgain),
        1 => Just(Step::Wait),
        2 => a_space().prop_map(Step::Space),
        1 => any::<bool>().prop_map(Step::Aside),
    ]
}

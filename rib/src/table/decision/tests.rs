#![allow(clippy::unwrap_used)]
use bgp::types::{Asn, BgpIdentifier};
use bgp::wire::attribute::Origin;

use super::*;
use crate::attrs::NextHopIndex;

fn candidate(place: usize) -> Candidate {
    Candidate {
        place,
        attr: AttrId(0),
        summary: Summary {
            local_pref: 100,
            med: 10,
            neighbour_as: Asn(65001),
            originator_id: BgpIdentifier(0),
            next_hop: NextHopIndex(0),
            as_path_length: 3,
            flags: Flags::default(),
            origin: Origin::Igp,
            cluster_list_length: 1,
            own_as_count: 0,
        },
        local: false,
        external: true,
        metric: 20,
        peer_id: 30,
        address: IpAddr::from([192, 0, 2, 1]),
        path_id: PathId(40),
        lost: None,
    }
}

fn options(max_paths: u8) -> Options {
    Options {
        always_compare_med: false,
        max_paths,
        relax_as_path: false,
    }
}

/// The best one's place and the rule.
fn best(candidates: &[Candidate], options: &Options) -> (usize, Rule) {
    let mut candidates = candidates.to_vec();
    let decision = decide(&mut candidates, options, |a, b| a == b).unwrap();
    for candidate in &candidates {
        let is_best = candidate.place == decision.selected[0];
        assert_eq!(candidate.lost.is_none(), is_best);
    }
    (decision.selected[0], decision.rule)
}

type Change = fn(&mut Candidate);

/// Each step in its order, with what makes a candidate worse by it, and better.
const STEPS: [(Rule, Change, Change); 12] = [
    (Rule::LocalRoute, |_| {}, |c| c.local = true),
    (
        Rule::NotLongLivedStale,
        |c| c.summary.flags = Flags::LLGR_STALE,
        |_| {},
    ),
    (
        Rule::LocalPref,
        |c| c.summary.local_pref = 99,
        |c| c.summary.local_pref = u32::MAX,
    ),
    (
        Rule::AsPathLength,
        |c| c.summary.as_path_length = 4,
        |c| c.summary.as_path_length = 0,
    ),
    (Rule::Origin, |c| c.summary.origin = Origin::Egp, |_| {}),
    (Rule::Med, |c| c.summary.med = 11, |c| c.summary.med = 0),
    (Rule::External, |c| c.external = false, |_| {}),
    (Rule::IgpMetric, |c| c.metric = 21, |c| c.metric = 0),
    (Rule::BgpIdentifier, |c| c.peer_id = 31, |c| c.peer_id = 0),
    (
        Rule::ClusterListLength,
        |c| c.summary.cluster_list_length = 2,
        |c| c.summary.cluster_list_length = 0,
    ),
    (
        Rule::PeerAddress,
        |c| c.address = IpAddr::from([192, 0, 2, 2]),
        |c| c.address = IpAddr::from([1, 0, 0, 1]),
    ),
    (
        Rule::PathId,
        |c| c.path_id = PathId(41),
        |c| c.path_id = PathId(1),
    ),
];

#[test]
fn rfc_4271_9_1_2_2_each_step_decides_before_all_later_ones() {
    for (at, (rule, worse, better)) in STEPS.iter().enumerate() {
        let (mut one, mut other) = (candidate(0), candidate(1));
        better(&mut one);
        worse(&mut other);
        assert_eq!(best(&[one, other], &options(1)), (0, *rule));
        assert_eq!(best(&[other, one], &options(1)), (0, *rule));
        // However much better the other one is later.
        for (_, worse, better) in &STEPS[at + 1..] {
            worse(&mut one);
            better(&mut other);
            assert_eq!(best(&[one, other], &options(1)), (0, *rule));
            assert_eq!(best(&[other, one], &options(1)), (0, *rule));
        }
        // The steps before MED compare two paths on their own.
        let before_med = *rule < Rule::Med;
        assert_eq!(worse_before_med(&one, &other), before_med.then_some(*rule));
        assert_eq!(worse_before_med(&other, &one), None);
        assert_eq!(worse_before_med(&one, &one), None);
    }
    assert_eq!(best(&[candidate(7)], &options(1)), (7, Rule::OnlyPath));
    assert_eq!(decide(&mut [], &options(1), |_, _| true), None);
    // The rule is the latest step at which another one fell.
    let (mut early, mut late) = (candidate(1), candidate(2));
    early.summary.local_pref = 1;
    late.metric = 50;
    let all = [early, candidate(0), late];
    assert_eq!(best(&all, &options(1)), (0, Rule::IgpMetric));
}

#[test]
fn rfc_4456_9_an_originator_stands_for_the_identifier_of_its_peer() {
    let (mut reflected, plain) = (candidate(0), candidate(1));
    reflected.peer_id = 99;
    reflected.summary.originator_id = BgpIdentifier(29);
    assert_eq!(
        best(&[reflected, plain], &options(1)),
        (1, Rule::BgpIdentifier)
    );
    reflected.summary.flags = Flags::HAS_ORIGINATOR;
    assert_eq!(
        best(&[reflected, plain], &options(1)),
        (0, Rule::BgpIdentifier)
    );
}

#[test]
fn rfc_4271_9_1_2_2_c_med_is_compared_within_a_neighbouring_as_in_whatever_order_paths_came() {
    let with = |place, asn, med, metric| {
        let mut one = candidate(place);
        one.summary.neighbour_as = Asn(asn);
        one.summary.med = med;
        one.metric = metric;
        one
    };
    // By MED, 0 falls to 2. What is left is decided by the metric, or by MED between all of them.
    let all = [with(0, 1, 50, 1), with(1, 2, 40, 2), with(2, 1, 30, 3)];
    let always = Options {
        always_compare_med: true,
        ..options(1)
    };
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let ordered = order.map(|place: usize| all[place]);
        assert_eq!(best(&ordered, &options(1)), (1, Rule::IgpMetric));
        assert_eq!(best(&ordered, &always), (2, Rule::Med));
    }
}

#[test]
fn multipath_selects_as_many_equal_paths_as_are_allowed_the_best_one_first() {
    let equal = |place: usize, peer_id| Candidate {
        peer_id,
        attr: AttrId(place as u32 % 2),
        ..candidate(place)
    };
    // By identifier: 3, 1, 4, 0, 2. Those of odd places have another AS_PATH.
    let mut all: Vec<Candidate> = [(0, 40), (1, 20), (2, 50), (3, 10), (4, 30)]
        .map(|(place, id)| equal(place, id))
        .into();
    let mut worse = equal(5, 1);
    worse.metric = 21;
    all.push(worse);
    for (relax_as_path, order) in [(false, &[3, 1][..]), (true, &[3, 1, 4, 0, 2])] {
        for max_paths in 1..=u8::try_from(order.len()).unwrap() + 2 {
            let options = Options {
                relax_as_path,
                ..options(max_paths)
            };
            let mut candidates = all.clone();
            let decision = decide(&mut candidates, &options, |a, b| a == b).unwrap();
            let expected = &order[..order.len().min(max_paths.into())];
            assert_eq!(decision.selected[..], *expected, "{max_paths} paths");
            assert_eq!(decision.rule, Rule::BgpIdentifier);
        }
    }
    // A local route is forwarded here and nowhere else.
    all[2].local = true;
    let decision = decide(&mut all, &options(8), |_, _| true).unwrap();
    assert_eq!(decision.selected[..], [2]);
}

#[test]
fn rfc_4456_a_route_that_went_through_more_reflectors_is_no_way_beside_the_route_itself() {
    let path = |place: usize, originator: Option<u32>, reflectors: u8| {
        let mut path = candidate(place);
        path.external = false;
        path.peer_id = 30 + place as u32;
        path.summary.cluster_list_length = reflectors;
        if let Some(originator) = originator {
            path.summary.flags = Flags::HAS_ORIGINATOR;
            path.summary.originator_id = BgpIdentifier(originator);
        }
        path
    };
    let selected = |paths: &[Candidate]| {
        let mut paths = paths.to_vec();
        let options = Options {
            relax_as_path: true,
            ..options(8)
        };
        decide(&mut paths, &options, |_, _| true).unwrap().selected
    };
    // From router 30 itself, and by two reflectors, one of them behind another.
    let (direct, reflected, twice) = (path(0, None, 0), path(1, Some(30), 1), path(2, Some(30), 2));
    assert_eq!(selected(&[direct, reflected, twice])[..], [0]);
    assert_eq!(selected(&[reflected, twice])[..], [1]);
    // Not the best one, and heard twice all the same.
    let best = path(3, Some(20), 1);
    assert_eq!(selected(&[direct, reflected, best])[..], [3, 0]);
    // Two links to one router, two reflectors that are side by side, two routers: ways of their own.
    let link = Candidate {
        address: IpAddr::from([192, 0, 2, 2]),
        place: 4,
        ..direct
    };
    assert_eq!(selected(&[direct, link])[..], [0, 4]);
    let beside = Candidate {
        place: 5,
        ..reflected
    };
    assert_eq!(selected(&[reflected, beside]).len(), 2);
    assert_eq!(selected(&[path(6, Some(40), 1), reflected]).len(), 2);
}

#[test]
fn rfc_4271_9_1_2_2_g_the_lower_address_wins_and_ipv4_is_below_ipv6() {
    let addresses = [
        "0.0.0.1",
        "10.0.0.1",
        "192.0.2.1",
        "255.255.255.254",
        "::1",
        "2001:db8::1",
        "2001:db8::2",
        "3fff::1",
        "fd00::1",
        "fe80::1",
        "fe80::2",
    ];
    let keys = addresses.map(|text| address_key(text.parse().unwrap()));
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:x?}");
}

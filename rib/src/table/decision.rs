//! The decision process (RFC 4271 9.1, with the tie-breaks of RFC 4456 section 9).
//!
//! Steps run one after the other over all candidates; each keeps those with the lowest key and notes on the others that
//! they fell there. Running each step over all of them, instead of comparing pairs, is what makes MULTI_EXIT_DISC
//! deterministic: paths of one neighbouring AS meet each other whatever the order of arrival.

use std::net::IpAddr;

use bgp::types::PathId;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::path_status::Rule;
use crate::attrs::{AttrId, Flags, Summary};

/// How to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) always_compare_med: bool,
    /// At least 1.
    pub(crate) max_paths: u8,
    pub(crate) relax_as_path: bool,
}

/// A usable path, with all that the steps compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its place in the entry's list.
    pub(crate) place: usize,
    pub(crate) attr: AttrId,
    pub(crate) summary: Summary,
    pub(crate) local: bool,
    pub(crate) external: bool,
    pub(crate) metric: u32,
    /// The BGP identifier of its peer; ORIGINATOR_ID replaces it.
    pub(crate) peer_id: u32,
    pub(crate) address: IpAddr,
    pub(crate) path_id: PathId,
    /// Where it fell; `None` while it is in the race.
    pub(crate) lost: Option<Rule>,
}

/// Most prefixes have few paths.
pub(crate) type Candidates = SmallVec<[Candidate; 4]>;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Places of the selected paths, the best one first.
    pub(crate) selected: SmallVec<[usize; 4]>,
    /// The latest step that a candidate fell at.
    pub(crate) rule: Rule,
}

impl Decision {
    /// The decision about the only path of a prefix, which is usable.
    pub(crate) fn only() -> Self {
        Self {
            selected: SmallVec::from_buf_and_len([0; 4], 1),
            rule: Rule::OnlyPath,
        }
    }
}

fn alive(candidates: &[Candidate]) -> usize {
    candidates.iter().filter(|c| c.lost.is_none()).count()
}

/// One step: those with more than the lowest key fall.
fn narrow(candidates: &mut [Candidate], rule: Rule, key: impl Fn(&Candidate) -> u128) {
    let Some(lowest) = candidates
        .iter()
        .filter(|c| c.lost.is_none())
        .map(&key)
        .min()
    else {
        return;
    };
    for candidate in candidates.iter_mut().filter(|c| c.lost.is_none()) {
        if key(candidate) > lowest {
            candidate.lost = Some(rule);
        }
    }
}

/// RFC 4271 9.1.2.2 c: a path falls if another one of the same neighbouring AS has a lower MULTI_EXIT_DISC.
fn narrow_by_med(candidates: &mut [Candidate], always: bool) {
    let group = |c: &Candidate| if always { 0 } else { c.summary.neighbour_as.0 };
    let alive = candidates.iter().filter(|c| c.lost.is_none());
    let mut lowest: SmallVec<[(u32, u32); 4]> = alive.map(|c| (group(c), c.summary.med)).collect();
    // The first one of each group has the lowest.
    lowest.sort_unstable();
    lowest.dedup_by_key(|(asn, _)| *asn);
    for candidate in candidates.iter_mut().filter(|c| c.lost.is_none()) {
        let found = lowest.binary_search_by_key(&group(candidate), |(asn, _)| *asn);
        if found.is_ok_and(|at| lowest[at].1 < candidate.summary.med) {
            candidate.lost = Some(Rule::Med);
        }
    }
}

/// IPv4 before IPv6, each as a number.
fn address_key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        // The highest bit puts every IPv6 address above every IPv4 one. Those of 2000::/3 come to lie in a000::/3, where no
        // other peer is and which is below fc00::/7 and fe80::/10 too: their order stays.
        IpAddr::V6(a) => a.to_bits() | 1 << 127,
    }
}

/// The BGP identifier of who brought a route into the AS (RFC 4456 section 9).
fn originator(candidate: &Candidate) -> u32 {
    match candidate.summary.flags.contains(Flags::HAS_ORIGINATOR) {
        true => candidate.summary.originator_id.0,
        false => candidate.peer_id,
    }
}

/// Leaves out paths that are copies of others and went through more reflectors: no ways of their own, though their next hops may be
/// written otherwise (a reflector passes on the global address of two), and gone as soon as the others are.
fn leave_out_detours(equal: &mut SmallVec<[Candidate; 4]>) {
    let length = |c: &Candidate| c.summary.cluster_list_length;
    // As a rule none went through a reflector, or all through one.
    let first = equal.first().map(length);
    if equal.iter().all(|c| Some(length(c)) == first) {
        return;
    }
    // A peer may send hundreds: each is not compared with all others.
    let mut shortest: HashMap<u32, u8, RandomState> = HashMap::default();
    for candidate in &*equal {
        let least = shortest.entry(originator(candidate)).or_insert(u8::MAX);
        *least = length(candidate).min(*least);
    }
    equal.retain(|c| {
        shortest
            .get(&originator(c))
            .is_none_or(|least| length(c) <= *least)
    });
}

/// The steps before MULTI_EXIT_DISC: they compare any two paths on their own, so a path that is worse by one of them than
/// the best one changes nothing for the others.
type Step = (Rule, fn(&Candidate) -> u128);

const BEFORE_MED: [Step; 5] = [
    (Rule::LocalRoute, |c| u128::from(!c.local)),
    (Rule::NotLongLivedStale, |c| {
        u128::from(c.summary.flags.contains(Flags::LLGR_STALE))
    }),
    (Rule::LocalPref, |c| u128::from(!c.summary.local_pref)),
    (Rule::AsPathLength, |c| u128::from(c.summary.as_path_length)),
    (Rule::Origin, |c| c.summary.origin as u128),
];

const BEFORE_TIE: [Step; 2] = [
    (Rule::External, |c| u128::from(!c.external)),
    (Rule::IgpMetric, |c| u128::from(c.metric)),
];

const TIE_BREAKS: [Step; 4] = [
    (Rule::BgpIdentifier, |c| u128::from(originator(c))),
    (Rule::ClusterListLength, |c| {
        u128::from(c.summary.cluster_list_length)
    }),
    (Rule::PeerAddress, |c| address_key(c.address)),
    (Rule::PathId, |c| u128::from(c.path_id.0)),
];

/// The step before MULTI_EXIT_DISC at which `other` falls against `best`, if it does.
pub(crate) fn worse_before_med(best: &Candidate, other: &Candidate) -> Option<Rule> {
    for (rule, key) in BEFORE_MED {
        match key(other).cmp(&key(best)) {
            std::cmp::Ordering::Greater => return Some(rule),
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => {}
        }
    }
    None
}

/// Decides among all usable paths of a prefix. `same_as_path` says whether two sets have equal AS_PATHs; it is asked for
/// multipath only. Afterwards every candidate but the best one has the step it fell at, selected ones included.
pub(crate) fn decide(
    candidates: &mut [Candidate],
    options: &Options,
    same_as_path: impl Fn(AttrId, AttrId) -> bool,
) -> Option<Decision> {
    let steps = |candidates: &mut [Candidate], steps: &[Step]| {
        for (rule, key) in steps {
            if alive(candidates) == 1 {
                break;
            }
            narrow(candidates, *rule, key);
        }
    };
    steps(candidates, &BEFORE_MED);
    if alive(candidates) > 1 {
        narrow_by_med(candidates, options.always_compare_med);
    }
    steps(candidates, &BEFORE_TIE);
    let mut equal: SmallVec<[Candidate; 4]> = candidates
        .iter()
        .filter(|c| c.lost.is_none())
        .copied()
        .collect();
    steps(candidates, &TIE_BREAKS);
    let best = candidates.iter().find(|c| c.lost.is_none())?;
    let (best_place, best_attr) = (best.place, best.attr);
    let mut selected = SmallVec::new();
    selected.push(best_place);
    // A local route has no equal: there is one for a prefix at most.
    if let room @ 1.. = usize::from(options.max_paths).saturating_sub(1) {
        leave_out_detours(&mut equal);
        equal.retain(|c| {
            c.place != best_place && (options.relax_as_path || same_as_path(c.attr, best_attr))
        });
        equal.sort_by_key(|c| TIE_BREAKS.map(|(_, key)| key(c)));
        selected.extend(equal.iter().take(room).map(|c| c.place));
    }
    let rule = candidates.iter().filter_map(|c| c.lost).max();
    Some(Decision {
        selected,
        rule: rule.unwrap_or(Rule::OnlyPath),
    })
}

#[cfg(test)]
mod tests;

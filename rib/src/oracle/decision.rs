//! The decision process, one sentence of the RFC after the other (RFC 4271 section 9.1.2.2).

use std::net::IpAddr;

use bgp::types::{Community, NextHop, PathId};
use bgp::wire::PathAttributes;
use bgp::wire::attribute::{AsPathSegmentKind, Origin};

use super::adj_rib_in::AdjRibIn;
use super::{Oracle, OracleView};
use crate::facade::{FibNextHop, FibRoute};
use crate::peer::{PeerId, PeerKind};
use crate::table::{PathStatus, Rule};

/// A usable path in the race.
#[derive(Clone)]
pub(super) struct Runner {
    /// Its place in the list of views.
    pub(super) number: usize,
    pub(super) peer: Option<PeerId>,
    pub(super) path_id: PathId,
    pub(super) attributes: PathAttributes,
    pub(super) kind: Option<PeerKind>,
    pub(super) metric: u32,
    pub(super) id: u32,
    pub(super) address: IpAddr,
    pub(super) way: Option<FibNextHop>,
}

impl Oracle {
    pub(super) fn runner(
        &self,
        number: usize,
        peer: PeerId,
        rib: &AdjRibIn,
        path_id: PathId,
        attributes: PathAttributes,
        next_hop: &NextHop,
    ) -> Option<Runner> {
        let kind = self.peers[&peer].kind;
        let resolution = self.reachable.get(&next_hop.address())?;
        let must_be_on_link = rib.session.single_hop && !self.peers[&peer].multihop;
        if kind == PeerKind::External && must_be_on_link && !resolution.connected {
            return None;
        }
        Some(Runner {
            number,
            peer: Some(peer),
            path_id,
            kind: Some(kind),
            metric: resolution.metric,
            id: attributes
                .originator_id
                .unwrap_or(rib.session.negotiated.peer_id)
                .0,
            address: rib.session.remote_address,
            way: Some(FibNextHop {
                gateway: resolution.gateway,
                ifindex: resolution.ifindex,
                weight: 1,
                onlink: resolution.onlink,
            }),
            attributes,
        })
    }

    /// The decision process, one sentence of the RFC after the other.
    pub(super) fn race(
        &self,
        mut runners: Vec<Runner>,
        views: &mut [OracleView],
    ) -> Option<FibRoute> {
        let mut latest = Rule::OnlyPath;
        let mut out =
            |runners: &mut Vec<Runner>, rule: Rule, worse: &dyn Fn(&Runner, &Runner) -> bool| {
                let all = runners.clone();
                runners.retain(|runner| {
                    let lost = all.iter().any(|other| worse(runner, other));
                    if lost {
                        views[runner.number].status = PathStatus::Lost(rule);
                        latest = latest.max(rule);
                    }
                    !lost
                });
            };
        let llgr = |r: &Runner| r.attributes.communities.contains(&Community::LLGR_STALE);
        let always = self.config.always_compare_med;
        out(&mut runners, Rule::LocalRoute, &|a, b| {
            a.peer.is_some() && b.peer.is_none()
        });
        out(&mut runners, Rule::NotLongLivedStale, &|a, b| {
            llgr(a) && !llgr(b)
        });
        out(&mut runners, Rule::LocalPref, &|a, b| {
            local_pref(&a.attributes) < local_pref(&b.attributes)
        });
        out(&mut runners, Rule::AsPathLength, &|a, b| {
            sequence_length(&a.attributes) > sequence_length(&b.attributes)
        });
        let origin = |r: &Runner| r.attributes.origin.unwrap_or(Origin::Incomplete);
        out(&mut runners, Rule::Origin, &|a, b| origin(a) > origin(b));
        out(&mut runners, Rule::Med, &|a, b| {
            (always || neighbour(&a.attributes) == neighbour(&b.attributes))
                && a.attributes.med.unwrap_or(0) > b.attributes.med.unwrap_or(0)
        });
        let external = |r: &Runner| r.kind == Some(PeerKind::External);
        out(&mut runners, Rule::External, &|a, b| {
            !external(a) && external(b)
        });
        out(&mut runners, Rule::IgpMetric, &|a, b| a.metric > b.metric);
        let equal = runners.clone();
        out(&mut runners, Rule::BgpIdentifier, &|a, b| a.id > b.id);
        out(&mut runners, Rule::ClusterListLength, &|a, b| {
            clusters(a) > clusters(b)
        });
        out(&mut runners, Rule::PeerAddress, &|a, b| {
            a.address > b.address
        });
        out(&mut runners, Rule::PathId, &|a, b| a.path_id > b.path_id);
        let best = runners.first()?.clone();
        views[best.number].status = PathStatus::Best(latest);
        // What the node originates, its own routes lead to.
        best.peer?;
        Some(self.multipath(&best, equal, views))
    }

    /// What is forwarded over: the best path, and those that are equal to it but for identifiers and addresses.
    fn multipath(
        &self,
        best: &Runner,
        mut equal: Vec<Runner>,
        views: &mut [OracleView],
    ) -> FibRoute {
        let relax = self.config.multipath.relax_as_path;
        // RFC 4456: the same route, by way of more reflectors, is no other way.
        let all = equal.clone();
        equal.retain(|r| {
            let mut others = all.iter();
            !others.any(|other| other.id == r.id && clusters(other) < clusters(r))
        });
        equal.retain(|r| relax || r.attributes.as_path == best.attributes.as_path);
        equal.sort_by_key(|r| (r.id, clusters(r), r.address, r.path_id));
        equal.truncate(usize::from(self.config.multipath.max_paths));
        for runner in &equal {
            if let PathStatus::Lost(rule) = views[runner.number].status {
                views[runner.number].status = PathStatus::Multipath(rule);
            }
        }
        let mut ways: Vec<FibNextHop> = equal.iter().filter_map(|runner| runner.way).collect();
        ways.sort();
        ways.dedup();
        FibRoute {
            next_hops: ways.into(),
        }
    }
}

fn sequence_length(attributes: &PathAttributes) -> usize {
    let segments = attributes.as_path.segments.iter();
    segments
        .map(|segment| match segment.kind {
            AsPathSegmentKind::Sequence => segment.asns.len(),
            AsPathSegmentKind::Set => 1,
            AsPathSegmentKind::ConfedSequence | AsPathSegmentKind::ConfedSet => 0,
        })
        .sum()
}

pub(super) fn neighbour(attributes: &PathAttributes) -> u32 {
    let first = attributes.as_path.segments.first();
    first
        .filter(|segment| segment.kind == AsPathSegmentKind::Sequence)
        .map_or(0, |segment| segment.asns[0].0)
}

fn local_pref(attributes: &PathAttributes) -> u32 {
    attributes.local_pref.unwrap_or(100)
}

fn clusters(runner: &Runner) -> usize {
    runner.attributes.cluster_list.len()
}

//! A RIB that anyone can check by reading: ordered maps of whole values, everything computed anew from all of it when it
//! is asked. Tests hold [`crate::Rib`] against it.

mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::types::{Community, Family, NextHop, PathId};
use bgp::wire::attribute::{AsPathSegmentKind, AttributeCode, Origin};
use bgp::wire::{AttributeSet, PathAttributes};
use ipnet::IpNet;

use crate::attrs::Resolution;
use crate::facade::{FibNextHop, FibRoute, RibConfig};
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId, PeerKind, SessionInfo};
use crate::policy::{Chain, Verdict};
use crate::table::{Rejection, Rule, Standing};
pub(crate) use start::OracleStart;

/// Where next hops lead. The same for every interface.
pub(crate) type Reachable = BTreeMap<IpAddr, Resolution>;

/// One received path as it was announced.
#[derive(Clone, Debug)]
pub(crate) struct OraclePath {
    pub(crate) attributes: PathAttributes,
    pub(crate) next_hop: NextHop,
    pub(crate) stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Retention {
    Up,
    AwaitingEnd(Instant),
    Refreshing(Instant),
    Restarting(Instant),
    /// Since then.
    LongLived(Instant),
}

/// What a peer sent in one family.
#[derive(Clone, Debug)]
struct AdjRibIn {
    paths: BTreeMap<(IpNet, PathId), OraclePath>,
    session: SessionInfo,
    retention: Retention,
    long_lived: bool,
}

/// See the module.
pub(crate) struct Oracle {
    pub(crate) config: RibConfig,
    pub(crate) peers: BTreeMap<PeerId, PeerConfig>,
    ins: BTreeMap<(PeerId, Family), AdjRibIn>,
    pub(crate) originated: BTreeMap<IpNet, Originated>,
    pub(crate) reachable: Arc<Reachable>,
    pub(crate) start: OracleStart,
    /// Paths that the RIB rejected because of [`PeerConfig::max_next_hops`]: which they are depends on the order in which it
    /// comes by them, and is taken from it. That they are no more and no less than there must be is checked beside.
    pub(crate) limited: BTreeSet<(PeerId, IpNet, PathId)>,
}

/// A path as it stands: who it is from, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OracleView {
    pub(crate) peer: Option<PeerId>,
    pub(crate) path_id: PathId,
    pub(crate) attributes: PathAttributes,
    pub(crate) standing: Standing,
    pub(crate) stale: bool,
}

/// A usable path in the race.
#[derive(Clone)]
struct Runner {
    /// Its place in the list of views.
    number: usize,
    peer: Option<PeerId>,
    path_id: PathId,
    attributes: PathAttributes,
    kind: Option<PeerKind>,
    metric: u32,
    id: u32,
    address: IpAddr,
    way: Option<FibNextHop>,
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

fn neighbour(attributes: &PathAttributes) -> u32 {
    let first = attributes.as_path.segments.first();
    first
        .filter(|segment| segment.kind == AsPathSegmentKind::Sequence)
        .map_or(0, |segment| segment.asns[0].0)
}

fn local_pref(attributes: &PathAttributes) -> u32 {
    attributes.local_pref.unwrap_or(100)
}

impl Oracle {
    /// An empty one whose gate opens at `now`.
    pub(crate) fn new(config: RibConfig, now: Instant) -> Self {
        Self {
            config,
            start: OracleStart::new(now),
            peers: BTreeMap::new(),
            ins: BTreeMap::new(),
            originated: BTreeMap::new(),
            reachable: Arc::default(),
            limited: BTreeSet::new(),
        }
    }

    pub(crate) fn remove_peer(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.start.down(peer);
        self.ins.retain(|(of, _), _| *of != peer);
    }

    pub(crate) fn session_up(&mut self, peer: PeerId, session: &SessionInfo, now: Instant) {
        self.start.up(peer, session, now);
        let deadline = now + self.config.end_of_rib_wait;
        for family in Family::ALL {
            let old = self.ins.remove(&(peer, family));
            if !session.negotiated.families.contains(&family) {
                continue;
            }
            let restart = session.negotiated.graceful_restart.as_ref();
            let kept = restart.is_some_and(|restart| restart.families.contains(&(family, true)));
            let resumed = old.filter(|_| kept);
            let resumed = resumed.filter(|old| {
                matches!(
                    old.retention,
                    Retention::Restarting(_) | Retention::LongLived(_)
                )
            });
            let new = match resumed {
                Some(old) => AdjRibIn {
                    session: session.clone(),
                    retention: Retention::AwaitingEnd(deadline),
                    ..old
                },
                None => AdjRibIn {
                    paths: BTreeMap::new(),
                    session: session.clone(),
                    retention: Retention::Up,
                    long_lived: false,
                },
            };
            self.ins.insert((peer, family), new);
        }
    }

    /// `retained`: the session fell for a reason that retains routes, if both sides agreed on that.
    pub(crate) fn session_down(&mut self, peer: PeerId, retained: bool, now: Instant) {
        self.start.down(peer);
        for family in Family::ALL {
            let Some(rib) = self.ins.get_mut(&(peer, family)) else {
                continue;
            };
            let restart = rib.session.negotiated.graceful_restart.clone();
            let restart = restart.filter(|r| retained && r.families.iter().any(|f| f.0 == family));
            let Some(restart) = restart else {
                self.ins.remove(&(peer, family));
                continue;
            };
            // RFC 4724 4.2: what an earlier restart left goes. What a refresh had not repeated was of this session.
            if !matches!(rib.retention, Retention::Refreshing(_)) {
                rib.paths.retain(|_, path| !path.stale);
            }
            rib.paths.values_mut().for_each(|path| path.stale = true);
            rib.long_lived = false;
            let time = Duration::from_secs(u64::from(restart.restart_time));
            rib.retention = Retention::Restarting(now + time);
        }
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for (key, rib) in &mut self.ins {
            let long = rib.session.negotiated.long_lived.iter();
            let long = long
                .filter(|long| long.family == key.1)
                .map(|long| long.stale_time);
            let most = self.peers.get(&key.0).map(|peer| peer.long_lived_max);
            let long = long.map(|time| Duration::from_secs(u64::from(time))).next();
            let long = long.zip(most).map(|(time, most)| time.min(most));
            match (rib.retention, long) {
                (Retention::Restarting(at), Some(_)) if at <= now => {
                    rib.retention = Retention::LongLived(now);
                    rib.long_lived = true;
                    rib.paths.retain(|_, path| {
                        !path.attributes.communities.contains(&Community::NO_LLGR)
                    });
                }
                (Retention::Restarting(at), None) if at <= now => gone.push(*key),
                (Retention::LongLived(since), Some(long)) if since + long <= now => {
                    gone.push(*key);
                }
                (Retention::AwaitingEnd(at) | Retention::Refreshing(at), _) if at <= now => {
                    end(rib);
                }
                _ => {}
            }
        }
        self.ins.retain(|key, _| !gone.contains(key));
    }

    pub(crate) fn announce(
        &mut self,
        peer: PeerId,
        prefix: IpNet,
        path_id: PathId,
        attributes: &PathAttributes,
        next_hop: NextHop,
    ) {
        if let Some(rib) = self.ins.get_mut(&(peer, family_of(prefix))) {
            let fresh = rib
                .paths
                .iter()
                .filter(|((of, _), path)| *of == prefix && !path.stale);
            let is_new = !rib.paths.contains_key(&(prefix, path_id));
            if is_new && fresh.count() >= self.peers[&peer].max_paths as usize {
                return;
            }
            let path = OraclePath {
                attributes: attributes.clone(),
                next_hop,
                stale: false,
            };
            rib.paths.insert((prefix, path_id), path);
        }
    }

    pub(crate) fn withdraw(&mut self, peer: PeerId, prefix: IpNet, path_id: PathId) {
        if let Some(rib) = self.ins.get_mut(&(peer, family_of(prefix))) {
            rib.paths.remove(&(prefix, path_id));
        }
    }

    /// The end of the first routes.
    pub(crate) fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        if let Some(rib) = self.ins.get_mut(&(peer, family))
            && matches!(rib.retention, Retention::AwaitingEnd(_))
        {
            end(rib);
        }
    }

    pub(crate) fn refresh_ends(&mut self, peer: PeerId, family: Family) {
        if let Some(rib) = self.ins.get_mut(&(peer, family))
            && matches!(rib.retention, Retention::Refreshing(_))
        {
            end(rib);
        }
    }

    pub(crate) fn refresh_begins(&mut self, peer: PeerId, family: Family, now: Instant) {
        let deadline = now + self.config.end_of_rib_wait;
        if !self.start.awaits_end(peer, family)
            && let Some(rib) = self.ins.get_mut(&(peer, family))
            && rib.retention == Retention::Up
        {
            rib.paths.values_mut().for_each(|path| path.stale = true);
            rib.retention = Retention::Refreshing(deadline);
        }
    }

    /// Stale paths.
    pub(crate) fn stale(&self, peer: PeerId, family: Family) -> u32 {
        let rib = self.ins.get(&(peer, family));
        rib.map_or(0, |rib| {
            rib.paths.values().filter(|path| path.stale).count() as u32
        })
    }

    /// Received and accepted paths.
    pub(crate) fn counts(&self, peer: PeerId, family: Family) -> (u32, u32) {
        let Some(rib) = self.ins.get(&(peer, family)) else {
            return (0, 0);
        };
        let accepted = rib
            .paths
            .iter()
            .filter(|((prefix, _), path)| self.import(peer, rib, *prefix, path).1.is_none());
        (rib.paths.len() as u32, accepted.count() as u32)
    }

    /// How many distinct next hops a peer's accepted paths have.
    pub(crate) fn next_hops(&self, peer: PeerId) -> usize {
        let ins = self.ins.iter().filter(|((of, _), _)| *of == peer);
        let mut next_hops: BTreeSet<IpAddr> = BTreeSet::new();
        for (_, rib) in ins {
            for ((prefix, _), path) in &rib.paths {
                if self.import(peer, rib, *prefix, path).1.is_none() {
                    next_hops.insert(path.next_hop.address());
                }
            }
        }
        next_hops.len()
    }

    /// Every prefix that has a path.
    pub(crate) fn prefixes(&self) -> Vec<IpNet> {
        let received = self.ins.values().flat_map(|rib| rib.paths.keys());
        let mut all: Vec<IpNet> = received.map(|(prefix, _)| *prefix).collect();
        all.extend(self.originated.keys());
        all.sort();
        all.dedup();
        all
    }

    fn import(
        &self,
        peer: PeerId,
        rib: &AdjRibIn,
        prefix: IpNet,
        path: &OraclePath,
    ) -> (PathAttributes, Option<Rejection>) {
        let config = &self.peers[&peer];
        let announced = path.attributes.clone();
        let filtered = config.attribute_filter.received_from(config.kind.into());
        let carried = |code: AttributeCode| match code.0 {
            4 => announced.med.is_some(),
            8 => !announced.communities.is_empty(),
            other => announced.unknown.iter().any(|one| one.code == other),
        };
        let mut codes = (0..=u8::MAX)
            .map(AttributeCode)
            .filter(|code| carried(*code));
        if codes.any(|code| filtered.treats_as_withdraw(code)) {
            return (announced, Some(Rejection::AttributeFilter));
        }
        if let Some(rejection) = self.rejects(config, rib, &announced) {
            return (announced, Some(rejection));
        }
        if self.limited.iter().any(|(of, net, id)| {
            let known = rib.paths.get(&(*net, *id));
            *of == peer && *net == prefix && known.is_some_and(|known| std::ptr::eq(known, path))
        }) {
            return (announced, Some(Rejection::NextHopLimit));
        }
        let mut attributes = announced.clone();
        let discarded = |code| filtered.contains(AttributeCode(code));
        attributes.unknown.retain(|one| !discarded(one.code));
        if discarded(4) {
            attributes.med = None;
        }
        if discarded(8) {
            attributes.communities.clear();
        }
        let chain = Chain::new(&config.import);
        let local_asn = rib.session.negotiated.local_asn;
        let mut after = match chain.evaluate(prefix, &attributes, &path.next_hop, local_asn) {
            Verdict::Rejected(_) => return (announced, Some(Rejection::Policy)),
            Verdict::Accepted(accepted) => match accepted.changed {
                Some(changed) => *changed,
                None => attributes,
            },
        };
        if after.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
            after.local_pref = Some(0);
        }
        if path.stale && rib.long_lived && !after.communities.contains(&Community::LLGR_STALE) {
            after.communities.push(Community::LLGR_STALE);
            after.communities.sort();
        }
        if AttributeSet::from_attributes(&after).is_err() {
            return (path.attributes.clone(), Some(Rejection::TooLong));
        }
        (after, None)
    }

    /// The checks that no policy plays a part in.
    fn rejects(
        &self,
        config: &PeerConfig,
        rib: &AdjRibIn,
        attributes: &PathAttributes,
    ) -> Option<Rejection> {
        let segments = attributes.as_path.segments.iter();
        let own = segments
            .flat_map(|segment| &segment.asns)
            .filter(|asn| **asn == self.config.asn);
        if own.count() > usize::from(config.allow_own_as) {
            return Some(Rejection::OwnAs);
        }
        if config.kind == PeerKind::External {
            let asn = rib.session.negotiated.peer_asn.0;
            let wrong = config.enforce_first_as && neighbour(attributes) != asn;
            return wrong.then_some(Rejection::FirstAs);
        }
        if attributes.originator_id == Some(self.config.router_id) {
            Some(Rejection::OwnOriginator)
        } else if attributes.cluster_list.contains(&self.config.cluster_id) {
            Some(Rejection::OwnCluster)
        } else {
            None
        }
    }

    fn runner(
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

    /// All paths of a prefix, sorted by peer and identifier, and what the FIB should hold.
    pub(crate) fn route(&self, prefix: IpNet) -> (Vec<OracleView>, Option<FibRoute>) {
        let mut views = Vec::new();
        let mut runners = Vec::new();
        if self.originated.contains_key(&prefix) {
            runners.push(Runner {
                number: 0,
                peer: None,
                path_id: PathId::NONE,
                attributes: PathAttributes::default(),
                kind: None,
                metric: 0,
                id: 0,
                address: IpAddr::from([0, 0, 0, 0]),
                way: None,
            });
            views.push(view(None, PathId::NONE, &PathAttributes::default(), false));
        }
        for ((peer, _), rib) in &self.ins {
            for ((of, path_id), path) in &rib.paths {
                if *of != prefix {
                    continue;
                }
                let (attributes, rejection) = self.import(*peer, rib, prefix, path);
                let mut view = view(Some(*peer), *path_id, &attributes, path.stale);
                let number = views.len();
                match rejection {
                    Some(rejection) => view.standing = Standing::Rejected(rejection),
                    None => runners.extend(self.runner(
                        number,
                        *peer,
                        rib,
                        *path_id,
                        attributes,
                        &path.next_hop,
                    )),
                }
                views.push(view);
            }
        }
        let fib = self.race(runners, &mut views);
        (views, fib)
    }

    /// The decision process, one sentence of the RFC after the other.
    fn race(&self, mut runners: Vec<Runner>, views: &mut [OracleView]) -> Option<FibRoute> {
        let mut latest = Rule::OnlyPath;
        let mut out =
            |runners: &mut Vec<Runner>, rule: Rule, worse: &dyn Fn(&Runner, &Runner) -> bool| {
                let all = runners.clone();
                runners.retain(|runner| {
                    let lost = all.iter().any(|other| worse(runner, other));
                    if lost {
                        views[runner.number].standing = Standing::Lost(rule);
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
        let mut equal = runners.clone();
        out(&mut runners, Rule::BgpIdentifier, &|a, b| a.id > b.id);
        let clusters = |r: &Runner| r.attributes.cluster_list.len();
        out(&mut runners, Rule::ClusterListLength, &|a, b| {
            clusters(a) > clusters(b)
        });
        out(&mut runners, Rule::PeerAddress, &|a, b| {
            a.address > b.address
        });
        out(&mut runners, Rule::PathId, &|a, b| a.path_id > b.path_id);
        let best = runners.first()?.clone();
        views[best.number].standing = Standing::Best(latest);
        // What the node originates, its own routes lead to.
        best.peer?;
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
            if let Standing::Lost(rule) = views[runner.number].standing {
                views[runner.number].standing = Standing::Multipath(rule);
            }
        }
        let mut ways: Vec<FibNextHop> = equal.iter().filter_map(|runner| runner.way).collect();
        ways.sort();
        ways.dedup();
        Some(FibRoute {
            next_hops: ways.into(),
        })
    }
}

fn end(rib: &mut AdjRibIn) {
    rib.paths.retain(|_, path| !path.stale);
    rib.retention = Retention::Up;
    rib.long_lived = false;
}

fn view(
    peer: Option<PeerId>,
    path_id: PathId,
    attributes: &PathAttributes,
    stale: bool,
) -> OracleView {
    OracleView {
        peer,
        path_id,
        attributes: attributes.clone(),
        standing: Standing::NextHopUnreachable,
        stale,
    }
}

/// The family of a prefix.
pub(crate) fn family_of(prefix: IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::IPV4_UNICAST,
        IpNet::V6(_) => Family::IPV6_UNICAST,
    }
}

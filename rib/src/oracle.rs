//! A RIB that anyone can check by reading: ordered maps of whole values, everything computed anew from all of it when it
//! is asked. Tests hold [`crate::Rib`] against it.

mod adj_rib_in;
mod decision;
mod import;
mod start;

pub(crate) use start::OracleStart;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bgp::types::{Family, PathId};
use bgp::wire::PathAttributes;
use ipnet::IpNet;

use self::adj_rib_in::AdjRibIn;
use self::decision::Runner;
use crate::attrs::Resolution;
use crate::facade::{FibRoute, RibConfig};
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId};
use crate::table::PathStatus;

/// Where next hops lead. The same for every interface.
pub(crate) type Reachable = BTreeMap<IpAddr, Resolution>;

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
    pub(crate) status: PathStatus,
    pub(crate) stale: bool,
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
                    Some(rejection) => view.status = PathStatus::Rejected(rejection),
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
        status: PathStatus::NextHopUnreachable,
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

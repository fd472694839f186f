//! What peers sent, and how long it is kept: sessions, restarts and refreshes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bgp::types::{Community, Family, NextHop, PathId};
use bgp::wire::PathAttributes;
use ipnet::IpNet;

use super::{Oracle, family_of};
use crate::peer::{PeerId, SessionInfo};

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
pub(super) struct AdjRibIn {
    pub(super) paths: BTreeMap<(IpNet, PathId), OraclePath>,
    pub(super) session: SessionInfo,
    retention: Retention,
    pub(super) long_lived: bool,
}

impl Oracle {
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

    pub(crate) fn end_retention(&mut self, peer: PeerId) {
        self.ins.retain(|(of, _), rib| {
            let is_retained = matches!(
                rib.retention,
                Retention::Restarting(_) | Retention::LongLived(_)
            );
            *of != peer || !is_retained
        });
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
}

fn end(rib: &mut AdjRibIn) {
    rib.paths.retain(|_, path| !path.stale);
    rib.retention = Retention::Up;
    rib.long_lived = false;
}

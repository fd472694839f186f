//! How much a peer may send: prefixes, paths of one prefix, next hops.
//!
//! | limit | counts | beyond it |
//! |---|---|---|
//! | `max_prefixes` | accepted paths, also those that another policy accepts | the session ends |
//! | `max_received` | received paths, rejected ones included | the session ends |
//! | `max_paths` | paths of one prefix (RFC 7911) | a further one is not taken in |
//! | `max_next_hops` | distinct next hops of the peer | a path with a further one is rejected |

use bgp::types::RoutePrefix;
use ipnet::IpNet;

use super::adj_rib_in::{AdjRibIn, LimitOf, LimitReport, LimitReported, RefusedFor, Stale};
use super::{AdjRibInId, Table};
use crate::peer::PeerId;

impl<P: RoutePrefix> Table<P> {
    /// Reports that a peer exceeds a limit, or is near it: once. What an earlier session left does not count: the peer may number
    /// its paths anew (RFC 7911), or have other ones than before.
    pub(super) fn check_limit(&mut self, id: AdjRibInId, older: &[AdjRibInId]) {
        let older = older.iter().filter_map(|id| self.source(*id));
        let (mut accepted, mut received) = (0, 0);
        let is_of_before = |source: &&AdjRibIn| matches!(source.stale, Stale::AwaitingEnd(_));
        for stale in older.filter(|source| !source.gone && !is_of_before(source)) {
            accepted += stale.accepted;
            received += stale.received;
        }
        let Some(source) = self.source_mut(id) else {
            return;
        };
        accepted += source.accepted;
        received += source.received;
        let context = &source.context;
        let over = |limit: Option<u32>, count: u32| limit.filter(|limit| count > *limit);
        let exceeded = |limit: u32, of: LimitOf| LimitReport::Exceeded { limit, of };
        let too_many_accepted = over(context.max_prefixes, accepted);
        let too_many_received = over(context.max_received, received);
        let (rank, report) = if let Some(limit) = too_many_accepted {
            (LimitReported::Exceeded, exceeded(limit, LimitOf::Accepted))
        } else if let Some(limit) = too_many_received {
            (LimitReported::Exceeded, exceeded(limit, LimitOf::Received))
        } else if over(context.prefix_warning, accepted).is_some() {
            let limit = context.max_prefixes;
            (LimitReported::Near, LimitReport::Near { accepted, limit })
        } else {
            return;
        };
        if rank > source.limit_reported {
            source.limit_reported = rank;
            let peer = context.peer;
            self.limit_reports.push((peer, report));
        }
    }

    /// The same of a peer whose session is up.
    pub(super) fn check_limit_of(&mut self, peer: PeerId) {
        let generations = self.generations(peer);
        if let Some((newest, older)) = generations.split_last()
            && self
                .source(*newest)
                .is_some_and(|source| !source.is_stale())
        {
            self.check_limit(*newest, older);
        }
    }

    /// A path was not taken in: the peer has as many of this prefix as it may.
    pub(super) fn path_refused(&mut self, id: AdjRibInId, prefix: IpNet, limit: u32) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        source.paths_refused += 1;
        if source.paths_refused == 1 {
            let of = RefusedFor::Paths(prefix);
            let report = (source.context.peer, LimitReport::Refused { limit, of });
            self.limit_reports.push(report);
        }
    }

    /// So many paths were rejected: the peer brings as many next hops as it may.
    pub(super) fn next_hops_refused(&mut self, id: AdjRibInId, paths: u64) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        let first = source.next_hops_refused == 0;
        source.next_hops_refused += paths;
        if first {
            let (limit, of) = (source.context.max_next_hops, RefusedFor::NextHops);
            let report = (source.context.peer, LimitReport::Refused { limit, of });
            self.limit_reports.push(report);
        }
    }
}

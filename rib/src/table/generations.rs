//! Sessions that are established and lost, restarts and refreshes: the generations of what a peer sent.
//!
//! RFC 4724 section 4.2, RFC 7313 section 4, RFC 9494 section 4.2. What is stale when a session is lost depends on why it
//! is: what an earlier session left and this one did not repeat goes (RFC 4724 4.2); what a refresh had not repeated is of
//! this session, and stays like the rest of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::types::RoutePrefix;
use smallvec::SmallVec;

use super::adj_rib_in::{AdjRibIn, ImportContext, LimitReported, Stale};
use super::{AdjRibInId, Table};
use crate::peer::PeerId;

/// The sources of a peer that are not gone, the newest last: three at most.
pub(super) type Generations = SmallVec<[AdjRibInId; 4]>;

/// Generations of one peer that walks are removing. A peer that begins and ends refreshes faster than that has further ones
/// ignored: it would take up all numbers that there are, also those of other peers.
const MOST_GONE: usize = 16;

impl<P: RoutePrefix> Table<P> {
    pub(super) fn generations(&self, peer: PeerId) -> Generations {
        self.by_peer.get(&peer).cloned().unwrap_or_default()
    }

    /// A session was established. With `resume`, paths retained from the last one stay until End-of-RIB or that time.
    pub(crate) fn session_up(&mut self, context: ImportContext, resume: Option<Instant>) {
        for id in self.generations(context.peer) {
            let stale = self.source(id).map(|source| source.stale);
            match (stale, resume) {
                (Some(Stale::Restarting(_) | Stale::LongLived(_)), Some(deadline)) => {
                    self.change_context(id, context.clone());
                    if let Some(source) = self.source_mut(id) {
                        source.stale = Stale::AwaitingEnd(deadline);
                    }
                }
                _ => self.let_go(id),
            }
        }
        self.new_source(AdjRibIn::new(context));
    }

    /// Adds a generation under an unused number. `false`: there is none left (65,000 peers, most of them just gone), and
    /// what the peer says is not used.
    fn new_source(&mut self, source: AdjRibIn) -> bool {
        let peer = source.context.peer;
        let unused = self.sources.iter().skip(1).position(Option::is_none);
        let number = match unused {
            Some(position) => position + 1,
            None if self.sources.len() <= usize::from(AdjRibInId::MAX) => {
                self.sources.push(None);
                self.sources.len() - 1
            }
            None => {
                tracing::error!(?peer, "no room for another Adj-RIB-In");
                return false;
            }
        };
        self.sources[number] = Some(source);
        let id = AdjRibInId(number as u16);
        self.by_peer.entry(peer).or_default().push(id);
        true
    }

    /// Changes how everything of a peer is treated; a walk applies it to the paths.
    pub(crate) fn change_contexts(
        &mut self,
        peer: PeerId,
        new: impl Fn(&ImportContext) -> ImportContext,
    ) {
        for id in self.generations(peer) {
            if let Some(source) = self.source(id) {
                let context = new(&source.context);
                self.change_context(id, context);
            }
        }
        self.check_limit_of(peer);
    }

    fn change_context(&mut self, id: AdjRibInId, context: ImportContext) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        if *source.context == context {
            return;
        }
        let limits_only = source.context.differs_in_limits_only(&context);
        if source.context.max_prefixes != context.max_prefixes
            || source.context.max_received != context.max_received
            || source.context.prefix_warning != context.prefix_warning
        {
            source.limit_reported = LimitReported::Nothing;
        }
        source.actions.tell |=
            (source.context.kind, source.context.id) != (context.kind, context.id);
        source.actions.forward |= source.context.interface != context.interface;
        let kept = source.long_lived_time();
        source.context = Arc::new(context);
        // As if it had been that long from the beginning.
        if let (Stale::LongLived(until), Some(before), Some(now)) =
            (source.stale, kept, source.long_lived_time())
        {
            source.stale = Stale::LongLived(until + now - before);
        }
        if !limits_only {
            source.actions.import = true;
            self.start_round(id);
        }
    }

    /// Notes that import is to be run again on all paths of a peer.
    pub(crate) fn import_all(&mut self, peer: PeerId) {
        for id in self.generations(peer) {
            if let Some(source) = self.source_mut(id) {
                source.actions.import = true;
                self.start_round(id);
            }
        }
    }

    /// A session ended. With `retain_until`, its paths stay as stale ones until then, and for `long_lived` after that.
    pub(crate) fn session_down(
        &mut self,
        peer: PeerId,
        retain_until: Option<Instant>,
        long_lived: Option<Duration>,
    ) {
        for id in self.generations(peer) {
            let Some(source) = self.source_mut(id) else {
                continue;
            };
            match (retain_until, source.stale) {
                (Some(until), Stale::No | Stale::Refreshing(_)) => {
                    source.stale = Stale::Restarting(until);
                    source.long_lived_time = long_lived;
                }
                _ => self.let_go(id),
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn generation_count(&self) -> usize {
        self.sources.iter().flatten().count()
    }

    /// Whether so many generations of a peer are being removed that it cannot have another one.
    pub(crate) fn has_too_many_gone(&self, peer: PeerId) -> bool {
        let walking = self.walking.iter().filter_map(|id| self.source(*id));
        let gone = walking.filter(|source| source.gone && source.context.peer == peer);
        gone.count() >= MOST_GONE
    }

    /// The peer begins to send everything again (RFC 7313): what it does not repeat goes at the end, or at the deadline. Ignored
    /// while [`Table::has_too_many_gone`].
    pub(crate) fn refresh_begins(&mut self, peer: PeerId, deadline: Instant) {
        // RFC 7313 section 4: no refresh begins before the first End-of-RIB.
        let [id] = self.generations(peer)[..] else {
            return;
        };
        if self.has_too_many_gone(peer) {
            tracing::debug!(
                ?peer,
                "refreshes faster than their routes are removed: one is ignored"
            );
            return;
        }
        let Some(source) = self.source(id).filter(|source| !source.is_stale()) else {
            return;
        };
        let next = AdjRibIn {
            limit_reported: source.limit_reported,
            paths_refused: source.paths_refused,
            next_hops_refused: source.next_hops_refused,
            ..AdjRibIn::new(ImportContext::clone(&source.context))
        };
        if self.new_source(next)
            && let Some(source) = self.source_mut(id)
        {
            source.stale = Stale::Refreshing(deadline);
        }
    }

    /// End-of-RIB: what an earlier session left goes. What a refresh has not repeated does not: that has an end of its own.
    pub(crate) fn end_of_rib(&mut self, peer: PeerId) {
        self.ends(peer, |stale| matches!(stale, Stale::AwaitingEnd(_)));
    }

    /// The end of a refresh (RFC 7313 section 4): what it has not repeated goes. What an earlier session left does not: the peer
    /// may not have all its routes before its End-of-RIB.
    pub(crate) fn refresh_ends(&mut self, peer: PeerId) {
        self.ends(peer, |stale| matches!(stale, Stale::Refreshing(_)));
    }

    fn ends(&mut self, peer: PeerId, is_over: impl Fn(Stale) -> bool) {
        for id in self.generations(peer) {
            if self.source(id).is_some_and(|source| is_over(source.stale)) {
                self.let_go(id);
            }
        }
    }

    /// Lets a source and all its paths go.
    fn let_go(&mut self, id: AdjRibInId) {
        let Some(source) = self.source_mut(id) else {
            return;
        };
        let peer = source.context.peer;
        source.gone = true;
        source.stale = Stale::No;
        source.actions.remove = true;
        if let Some(generations) = self.by_peer.get_mut(&peer) {
            generations.retain(|of| *of != id);
            if generations.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        self.start_round(id);
    }

    /// When [`Table::expire`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let sources = self.sources.iter().flatten();
        sources.filter_map(|source| source.stale.deadline()).min()
    }

    /// Restart times and waits for End-of-RIB that are over. Tells the peers that did not come back in time, and whether
    /// their paths are kept for long.
    pub(crate) fn expire(&mut self, now: Instant, mut each: impl FnMut(PeerId, bool)) {
        // Two generations of a session that was lost within a refresh expire together.
        let mut late: SmallVec<[(PeerId, bool); 4]> = SmallVec::new();
        for number in 1..self.sources.len() {
            let id = AdjRibInId(number as u16);
            let Some(source) = self.source_mut(id) else {
                continue;
            };
            if source.stale.deadline().is_none_or(|at| at > now) {
                continue;
            }
            let peer = source.context.peer;
            match (source.stale, source.long_lived_time()) {
                (Stale::Restarting(_), Some(time)) => {
                    source.stale = Stale::LongLived(now + time);
                    source.long_lived = true;
                    source.actions.import = true;
                    self.start_round(id);
                    late.push((peer, true));
                }
                (Stale::Restarting(_) | Stale::LongLived(_), _) => {
                    self.let_go(id);
                    late.push((peer, false));
                }
                (Stale::AwaitingEnd(_) | Stale::Refreshing(_), _) => self.let_go(id),
                (Stale::No, _) => {}
            }
        }
        late.sort_unstable();
        late.dedup();
        late.into_iter()
            .for_each(|(peer, long_lived)| each(peer, long_lived));
    }
}

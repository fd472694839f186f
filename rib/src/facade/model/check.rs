//! What must hold of the RIB beside the oracle.

use super::{BTreeMap, Family, PEERS, PathStatus, PeerId, Rejection, RibEvent, World, family_of};
use crate::oracle::OracleView;
use crate::table::RouteView;

impl World {
    /// Takes over from the RIB which paths have too many next hops beside them.
    fn see_limited(&mut self) {
        self.oracle.limited.clear();
        if self.most_next_hops.is_empty() {
            return;
        }
        for prefix in self.oracle.prefixes() {
            let view = self.rib.route(prefix);
            let paths = view.into_iter().flat_map(|view| view.paths);
            let limited = PathStatus::Rejected(Rejection::NextHopLimit);
            let limited = paths.filter(|path| path.status == limited);
            let limited = limited.filter_map(|path| Some((path.peer?, prefix, path.path_id)));
            self.oracle.limited.extend(limited);
        }
    }

    /// Peers bring no more next hops than they may, and as many if paths with further ones are rejected.
    fn check_limited(&self) {
        for (number, most) in &self.most_next_hops {
            let peer = PeerId(*number as u32);
            let config = self.oracle.peers.get(&peer);
            let Some(config) = config.filter(|c| c.max_next_hops <= *most) else {
                continue;
            };
            let brought = self.oracle.next_hops(peer);
            assert!(brought <= *most as usize, "{peer:?} brings {brought}");
            let counted = self.rib.counts(peer, Family::IPV4_UNICAST).next_hops;
            assert!(counted as usize >= brought, "{peer:?}: {counted} {brought}");
            let mut limited = self.oracle.limited.iter();
            assert!(
                counted >= config.max_next_hops || !limited.any(|(of, ..)| *of == peer),
                "{peer:?} might bring more than {counted}"
            );
        }
    }

    /// Convergence and End-of-RIB have come where nobody is waited for, and not where somebody was all the time.
    fn check_start(&self) {
        let (converged, oracle) = (self.rib.converged(), &self.oracle);
        assert!(converged || oracle.awaits_routes(self.now), "converged");
        assert!(!converged || oracle.start.may_have_converged, "too early");
        for (peer, known) in &self.rib.peers {
            let Some(up) = &known.session else { continue };
            let (must, may) = oracle.end_of_rib_sent(*peer, self.now);
            for family in &up.negotiated.families {
                let sent = self.rib.end_of_rib(*peer, *family).1;
                assert!(sent || !must, "{peer:?} {family}: End-of-RIB is missing");
                assert!(!sent || may, "{peer:?} {family}: End-of-RIB is too early");
            }
        }
    }

    /// Hears of lost ways out. No path that is chosen and stays so leads over one. (The RIB may still choose one that
    /// is going, and not know of another way that another resolver or configuration opened: the oracle knows at once.)
    pub(crate) fn hear(&mut self) {
        for event in self.rib.take_events() {
            match event {
                RibEvent::NextHopsLost(ways) => self.lost.extend(ways),
                RibEvent::NextHopsRegained(ways) => {
                    for way in ways {
                        assert!(self.lost.remove(&way), "{way:?} was not lost");
                    }
                }
                _ => {}
            }
        }
        if self.lost.is_empty() {
            return;
        }
        self.see_limited();
        let is_chosen =
            |status: PathStatus| matches!(status, PathStatus::Best(_) | PathStatus::Multipath(_));
        for prefix in self.oracle.prefixes() {
            let Some(view) = self.rib.route(prefix) else {
                continue;
            };
            let (mut expected, _) = self.oracle.route(prefix);
            expected.retain(|path| is_chosen(path.status));
            for path in view.paths.iter().filter(|path| is_chosen(path.status)) {
                let which = (path.peer, path.path_id);
                let stays = expected.iter().any(|it| (it.peer, it.path_id) == which);
                let way = path.resolution.map(|it| (it.gateway, it.ifindex));
                if let Some(way) = way.filter(|_| stays) {
                    assert!(!self.lost.contains(&way), "{prefix} leads over {way:?}");
                }
            }
        }
    }

    /// Both sides hold the same.
    pub(crate) fn check(&mut self) {
        self.drain();
        assert_eq!(self.rib.backlog(), 0);
        self.see_limited();
        self.check_limited();
        self.heard.check(&self.rib);
        self.check_start();
        let mut fib = BTreeMap::new();
        let mut selected = BTreeMap::new();
        let mut usable = 0;
        for prefix in self.oracle.prefixes() {
            let (expected, route) = self.oracle.route(prefix);
            fib.extend(route.map(|route| (prefix, route)));
            for path in &expected {
                if let PathStatus::Best(_) | PathStatus::Multipath(_) = path.status {
                    *selected
                        .entry((path.peer, family_of(prefix)))
                        .or_insert(0u32) += 1;
                }
                usable += u64::from(matches!(path.status, PathStatus::Best(_)));
            }
            let view = self.rib.route(prefix);
            let view =
                view.unwrap_or_else(|| panic!("{prefix} is missing, expected {expected:#?}"));
            let found = seen(&view);
            assert_eq!(found, expected, "{prefix}");
        }
        let known: usize = Family::ALL
            .map(|family| self.rib.sizes(family).0)
            .iter()
            .sum();
        assert_eq!(
            known,
            self.oracle.prefixes().len(),
            "prefixes with an entry"
        );
        if let Some(told) = &self.fib {
            assert_eq!(*told, fib);
        }
        let totals = Family::ALL.map(|family| self.rib.totals(family).prefixes);
        assert_eq!(totals.iter().sum::<u64>(), usable);
        self.check_counts(&selected);
    }

    /// Both sides count the same for every peer; `selected`: best and multipath ones by peer.
    fn check_counts(&self, selected: &BTreeMap<(Option<PeerId>, Family), u32>) {
        for number in 0..PEERS.len() {
            let peer = PeerId(number as u32);
            for family in Family::ALL {
                let counts = self.rib.counts(peer, family);
                let expected = self.oracle.counts(peer, family);
                let chosen = selected.get(&(Some(peer), family)).copied().unwrap_or(0);
                assert_eq!(counts.selected, chosen, "selected of {peer:?} {family}");
                assert_eq!(
                    counts.stale,
                    self.oracle.stale(peer, family),
                    "stale of {peer:?}"
                );
                assert_eq!(
                    (counts.received, counts.accepted),
                    expected,
                    "{peer:?} {family}"
                );
            }
        }
    }
}

/// The paths that the RIB shows, as the oracle does.
fn seen(view: &RouteView<'_>) -> Vec<OracleView> {
    let mut found: Vec<_> = view
        .paths
        .iter()
        .map(|path| OracleView {
            peer: path.peer,
            path_id: path.path_id,
            attributes: path.attributes.set.parse(),
            status: path.status,
            stale: path.stale,
        })
        .collect();
    found.sort_by_key(|path| (path.peer, path.path_id));
    found
}

//! Which peers have series of their own, and the sums of those that have none: a page's size is bounded, however many
//! nodes there are and however many peers a listen range lets in.
//!
//! Peers without series of their own are summed by the object that asks for them: the node mesh always, unless asked
//! for, and what is beyond the limit. Sums of counters only grow, as counters must: what a peer has counted stays in
//! them when the peer goes. So [`Totals`] live as long as the process.

use std::collections::{BTreeMap, HashMap};

use routelet_control::model::{DownClass, FamilyName, Peer, PeerKind};

/// How many objects have sums of their own; those of all others are one.
const GROUPS: usize = 32;

/// The object of that one.
const OTHERS: &str = "others";

/// Which peers have series of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSeries {
    /// How many at most: those of Peers with an address first, then those of listen ranges, in the order of their
    /// names.
    pub most: usize,
    /// Whether nodes of the mesh may be among them, after all others.
    pub mesh: bool,
}

/// How many peers have series of their own by default: some 4,000 series.
pub const DEFAULT_PEERS: usize = 100;

impl Default for PeerSeries {
    fn default() -> Self {
        Self {
            most: DEFAULT_PEERS,
            mesh: false,
        }
    }
}

/// What a peer has counted since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often its session became Established.
    pub established: u64,
    /// UPDATE messages with faults.
    pub malformed: u64,
    /// Attributes that were filtered.
    pub filtered: u64,
    /// How often its session fell, in the order of [`DownClass::ALL`].
    pub downs: [u64; DownClass::ALL.len()],
    /// Messages sent and received by type, in the order of their type codes.
    pub messages: [[u64; 5]; 2],
}

impl Counted {
    fn of(peer: &Peer) -> Self {
        let messages = [&peer.messages_sent, &peer.messages_received];
        Self {
            established: peer.established_count,
            malformed: peer.updates_malformed,
            filtered: peer.attributes_filtered,
            downs: DownClass::ALL.map(|class| {
                let of_class = peer.downs.iter().filter(|down| down.class == class);
                of_class.map(|down| down.count).sum()
            }),
            messages: messages.map(|counts| counts.by_type().map(|(_, count)| count)),
        }
    }

    fn numbers(&mut self) -> impl Iterator<Item = &mut u64> {
        [
            &mut self.established,
            &mut self.malformed,
            &mut self.filtered,
        ]
        .into_iter()
        .chain(&mut self.downs)
        .chain(self.messages.iter_mut().flatten())
    }

    /// Adds the counts of a peer since the last call. A peer that counts less than before has restarted its counters.
    fn add_since(&mut self, last: Self, now: Self) {
        let (mut last, mut now) = (last, now);
        let known = last.numbers().zip(now.numbers());
        for (sum, (last, now)) in self.numbers().zip(known) {
            *sum += now.checked_sub(*last).unwrap_or(*now);
        }
    }
}

/// Peers of one object that have no series of their own.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The object, such as `Router default (mesh)`.
    pub object: String,
    /// How many there are.
    pub peers: u64,
    /// How many of them have a session.
    pub established: u64,
    /// Bytes that wait for them.
    pub output_queue_bytes: u64,
    /// Their paths, and prefixes advertised to them.
    pub families: Vec<GroupFamily>,
    /// What they have counted, and those before them.
    pub counted: Counted,
}

/// Routes of a group of one family.
#[derive(Clone, Copy, Debug)]
pub struct GroupFamily {
    /// The family.
    pub family: FamilyName,
    /// Paths received.
    pub received: u64,
    /// Of those, paths that may be used.
    pub accepted: u64,
    /// Prefixes advertised.
    pub advertised: u64,
}

impl Group {
    fn add(&mut self, peer: &Peer) {
        self.peers += 1;
        self.established += u64::from(peer.is_established());
        self.output_queue_bytes += peer.output_queue_bytes;
        for of_peer in &peer.families {
            let known = self
                .families
                .iter()
                .position(|f| f.family == of_peer.family);
            let at = known.unwrap_or_else(|| {
                self.families.push(GroupFamily {
                    family: of_peer.family,
                    received: 0,
                    accepted: 0,
                    advertised: 0,
                });
                self.families.len() - 1
            });
            let family = &mut self.families[at];
            family.received += of_peer.received;
            family.accepted += of_peer.accepted;
            family.advertised += of_peer.advertised;
        }
    }
}

/// What was counted, from scrape to scrape.
#[derive(Debug, Default)]
pub struct Totals {
    /// Each peer as it was seen last, whether or not it has series of its own.
    last: HashMap<String, Counted>,
    /// The sums of groups, by object.
    sums: BTreeMap<String, Counted>,
}

impl Totals {
    /// Takes the peers apart: those with series of their own, and the groups of all others.
    pub fn split(&mut self, mut peers: Vec<Peer>, series: PeerSeries) -> (Vec<Peer>, Vec<Group>) {
        let rank = |peer: &Peer| match peer.kind {
            PeerKind::Configured | PeerKind::Unnumbered => 0,
            PeerKind::Node => 1,
            PeerKind::Dynamic => 2,
            PeerKind::Mesh => 3,
        };
        peers.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
        let may = peers
            .iter()
            .filter(|peer| series.mesh || peer.kind != PeerKind::Mesh);
        let grouped = peers.split_off(may.count().min(series.most));
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut last = HashMap::with_capacity(peers.len() + grouped.len());
        for peer in &grouped {
            let known = groups.contains_key(&peer.object) || groups.len() < GROUPS;
            let object = if known { peer.object.as_str() } else { OTHERS };
            groups.entry(object.to_owned()).or_default().add(peer);
            let now = Counted::of(peer);
            let before = self.last.get(&peer.name).copied().unwrap_or_default();
            let sum = self.sums.entry(object.to_owned()).or_default();
            sum.add_since(before, now);
            last.insert(peer.name.clone(), now);
        }
        for peer in &peers {
            last.insert(peer.name.clone(), Counted::of(peer));
        }
        self.last = last;
        self.sums.retain(|object, _| groups.contains_key(object));
        peers.sort_by(|a, b| a.name.cmp(&b.name));
        let groups = groups.into_iter().map(|(object, group)| Group {
            counted: self.sums.get(&object).copied().unwrap_or_default(),
            object,
            ..group
        });
        (peers, groups.collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::contract::fake;
    use crate::metrics::{METRICS, Snapshot, render};

    fn peers(kind: PeerKind, object: &str, count: usize) -> Vec<Peer> {
        let tor = fake::peers().into_iter().find(|p| p.name == "tor-a");
        let tor = tor.unwrap();
        let peer = |n: usize| Peer {
            name: format!("{object}/{n:04}"),
            object: object.to_owned(),
            kind,
            ..tor.clone()
        };
        (0..count).map(peer).collect()
    }

    fn series(peers: Vec<Peer>, which: PeerSeries) -> usize {
        let mut totals = Totals::default();
        let snapshot = Snapshot::new(
            fake::status(),
            peers,
            fake::timings(),
            None,
            &mut totals,
            which,
        );
        let page = render(METRICS, snapshot);
        page.lines().filter(|line| !line.starts_with('#')).count()
    }

    #[test]
    fn the_number_of_series_is_bounded_whatever_the_mesh_and_ranges_do() {
        let which = PeerSeries::default();
        let few = |count| series(peers(PeerKind::Mesh, "Router default (mesh)", count), which);
        assert_eq!(few(1), few(1000));
        let many = |count| {
            let mut all = peers(PeerKind::Dynamic, "Peer rack", count);
            all.extend(peers(PeerKind::Mesh, "Router default (mesh)", count));
            for n in 0..count {
                all.extend(peers(PeerKind::Configured, &format!("Peer tor-{n}"), 1));
            }
            series(all, which)
        };
        assert_eq!(many(200), many(1000));
        assert!(many(1000) < 7000, "{}", many(1000));
    }

    #[test]
    fn nodes_of_the_mesh_have_series_of_their_own_if_asked_for_and_routers_come_first() {
        let mut all = peers(PeerKind::Mesh, "Router default (mesh)", 5);
        all.extend(peers(PeerKind::Configured, "Peer tor", 2));
        let names = |mesh, most| {
            let (own, groups) = Totals::default().split(all.clone(), PeerSeries { most, mesh });
            let summed: u64 = groups.iter().map(|group| group.peers).sum();
            (
                own.len(),
                summed,
                own.iter().all(|p| p.kind == PeerKind::Configured),
            )
        };
        assert_eq!(names(false, 100), (2, 5, true));
        assert_eq!(names(true, 100), (7, 0, false));
        assert_eq!(names(true, 2), (2, 5, true));
        assert_eq!(names(false, 1), (1, 6, true));
    }

    #[test]
    fn sums_of_counters_only_grow() {
        let mut totals = Totals::default();
        let mut mesh = peers(PeerKind::Mesh, "Router default (mesh)", 3);
        let mut sum = |peers: &[Peer]| {
            let (_, groups) = totals.split(peers.to_vec(), PeerSeries::default());
            (groups[0].peers, groups[0].counted.established)
        };
        // Each has been established three times.
        assert_eq!(sum(&mesh), (3, 9));
        mesh[0].established_count += 1;
        assert_eq!(sum(&mesh), (3, 10));
        let gone = mesh.pop();
        assert_eq!(sum(&mesh), (2, 10), "what it counted stays");
        // It is back, with new counters.
        mesh.push(Peer {
            established_count: 1,
            ..gone.unwrap()
        });
        assert_eq!(sum(&mesh), (3, 11));
        mesh[1].established_count = 1;
        assert_eq!(sum(&mesh), (3, 12), "so has this one");
    }

    #[test]
    fn a_peer_that_joins_a_group_brings_nothing_that_it_counted_before() {
        let mut totals = Totals::default();
        let all = peers(PeerKind::Dynamic, "Peer rack", 2);
        let mut sum = |most| {
            let (_, groups) = totals.split(all.clone(), PeerSeries { most, mesh: false });
            groups.first().map(|group| group.counted.established)
        };
        assert_eq!(sum(2), None);
        assert_eq!(sum(1), Some(0));
    }
}

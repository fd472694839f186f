//! The prefixes of a table and the attributes that they are sent with.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::speaker::Family;

/// Routes that share an attribute set, on average: so it is in real tables.
const MEAN_BLOCK: f64 = 5.5;
/// Fixed, so that two runs send the same table.
const SEED: u64 = 0x5eed_1234_abcd_0042;

/// Made-up IPv4 prefixes end before 100.0.0.0, where addresses begin that some speakers refuse.
const MOST_MADE_UP: u32 = 89 << 16;

/// A table of one family.
#[derive(Debug)]
pub struct Table {
    family: Family,
    prefixes: Vec<IpNet>,
    /// Where each block starts in `prefixes`; the last one is followed by the number of prefixes.
    starts: Vec<usize>,
}

/// What the routes of a block carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN's code.
    pub origin: u8,
    /// AS_PATH, one sequence.
    pub as_path: Vec<u32>,
    /// NEXT_HOP, or the global address of MP_REACH_NLRI.
    pub next_hop: IpAddr,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF: among internal neighbours.
    pub local_pref: Option<u32>,
    /// ORIGINATOR_ID: what a reflector passes on (RFC 4456).
    pub originator: Option<Ipv4Addr>,
    /// CLUSTER_LIST, likewise.
    pub clusters: Vec<Ipv4Addr>,
    /// Communities, ascending.
    pub communities: Vec<u32>,
    /// Large communities, ascending.
    pub large_communities: Vec<[u32; 3]>,
}

impl Attributes {
    /// What block `number` is sent with by the AS `asn` at `next_hop`.
    pub fn of_block(number: usize, asn: u32, next_hop: IpAddr) -> Self {
        let mut random = Random(SEED ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut as_path = vec![asn];
        for _ in 0..1 + random.below(5) {
            // Real AS numbers below the private ones of the lab, and some that need four octets.
            as_path.push(match random.below(4) {
                0 => 131_072 + random.below(70_000),
                _ => 1 + random.below(64_000),
            });
        }
        let mut communities: Vec<u32> = (0..random.below(4))
            .map(|_| (1 + random.below(60_000)) << 16 | random.below(65_536))
            .collect();
        communities.sort_unstable();
        communities.dedup();
        let large_communities = match random.below(8) {
            0 => vec![[
                200_000 + random.below(1000),
                random.below(100),
                number as u32,
            ]],
            _ => Vec::new(),
        };
        Self {
            origin: [0, 0, 0, 2][random.below(4) as usize],
            as_path,
            next_hop,
            med: (random.below(3) == 0).then(|| random.below(1000)),
            local_pref: None,
            originator: None,
            clusters: Vec::new(),
            communities,
            large_communities,
        }
    }

    /// What the AS `asn`, the `place`th of several that announce block `number`, sends it with. The places' paths
    /// differ in length, so that one of them is best whatever else a speaker looks at: the one that
    /// [`Attributes::winner`] names.
    pub fn contested(
        number: usize,
        place: usize,
        places: usize,
        asn: u32,
        next_hop: IpAddr,
    ) -> Self {
        let seed = number.wrapping_mul(places).wrapping_add(place);
        let mut made = Self::of_block(seed, asn, next_hop);
        let length = 2 + (number + place) % places.max(1);
        let filler = made.as_path[1];
        made.as_path.resize(length, filler);
        made
    }

    /// The place of the shortest path among [`Attributes::contested`] ones.
    pub fn winner(number: usize, places: usize) -> usize {
        (places - number % places) % places
    }

    /// What an external neighbour of AS `asn` passes on with `next_hop` as its own address (RFC 4271 5.1): its AS in
    /// front, and no MED.
    pub fn passed_on(self, asn: u32, next_hop: IpAddr) -> Self {
        Self {
            next_hop,
            ..self.prepended(asn)
        }
    }

    /// As [`Attributes::passed_on`], but with the next hop as it was: third-party next hops on a shared link.
    pub fn prepended(mut self, asn: u32) -> Self {
        self.as_path.insert(0, asn);
        self.med = None;
        self
    }

    /// As an internal neighbour sends it. Always with a MED: FRR passes a missing one on as 0, which is the same (RFC
    /// 4271 9.1.2.2).
    pub fn internal(self) -> Self {
        Self {
            local_pref: Some(100),
            med: Some(self.med.unwrap_or(0)),
            ..self
        }
    }

    /// What a reflector passes on of a client (RFC 4456 section 8): as it was, with the client's identifier and the
    /// cluster's.
    pub fn reflected(self, originator: Ipv4Addr, cluster: Ipv4Addr) -> Self {
        Self {
            originator: Some(originator),
            clusters: vec![cluster],
            ..self
        }
    }

    /// A number that differs where any attribute does.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Table {
    /// Reads a gzipped list of prefixes, one a line, and keeps every `stride`th. `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no prefix of the family.
    pub fn load(path: &Path, family: Family, stride: usize) -> Result<Option<Self>> {
        let Ok(file) = std::fs::File::open(path) else {
            return Ok(None);
        };
        let mut prefixes = Vec::new();
        let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
        for line in lines.step_by(stride.max(1)) {
            let line = line.with_context(|| path.display().to_string())?;
            let prefix: IpNet = line
                .trim()
                .parse()
                .ok()
                .filter(|&prefix| Family::of(prefix) == family)
                .with_context(|| format!("{}: \"{line}\" is no {family} prefix", path.display()))?;
            prefixes.push(prefix.trunc());
        }
        Ok(Some(Self::new(family, prefixes)))
    }

    /// A table of prefixes that are all different and of one family.
    pub fn new(family: Family, prefixes: Vec<IpNet>) -> Self {
        let mut random = Random(SEED);
        let mut starts = vec![0];
        let mut at = 0;
        while at < prefixes.len() {
            let drawn = -MEAN_BLOCK * (1.0 - random.unit()).ln();
            at = (at + (drawn.round() as usize).max(1)).min(prefixes.len());
            starts.push(at);
        }
        Self {
            family,
            prefixes,
            starts,
        }
    }

    /// A made-up table, where no real one is at hand: /24 or /48 prefixes of global unicast space, ascending.
    pub fn made_up(family: Family, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(MOST_MADE_UP);
        let prefix = |n: u32| match family {
            Family::Ipv4 => IpNet::from(Ipv4Net::new_assert(
                Ipv4Addr::from((11 << 24) + (n << 8)),
                24,
            )),
            Family::Ipv6 => IpNet::from(Ipv6Net::new_assert(
                Ipv6Addr::from((0x2400 << 112) + (u128::from(n) << 80)),
                48,
            )),
        };
        Self::new(family, (0..count).map(prefix).collect())
    }

    /// The first `count` of its prefixes.
    pub fn first(&self, count: usize) -> Self {
        self.part(0, count)
    }

    /// `count` of its prefixes from `start` on, in blocks of their own; fewer where it ends.
    pub fn part(&self, start: usize, count: usize) -> Self {
        let all = self.prefixes.get(start..).unwrap_or_default();
        Self::new(self.family, all[..count.min(all.len())].to_vec())
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// All prefixes.
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// How many attribute sets there are.
    pub fn blocks(&self) -> usize {
        self.starts.len() - 1
    }

    /// The prefixes of a block.
    pub fn block(&self, number: usize) -> &[IpNet] {
        let range: Range<usize> = self.starts[number]..self.starts[number + 1];
        &self.prefixes[range]
    }
}

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    /// From 0 to 1, 1 excluded.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(count: u32) -> Table {
        let prefixes = (0..count)
            .map(|n| format!("{}.{}.{}.0/24", 1 + (n >> 16), (n >> 8) & 255, n & 255))
            .map(|text| text.parse().unwrap())
            .collect();
        Table::new(Family::Ipv4, prefixes)
    }

    #[test]
    fn blocks_cover_the_table_in_order_and_have_about_the_mean_of_real_ones() {
        let table = table(100_000);
        let all: Vec<IpNet> = (0..table.blocks())
            .flat_map(|number| table.block(number).to_vec())
            .collect();
        assert_eq!(all, table.prefixes());
        let mean = 100_000.0 / table.blocks() as f64;
        assert!((5.2..6.0).contains(&mean), "{mean}");
    }

    #[test]
    fn of_contested_blocks_one_place_has_the_shortest_path_and_each_place_wins_some() {
        let hop = "192.0.2.1".parse().unwrap();
        let mut won = std::collections::HashSet::new();
        for number in 0..100 {
            let lengths: Vec<usize> = (0..10)
                .map(|place| Attributes::contested(number, place, 10, 64501, hop))
                .map(|one| one.as_path.len())
                .collect();
            let winner = Attributes::winner(number, 10);
            let others = lengths.iter().enumerate().filter(|(at, _)| *at != winner);
            assert!(others.clone().all(|(_, &length)| length > lengths[winner]));
            won.insert(winner);
        }
        assert_eq!(won.len(), 10);
    }

    #[test]
    fn made_up_prefixes_are_distinct_and_as_many_as_asked_for() {
        for family in Family::ALL {
            let table = Table::made_up(family, 20_000);
            let distinct: std::collections::HashSet<_> = table.prefixes().iter().collect();
            assert_eq!(distinct.len(), 20_000);
            assert_eq!(table.part(19_000, 5000).prefixes().len(), 1000);
        }
    }

    #[test]
    fn digests_differ_where_any_attribute_does() {
        let hop = "192.0.2.1".parse().unwrap();
        let one = Attributes::of_block(7, 64501, hop);
        assert_eq!(one, Attributes::of_block(7, 64501, hop));
        let mut seen = std::collections::HashSet::from([one.digest()]);
        let others = [
            Attributes {
                origin: 1,
                ..one.clone()
            },
            Attributes {
                med: Some(4_000_000),
                ..one.clone()
            },
            Attributes {
                as_path: vec![1],
                ..one.clone()
            },
            one.clone().internal(),
            one.clone()
                .reflected(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
            one.clone()
                .reflected(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST),
            Attributes {
                communities: vec![1],
                ..one.clone()
            },
            Attributes {
                large_communities: vec![[1, 2, 3]],
                ..one.clone()
            },
            Attributes {
                next_hop: "192.0.2.2".parse().unwrap(),
                ..one
            },
        ];
        assert!(others.iter().all(|other| seen.insert(other.digest())));
    }
}

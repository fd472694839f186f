//! Lists of conditions, prepared so that asking them costs the logarithm of their length: an operator's list may have tens of
//! thousands of entries, and each route asks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::PrefixRange;

/// Prefix ranges, of which one has to contain a prefix.
///
/// The networks stand in order, each with its own lengths and those of all networks around it, and with the number of the
/// next one around it. The last network that does not come after a prefix either is around it, or lies within the one that
/// is: so a search in the order and some steps outwards (32 at most for IPv4, and as many as the list is deep) find the
/// innermost network, which knows all lengths.
#[derive(Clone, Debug, Default)]
pub struct PrefixSet {
    ranges: Vec<PrefixRange>,
    v4: Vec<Net>,
    v6: Vec<Net>,
}

/// A network of a [`PrefixSet`].
#[derive(Clone, Debug)]
struct Net {
    /// The address, from the highest bit on, host bits zero.
    bits: u128,
    length: u8,
    /// The innermost other network around this one; `u32::MAX`: none.
    around: u32,
    lengths: Lengths,
}

/// Prefix lengths, 0 to 128.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths([u64; 3]);

impl Lengths {
    fn add(&mut self, range: &PrefixRange) {
        for length in range.min_length..=range.max_length.min(128) {
            self.0[usize::from(length) / 64] |= 1 << (length % 64);
        }
    }

    fn unite(&mut self, other: Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    const fn contains(self, length: u8) -> bool {
        self.0[length as usize / 64] & 1 << (length % 64) != 0
    }
}

impl Net {
    fn contains(&self, bits: u128, length: u8) -> bool {
        self.length <= length
            && (self.bits ^ bits)
                .checked_shr(128 - u32::from(self.length))
                .unwrap_or(0)
                == 0
    }
}

/// The address of a prefix from the highest bit on, and its length.
fn key(prefix: IpNet) -> (u128, u8) {
    let bits = match prefix.network() {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    (bits, prefix.prefix_len())
}

fn prepare<'a>(ranges: impl Iterator<Item = &'a PrefixRange>) -> Vec<Net> {
    let mut sorted: Vec<((u128, u8), &PrefixRange)> =
        ranges.map(|range| (key(range.net), range)).collect();
    sorted.sort_by_key(|(key, _)| *key);
    let mut nets: Vec<Net> = Vec::with_capacity(sorted.len());
    for ((bits, length), range) in sorted {
        let is_known = |net: &&mut Net| (net.bits, net.length) == (bits, length);
        if let Some(known) = nets.last_mut().filter(is_known) {
            known.lengths.add(range);
            continue;
        }
        let mut lengths = Lengths::default();
        lengths.add(range);
        let around = find(&nets, bits, length, nets.len());
        let outer = around.and_then(|at| nets.get(at));
        lengths.unite(outer.map(|net| net.lengths).unwrap_or_default());
        nets.push(Net {
            bits,
            length,
            around: around.map_or(u32::MAX, |at| at as u32),
            lengths,
        });
    }
    nets
}

/// The innermost of the first `end` networks around a prefix before which all of these stand.
fn find(nets: &[Net], bits: u128, length: u8, end: usize) -> Option<usize> {
    let mut at = end.checked_sub(1)?;
    loop {
        let net = nets.get(at)?;
        if net.contains(bits, length) {
            return Some(at);
        }
        at = net.around as usize;
    }
}

impl PrefixSet {
    /// Whether the prefix is in one of the ranges: inside its network, with a length between its bounds.
    pub fn contains(&self, prefix: IpNet) -> bool {
        let nets = match prefix {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        };
        let (bits, length) = key(prefix);
        let end = nets.partition_point(|net| (net.bits, net.length) <= (bits, length));
        let found = find(nets, bits, length, end).and_then(|at| nets.get(at));
        found.is_some_and(|net| net.lengths.contains(length))
    }

    /// Whether there is no range.
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, as they were given.
    pub fn ranges(&self) -> &[PrefixRange] {
        &self.ranges
    }
}

impl PartialEq for PrefixSet {
    fn eq(&self, other: &Self) -> bool {
        self.ranges == other.ranges
    }
}

impl Eq for PrefixSet {}

impl From<Vec<PrefixRange>> for PrefixSet {
    fn from(ranges: Vec<PrefixRange>) -> Self {
        let of = |v4: bool| {
            ranges
                .iter()
                .filter(move |range| range.net.addr().is_ipv4() == v4)
        };
        Self {
            v4: prepare(of(true)),
            v6: prepare(of(false)),
            ranges,
        }
    }
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> Self {
        Vec::from_iter(ranges).into()
    }
}

/// Networks, of which one has to contain an address.
impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let range = |net: IpNet| PrefixRange {
            net,
            min_length: 0,
            max_length: net.max_prefix_len(),
        };
        nets.into_iter().map(range).collect()
    }
}

/// Values, of which one has to be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOf<T>(Box<[T]>);

impl<T> Default for OneOf<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T: Ord> OneOf<T> {
    /// Whether the value is one of these.
    pub fn contains(&self, value: &T) -> bool {
        self.0.binary_search(value).is_ok()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Ord> From<Vec<T>> for OneOf<T> {
    fn from(mut values: Vec<T>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self(values.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Networks that lie in each other often: of few bits, spread over the address.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0..64_u32, 0..=32_u8).prop_map(|(bits, length)| {
            let spread = bits << 26 | (bits & 7) << 12 | bits & 3;
            IpNet::new(Ipv4Addr::from(spread).into(), length).unwrap()
        });
        let v6 = (0..64_u128, 0..=128_u8).prop_map(|(bits, length)| {
            let spread = bits << 122 | (bits & 7) << 60 | bits & 3;
            IpNet::new(Ipv6Addr::from(spread).into(), length).unwrap()
        });
        prop_oneof![v4, v6]
    }

    fn range() -> impl Strategy<Value = PrefixRange> {
        (net(), any::<(u8, u8)>()).prop_map(|(net, (a, b))| {
            // Also bounds that are shorter than the network, longer than an address, and the wrong way round.
            let most = net.max_prefix_len().saturating_add(4);
            PrefixRange {
                net,
                min_length: a % most,
                max_length: b % most,
            }
        })
    }

    proptest! {
        #[test]
        fn a_set_contains_what_one_of_its_ranges_contains(
            ranges in prop::collection::vec(range(), 0..40),
            probes in prop::collection::vec(net(), 1..40),
        ) {
            let set = PrefixSet::from(ranges.clone());
            let own = ranges.iter().map(|range| range.net);
            for probe in own.chain(probes) {
                let expected = ranges.iter().any(|range| range.contains(probe));
                prop_assert_eq!(set.contains(probe), expected, "{}", probe);
            }
        }

        #[test]
        fn one_of_is_the_list_that_it_was_made_of(list in prop::collection::vec(0..50_u32, 0..20), probe in 0..50_u32) {
            let set = OneOf::from(list.clone());
            prop_assert_eq!(set.is_empty(), list.is_empty());
            prop_assert_eq!(set.contains(&probe), list.contains(&probe));
        }
    }

    #[test]
    fn twice_as_many_ranges_do_not_take_twice_as_many_steps() {
        // The deepest list there can be: every network lies in the one before.
        let nested = |count: u8| -> PrefixSet {
            let net = |length| IpNet::new(Ipv4Addr::UNSPECIFIED.into(), length).unwrap();
            (0..count).map(net).collect()
        };
        let flat = |count: u32| -> PrefixSet {
            let net = |n: u32| IpNet::new(Ipv4Addr::from(n << 8).into(), 24).unwrap();
            (0..count).map(net).collect()
        };
        let depth = |set: &PrefixSet| {
            let outwards = |net: &Net| {
                std::iter::successors(Some(net), |net| set.v4.get(net.around as usize)).count()
            };
            set.v4.iter().map(outwards).max().unwrap()
        };
        assert_eq!(depth(&nested(33)), 33);
        assert_eq!((depth(&flat(10_000)), depth(&flat(20_000))), (1, 1));
    }
}

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const NONE: NextHop = NextHop::Ipv4(Ipv4Addr::UNSPECIFIED);

/// The same as [`reduce`] by division.
fn remainder(x: u128) -> u64 {
    (x % u128::from(PRIME)) as u64
}

/// The same as [`OctetKey::hash`], written as its definition.
fn by_definition(key: &OctetKey, octets: &[u8], next_hop: &NextHop) -> u64 {
    let halves = |address: Ipv6Addr| {
        let bits = address.to_bits();
        [(bits >> 64) as u64, bits as u64]
    };
    let length = octets.len() as u64;
    let begin = match *next_hop {
        NextHop::Ipv4(address) => vec![length, address.to_bits().into()],
        NextHop::Ipv6(address) => {
            let [a, b] = halves(address);
            vec![(1 << 32) + length, a, b, 0]
        }
        NextHop::Ipv6WithLinkLocal { global, link_local } => {
            let ([a, b], [c, d]) = (halves(global), halves(link_local));
            vec![(2 << 32) + length, a, b, c, d, 0]
        }
    };
    let mut blocks = vec![begin];
    let mut rest = octets;
    while !rest.is_empty() {
        let room = 8 * (BLOCK - blocks.last().unwrap().len());
        if room == 0 {
            blocks.push(Vec::new());
            continue;
        }
        let (here, later) = rest.split_at(rest.len().min(room));
        let mut portions: Vec<Vec<u8>> = here.chunks(16).map(<[u8]>::to_vec).collect();
        let last = portions.last_mut().unwrap();
        if last.len() < 16 {
            *last = here[here.len().saturating_sub(16)..].to_vec();
            last.resize(16, 0);
        }
        let octets = portions.concat();
        let words = octets
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        blocks.last_mut().unwrap().extend(words);
        rest = later;
    }
    let sums: Vec<u128> = blocks
        .iter()
        .map(|block| {
            let pairs = block.chunks(2).zip(key.block.chunks(2));
            pairs.fold(0_u128, |sum, (word, key)| {
                let factors = [0, 1].map(|i| u128::from(word[i].wrapping_add(key[i])));
                sum.wrapping_add(factors[0].wrapping_mul(factors[1]))
            })
        })
        .collect();
    if let [sum] = sums[..] {
        return key.end.hash([sum as u64, (sum >> 64) as u64, 0]);
    }
    let limbs = sums
        .into_iter()
        .flat_map(|sum| [0, 60, 120].map(|at| (sum >> at) as u64 & ((1 << 60) - 1)));
    let point = u128::from(key.point);
    let value = limbs.fold(0, |value, limb| {
        remainder(u128::from(value) * point + u128::from(limb))
    });
    key.end.hash([value, length, 1])
}

proptest! {
    #[test]
    fn the_hash_of_octets_is_what_its_definition_says(
        octets in prop::collection::vec(any::<u8>(), 0..1200),
        next_hop in prop_oneof![
            any::<u32>().prop_map(|bits| NextHop::Ipv4(bits.into())),
            any::<u128>().prop_map(|bits| NextHop::Ipv6(bits.into())),
            any::<[u128; 2]>().prop_map(|[a, b]| NextHop::Ipv6WithLinkLocal {
                global: a.into(),
                link_local: b.into(),
            }),
        ],
    ) {
        let key = OctetKey::default();
        prop_assert_eq!(key.hash(&octets, &next_hop), by_definition(&key, &octets, &next_hop));
    }

    #[test]
    fn a_remainder_is_that_of_a_division(x in 0..(1_u128 << 123)) {
        prop_assert_eq!(reduce(x), remainder(x));
    }
}

#[test]
fn remainders_at_the_ends_of_the_range_are_right() {
    let prime = u128::from(PRIME);
    for x in [
        0,
        1,
        prime - 1,
        prime,
        prime + 1,
        2 * prime,
        prime * prime,
        (1 << 122) - 1,
        (1 << 123) - 1,
    ] {
        assert_eq!(reduce(x), remainder(x), "{x}");
    }
}

/// With a small part of the hash in its place, the bound can be seen: pairs that differ in any one way agree about as often as chance
/// has it, over many keys. Pairs that agreed for every key would show as well.
#[test]
fn no_pair_agrees_more_often_over_the_keys_than_by_chance() {
    const KEYS: usize = 4096;
    const BITS: u32 = 8;
    let long = vec![7; 600];
    let changed = |at: usize| {
        let mut other = long.clone();
        other[at] ^= 0x80;
        other
    };
    let v6 = |text: &str| NextHop::Ipv6(text.parse::<Ipv6Addr>().unwrap());
    let pairs: Vec<[(Vec<u8>, NextHop); 2]> = vec![
        [(vec![], NONE), (vec![0], NONE)],
        [(vec![0; 15], NONE), (vec![0; 16], NONE)],
        [(vec![0; 224], NONE), (vec![0; 225], NONE)],
        [(vec![0; 240], NONE), (vec![0; 241], NONE)],
        // More words in one than in the other, and the same octets behind them.
        [(vec![], NONE), (vec![], v6("::"))],
        [(vec![0; 16], NONE), (vec![], v6("::"))],
        [(long.clone(), NONE), (changed(0), NONE)],
        [(long.clone(), NONE), (changed(300), NONE)],
        [(long.clone(), NONE), (changed(599), NONE)],
        [(long.clone(), NONE), (long.clone(), v6("::"))],
        [
            (long.clone(), v6("2001:db8::1")),
            (long.clone(), v6("2001:db8::2")),
        ],
        // Words swapped, within a pair and between two.
        [
            ([[1; 8], [2; 8]].concat(), NONE),
            ([[2; 8], [1; 8]].concat(), NONE),
        ],
        [
            ([[1; 16], [2; 16]].concat(), NONE),
            ([[2; 16], [1; 16]].concat(), NONE),
        ],
    ];
    for [(a, a_hop), (b, b_hop)] in pairs {
        let mut agree = 0;
        for _ in 0..KEYS {
            let key = OctetKey::default();
            let hashes = [key.hash(&a, &a_hop), key.hash(&b, &b_hop)];
            agree += usize::from(hashes[0] >> (64 - BITS) == hashes[1] >> (64 - BITS));
        }
        // 16 of 4096 by chance; 60 is 11 standard deviations away.
        assert!(
            agree < 60,
            "{a:?} and {b:?} agree with {agree} of {KEYS} keys"
        );
    }
}

#[test]
fn words_that_follow_one_another_are_spread_for_every_key() {
    const N: u64 = 4096;
    for step in [1 << 40, 1 << 44, 3 << 32] {
        for _ in 0..64 {
            let key = WordKey::default();
            let homes: HashSet<u64> = (0..N).map(|i| key.hash([i * step + 24]) >> 52).collect();
            // Of 4096 places 63 % by chance.
            assert!((2450..2750).contains(&homes.len()), "{} homes", homes.len());
        }
    }
}

#[test]
fn words_in_other_places_are_other_inputs() {
    let key = WordKey::default();
    assert_ne!(key.hash([1, 2, 3]), key.hash([2, 1, 3]));
    assert_ne!(key.hash([1, 2, 3]), key.hash([1, 3, 2]));
    assert_ne!(key.hash([1]), WordKey::default().hash([1]));
}

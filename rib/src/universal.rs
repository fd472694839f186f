//! Hashes of what peers send, with a proven bound: two inputs that were chosen without knowledge of the key have the same hash with
//! no more than a given probability, whatever they are. The keys are made when the process starts and neither they nor hashes
//! leave it, so a peer cannot do better than try. The bounds are those of random keys; ours are made by SipHash of random bits.
//!
//! - [`WordKey`], of words: multiply and add modulo 2^128, of which the upper half is taken. Strongly universal (Dietzfelbinger
//!   1996; Lemire and Kaser, "Strongly universal string hashing is fast", 2014): the hashes of any two different inputs are
//!   independent and uniform, so that they agree with probability 2^-64.
//! - [`OctetKey`], of attribute sets with a next hop: NH (Black et al., UMAC, 1999) over blocks of up to 256 octets, then, if there is
//!   more than one, a polynomial over the blocks modulo the prime 2^61 - 1, then a multiplication as above.
//!   - Sets of at most 208 octets are one block. It begins with a word of which kind the next hop is and how long the set, so that two
//!     inputs of as many words differ in a word, and NH agrees with probability 2^-64. If one has more words than the other, the
//!     difference of the sums has a product of two uniform words that the shorter one has not. That is any given number with
//!     probability 2^-63 at most (0, if either word is 0; any other number has far less than 2^32 divisors). With the multiplication at
//!     the end that makes 2^-62.
//!   - Two sets of at most `n` octets agree with probability (4 + 3 n / 256) / 2^61 at most: 2^-51 for the longest that there can be.
//!
//! What comes last of each is a permutation that leaves the bounds as they are. It spreads inputs that follow one another,
//! which a multiplication alone puts in crowds for some keys.

use std::hash::{BuildHasher, RandomState};

use bgp::types::NextHop;

/// The words that NH takes at once: a next hop and 208 octets or more. Most attribute sets are within.
const BLOCK: usize = 32;

/// 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// Random words, from the operating system's randomness by SipHash.
fn random_words() -> impl FnMut() -> u64 {
    let state = RandomState::new();
    let mut count = 0_u64;
    move || {
        count += 1;
        state.hash_one(count)
    }
}

const fn wide(high: u64, low: u64) -> u128 {
    ((high as u128) << 64) | low as u128
}

/// A permutation of 64-bit words: a half of MurmurHash3's last step.
const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^ (x >> 29)
}

/// The key of a hash of up to three words. See the module.
#[derive(Clone, Debug)]
struct WordKey {
    factors: [u128; 3],
    summand: u128,
}

impl Default for WordKey {
    fn default() -> Self {
        let mut random = random_words();
        let mut next = || wide(random(), random());
        Self {
            factors: [next(), next(), next()],
            summand: next(),
        }
    }
}

impl WordKey {
    /// The hash of so many words: the same as of three, of which the others are 0.
    fn hash<const N: usize>(&self, words: [u64; N]) -> u64 {
        const { assert!(N <= 3, "there are three factors") }
        let mut sum = self.summand;
        for (word, factor) in words.into_iter().zip(self.factors) {
            sum = sum.wrapping_add(factor.wrapping_mul(u128::from(word)));
        }
        mix((sum >> 64) as u64)
    }
}

/// The key of a hash of octets and a next hop. See the module.
#[derive(Clone, Debug)]
pub(crate) struct OctetKey {
    block: [u64; BLOCK],
    /// Where the polynomial is evaluated.
    point: u64,
    end: WordKey,
}

impl Default for OctetKey {
    fn default() -> Self {
        let mut random = random_words();
        Self {
            block: std::array::from_fn(|_| random()),
            // Uniform below the prime but for 2^-61 of the probability.
            point: reduce(u128::from(random() >> 3)),
            end: WordKey::default(),
        }
    }
}

impl OctetKey {
    /// The hash of octets with a next hop.
    pub(crate) fn hash(&self, octets: &[u8], next_hop: &NextHop) -> u64 {
        let (begin, pairs) = self.begin(octets.len() as u64, next_hop);
        let keys = &self.block[2 * pairs..];
        if octets.len() <= keys.len() * 8 {
            let sum = begin.wrapping_add(nh(octets, keys));
            return self.end.hash([sum as u64, (sum >> 64) as u64]);
        }
        let (first, rest) = octets.split_at(keys.len() * 8);
        let mut value = self.evaluate(0, begin.wrapping_add(nh(first, keys)));
        for block in rest.chunks(BLOCK * 8) {
            value = self.evaluate(value, nh(block, &self.block));
        }
        // Of the sum of one block there are two words: the third is 0.
        self.end.hash([value, octets.len() as u64, 1])
    }

    /// NH of what the first block begins with, and how many pairs of words that is: a word that says of which kind the next hop is,
    /// and how many octets follow, and the next hop.
    fn begin(&self, length: u64, next_hop: &NextHop) -> (u128, usize) {
        let word = |kind: u64| kind << 32 | length;
        let halves = |address: std::net::Ipv6Addr| {
            let bits = address.to_bits();
            ((bits >> 64) as u64, bits as u64)
        };
        let pair = |i: usize, a, b| pair(a, b, self.block[2 * i], self.block[2 * i + 1]);
        match *next_hop {
            NextHop::Ipv4(address) => (pair(0, word(0), address.to_bits().into()), 1),
            NextHop::Ipv6(address) => {
                let (a, b) = halves(address);
                (pair(0, word(1), a).wrapping_add(pair(1, b, 0)), 2)
            }
            NextHop::Ipv6WithLinkLocal { global, link_local } => {
                let ((a, b), (c, d)) = (halves(global), halves(link_local));
                let sum = pair(0, word(2), a).wrapping_add(pair(1, b, c));
                (sum.wrapping_add(pair(2, d, 0)), 3)
            }
        }
    }

    /// Goes on with the polynomial, by the coefficients that a block makes.
    fn evaluate(&self, value: u64, block: u128) -> u64 {
        let limb = |shift: u32| (block >> shift) as u64 & (PRIME >> 1);
        [limb(0), limb(60), limb(120)]
            .into_iter()
            .fold(value, |value, coefficient| {
                reduce(u128::from(value) * u128::from(self.point) + u128::from(coefficient))
            })
    }
}

/// The remainder modulo 2^61 - 1 of what is below 2^123.
const fn reduce(x: u128) -> u64 {
    let once = (x as u64 & PRIME) + (x >> 61) as u64;
    let twice = (once & PRIME) + (once >> 61);
    if twice >= PRIME { twice - PRIME } else { twice }
}

const fn pair(a: u64, b: u64, key_a: u64, key_b: u64) -> u128 {
    (a.wrapping_add(key_a) as u128).wrapping_mul(b.wrapping_add(key_b) as u128)
}

/// NH of octets in portions of 16. Where the last is not full it is that of the last 16 octets, or filled up with zeros if there are
/// fewer: the length, which is a part of the hash, says which.
fn nh(octets: &[u8], keys: &[u64]) -> u128 {
    let term = |octets: &[u8; 16], &[key_a, key_b]: &[u64; 2]| {
        let bits = u128::from_le_bytes(*octets);
        pair(bits as u64, (bits >> 64) as u64, key_a, key_b)
    };
    let (portions, rest) = octets.as_chunks::<16>();
    let (keys, _) = keys.as_chunks::<2>();
    let sum = portions
        .iter()
        .zip(keys)
        .fold(0_u128, |sum, (portion, key)| {
            sum.wrapping_add(term(portion, key))
        });
    match keys.get(portions.len()) {
        Some(key) if !rest.is_empty() => {
            let last = octets.last_chunk::<16>().copied().unwrap_or_else(|| {
                let mut filled = [0; 16];
                filled[..octets.len()].copy_from_slice(octets);
                filled
            });
            sum.wrapping_add(term(&last, key))
        }
        _ => sum,
    }
}

#[cfg(test)]
mod tests;

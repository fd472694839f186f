//! Random numbers that nobody can predict who does not know the seed, and that one seed repeats exactly.

use sha1::{Digest, Sha1};

/// SHA1 in counter mode over a secret seed.
///
/// Discriminators and the first sequence numbers must be unpredictable (RFC 5880 6.8.1 and 9); jitter need not be, and comes
/// from the same place so that a simulation has one seed. Cost: one SHA1 of 40 octets for five numbers, and no allocation.
#[derive(Clone)]
pub struct Random {
    seed: [u8; 32],
    counter: u64,
    block: [u32; 5],
    used: usize,
}

impl Random {
    /// From a seed: of the operating system, or of a simulation.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            counter: 0,
            block: [0; 5],
            used: 5,
        }
    }

    /// A seed for tests and simulations out of one number.
    pub fn from_number(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Self::new(seed)
    }

    /// Any number, each with the same probability.
    pub fn number(&mut self) -> u32 {
        if self.used == self.block.len() {
            let digest = Sha1::new()
                .chain_update(self.seed)
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            for (number, octets) in self.block.iter_mut().zip(digest.chunks_exact(4)) {
                *number = octets
                    .iter()
                    .fold(0, |number, octet| number << 8 | u32::from(*octet));
            }
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// A number from `least` to `most`, both included. `least` must not exceed `most`.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most - least) + 1;
        // Multiply and shift: the bias is below 2^-32 of the span.
        let offset = (u64::from(self.number()) * span) >> 32;
        least + u32::try_from(offset).unwrap_or(0)
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed is a secret.
        f.debug_struct("Random")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        let draw = |seed| -> Vec<u32> {
            let mut random = Random::from_number(seed);
            (0..20).map(|_| random.number()).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_range_is_reached_at_both_ends_and_never_left() {
        let mut random = Random::from_number(1);
        let drawn: Vec<u32> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert_eq!(
            (drawn.iter().min(), drawn.iter().max()),
            (Some(&3), Some(&6))
        );
        assert_eq!(Random::from_number(1).between(9, 9), 9);
    }

    #[test]
    fn the_seed_is_not_shown() {
        assert!(!format!("{:?}", Random::new([0xab; 32])).contains("171"));
    }
}

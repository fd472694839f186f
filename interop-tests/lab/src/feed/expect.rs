//! What a receiver must hold in the end: each prefix with its attributes, nothing else.
//!
//! Built once per run and shared by all receivers. Attributes are compared by digest, next hops apart from them: where
//! sender and receiver share a link, a speaker may pass the sender's next hop on or put its own (RFC 4271 5.1.3).

use std::net::IpAddr;

use anyhow::{Result, ensure};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::table::Attributes;
use super::tally::Digest;

/// A prefix as a key that is quick to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packed(u128, u8);

impl From<IpNet> for Packed {
    fn from(prefix: IpNet) -> Self {
        match prefix {
            // No length of IPv6 is that of an IPv4 prefix plus 200.
            IpNet::V4(net) => Self(u128::from(net.addr().to_bits()), net.prefix_len() + 200),
            IpNet::V6(net) => Self(net.addr().to_bits(), net.prefix_len()),
        }
    }
}

/// Who announced a route: a receiver that did so itself may hear it back or not.
pub type Source = u16;

/// What must be held for a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The number of its attribute set.
    set: u32,
    pub(super) source: Source,
}

#[derive(Debug)]
struct Set {
    attributes: Attributes,
    digest: u64,
}

/// What must be held in the end.
#[derive(Debug, Default)]
pub struct Expectation {
    index: HashMap<Packed, u32, RandomState>,
    prefixes: Vec<IpNet>,
    wanted: Vec<Wanted>,
    sets: Vec<Set>,
    own_hops: Vec<IpAddr>,
    altered: bool,
}

impl Expectation {
    /// Nothing at all. `own_hops` are the addresses that the subject may put as next hops.
    pub fn new(own_hops: &[IpAddr]) -> Self {
        Self {
            own_hops: own_hops.to_vec(),
            ..Self::default()
        }
    }

    /// Makes it wrong on purpose: the first attributes that are added are not as given. To show that a check can fail.
    pub fn alter(&mut self) {
        self.altered = true;
    }

    /// Also these prefixes, with what `source` sent: as it must arrive, but for the next hop, which is the sent one.
    ///
    /// # Errors
    /// A prefix is expected already.
    pub fn add(
        &mut self,
        prefixes: &[IpNet],
        attributes: Attributes,
        source: Source,
    ) -> Result<()> {
        let wanted = Wanted {
            set: self.set(attributes),
            source,
        };
        for &prefix in prefixes {
            let fresh = self.index.insert(prefix.into(), self.wanted.len() as u32);
            ensure!(fresh.is_none(), "{prefix} is expected twice");
            self.prefixes.push(prefix);
            self.wanted.push(wanted);
        }
        Ok(())
    }

    /// How many prefixes a receiver must hold that announced those of `own` itself.
    pub fn required(&self, own: Option<Source>) -> usize {
        match own {
            None => self.wanted.len(),
            Some(own) => self.wanted.iter().filter(|one| one.source != own).count(),
        }
    }

    /// All of it in two numbers, each route with the next hop that was given. What receivers hear that keep no more:
    /// see [`super::Tally`].
    pub fn digest(&self) -> Digest {
        let routes = self.prefixes.iter().zip(&self.wanted);
        let numbers = routes.map(|(&prefix, wanted)| {
            let set = &self.sets[wanted.set as usize];
            let got = Got {
                digest: set.digest,
                next_hop: set.attributes.next_hop,
            };
            of_route(prefix.into(), got.number())
        });
        Digest {
            prefixes: self.wanted.len() as u64,
            sum: numbers.fold(0, u64::wrapping_add),
        }
    }

    fn set(&mut self, mut attributes: Attributes) -> u32 {
        if std::mem::take(&mut self.altered) {
            attributes.as_path.push(64_999);
        }
        let digest = digest(&attributes);
        self.sets.push(Set { attributes, digest });
        self.sets.len() as u32 - 1
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    pub(super) fn find(&self, prefix: IpNet) -> Option<usize> {
        Some(*self.index.get(&Packed::from(prefix))? as usize)
    }

    pub(super) fn wanted(&self, number: usize) -> Wanted {
        self.wanted[number]
    }

    pub(super) fn prefix(&self, number: usize) -> IpNet {
        self.prefixes[number]
    }

    pub(super) fn attributes(&self, number: usize) -> &Attributes {
        &self.sets[self.wanted[number].set as usize].attributes
    }

    /// Whether what came for a prefix is what must come.
    pub(super) fn agrees(&self, number: usize, got: Got) -> bool {
        let set = &self.sets[self.wanted[number].set as usize];
        set.digest == got.digest
            && (set.attributes.next_hop == got.next_hop || self.own_hops.contains(&got.next_hop))
    }
}

/// What attributes say, in short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    pub(super) digest: u64,
    pub(super) next_hop: IpAddr,
}

impl Got {
    pub(super) fn of(attributes: &Attributes) -> Self {
        Self {
            digest: digest(attributes),
            next_hop: attributes.next_hop,
        }
    }

    /// All of it as a number.
    pub(super) fn number(self) -> u64 {
        let hop = match self.next_hop {
            IpAddr::V4(hop) => u128::from(hop.to_bits()),
            IpAddr::V6(hop) => hop.to_bits(),
        };
        mix(self.digest ^ folded(hop))
    }
}

/// A number for a route: of its prefix, and of what it carries.
pub(super) fn of_route(Packed(address, length): Packed, carries: u64) -> u64 {
    mix(folded(address).wrapping_add(u64::from(length)) ^ carries)
}

fn folded(bits: u128) -> u64 {
    mix(bits as u64 ^ mix((bits >> 64) as u64))
}

/// SplitMix64's finish: each bit of the result depends on each bit that goes in.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number that differs where anything but the next hop does.
fn digest(attributes: &Attributes) -> u64 {
    let mut bare = attributes.clone();
    bare.next_hop = IpAddr::from([0; 4]);
    bare.digest()
}

//! Staged changes, gathered by what is said and to whom, so that one message says it of as many prefixes as fit.

use std::hash::Hash;

use bgp::types::{Family, Nlri, PathId, RoutePrefix};
use bgp::wire::UpdateEncoder;
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use super::exclusion::Excluded;
use super::rules::{Digest, Exported};
use super::{LocRib, Slot};
use crate::peer::PeerId;

/// Which of the recipients of a step hear a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Audience {
    /// All but these.
    AllBut(Excluded),
    /// Only this one.
    Only(PeerId),
}

impl Audience {
    pub(super) fn includes(&self, peer: PeerId) -> bool {
        match self {
            Self::AllBut(excluded) => !excluded.contains(peer),
            Self::Only(only) => *only == peer,
        }
    }
}

/// Prefixes about which the same recipients hear the same.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) audience: Audience,
    /// What is announced; `None`: the prefixes are withdrawn. A number that the stager gave.
    announced: Option<u32>,
    pub(super) slots: SmallVec<[Slot; 6]>,
}

/// The buckets of one step of one family.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    list: Vec<Bucket>,
    by_content: HashMap<(Option<Digest>, Audience), usize, RandomState>,
}

/// Encoded messages, each with the number of its bucket, ascending.
pub(super) struct Messages {
    pub(super) bytes: Vec<Bytes>,
    pub(super) buckets: Vec<usize>,
}

impl Buckets {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn get(&self, number: usize) -> &Bucket {
        &self.list[number]
    }

    /// The buckets from this number on.
    pub(super) fn from(&self, number: usize) -> &[Bucket] {
        &self.list[number..]
    }

    pub(super) fn announce(&mut self, digest: Digest, number: u32, audience: Audience, slot: Slot) {
        self.put(Some((digest, number)), audience, slot);
    }

    pub(super) fn withdraw(&mut self, audience: Audience, slot: Slot) {
        self.put(None, audience, slot);
    }

    fn put(&mut self, announced: Option<(Digest, u32)>, audience: Audience, slot: Slot) {
        let digest = announced.map(|(digest, _)| digest);
        let list = &mut self.list;
        let number = *self
            .by_content
            .entry((digest, audience))
            .or_insert_with(|| {
                list.push(Bucket {
                    audience,
                    announced: announced.map(|(_, number)| number),
                    slots: SmallVec::new(),
                });
                list.len() - 1
            });
        self.list[number].slots.push(slot);
    }

    /// Forgets the buckets. Memory of an unusually large step is given back.
    pub(super) fn clear(&mut self) {
        if self.list.capacity() > 16 * 1024 {
            *self = Self::default();
        } else {
            self.list.clear();
            self.by_content.clear();
        }
    }

    /// The messages of all buckets.
    pub(super) fn encode<L: LocRib>(
        &self,
        family: Family,
        loc_rib: &L,
        exported: &[Exported],
        encoder: &mut UpdateEncoder,
    ) -> Messages {
        let mut messages = Messages {
            bytes: Vec::with_capacity(self.list.len()),
            buckets: Vec::with_capacity(self.list.len()),
        };
        for (number, bucket) in self.list.iter().enumerate() {
            let announced = bucket
                .announced
                .and_then(|number| exported.get(number as usize));
            let out = |message| {
                messages.bytes.push(message);
                messages.buckets.push(number);
            };
            if family == Family::IPV4_UNICAST {
                encode_bucket::<Ipv4Net, L>(bucket, announced, loc_rib, encoder, out);
            } else {
                encode_bucket::<Ipv6Net, L>(bucket, announced, loc_rib, encoder, out);
            }
        }
        messages
    }
}

/// The identifier of the one path that we tell of a prefix where ADD-PATH is negotiated. Not 0, which some speakers take
/// for "all paths" in a withdrawal.
const OUR_PATH: PathId = PathId(1);

fn encode_bucket<P: RoutePrefix, L: LocRib>(
    bucket: &Bucket,
    announced: Option<&Exported>,
    loc_rib: &L,
    encoder: &mut UpdateEncoder,
    mut out: impl FnMut(Bytes),
) {
    let add_path = encoder
        .codec()
        .family(P::FAMILY)
        .is_some_and(|codec| codec.add_path_send);
    let path_id = if add_path { OUR_PATH } else { PathId::NONE };
    let nlri = || {
        let prefixes = bucket
            .slots
            .iter()
            .filter_map(|slot| P::from_net(loc_rib.prefix(P::FAMILY, *slot)?));
        prefixes.map(|prefix| Nlri { prefix, path_id })
    };
    let done = match announced {
        Some(exported) => encoder.reach(&exported.set, exported.next_hop, nlri(), &mut out),
        None => encoder.unreach(nlri(), &mut out),
    };
    if let Err(error) = done {
        // The rules let nothing through that cannot be encoded, so this is a fault of ours. Peers must not keep what
        // was there before.
        tracing::error!(%error, family = %P::FAMILY, "routes could not be encoded and are withdrawn");
        // Fails only without the family, and then there is nothing to withdraw.
        let _ = encoder.unreach(nlri(), out);
    }
}

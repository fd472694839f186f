//! Staged changes, grouped by attributes and recipients, so that one message holds as many prefixes as fit, and the
//! messages for the same recipients are contiguous in few large pieces.

use std::hash::Hash;
use std::ops::Range;

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

/// Which of the recipients of a step are sent a message.
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

/// Prefixes with the same change for the same recipients.
#[derive(Debug)]
struct Bucket {
    /// A place in [`Buckets::audiences`].
    audience: u32,
    digest: Option<Digest>,
    /// What is announced; `None`: the prefixes are withdrawn. A number that the stager gave.
    announced: Option<u32>,
    slots: SmallVec<[Slot; 6]>,
}

/// The buckets of one step of one family.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    list: Vec<Bucket>,
    by_content: HashMap<(Option<Digest>, u32), usize, RandomState>,
    audiences: Vec<Audience>,
    by_audience: HashMap<Audience, u32, RandomState>,
    /// The bucket that was added to last: the next slot is often for it too.
    latest: usize,
}

/// A piece ends with the message that reaches this size. Large enough to make the cost per piece negligible, and small
/// enough that a KEEPALIVE, which is sent between two of them, does not wait.
///
/// Tests have few routes, and a peer has to be able to take some pieces and refuse others.
const PIECE: usize = if cfg!(test) { 64 } else { 32 * 1024 };

/// Whole messages for one audience.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) audience: Audience,
    /// The buckets that it is of, as places in [`Pieces::order`].
    buckets: Range<usize>,
}

/// Encoded buckets. Those of one audience follow each other; no two audiences that share a recipient are sent the same
/// slot.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) list: Vec<Piece>,
    order: Vec<u32>,
}

impl Pieces {
    /// The slots that a piece is about.
    pub(super) fn slots<'a>(
        &'a self,
        piece: &Piece,
        buckets: &'a Buckets,
    ) -> impl Iterator<Item = Slot> + 'a {
        let numbers = self.order[piece.buckets.clone()].iter();
        numbers.flat_map(|number| buckets.list[*number as usize].slots.iter().copied())
    }
}

impl Buckets {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn announce(&mut self, digest: Digest, number: u32, audience: Audience, slot: Slot) {
        self.put(Some((digest, number)), audience, slot);
    }

    pub(super) fn withdraw(&mut self, audience: Audience, slot: Slot) {
        self.put(None, audience, slot);
    }

    fn put(&mut self, announced: Option<(Digest, u32)>, audience: Audience, slot: Slot) {
        let digest = announced.map(|(digest, _)| digest);
        let latest = self.list.get_mut(self.latest).filter(|latest| {
            latest.digest == digest && self.audiences[latest.audience as usize] == audience
        });
        if let Some(latest) = latest {
            latest.slots.push(slot);
            return;
        }
        let audience = self.audience(audience);
        let list = &mut self.list;
        self.latest = *self
            .by_content
            .entry((digest, audience))
            .or_insert_with(|| {
                list.push(Bucket {
                    audience,
                    digest,
                    announced: announced.map(|(_, number)| number),
                    slots: SmallVec::new(),
                });
                list.len() - 1
            });
        self.list[self.latest].slots.push(slot);
    }

    fn audience(&mut self, audience: Audience) -> u32 {
        let audiences = &mut self.audiences;
        *self.by_audience.entry(audience).or_insert_with(|| {
            audiences.push(audience);
            audiences.len() as u32 - 1
        })
    }

    /// Forgets the buckets. Memory of an unusually large step is given back.
    pub(super) fn clear(&mut self) {
        if self.list.capacity() > 16 * 1024 {
            *self = Self::default();
        } else {
            self.list.clear();
            self.by_content.clear();
            self.audiences.clear();
            self.by_audience.clear();
            self.latest = 0;
        }
    }

    /// Encodes all buckets.
    pub(super) fn encode<L: LocRib>(
        &self,
        family: Family,
        loc_rib: &L,
        exported: &[Exported],
        encoder: &mut UpdateEncoder,
    ) -> Pieces {
        let mut pieces = Pieces {
            list: Vec::new(),
            order: (0..self.list.len() as u32).collect(),
        };
        pieces
            .order
            .sort_by_key(|number| self.list[*number as usize].audience);
        let mut start = 0;
        for (place, number) in pieces.order.iter().enumerate() {
            let bucket = &self.list[*number as usize];
            let announced = bucket
                .announced
                .and_then(|number| exported.get(number as usize));
            if family == Family::IPV4_UNICAST {
                encode_bucket::<Ipv4Net, L>(bucket, announced, loc_rib, encoder);
            } else {
                encode_bucket::<Ipv6Net, L>(bucket, announced, loc_rib, encoder);
            }
            let next = pieces.order.get(place + 1);
            let goes_on = next.is_some_and(|n| self.list[*n as usize].audience == bucket.audience);
            if !goes_on || encoder.waiting() >= PIECE {
                pieces.list.push(Piece {
                    bytes: encoder.take(),
                    audience: self.audiences[bucket.audience as usize],
                    buckets: start..place + 1,
                });
                start = place + 1;
            }
        }
        pieces
    }
}

/// The identifier of the one path that we advertise for a prefix if ADD-PATH is negotiated. Not 0, which some speakers
/// treat as "all paths" in a withdrawal.
const OUR_PATH: PathId = PathId(1);

fn encode_bucket<P: RoutePrefix, L: LocRib>(
    bucket: &Bucket,
    announced: Option<&Exported>,
    loc_rib: &L,
    encoder: &mut UpdateEncoder,
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
        Some(exported) => encoder.put_reach(exported.set.as_set_ref(), exported.next_hop, nlri()),
        None => encoder.put_unreach(nlri()),
    };
    if let Err(error) = done {
        // The rules let nothing through that cannot be encoded, so this is a fault of ours. Peers must not keep what
        // was there before.
        tracing::error!(%error, family = %P::FAMILY, "routes could not be encoded and are withdrawn");
        // Fails only without the family, and then there is nothing to withdraw.
        let _ = encoder.put_unreach(nlri());
    }
}

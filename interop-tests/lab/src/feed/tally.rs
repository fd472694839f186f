//! What a receiver has heard as a few numbers, for a thousand receivers of a large table, whose octets would fill the
//! memory.
//!
//! Each route is a number made from its prefix and everything that it carries, and their sum does not depend on the
//! order in which, or the messages with which, they come. It is taken while octets come in: a look at each message and
//! some nanoseconds for each prefix. It is valid only for a table in which each prefix occurs once: a receiver that
//! receives one twice, or a withdrawal, does not count as right.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::expect::{Got, of_route};
use super::heard::{HEADER, length_of, message_at};
use super::wire::{Parts, count};
use crate::raw::{NOTIFICATION, UPDATE};

/// What has come on a session, in numbers.
#[derive(Debug, Default)]
pub struct Tally {
    /// The beginning of a message whose end has not come.
    partial: Vec<u8>,
    /// Prefixes announced so far, each as often as it was.
    pub announced: u64,
    /// Prefixes withdrawn so far, likewise.
    pub withdrawn: u64,
    sum: u64,
    /// When the last prefix came.
    last: Option<Instant>,
}

/// What attribute sets say, known by their octets: equal ones need no second reading. One for all receivers.
#[derive(Debug, Default)]
pub(super) struct Sets {
    known: HashMap<u64, Got, RandomState>,
    hasher: RandomState,
}

impl Sets {
    fn of(&mut self, parts: &Parts<'_>) -> Result<Got> {
        let fingerprint = parts.fingerprint(&self.hasher)?;
        let mut got = match self.known.get(&fingerprint) {
            Some(&got) => got,
            None => {
                let got = Got::of(&parts.read()?);
                self.known.insert(fingerprint, got);
                got
            }
        };
        // It is no part of the fingerprint.
        if let Some(hop) = parts.reach_hop {
            got.next_hop = hop.into();
        }
        Ok(got)
    }
}

impl Tally {
    /// Takes in octets that came at `now`.
    ///
    /// # Errors
    /// They hold a NOTIFICATION, or something that is no message.
    pub(super) fn take_in(&mut self, octets: &[u8], now: Instant, sets: &mut Sets) -> Result<()> {
        let mut rest = octets;
        while !self.partial.is_empty() {
            // The header first: then it is known how long the message is.
            let length = length_of(&self.partial)?.unwrap_or(HEADER);
            let missing = length.saturating_sub(self.partial.len()).min(rest.len());
            let (part, after) = rest.split_at(missing);
            self.partial.extend_from_slice(part);
            rest = after;
            let whole = std::mem::take(&mut self.partial);
            match message_at(&whole, 0)? {
                Some((kind, body)) => self.message(kind, body, now, sets)?,
                None => {
                    self.partial = whole;
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
        let mut at = 0;
        while let Some((kind, body)) = message_at(rest, at)? {
            at += HEADER + body.len();
            self.message(kind, body, now, sets)?;
        }
        self.partial.extend_from_slice(&rest[at..]);
        Ok(())
    }

    fn message(&mut self, kind: u8, body: &[u8], now: Instant, sets: &mut Sets) -> Result<()> {
        match kind {
            UPDATE => {
                let parts = Parts::of(body)?;
                let gone = count(parts.withdrawn) + count(parts.unreach);
                let mut carries = None;
                for prefix in parts.routes() {
                    let carries = match carries {
                        Some(carries) => carries,
                        None => *carries.insert(sets.of(&parts)?.number()),
                    };
                    self.sum = self.sum.wrapping_add(of_route(prefix?.into(), carries));
                    self.announced += 1;
                }
                self.withdrawn += gone;
                // End-of-RIB changes no table.
                if gone > 0 || carries.is_some() {
                    self.last = Some(now);
                }
            }
            NOTIFICATION => bail!("the subject sent a NOTIFICATION: {body:?}"),
            _ => {}
        }
        Ok(())
    }

    /// Since when the table is the one of the digest; `None` while it is not.
    pub(super) fn right_since(&self, digest: Digest) -> Option<Instant> {
        self.verdict(digest).ok().and(self.last)
    }

    /// Succeeds if the table is the one of the digest.
    ///
    /// # Errors
    /// It is not, or may not be: why.
    pub(super) fn verdict(&self, Digest { prefixes, sum }: Digest) -> Result<()> {
        let (announced, withdrawn) = (self.announced, self.withdrawn);
        ensure!(
            announced >= prefixes,
            "{} of {prefixes} prefixes are missing",
            prefixes - announced
        );
        ensure!(
            announced == prefixes && withdrawn == 0,
            "{announced} announcements and {withdrawn} withdrawals of {prefixes} prefixes: a digest says nothing about prefixes that \
             come more than once"
        );
        ensure!(
            self.sum == sum,
            "some prefix, or what it carries, is another than expected"
        );
        Ok(())
    }
}

/// A table in two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many prefixes it has.
    pub(super) prefixes: u64,
    /// The sum of its routes' numbers.
    pub(super) sum: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::feed::encode;
    use crate::feed::{Attributes, Expectation, Table};
    use crate::speaker::Family;

    fn sent(family: Family, block: usize) -> Attributes {
        let hop = match family {
            Family::Ipv4 => "10.1.0.2",
            Family::Ipv6 => "fd00:1::2",
        };
        Attributes::of_block(block, 64601, hop.parse().unwrap())
    }

    fn digest(table: &Table) -> Digest {
        let mut expected = Expectation::new(&[]);
        for block in 0..table.blocks() {
            let attributes = sent(table.family(), block);
            expected.add(table.block(block), attributes, 0).unwrap();
        }
        expected.digest()
    }

    fn tally(messages: &[Vec<u8>], piece: usize) -> Tally {
        let (mut tally, mut sets) = (Tally::default(), Sets::default());
        for some in messages.concat().chunks(piece) {
            tally.take_in(some, Instant::now(), &mut sets).unwrap();
        }
        assert!(tally.partial.is_empty());
        tally
    }

    /// A message or more for each block.
    fn messages(table: &Table) -> Vec<Vec<u8>> {
        let block = |number| encode::announce(&sent(table.family(), number), table.block(number));
        (0..table.blocks()).map(block).collect()
    }

    #[test]
    fn the_order_of_routes_their_messages_and_the_pieces_of_the_stream_do_not_matter() {
        for family in Family::ALL {
            let table = Table::made_up(family, 1000);
            let digest = digest(&table);
            let mut all = messages(&table);
            for piece in [1, 7, 19, 20, 1000, 1 << 20] {
                assert!(tally(&all, piece).right_since(digest).is_some(), "{piece}");
            }
            all.reverse();
            // One message for each prefix instead of one for all.
            let first = table.block(0).iter();
            let first = first.map(|&prefix| encode::announce(&sent(family, 0), &[prefix]));
            let last = all.len() - 1;
            all[last] = first.flatten().collect();
            all.push(encode::end_of_ribs(&Family::ALL));
            assert!(tally(&all, 500).right_since(digest).is_some());
        }
    }

    #[test]
    fn one_route_that_differs_or_is_missing_or_comes_twice_shows() {
        for family in Family::ALL {
            let table = Table::made_up(family, 1000);
            let digest = digest(&table);
            let all = messages(&table);
            let error = |messages: &[Vec<u8>]| {
                let tally = tally(messages, 500);
                assert_eq!(tally.right_since(digest), None);
                tally.verdict(digest).unwrap_err().to_string()
            };
            assert!(error(&all[1..]).contains("missing"));
            assert!(error(&[&all[..], &all[..1]].concat()).contains("more than once"));
            let mut other_hop = sent(family, 0);
            other_hop.next_hop = match family {
                Family::Ipv4 => "10.1.0.3".parse().unwrap(),
                Family::Ipv6 => "fd00:1::3".parse().unwrap(),
            };
            let mut other_path = sent(family, 0);
            other_path.as_path.push(1);
            for attributes in [other_hop, other_path] {
                let mut changed = all.clone();
                changed[0] = encode::announce(&attributes, table.block(0));
                assert!(error(&changed).contains("another than expected"));
            }
            // What two blocks carry is exchanged.
            let mut changed = all.clone();
            changed[0] = encode::announce(&sent(family, 1), table.block(0));
            changed[1] = encode::announce(&sent(family, 0), table.block(1));
            assert!(error(&changed).contains("another than expected"));
            let withdrawn = encode::withdraw(table.block(0));
            assert!(error(&[&all[..], &[withdrawn]].concat()).contains("1000 announcements and "));
        }
    }
}

//! UPDATEs of one peer for the owner of the routes, in a constant number of allocations.
//!
//! The decoded values are contiguous: the attributes of all messages in one list of octets, the prefixes of a family in
//! one list, and a list of parts that groups them, in the order of the wire. The owner can load all prefixes before it
//! processes the first message, which hides memory latency.

use std::ops::Range;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::types::{Family, NextHop, Nlri, NlriList};
use crate::wire::{AttributeSetRef, Update};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct UpdateBatch {
    octets: Vec<u8>,
    next_hops: Vec<NextHop>,
    ipv4: Vec<Nlri<Ipv4Net>>,
    ipv6: Vec<Nlri<Ipv6Net>>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Unreach(Routes),
    Reach {
        octets: Range<usize>,
        /// A place in `next_hops`.
        next_hop: usize,
        routes: Routes,
    },
    EndOfRib(Family),
}

/// A part of a batch's list of a family's prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// A part of [`UpdateBatch::ipv4`].
    Ipv4(Range<usize>),
    /// A part of [`UpdateBatch::ipv6`].
    Ipv6(Range<usize>),
}

/// What a message said of some prefixes, or in their place.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchPart<'a> {
    /// These prefixes are withdrawn.
    Unreach(Routes),
    /// These prefixes are announced.
    Reach {
        /// With these path attributes.
        attributes: AttributeSetRef<'a>,
        /// By this next hop.
        next_hop: &'a NextHop,
        /// Which ones.
        routes: Routes,
    },
    /// The initial dump or refresh of the family ends (RFC 4724 section 2).
    EndOfRib(Family),
}

impl UpdateBatch {
    /// Whether nothing was said.
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many prefixes there are, announced and withdrawn.
    pub const fn prefixes(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// All IPv4 prefixes, in the order of the wire.
    pub fn ipv4(&self) -> &[Nlri<Ipv4Net>] {
        &self.ipv4
    }

    /// All IPv6 prefixes, in the order of the wire.
    pub fn ipv6(&self) -> &[Nlri<Ipv6Net>] {
        &self.ipv6
    }

    /// Adds what a message says. Its faults are the business of who decoded it.
    pub fn push(&mut self, update: &Update) {
        // RFC 4271 section 4.3: a prefix in both lists is announced.
        for list in &update.unreach {
            let routes = self.routes(list);
            self.parts.push(Part::Unreach(routes));
        }
        let start = self.octets.len();
        self.octets.extend_from_slice(update.attributes.as_bytes());
        let octets = start..self.octets.len();
        for reach in &update.reach {
            if self.next_hops.last() != Some(&reach.next_hop) {
                self.next_hops.push(reach.next_hop);
            }
            let routes = self.routes(&reach.nlri);
            self.parts.push(Part::Reach {
                octets: octets.clone(),
                next_hop: self.next_hops.len() - 1,
                routes,
            });
        }
        self.parts.extend(update.end_of_rib.map(Part::EndOfRib));
    }

    fn routes(&mut self, list: &NlriList) -> Routes {
        match list {
            NlriList::Ipv4(list) => Routes::Ipv4(append(&mut self.ipv4, list)),
            NlriList::Ipv6(list) => Routes::Ipv6(append(&mut self.ipv6, list)),
        }
    }

    /// Attributes and next hop of each [`BatchPart::Reach`], in their order.
    pub fn sets(&self) -> impl Iterator<Item = (AttributeSetRef<'_>, &NextHop)> {
        self.parts().filter_map(|part| match part {
            BatchPart::Reach {
                attributes,
                next_hop,
                ..
            } => Some((attributes, next_hop)),
            _ => None,
        })
    }

    /// What the messages said, in their order.
    pub fn parts(&self) -> impl Iterator<Item = BatchPart<'_>> {
        self.parts.iter().map(|part| match part {
            Part::Unreach(routes) => BatchPart::Unreach(routes.clone()),
            Part::Reach {
                octets,
                next_hop,
                routes,
            } => BatchPart::Reach {
                attributes: AttributeSetRef::from_canonical(&self.octets[octets.clone()]),
                next_hop: &self.next_hops[*next_hop],
                routes: routes.clone(),
            },
            Part::EndOfRib(family) => BatchPart::EndOfRib(*family),
        })
    }
}

impl From<&Update> for UpdateBatch {
    fn from(update: &Update) -> Self {
        let mut batch = Self::default();
        batch.push(update);
        batch
    }
}

fn append<T: Clone>(all: &mut Vec<T>, some: &[T]) -> Range<usize> {
    let start = all.len();
    all.extend_from_slice(some);
    start..all.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Asn;
    use crate::wire::attribute::AsPath;
    use crate::wire::{AttributeSet, PathAttributes, Reach};

    fn nlri(prefix: &str) -> Nlri<Ipv4Net> {
        Nlri::new(prefix.parse().unwrap())
    }

    #[test]
    fn parts_come_out_in_the_order_of_the_wire_with_what_belongs_to_them() {
        let next_hop = |octet| NextHop::Ipv4([192, 0, 2, octet].into());
        let set = |asn| {
            let as_path = AsPath::sequence([Asn(asn)]);
            AttributeSet::from_attributes(&PathAttributes {
                as_path,
                ..PathAttributes::default()
            })
            .unwrap()
        };
        let update = |asn, octet, prefix| Update {
            attributes: set(asn),
            reach: [Reach {
                next_hop: next_hop(octet),
                nlri: NlriList::Ipv4(vec![nlri(prefix)]),
            }]
            .into_iter()
            .collect(),
            ..Update::default()
        };
        let mut batch = UpdateBatch::default();
        assert!(batch.is_empty());
        let mut both = update(1, 1, "10.1.0.0/16");
        both.unreach.push(NlriList::Ipv4(vec![
            nlri("10.1.0.0/16"),
            nlri("10.2.0.0/16"),
        ]));
        batch.push(&both);
        batch.push(&update(2, 1, "10.3.0.0/16"));
        batch.push(&update(3, 2, "10.4.0.0/16"));
        batch.push(&Update {
            end_of_rib: Some(Family::IPV4_UNICAST),
            ..Update::default()
        });
        let sets = [set(1), set(2), set(3)];
        let reach = |number: usize, octet: u8, at: usize| {
            (sets[number].as_set_ref(), next_hop(octet), at..at + 1)
        };
        let mut wanted = [reach(0, 1, 2), reach(1, 1, 3), reach(2, 2, 4)].into_iter();
        for (at, part) in batch.parts().enumerate() {
            match part {
                BatchPart::Unreach(routes) => {
                    assert_eq!((at, routes), (0, Routes::Ipv4(0..2)));
                }
                BatchPart::Reach {
                    attributes,
                    next_hop,
                    routes,
                } => {
                    let (set, hop, range) = wanted.next().unwrap();
                    assert_eq!(
                        (attributes, *next_hop, routes),
                        (set, hop, Routes::Ipv4(range))
                    );
                }
                BatchPart::EndOfRib(family) => {
                    assert_eq!((at, family), (4, Family::IPV4_UNICAST));
                }
            }
        }
        assert_eq!(wanted.next(), None);
        assert_eq!(batch.ipv4().len(), 5);
        let found: Vec<_> = batch.sets().map(|(set, hop)| (set, *hop)).collect();
        let hops = [1, 1, 2].map(next_hop);
        let expected: Vec<_> = sets
            .iter()
            .map(AttributeSet::as_set_ref)
            .zip(hops)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_families_stand_in_lists_of_their_own() {
        let nlri6 = |prefix: &str| Nlri::<Ipv6Net>::new(prefix.parse().unwrap());
        let mut batch = UpdateBatch::default();
        for number in 0..2 {
            let (v4, v6) = (
                format!("10.{number}.0.0/16"),
                format!("2001:db8:{number}::/48"),
            );
            batch.push(&Update {
                unreach: [
                    NlriList::Ipv4(vec![nlri(&v4)]),
                    NlriList::Ipv6(vec![nlri6(&v6)]),
                ]
                .into_iter()
                .collect(),
                ..Update::default()
            });
        }
        assert_eq!(batch.ipv4(), [nlri("10.0.0.0/16"), nlri("10.1.0.0/16")]);
        assert_eq!(
            batch.ipv6(),
            [nlri6("2001:db8:0::/48"), nlri6("2001:db8:1::/48")]
        );
        let parts = [
            Routes::Ipv4(0..1),
            Routes::Ipv6(0..1),
            Routes::Ipv4(1..2),
            Routes::Ipv6(1..2),
        ];
        assert!(batch.parts().eq(parts.map(BatchPart::Unreach)));
    }

    #[test]
    fn a_batch_of_one_message_holds_that_message() {
        let update = Update {
            unreach: [NlriList::Ipv4(vec![nlri("10.0.0.0/8")])]
                .into_iter()
                .collect(),
            end_of_rib: Some(Family::IPV6_UNICAST),
            ..Update::default()
        };
        let batch = UpdateBatch::from(&update);
        assert!(!batch.is_empty());
        assert_eq!(batch.ipv4(), [nlri("10.0.0.0/8")]);
        assert_eq!(batch.ipv6(), []);
        let parts = [
            BatchPart::Unreach(Routes::Ipv4(0..1)),
            BatchPart::EndOfRib(Family::IPV6_UNICAST),
        ];
        assert!(batch.parts().eq(parts));
        assert_eq!(batch.sets().count(), 0);
    }
}

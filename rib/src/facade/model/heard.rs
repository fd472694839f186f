//! The peers' side: what each has heard in its session, decoded from the bytes that were sent to it.

use std::collections::BTreeMap;

use bgp::types::{Family, NextHop, NlriList};
use bgp::wire::attribute::AttributeFilter;
use bgp::wire::{
    AttributeSet, Framer, MessageKind, PeerKind as WireKind, UpdateCodec, decode_update,
};
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;

use super::PEERS;
use crate::export::{Full, Transport};
use crate::facade::{Rib, RoutesCursor};
use crate::peer::{PeerId, PeerKind};

type Routes = BTreeMap<IpNet, (AttributeSet, NextHop)>;

/// Takes everything.
#[derive(Default)]
pub(crate) struct Heard(BTreeMap<PeerId, Routes>);

impl Heard {
    /// A new session knows nothing of the last one.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }

    /// Every peer with a session has heard what the rules say of the routes as they are now, and nothing else.
    pub(crate) fn check(&self, rib: &Rib) {
        for (peer, _) in rib.peers.iter().filter(|(_, peer)| peer.session.is_some()) {
            let mut expected = Routes::new();
            for family in Family::ALL {
                let all = (u32::MAX, usize::MAX);
                let cursor = RoutesCursor::default();
                let end = rib.advertised(*peer, family, cursor, all, |prefix, told| {
                    expected.insert(prefix, (told.attributes, told.next_hop));
                });
                assert_eq!(end, None);
            }
            let heard = self.0.get(peer).cloned().unwrap_or_default();
            assert_eq!(heard, expected, "{peer:?}");
        }
    }
}

impl Transport for Heard {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        let kind = match PEERS[peer.0 as usize].1 {
            PeerKind::External => WireKind::External,
            _ => WireKind::Internal,
        };
        // As the sessions of these tests are negotiated.
        let codec = UpdateCodec {
            four_octet_as: false,
            // What the peer was sent is looked at, not what it would make of it.
            filtered: AttributeFilter {
                accept: AttributeFilter::ACCEPTABLE,
                ..AttributeFilter::DEFAULT
            }
            .received_from(kind),
            ..UpdateCodec::plain(kind)
        };
        let routes = self.0.entry(peer).or_default();
        let mut buffer = BytesMut::from(&messages[..]);
        while let Some(frame) = Framer::new().next(&mut buffer).unwrap() {
            if frame.kind != MessageKind::Update {
                continue;
            }
            let update = decode_update(&frame.body, &codec);
            assert!(update.faults.is_empty(), "{:?}", update.faults);
            for prefix in update.unreach.iter().flat_map(prefixes) {
                routes.remove(&prefix);
            }
            for reach in &update.reach {
                let told = (update.attributes.clone(), reach.next_hop);
                routes.extend(prefixes(&reach.nlri).into_iter().map(|p| (p, told.clone())));
            }
        }
        Ok(())
    }
}

fn prefixes(list: &NlriList) -> Vec<IpNet> {
    match list {
        NlriList::Ipv4(list) => list.iter().map(|nlri| nlri.prefix.into()).collect(),
        NlriList::Ipv6(list) => list.iter().map(|nlri| nlri.prefix.into()).collect(),
    }
}

//! 89,679 real UPDATEs of one full feed: every one decodes, and means the same after it went through every form.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use bgp::types::{NextHop, NlriList, PathId};
use bgp::wire::{PeerKind, Update, UpdateCodec, UpdateEncoder, decode_update};
use ipnet::IpNet;

use common::{check_invariants, frames, real_updates};

fn encode(codec: UpdateCodec, update: &Update) -> Vec<u8> {
    let mut encoder = UpdateEncoder::new(codec);
    let mut stream = Vec::new();
    for reach in &update.reach {
        encoder
            .reach_list(&update.attributes, reach.next_hop, &reach.nlri, |message| {
                stream.extend_from_slice(&message);
            })
            .unwrap();
    }
    for nlri in &update.unreach {
        encoder
            .unreach_list(nlri, |message| stream.extend_from_slice(&message))
            .unwrap();
    }
    if let Some(family) = update.end_of_rib {
        stream.extend_from_slice(&encoder.end_of_rib(family));
    }
    stream
}

/// Several messages taken together.
fn joined(parts: impl IntoIterator<Item = Update>) -> Update {
    let mut all = Update::default();
    for part in parts {
        if !part.reach.is_empty() {
            all.attributes = part.attributes;
        }
        all.reach.extend(part.reach);
        for nlri in part.unreach {
            match (all.unreach.last_mut(), nlri) {
                (Some(NlriList::Ipv4(all)), NlriList::Ipv4(more)) => all.extend(more),
                (_, nlri) => all.unreach.push(nlri),
            }
        }
        all.end_of_rib = all.end_of_rib.or(part.end_of_rib);
        all.faults.extend(part.faults);
    }
    all
}

#[test]
fn every_real_update_decodes_and_keeps_its_meaning_in_every_encoding() {
    let Some(bodies) = real_updates() else { return };
    assert_eq!(bodies.len(), 89_679);
    let plain = UpdateCodec::plain(PeerKind::Internal);
    let old = UpdateCodec {
        four_octet_as: false,
        ..plain
    };
    let (mut announced, mut withdrawn, mut wide) = (0, 0, 0);
    let mut faults = BTreeMap::new();
    for octets in &bodies {
        let update = decode_update(octets, &plain);
        check_invariants(&update);
        for fault in &update.faults {
            *faults.entry(fault.to_string()).or_insert(0) += 1;
        }
        announced += update
            .reach
            .iter()
            .map(|reach| reach.nlri.len())
            .sum::<usize>();
        withdrawn += update.unreach.iter().map(NlriList::len).sum::<usize>();
        wide += usize::from(update.attributes.as_path().asns().any(|asn| asn.0 > 0xffff));
        for codec in [plain, old] {
            let stream = encode(codec, &update);
            let again = frames(&stream, false);
            // Room for AS4_PATH may split what was full.
            let again = joined(again.iter().map(|frame| decode_update(&frame.body, &codec)));
            assert_eq!(again.faults, []);
            let (prefixes, prefixes_again) = (sorted(&update), sorted(&again));
            assert_eq!(prefixes_again, prefixes);
            assert_eq!(again.attributes, update.attributes);
        }
    }
    assert_eq!((announced, withdrawn, wide), (577_733, 7, 13_444));
    // What the feed holds of AS 0 is what RFC 7607 forbids. Nothing else is wrong with it.
    let expected = [
        ("AGGREGATOR: AS 0 must not be used (attribute discarded)", 3),
        (
            "AS_PATH: AS 0 must not be used (routes treated as withdrawn)",
            1,
        ),
    ];
    assert_eq!(
        faults,
        BTreeMap::from(expected.map(|(text, count)| (text.to_owned(), count)))
    );
}

type Route = (Option<NextHop>, IpNet, PathId);

fn sorted(update: &Update) -> Vec<Route> {
    let reach = update
        .reach
        .iter()
        .map(|reach| (Some(reach.next_hop), &reach.nlri));
    let unreach = update.unreach.iter().map(|nlri| (None, nlri));
    let mut all = Vec::new();
    for (next_hop, nlri) in reach.chain(unreach) {
        all.extend(
            common::nets(nlri)
                .into_iter()
                .map(|(net, id)| (next_hop, net, id)),
        );
    }
    all.sort();
    all
}

//! The body of an UPDATE, read under one codec and written under another.

use bytes::Bytes;
use ipnet::IpNet;

use super::Octets;
use crate::types::{Asn, Nlri, NlriList, PathId, RoutePrefix};
use crate::wire::attribute::AttributeFilter;
use crate::wire::{
    AttributeSet, EncodeError, FamilyCodec, HEADER, Outcome, PathAttributes, PeerKind, Update,
    UpdateCodec, UpdateEncoder, decode_update,
};

/// The partial bit of an attribute's flags.
const PARTIAL: u8 = 0x20;

/// Whatever the octets: decoding does not panic, what is left is canonical and has no routes where it must not, and
/// routes that are passed on to a peer of another codec arrive there with the attributes that this peer may see.
pub fn update(data: &[u8]) {
    let mut octets = Octets(data);
    let (from, to) = (octets.octet(), octets.octet());
    let mut codec_from = codec(from & 0x7f);
    codec_from.first_as = (from & 0x80 != 0).then_some(Asn(65000));
    let received = decode_update(&Bytes::copy_from_slice(octets.rest()), &codec_from);
    check(&received);
    if received.reset().is_some() {
        return;
    }
    let mut codec_to = codec(to & 0x7f);
    codec_to.extended_message = to & 0x80 != 0;
    pass_on(leaving(received, &codec_to), codec_to);
}

/// What the export rules do before anything is written to an external peer: confederations stay inside (RFC 5065).
fn leaving(mut update: Update, codec: &UpdateCodec) -> Update {
    if codec.peer == PeerKind::External && !update.reach.is_empty() {
        let mut attributes = update.attributes.parse();
        attributes.as_path.remove_confederation();
        update.attributes = AttributeSet::from_attributes(&attributes).expect("it became shorter");
    }
    update
}

/// What seven bits choose, so that the corpus covers every codec.
pub(super) fn codec(choice: u8) -> UpdateCodec {
    let bit = |at: u8| choice & (1 << at) != 0;
    let family = |add_path| FamilyCodec {
        add_path_receive: add_path,
        add_path_send: add_path,
        ..FamilyCodec::PLAIN
    };
    UpdateCodec {
        peer: if bit(0) {
            PeerKind::External
        } else {
            PeerKind::Internal
        },
        four_octet_as: bit(1),
        extended_message: true,
        first_as: None,
        // What is discarded from external peers by default is read, too.
        filtered: AttributeFilter {
            accept: AttributeFilter::ACCEPTABLE,
            ..AttributeFilter::DEFAULT
        }
        .received_from(PeerKind::External),
        ipv4: FamilyCodec {
            extended_next_hop: bit(3),
            negotiated: !bit(5),
            ..family(bit(2))
        },
        ipv6: FamilyCodec {
            negotiated: !bit(6),
            ..family(bit(4))
        },
    }
}

/// What holds of every decoded UPDATE.
fn check(update: &Update) {
    let strongest = update.outcome();
    let reset = strongest == Some(Outcome::SessionReset);
    assert_eq!(update.reset().is_some(), reset);
    if reset {
        assert!(update.unreach.is_empty() && update.end_of_rib.is_none());
    }
    if strongest >= Some(Outcome::TreatAsWithdraw) {
        assert!(update.reach.is_empty());
    }
    assert_eq!(update.reach.is_empty(), update.attributes.is_empty());
    if update.end_of_rib.is_some() {
        assert!(update.reach.is_empty() && update.unreach.is_empty());
    }
    assert!(update.reach.iter().all(|reach| !reach.nlri.is_empty()));
    if !update.attributes.is_empty() {
        let again = AttributeSet::from_attributes(&update.attributes.parse());
        assert_eq!(again.as_ref(), Ok(&update.attributes));
    }
    for fault in &update.faults {
        assert_eq!(fault.notification().code, fault.code);
    }
}

/// Writes what was received for a peer of `codec` and reads it as that peer does.
fn pass_on(received: Update, codec: UpdateCodec) {
    let mut encoder = UpdateEncoder::new(codec);
    let seen = as_seen(received.attributes.parse(), &codec);
    for reach in &received.reach {
        let mut arrived = Vec::new();
        let result = encoder.reach_list(
            &received.attributes,
            reach.next_hop,
            &reach.nlri,
            |message| {
                let update = read(&message, &codec);
                assert_eq!(as_seen(update.attributes.parse(), &codec), seen);
                for found in &update.reach {
                    assert_eq!(found.next_hop, reach.next_hop);
                    arrived.extend(routes(&found.nlri, true));
                }
            },
        );
        match result {
            Ok(()) => assert_eq!(
                arrived,
                routes(&reach.nlri, adds_paths(&reach.nlri, &codec))
            ),
            Err(EncodeError::TooLarge { octets, max }) => {
                assert!(octets > max && arrived.is_empty());
            }
            Err(_) => assert!(arrived.is_empty()),
        }
    }
    for list in &received.unreach {
        let mut arrived = Vec::new();
        let result = encoder.unreach_list(list, |message| {
            for found in &read(&message, &codec).unreach {
                arrived.extend(routes(found, true));
            }
        });
        if result.is_ok() {
            assert_eq!(arrived, routes(list, adds_paths(list, &codec)));
        }
    }
}

/// A message that was written here, as its receiver reads it.
fn read(message: &Bytes, codec: &UpdateCodec) -> Update {
    assert!(message.len() <= codec.max_message());
    let update = decode_update(&message.slice(HEADER..), codec);
    check(&update);
    assert!(update.faults.is_empty(), "{:?}", update.faults);
    update
}

/// What a peer of this codec sees of a route's attributes.
fn as_seen(mut attributes: PathAttributes, codec: &UpdateCodec) -> PathAttributes {
    if codec.peer == PeerKind::External {
        attributes.local_pref = None;
        attributes.originator_id = None;
        attributes.cluster_list.clear();
    }
    if !codec.four_octet_as {
        // AS4_PATH has none, and those in the middle of AS_PATH are lost with what it replaces (RFC 6793 section 4.2.3).
        attributes.as_path.remove_confederation();
    }
    for unknown in &mut attributes.unknown {
        unknown.flags |= PARTIAL;
    }
    attributes
}

fn adds_paths(list: &NlriList, codec: &UpdateCodec) -> bool {
    match list {
        NlriList::Ipv4(_) => codec.ipv4.add_path_send,
        NlriList::Ipv6(_) => codec.ipv6.add_path_send,
    }
}

/// The routes of a list, of whichever family; without path identifiers if they are not sent.
fn routes(list: &NlriList, ids: bool) -> Vec<(IpNet, PathId)> {
    fn of<P: RoutePrefix>(list: &[Nlri<P>], ids: bool) -> Vec<(IpNet, PathId)> {
        list.iter()
            .map(|one| {
                let id = if ids { one.path_id } else { PathId::NONE };
                (one.prefix.into(), id)
            })
            .collect()
    }
    match list {
        NlriList::Ipv4(list) => of(list, ids),
        NlriList::Ipv6(list) => of(list, ids),
    }
}

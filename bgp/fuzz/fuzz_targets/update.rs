//! The body of an UPDATE under every codec: it never panics, what is left of it is canonical, and it means the same
//! after it was written and read again.

#![no_main]

use bgp::wire::attribute::AttributeFilter;
use bgp::wire::{
    AttributeSet, FamilyCodec, Outcome, PeerKind, UpdateCodec, UpdateEncoder, decode_update,
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

/// The first octet of the input chooses the codec, so that the corpus covers them all.
fn codec(choice: u8) -> UpdateCodec {
    let bit = |at: u8| choice & (1 << at) != 0;
    let family = FamilyCodec {
        negotiated: true,
        add_path_receive: bit(2),
        add_path_send: bit(2),
        extended_next_hop: false,
    };
    UpdateCodec {
        peer: if bit(0) { PeerKind::External } else { PeerKind::Internal },
        four_octet_as: bit(1),
        // What was read must also fit when it is written.
        extended_message: true,
        first_as: None,
        // What is discarded from external peers by default is read too.
        filtered: AttributeFilter {
            accept: AttributeFilter::ACCEPTABLE,
            ..AttributeFilter::DEFAULT
        }
        .received_from(PeerKind::External),
        ipv4: FamilyCodec {
            extended_next_hop: bit(3),
            ..family
        },
        ipv6: family,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let codec = codec(choice);
    let update = decode_update(&Bytes::copy_from_slice(body), &codec);
    if update.outcome() >= Some(Outcome::TreatAsWithdraw) {
        assert!(update.reach.is_empty());
    }
    if update.attributes.is_empty() {
        return;
    }
    let again = AttributeSet::from_attributes(&update.attributes.parse()).expect("it came out of a message");
    assert_eq!(again, update.attributes);
    let mut encoder = UpdateEncoder::new(codec);
    for reach in &update.reach {
        let mut length = 0;
        let result = encoder.reach_list(&update.attributes, reach.next_hop, &reach.nlri, |message| {
            let update = decode_update(&message.slice(19..), &codec);
            assert!(update.faults.is_empty(), "{:?}", update.faults);
            length += update.reach.iter().map(|reach| reach.nlri.len()).sum::<usize>();
        });
        if result.is_ok() {
            assert_eq!(length, reach.nlri.len());
        }
    }
});

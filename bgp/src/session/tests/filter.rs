//! The filter of a peer's attributes, changed while the session runs.

use bytes::{BufMut, Bytes, BytesMut};

use super::harness::{Speaker, Up, pair};
use crate::session::Event;
use crate::types::{Asn, Family};
use crate::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter};
use crate::wire::{BatchPart, RouteRefreshSubtype};

const CODE: AttributeCode = AttributeCode(99);

/// An UPDATE of 198.51.100.0/24 from this AS with an unknown transitive attribute.
fn with_unknown(asn: Asn) -> Bytes {
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1],
        &asn.0.to_be_bytes(),
        &[0x40, 3, 4, 192, 0, 2, 1],
        &[0xc0, CODE.0, 2, 7, 7],
    ]
    .concat();
    let nlri = [24, 198, 51, 100];
    let mut out = BytesMut::new();
    out.put_bytes(0xff, 16);
    out.put_u16((23 + attributes.len() + nlri.len()) as u16);
    out.put_u8(2);
    out.put_u16(0);
    out.put_u16(attributes.len() as u16);
    out.put_slice(&attributes);
    out.put_slice(&nlri);
    out.freeze()
}

/// Sends it, and says what became of the attribute at the other end: its value, if the route was announced with it.
async fn sent(from: &Up, to: &mut Speaker) -> Option<Vec<u8>> {
    let update = with_unknown(from.negotiated.local_asn);
    from.outbox.try_send(&[update]).unwrap();
    match to.event("Updates").await {
        Event::Updates {
            session, updates, ..
        } => {
            let part = updates.parts().next();
            let Some(BatchPart::Reach { attributes, .. }) = part else {
                panic!("expected an announcement on {session:?}, got {part:?}")
            };
            attributes.find(CODE).map(<[u8]>::to_vec)
        }
        other => panic!("expected Updates, got {other:?}"),
    }
}

/// The peer is asked for its routes of every family.
async fn is_asked_again(peer: &mut Speaker) {
    for family in Family::ALL {
        match peer.event("ROUTE-REFRESH").await {
            Event::RouteRefresh { refresh, .. } => {
                let asked = (refresh.family, refresh.subtype);
                assert_eq!(asked, (family, RouteRefreshSubtype::Request));
            }
            other => panic!("expected ROUTE-REFRESH, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_changed_filter_counts_for_what_follows_and_asks_for_the_rest_again() {
    let (mut a, a_handle, a_up, mut b, b_handle, _) = pair(64).await;
    let kept = Some(vec![7, 7]);
    assert_eq!(sent(&a_up, &mut b).await, kept);

    let mut settings = b.settings(&a);
    settings.session.protocol.passive = true;
    settings.session.attribute_filter = AttributeFilter {
        discard: AttributeCodes::of(&[CODE]),
        ..AttributeFilter::DEFAULT
    };
    b_handle.reconfigure(settings.clone()).unwrap();
    is_asked_again(&mut a).await;
    assert_eq!(sent(&a_up, &mut b).await, None);
    assert_eq!(sent(&a_up, &mut b).await, None);
    assert_eq!(b_handle.counters().attributes_filtered, 2);
    assert_eq!(b_handle.counters().updates_malformed, 0);

    settings.session.attribute_filter = AttributeFilter::DEFAULT;
    b_handle.reconfigure(settings.clone()).unwrap();
    is_asked_again(&mut a).await;
    assert_eq!(sent(&a_up, &mut b).await, kept);
    assert_eq!(b_handle.counters().attributes_filtered, 2);

    // A change of something else asks for nothing: what comes next is the UPDATE's answer to the next filter.
    settings.session.protocol.connect_retry *= 2;
    b_handle.reconfigure(settings.clone()).unwrap();
    settings.session.attribute_filter.treat_as_withdraw = AttributeCodes::of(&[AttributeCode(98)]);
    b_handle.reconfigure(settings).unwrap();
    is_asked_again(&mut a).await;
    let sessions = (a_handle.status().sessions, b_handle.status().sessions);
    assert_eq!(sessions, (1, 1), "no session was reset");
}

#[tokio::test]
async fn a_filter_holds_from_the_first_update_of_a_session() {
    let (mut a, mut b) = (Speaker::new(31, 64), Speaker::new(32, 64));
    let mut settings = b.settings(&a);
    settings.session.protocol.passive = true;
    settings.session.attribute_filter.discard = AttributeCodes::of(&[CODE]);
    let b_handle = b.peer(settings);
    let _a_handle = a.peer(a.settings(&b));
    let (a_up, _) = (a.up().await, b.up().await);
    assert_eq!(sent(&a_up, &mut b).await, None);
    assert_eq!(b_handle.counters().attributes_filtered, 1);
}

//! RFC 1997: NO_EXPORT, NO_ADVERTISE and NO_EXPORT_SUBCONFED bind a speaker that gives transit, for both families
//! alike.

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, RawPeer};
use interop_tests::{Family, Kind, Lab, Need, Neighbour, Speaker, Subject, eventually, run};
use support::SOON;
use support::octets::{OPTIONAL, TRANSITIVE, attribute, basics, ipv4, ipv6};
use support::segment::{Segment, v4};

const NO_EXPORT: u32 = 0xffff_ff01;
const NO_ADVERTISE: u32 = 0xffff_ff02;
const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;

/// What is told, by the last number of its prefixes, in this order: a receiver that has the last one was told all that
/// it will be told.
const TOLD: [(u8, Option<u32>); 5] = [
    (1, None),
    (2, Some(NO_EXPORT)),
    (3, Some(NO_ADVERTISE)),
    (4, Some(NO_EXPORT_SUBCONFED)),
    (5, None),
];

#[test]
fn routelet_obeys() {
    obeys(Kind::Routelet);
}

#[test]
fn the_lab_holds_for_bird2() {
    obeys(Kind::Bird2);
}

#[test]
fn the_lab_holds_for_frr8() {
    obeys(Kind::Frr8);
}

fn obeys(kind: Kind) {
    run(&[Need::Speaker(kind), Need::Speaker(Kind::Bird2)], |lab| {
        scenario(lab, kind)
    });
}

fn scenario(lab: &Lab, kind: Kind) -> Result<()> {
    let segment = Segment::new(lab)?;
    let subject = Speaker::new(64501, &v4(1))
        .neighbour(Neighbour::new(&v4(2), 64502).passive())
        .neighbour(Neighbour::new(&v4(3), 64503))
        .neighbour(Neighbour::new(&v4(4), 64501));
    let source = segment.host("source", 2)?;
    let _subject = Subject::start(lab, kind, &segment.host("subject", 1)?, subject)?;
    let receiver = |label: &str, n: u8, asn: u32| {
        let speaker = Speaker::new(asn, &v4(n)).neighbour(Neighbour::new(&v4(1), 64501));
        Subject::start(lab, Kind::Bird2, &segment.host(label, n)?, speaker)
    };
    let (external, internal) = (
        receiver("external", 3, 64503)?,
        receiver("internal", 4, 64501)?,
    );
    for at in [&external, &internal] {
        at.wait_established(&v4(1))?;
    }
    let mut source = RawPeer::connect(&source, &v4(1))?;
    source.handshake(64502, Ipv4Addr::new(10, 0, 0, 2), 90, &BOTH_FAMILIES)?;
    for (n, community) in TOLD {
        let mut attributes = basics(&[64502]);
        if let Some(community) = community {
            let value = community.to_be_bytes();
            attributes.extend(attribute(OPTIONAL | TRANSITIVE, 8, &value));
        }
        let next_hop = Ipv4Addr::new(10, 0, 0, 2);
        source.send(&ipv4([198, 51, n], next_hop, &attributes))?;
        let prefix = [0x20, 0x01, 0x0d, 0xb8, 0, n];
        let next_hop = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        source.send(&ipv6(prefix, next_hop, &attributes))?;
    }
    for (at, expected) in [(&external, &[1, 5][..]), (&internal, &[1, 2, 4, 5])] {
        for family in Family::ALL {
            let expected: BTreeSet<String> = expected
                .iter()
                .map(|n| match family {
                    Family::Ipv4 => format!("198.51.{n}.0/24"),
                    Family::Ipv6 => format!("2001:db8:{n}::/48"),
                })
                .collect();
            eventually(SOON, &format!("the right routes at {at}"), || {
                let routes = at.routes(family)?;
                let told: BTreeSet<String> = routes
                    .iter()
                    .map(|route| route.prefix.to_string())
                    .collect();
                ensure!(told == expected, "{told:?}, expected {expected:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

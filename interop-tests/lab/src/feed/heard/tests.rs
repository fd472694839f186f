#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::*;
use crate::feed::encode;
use crate::feed::{Attributes, Table};
use crate::speaker::Family;

const OWN: &str = "10.2.0.1";

fn sent(block: usize) -> Attributes {
    Attributes::of_block(block, 64601, "10.1.0.2".parse().unwrap())
}

fn passed(block: usize) -> Attributes {
    sent(block).passed_on(64512, OWN.parse().unwrap())
}

fn expectation(table: &Table) -> Expectation {
    let mut expected = Expectation::new(&[OWN.parse().unwrap()]);
    for block in 0..table.blocks() {
        expected
            .add(table.block(block), sent(block).prepended(64512), 1)
            .unwrap();
    }
    expected
}

fn heard(octets: &[u8]) -> Recording {
    let mut recording = Recording::default();
    // In pieces that end anywhere, as sockets give them.
    for piece in octets.chunks(1000) {
        recording.take_in(piece, Instant::now()).unwrap();
    }
    recording
}

fn judge(expected: &Expectation, recording: &Recording) -> Result<()> {
    let mut replay = Replay::new(expected, None);
    replay.go_on(recording, Replay::unseen)?;
    assert_eq!(
        replay.right_since().is_some(),
        replay.verdict(recording).is_ok()
    );
    replay.verdict(recording)
}

#[test]
fn a_table_that_arrived_whole_is_right_in_both_families() {
    for family in Family::ALL {
        let table = Table::made_up(family, 2000);
        let hop = match family {
            Family::Ipv4 => "10.1.0.2",
            Family::Ipv6 => "fd00:1::2",
        };
        let own: std::net::IpAddr = match family {
            Family::Ipv4 => "10.2.0.1",
            Family::Ipv6 => "fd00:2::1",
        }
        .parse()
        .unwrap();
        let sent = |block| Attributes::of_block(block, 64601, hop.parse().unwrap());
        let mut expected = Expectation::new(&[own]);
        for block in 0..table.blocks() {
            expected
                .add(table.block(block), sent(block).prepended(64512), 1)
                .unwrap();
        }
        let octets = encode::table(&table, |block| sent(block).passed_on(64512, own));
        let recording = heard(&octets);
        assert_eq!(recording.announced, 2000);
        judge(&expected, &recording).unwrap();
    }
}

#[test]
fn the_sender_s_next_hop_is_right_too_and_any_other_is_not() {
    let table = Table::made_up(Family::Ipv4, 50);
    let expected = expectation(&table);
    let third_party = encode::table(&table, |block| sent(block).prepended(64512));
    judge(&expected, &heard(&third_party)).unwrap();
    let strange = encode::table(&table, |block| {
        sent(block).passed_on(64512, "10.9.9.9".parse().unwrap())
    });
    assert!(judge(&expected, &heard(&strange)).is_err());
}

#[test]
fn one_wrong_attribute_one_missing_and_one_extra_prefix_are_found() {
    let table = Table::made_up(Family::Ipv4, 3000);
    let expected = expectation(&table);
    let wrong = encode::table(&table, |block| {
        let mut attributes = passed(block);
        if block == 77 {
            attributes.communities.push(4_000_000_000);
        }
        attributes
    });
    let text = judge(&expected, &heard(&wrong)).unwrap_err().to_string();
    assert!(text.contains("should carry"), "{text}");

    let missing = encode::table(&table.first(2999), passed);
    let text = judge(&expected, &heard(&missing)).unwrap_err().to_string();
    assert!(text.contains("1 prefixes are missing"), "{text}");

    let more = Table::made_up(Family::Ipv4, 3001);
    let extra = encode::announce(&passed(1), &more.prefixes()[3000..]);
    let octets = [encode::table(&table, passed), extra].concat();
    let text = judge(&expected, &heard(&octets)).unwrap_err().to_string();
    assert!(text.contains("nobody announces 11.11.184.0/24"), "{text}");
}

#[test]
fn a_table_is_right_since_the_last_correction_and_not_before() {
    let table = Table::made_up(Family::Ipv4, 100);
    let expected = expectation(&table);
    let start = Instant::now();
    let later = |seconds| start + Duration::from_secs(seconds);
    let mut recording = Recording::default();
    let mut replay = Replay::new(&expected, None);
    let steps = [
        (1, encode::table(&table, passed), true),
        (2, encode::announce(&passed(9999), table.block(3)), false),
        (3, encode::announce(&passed(3), table.block(3)), true),
        (4, encode::withdraw(&table.prefixes()[..1]), false),
        (5, encode::announce(&passed(0), table.block(0)), true),
        (6, encode::announce(&passed(0), table.block(0)), true),
    ];
    let mut since = Vec::new();
    for (second, octets, right) in steps {
        recording.take_in(&octets, later(second)).unwrap();
        replay.go_on(&recording, Replay::unseen).unwrap();
        assert_eq!(replay.right_since().is_some(), right, "step {second}");
        since.push(replay.right_since());
    }
    assert_eq!(since[2], Some(later(3)));
    assert_eq!(since[5], Some(later(5)), "a repetition changes nothing");
}

#[test]
fn a_receiver_s_own_routes_may_come_back_or_not() {
    let table = Table::made_up(Family::Ipv4, 300);
    let mut expected = expectation(&table.first(200));
    expected
        .add(&table.prefixes()[200..], sent(5000), 2)
        .unwrap();
    let others = encode::table(&table.first(200), passed);
    let own = encode::announce(&passed(1), &table.prefixes()[200..]);
    for octets in [others.clone(), [others, own].concat()] {
        let recording = heard(&octets);
        let mut replay = Replay::new(&expected, Some(2));
        replay.go_on(&recording, Replay::unseen).unwrap();
        replay.verdict(&recording).unwrap();
        assert!(judge(&expected, &recording).is_err(), "to all others");
    }
}

#[test]
fn after_everything_is_withdrawn_nothing_is_expected() {
    let table = Table::made_up(Family::Ipv4, 100);
    let announced = encode::table(&table, passed);
    let nothing = Expectation::default();
    assert!(judge(&nothing, &heard(&announced)).is_err());
    let gone = encode::withdraw(table.prefixes());
    judge(&nothing, &heard(&[announced, gone].concat())).unwrap();
}

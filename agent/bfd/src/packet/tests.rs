//! Packets as octets, one row for each check of RFC 5880 6.8.6 that needs no session.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Up, no diagnostic, 3 x 50 ms, no Echo: made by hand from the figure of RFC 5880 4.1.
const UP: &str = "20c00318 01020304 0a0b0c0d 0000c350 0000ea60 00000000";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

fn up() -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        sequence: Sequence::None,
        is_control_plane_independent: false,
        is_demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(0x0102_0304).unwrap(),
        your_discriminator: Discriminator::new(0x0a0b_0c0d),
        desired_min_tx: Interval::from_millis(50),
        required_min_rx: Some(Interval::from_millis(60)),
        required_min_echo_rx: None,
    }
}

#[test]
fn a_packet_is_read_and_written_as_the_figure_of_section_4_1_has_it() {
    assert_eq!(decode(&octets(UP)).unwrap().packet, up());
    assert_eq!(up().encode().to_vec(), octets(UP));
    let rows: [(u8, ControlPacket); 6] = [
        (
            0x41,
            ControlPacket {
                state: State::Down,
                is_demand: false,
                ..up()
            },
        ),
        (
            0x81,
            ControlPacket {
                state: State::Init,
                ..up()
            },
        ),
        (
            0xe0,
            ControlPacket {
                sequence: Sequence::Poll,
                ..up()
            },
        ),
        (
            0xd0,
            ControlPacket {
                sequence: Sequence::Final,
                ..up()
            },
        ),
        (
            0xc8,
            ControlPacket {
                is_control_plane_independent: true,
                ..up()
            },
        ),
        (
            0xc2,
            ControlPacket {
                is_demand: true,
                ..up()
            },
        ),
    ];
    for (flags, packet) in rows {
        let mut expected = octets(UP);
        // The lowest bit is Multipoint, which is never sent.
        expected[1] = flags & 0xfe;
        assert_eq!(packet.encode().to_vec(), expected);
        assert_eq!(decode(&expected).unwrap().packet, packet);
    }
}

/// RFC 5880 6.8.6: each check with a packet that fails it alone, and the order of the checks.
#[test]
fn each_check_that_needs_no_session_has_its_reason() {
    let change = |at: usize, octet: u8| {
        let mut changed = octets(UP);
        changed[at] = octet;
        changed
    };
    let rows: [(&str, Vec<u8>, Discard); 14] = [
        ("nothing", vec![], Discard::Short),
        ("half a header", octets("20c003"), Discard::Short),
        ("version 0", change(0, 0x00), Discard::Version),
        ("version 2", change(0, 0x40), Discard::Version),
        ("length 0", change(3, 0), Discard::Short),
        ("length 23", change(3, 23), Discard::Short),
        (
            "length 24 with authentication",
            change(1, 0xc4),
            Discard::Short,
        ),
        (
            "length above the payload",
            change(3, 25),
            Discard::Truncated,
        ),
        (
            "payload below the length",
            octets(UP)[..23].to_vec(),
            Discard::Truncated,
        ),
        ("Detect Mult 0", change(2, 0), Discard::DetectMultZero),
        ("Multipoint", change(1, 0xc1), Discard::Multipoint),
        (
            "My Discriminator 0",
            octets("20c00318 00000000 0a0b0c0d 0000c350 0000ea60 00000000"),
            Discard::MyDiscriminatorZero,
        ),
        (
            "the version before the length",
            octets("40c00300"),
            Discard::Version,
        ),
        (
            "Detect Mult before Multipoint",
            octets("20c10018 00000000 0a0b0c0d 0000c350 0000ea60 00000000"),
            Discard::DetectMultZero,
        ),
    ];
    for (name, payload, expected) in rows {
        assert_eq!(decode(&payload), Err(expected), "{name}");
    }
}

#[test]
fn octets_behind_the_packet_are_no_part_of_it() {
    let mut payload = octets(UP);
    payload.extend([0xff; 9]);
    let decoded = decode(&payload).unwrap();
    assert_eq!((decoded.packet, decoded.octets.len()), (up(), HEADER));
}

#[test]
fn sections_have_the_length_of_their_type() {
    let section = |hex: &str| {
        let section = octets(hex);
        let mut payload = octets(UP);
        payload[1] |= AUTHENTICATION_PRESENT;
        payload[3] = u8::try_from(HEADER + section.len()).unwrap();
        payload.extend(section);
        let decoded = decode(&payload).unwrap();
        decoded.section().map(|section| section.unwrap().kind())
    };
    let malformed = Err(Discard::SectionMalformed);
    let rows = [
        // Simple Password: 1 to 16 octets (RFC 5880 4.2).
        ("01 04 01 61".to_owned(), Ok(AuthType::PASSWORD)),
        (
            format!("01 13 01 {}", "61".repeat(16)),
            Ok(AuthType::PASSWORD),
        ),
        ("01 03 01".to_owned(), malformed),
        (format!("01 14 01 {}", "61".repeat(17)), malformed),
        // MD5: 24 octets (RFC 5880 4.3).
        (
            format!("02 18 01 00 {}", "00".repeat(20)),
            Ok(AuthType::KEYED_MD5),
        ),
        (
            format!("03 18 01 00 {}", "00".repeat(20)),
            Ok(AuthType::METICULOUS_MD5),
        ),
        (format!("02 17 01 00 {}", "00".repeat(20)), malformed),
        // SHA1: 28 octets (RFC 5880 4.4).
        (
            format!("04 1c 01 00 {}", "00".repeat(24)),
            Ok(AuthType::KEYED_SHA1),
        ),
        (
            format!("05 1c 01 00 {}", "00".repeat(24)),
            Ok(AuthType::METICULOUS_SHA1),
        ),
        (format!("05 1b 01 00 {}", "00".repeat(24)), malformed),
        (format!("05 1c 01 00 {}", "00".repeat(23)), malformed),
        // Unknown, and a length that no section can have.
        ("06 02".to_owned(), Ok(AuthType(6))),
        ("05 00".to_owned(), malformed),
        ("05 01".to_owned(), malformed),
    ];
    for (hex, expected) in rows {
        assert_eq!(section(&hex), expected, "{hex}");
    }
}

fn any_packet() -> impl Strategy<Value = ControlPacket> {
    let sequence = prop_oneof![
        Just(Sequence::None),
        Just(Sequence::Poll),
        Just(Sequence::Final)
    ];
    (
        (0..32u8, 0..4u8, sequence, any::<(bool, bool)>()),
        (any::<NonZeroU8>(), any::<NonZeroU32>(), any::<u32>()),
        any::<[u32; 3]>(),
    )
        .prop_map(|(flags, ids, intervals)| ControlPacket {
            diagnostic: Diagnostic(flags.0),
            state: State::from_bits(flags.1),
            sequence: flags.2,
            is_control_plane_independent: flags.3.0,
            is_demand: flags.3.1,
            detect_mult: ids.0,
            my_discriminator: Discriminator(ids.1),
            your_discriminator: Discriminator::new(ids.2),
            desired_min_tx: Interval::from_micros(intervals[0]),
            required_min_rx: Interval::present(intervals[1]),
            required_min_echo_rx: Interval::present(intervals[2]),
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(packet in any_packet()) {
        prop_assert_eq!(decode(&packet.encode()).unwrap().packet, packet);
    }

    /// Nothing panics; what is accepted and has one of P and F is written as it was read.
    #[test]
    fn any_octets_are_read_or_refused(
        mut payload in proptest::collection::vec(any::<u8>(), 0..80),
        likely in any::<bool>(),
    ) {
        if likely && payload.len() > 3 {
            payload[0] = payload[0] & 0x1f | 0x20;
            payload[1] &= 0xfe;
            payload[3] %= 80;
        }
        let Ok(decoded) = decode(&payload) else { return Ok(()) };
        let _ = decoded.section();
        let both = POLL | FINAL;
        if decoded.octets[1] & both != both {
            let mut written = decoded.packet.encode();
            written[1] |= decoded.octets[1] & AUTHENTICATION_PRESENT;
            written[3] = decoded.octets[3];
            prop_assert_eq!(&written[..], &decoded.octets[..HEADER]);
        }
    }
}

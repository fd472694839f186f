//! Claims about what each text may be.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_ipv4_address_in_ipv6_notation_is_the_same_address() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    assert_ne!(address("::192.0.2.1"), address("192.0.2.1"));
    let prefix = |text: &str| text.parse::<Cidr>().unwrap();
    assert_eq!(prefix("::ffff:192.0.2.0/120"), prefix("192.0.2.0/24"));
    assert_eq!(prefix("::ffff:0:0/90").0.prefix_len(), 90);
}

#[test]
fn numbers_with_leading_zeros_are_no_addresses_and_no_prefixes() {
    for text in ["010.0.0.1", "10.0.00.1", "::ffff:010.0.0.1"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
        let prefix = format!("{text}/32");
        assert!(prefix.parse::<Cidr>().is_err(), "{prefix}");
    }
    for text in [
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0",
    ] {
        assert!(text.parse::<Cidr>().is_err(), "{text}");
    }
    for text in ["0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32"] {
        assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
    }
}

#[test]
fn durations_are_read_with_units_and_only_with_units() {
    for (text, millis) in [
        ("90s", 90_000),
        ("300ms", 300),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("0", 0),
        ("0s", 0),
    ] {
        assert_eq!(text.parse::<Lapse>().unwrap().0.as_millis(), millis);
    }
    for text in [
        "",
        "90",
        "s",
        "-3s",
        "1.5s",
        "3d",
        "99999999999999999999s",
        "3 s",
    ] {
        assert!(text.parse::<Lapse>().is_err(), "{text:?}");
    }
}

#[test]
fn communities_of_all_kinds_are_told_apart_and_written_back_as_read() {
    for text in [
        "64512:100",
        "no-export",
        "64512:1:2",
        "4200000000:1:2",
        "rt:64512:100000",
        "rt:4200000000:7",
        "ro:192.0.2.1:7",
    ] {
        assert_eq!(text.parse::<CommunityText>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "64512",
        "70000:1",
        "1:2:3:4",
        "rt:1",
        "rt:192.0.2.1:70000",
        "no-exports",
    ] {
        assert!(text.parse::<CommunityText>().is_err(), "{text:?}");
    }
}

#[test]
fn route_targets_have_the_bytes_of_rfc_4360() {
    let CommunityText::Extended(c) = "rt:64512:100".parse().unwrap() else {
        panic!("not extended");
    };
    assert_eq!(c.0, [0, 2, 0xfc, 0, 0, 0, 0, 100]);
}

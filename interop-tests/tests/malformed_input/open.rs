//! OPENs whose optional parameters and capabilities contradict themselves (RFC 4271 section 6.2, RFC 5492, RFC 9072).

use std::net::Ipv4Addr;

use interop_tests::raw::encode::{open_as_is, parameter};
use interop_tests::raw::{BOTH_FAMILIES, OPEN, message};

use crate::outcome::Answer::{Notification, Session};
use crate::outcome::{Answer, Message};
use crate::parts::RAW_AS;

/// An identifier that no other peer has.
const ID: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 200);

/// An OPEN with these optional parameters, whatever their length is said to be.
fn open(length: u8, parameters: &[u8]) -> Vec<u8> {
    held(90, length, parameters)
}

fn held(hold_time: u16, length: u8, parameters: &[u8]) -> Vec<u8> {
    let asn = u16::try_from(RAW_AS).unwrap_or(23456);
    message(OPEN, &open_as_is(4, asn, hold_time, ID, length, parameters))
}

/// An OPEN with these capabilities in one parameter of the classic form.
fn classic(capabilities: &[u8]) -> Vec<u8> {
    let parameters = parameter(2, capabilities);
    open(parameters.len() as u8, &parameters)
}

/// An OPEN with these capabilities in one parameter of the form of RFC 9072.
fn extended(capabilities: &[u8]) -> Vec<u8> {
    let length = capabilities.len() as u16;
    let mut parameters = vec![255];
    parameters.extend((length + 3).to_be_bytes());
    parameters.push(2);
    parameters.extend(length.to_be_bytes());
    parameters.extend(capabilities);
    open(255, &parameters)
}

/// Both families and the four-octet AS number.
fn usual() -> Vec<u8> {
    [&BOTH_FAMILIES[..], &parameter(65, &RAW_AS.to_be_bytes())].concat()
}

/// An OPEN with the usual capabilities and one more.
fn with(code: u8, value: &[u8]) -> Vec<u8> {
    classic(&[usual(), parameter(code, value)].concat())
}

/// Unknown capabilities of so many octets in all, a multiple of 255.
fn unknown(octets: usize) -> Vec<u8> {
    (0..octets / 255)
        .flat_map(|at| parameter(200 + (at % 32) as u8, &[at as u8; 253]))
        .collect()
}

/// Graceful restart and its long-lived form with every bit set and the longest times there are.
fn longest_times() -> Vec<u8> {
    let restart = parameter(64, &[0xff, 0xff, 0, 1, 1, 0xff, 0, 2, 1, 0xff]);
    let families = [
        [0, 1, 1, 0xff, 0xff, 0xff, 0xff],
        [0, 2, 1, 0xff, 0xff, 0xff, 0xff],
    ];
    [usual(), restart, parameter(71, &families.concat())].concat()
}

fn refused(subcode: u8, data: &[u8]) -> Answer {
    Notification(2, subcode, data.to_vec())
}

#[rustfmt::skip]
pub fn rows() -> Vec<Message> {
    let long_list = parameter(2, &[&usual()[..], &parameter(200, &[1; 253 - 18 - 2])].concat());
    let no_family = [parameter(1, &[0, 25, 0, 70]), parameter(65, &RAW_AS.to_be_bytes())].concat();
    let longest = parameter(2, &longest_times());
    let family = [0, 1, 1, 0, 0, 0, 60];
    [
        ("RFC 9072 2", "the extended parameters end behind a type", open(255, &[255, 0, 1, 2]), refused(0, &[])),
        ("RFC 9072 2", "the extended parameters end inside of a length", open(255, &[255, 0, 2, 2, 0]), refused(0, &[])),
        ("RFC 9072 2", "an extended length over the message", open(255, &[255, 0, 9, 2, 0, 200]), refused(0, &[])),
        ("RFC 9072 2", "the length of an extended parameter over the message", open(255, &[255, 0, 5, 2, 0, 200, 1, 2]), refused(0, &[])),
        ("RFC 4271 6.2", "ends behind a parameters' length of 5", open(5, &[]), refused(0, &[])),
        ("RFC 9072 2", "ends behind a parameters' length of 255", open(255, &[]), refused(0, &[])),
        ("RFC 9072 2", "ends behind the type 255", open(255, &[255]), refused(0, &[])),
        ("RFC 9072 2", "ends inside of the extended length", open(255, &[255, 0]), refused(0, &[])),
        ("RFC 9072 2", "ends behind an extended length that is not 0", open(255, &[255, 0, 9]), refused(0, &[])),
        ("RFC 9072 2", "parameters of 255 octets in the classic form", open(255, &long_list), Session),
        ("RFC 9072 2", "the extended form where the classic one would do", extended(&usual()), Session),
        ("RFC 4271 6.2", "graceful restart of 1 octet", with(64, &[0]), refused(0, &[])),
        ("RFC 4271 6.2", "graceful restart of 3 octets", with(64, &[0, 120, 0]), refused(0, &[])),
        ("RFC 4271 6.2", "graceful restart of 5 octets", with(64, &[0, 120, 0, 1, 1]), refused(0, &[])),
        ("RFC 4271 6.2", "long-lived graceful restart with 4 octets too many", with(71, &[&family[..], &family[..4]].concat()), refused(0, &[])),
        ("RFC 4271 6.2", "long-lived graceful restart with 5 octets too many", with(71, &[&family[..], &family[..5]].concat()), refused(0, &[])),
        ("RFC 4271 6.2", "long-lived graceful restart with 6 octets too many", with(71, &[&family[..], &family[..6]].concat()), refused(0, &[])),
        ("RFC 4271 6.2", "a four-octet AS number of no octets", classic(&[&BOTH_FAMILIES[..], &parameter(65, &[])].concat()), refused(0, &[])),
        ("RFC 4271 6.2", "a four-octet AS number of 2 octets", classic(&[&BOTH_FAMILIES[..], &parameter(65, &[251, 246])].concat()), refused(0, &[])),
        ("RFC 4271 6.2", "a four-octet AS number of 5 octets", classic(&[&BOTH_FAMILIES[..], &parameter(65, &[0, 0, 251, 246, 0])].concat()), refused(0, &[])),
        ("RFC 5492 3", "a software version (75) of inner length 0 and one more octet", with(75, &[0, b'x']), Session),
        ("RFC 5492 3", "a software version (75) of inner length 9 and one more octet", with(75, &[9, b'x']), Session),
        ("RFC 5492 3", "a host name (73) that ends after its capability", with(73, &[9, b'x']), Session),
        ("RFC 5492 3", "4,049 octets of capabilities, unknown ones", extended(&[unknown(4000), usual()].concat()), Session),
        ("RFC 5492 5", "4,000 octets of unknown capabilities, and no family in common", extended(&[unknown(3900), no_family].concat()), refused(7, &BOTH_FAMILIES)),
        ("RFC 4271 6.2", "all times at their longest", held(u16::MAX, longest.len() as u8, &longest), Session),
    ]
    .into_iter()
    .map(|(section, name, octets, answer)| Message { section, name, octets, plain: answer.clone(), answer })
    .collect()
}

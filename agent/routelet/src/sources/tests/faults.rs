//! Everything that is wrong with an object is said, in words that have nothing of the program in them.

use serde_json::{Value, json};

use super::{Source, good, kinds};

/// What no text may have in it: names of types, and the sentences of a library.
const RUST: [&str; 24] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "i32",
    "i64",
    "usize",
    "f64",
    "struct ",
    "enum ",
    "variant",
    "`",
    "Some(",
    "None",
    "invalid type",
    "invalid value",
    "invalid length",
    "a string",
    "a sequence",
    "unit value",
    "borrowed",
    "Spec",
    "missing field",
    "os error",
];

/// The places of all values in an object.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                places(value, &format!("{at}/{}", key.replace('/', "~1")), all);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
    all.push(at.to_owned());
}

#[test]
fn no_text_has_anything_of_the_program_in_it() {
    let wrong = [
        json!(7),
        json!(-7),
        json!(1.5),
        json!(u64::MAX),
        json!(true),
        json!("y"),
        json!(""),
        json!([]),
        json!(["y", 7]),
        json!({}),
        json!({"y": 7}),
    ];
    let mut said = 0;
    for kind in kinds() {
        let object = good(kind);
        let mut all = Vec::new();
        places(&object, "", &mut all);
        let is_identity = |place: &&String| {
            [
                "",
                "/apiVersion",
                "/kind",
                "/metadata",
                "/metadata/name",
                "/metadata/namespace",
            ]
            .contains(&place.as_str())
        };
        for place in all.iter().filter(|place| !is_identity(place)) {
            for value in &wrong {
                let mut bad = object.clone();
                *bad.pointer_mut(place).unwrap() = value.clone();
                for mut source in Source::both() {
                    if !source.has(kind) {
                        continue;
                    }
                    source.put(&bad);
                    for problem in source.problems() {
                        said += 1;
                        let rust = RUST.iter().find(|rust| problem.contains(**rust));
                        assert_eq!(rust, None, "{kind} {place} {value}: {problem}");
                        assert!(problem.len() < 900, "{kind} {place} {value}: {problem}");
                    }
                }
            }
        }
    }
    assert!(said > 1000, "{said}");
}

/// What both sources say of a spec, by the name of its kind.
fn said(kind: &str, spec: &Value) -> Vec<String> {
    let object = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec,
    });
    let [api, manifests] = Source::both().map(|mut source| {
        source.put(&object);
        let mut problems = source.problems();
        problems.sort();
        problems
    });
    assert_eq!(api, manifests);
    api
}

#[test]
fn all_that_is_wrong_is_said_and_nothing_that_follows_from_it() {
    for (kind, spec, expected) in [
        (
            "Peer",
            json!({"address": "192.0.2.1/24", "asn": 1.5, "port": 70_000, "timers": {"hold": 90, "keepalive": true}}),
            &[
                "Peer x: spec.address: \"192.0.2.1/24\" is not an address: expected one such as 192.0.2.1 or 2001:db8::1. It is a \
                 prefix: leave out /24",
                "Peer x: spec.asn: found a number with a point, which is read as a fraction: write the AS as one number, or put it \
                 in quotes",
                "Peer x: spec.port: 70000 is out of range: expected a whole number from 0 to 65535",
                "Peer x: spec.timers.hold: \"90\" is not a duration: expected a number with a unit (ms, s, m or h), such as 90s, \
                 300ms or 1m30s. Write 90s for seconds",
                "Peer x: spec.timers.keepalive: found the boolean true, expected a duration such as 90s, 300ms, 1m30s",
            ][..],
        ),
        // What was read is validated, too; and no asn is missing because it cannot be read.
        (
            "Peer",
            json!({"address": "fe80::1%eth0", "asn": [1], "port": 0, "families": []}),
            &[
                "Peer x: spec.address: \"fe80::1%eth0\" is not an address: expected one such as 192.0.2.1 or 2001:db8::1. Write \
                 fe80::1; put the interface eth0 into sourceInterface of the Peer",
                "Peer x: spec.asn: found a list, expected an AS number from 1 to 4294967295, internal or external",
                "Peer x: spec.families: empty: expected IPv4, IPv6 or both",
                "Peer x: spec.port: 0 is no port: expected 1 to 65535",
            ][..],
        ),
        (
            "RoutePolicy",
            json!({"rules": [
                {"action": "accept"},
                {"match": {"prefixes": [{"cidr": "10.0.0.1/8"}, {"cidr": "10.0.0.0"}, {"cidr": "10.0.0.3/8"}]}, "action": "Reject"},
                {"match": {}},
            ]}),
            &[
                "RoutePolicy x: spec.rules[0].action: \"accept\" is unknown (did you mean Accept?): expected \
                 Accept, Reject or Continue",
                "RoutePolicy x: spec.rules[1].match.prefixes[0].cidr: 10.0.0.1/8 has bits set beyond its length: did you mean \
                 10.0.0.0/8?",
                "RoutePolicy x: spec.rules[1].match.prefixes[1].cidr: \"10.0.0.0\" is not a prefix: expected one such as \
                 198.51.100.0/24 or 2001:db8::/32. It is an address: as a prefix, write 10.0.0.0/32",
                "RoutePolicy x: spec.rules[1].match.prefixes[2].cidr: 10.0.0.3/8 has bits set beyond its length: did you mean \
                 10.0.0.0/8?",
                "RoutePolicy x: spec.rules[2].action: missing",
            ][..],
        ),
        (
            "Router",
            json!({"routerID": "192.0.2.300", "asn": -1, "fib": {"table": "254", "enabled": "true"}}),
            &[
                "Router x: spec.asn: -1 is out of range: expected a whole number from 0 to 4294967295",
                "Router x: spec.fib.enabled: found the text \"true\", expected true or false: leave out the quotes",
                "Router x: spec.fib.table: found the text \"254\", expected a whole number from 0 to 4294967295: leave out the quotes",
                "Router x: spec.routerID: \"192.0.2.300\" is not an identifier: expected one written like an IPv4 address, such as \
                 192.0.2.1. None of its numbers may be above 255",
            ][..],
        ),
    ] {
        assert_eq!(said(kind, &spec), expected, "{spec}");
    }
}

#[test]
fn what_is_wrong_with_an_object_ends_somewhere() {
    let rules: Vec<Value> = (0..200).map(|_| json!({"action": "reject"})).collect();
    assert_eq!(said("RoutePolicy", &json!({"rules": rules})).len(), 50);
}

//! Claims about what is said of documents that do not fit: of names above all.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::hints;
use crate::cluster::manifests::Store;

/// What is said of one file.
fn said(text: &str) -> Vec<String> {
    let mut store = Store::default();
    store.read(Path::new("x.yaml"), text.as_bytes()).unwrap();
    let problems = store.snapshot().problems;
    problems.iter().map(ToString::to_string).collect()
}

fn object(kind: &str, rest: &str) -> String {
    format!("apiVersion: routelet.dev/v1alpha1\nkind: {kind}\n{rest}\n")
}

#[test]
fn names_of_other_software_lead_to_fields_that_there_are() {
    hints::every_name_of_other_software_has_its_field();
}

#[test]
fn names_and_labels_that_are_no_text_are_said_as_they_are_read() {
    let peer = |metadata: &str| {
        object(
            "Peer",
            &format!("metadata: {metadata}\nspec: {{address: 192.0.2.1, asn: 1}}"),
        )
    };
    for (metadata, expected) in [
        ("{name: 'n', labels: {rack: '1', y: 'on'}}", &[][..]),
        (
            "{name: n}",
            &[
                "x.yaml:3: Peer n: metadata.name: found n, which YAML as Kubernetes reads it takes for the boolean false, \
               expected text: put it in quotes, \"n\"",
            ][..],
        ),
        (
            "{name: 007}",
            &[
                "x.yaml:3: Peer 007: metadata.name: found 007, which YAML as Kubernetes reads it takes for the number 7, expected \
               text: put it in quotes, \"007\"",
            ],
        ),
        (
            "{name: a, labels: {rack: 1, zone: on}}",
            &[
                "x.yaml:3: Peer a: metadata.labels.rack: found the number 1, expected text: put it in quotes, \"1\"",
                "x.yaml:3: Peer a: metadata.labels.zone: found on, which YAML as Kubernetes reads it takes for the boolean true, \
                 expected text: put it in quotes, \"on\"",
            ],
        ),
        (
            "{name: [a]}",
            &["x.yaml:3: metadata.name: is not text: every object has a name"],
        ),
        (
            "{name: ~}",
            &["x.yaml:3: metadata.name: missing: every object has a name"],
        ),
        (
            "{name: a, name: b}",
            &["x.yaml:3: metadata.name: is there twice, in lines 3 and 3: remove one of them"],
        ),
        (
            "{name: a, lables: {}}",
            &["x.yaml:3: Peer a: metadata.lables: unknown field (did you mean labels?)"],
        ),
    ] {
        let problems = said(&peer(metadata));
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}\n{expected}");
        }
    }
    let kind = "apiVersion: v1\nkind: on\nmetadata: {name: a}\n";
    assert_eq!(
        said(kind),
        [
            "x.yaml:2: kind: found on, which YAML as Kubernetes reads it takes for the boolean true, expected text: put it in \
          quotes, \"on\""
        ]
    );
}

/// A kind, what stands in its object, the field that is not known, and where it belongs.
const MISPLACED: &[(&str, &str, &str, &str)] = &[
    ("Peer", "asn: 1", "asn", "it belongs under spec"),
    ("Peer", "name: x", "name", "it belongs under metadata"),
    (
        "Peer",
        "spec: {labels: {a: b}}",
        "spec.labels",
        "it belongs under metadata",
    ),
    ("Peer", "metdata: {}", "metdata", "did you mean metadata?"),
    (
        "Advertisement",
        "spec: {communities: [\"1:2\"]}",
        "spec.communities",
        "it belongs under spec.attributes",
    ),
    (
        "Advertisement",
        "spec: {comunities: [\"1:2\"]}",
        "spec.comunities",
        "did you mean spec.attributes.communities?",
    ),
    (
        "Advertisement",
        "spec: {localPref: 7}",
        "spec.localPref",
        "here it is spec.attributes.localPreference",
    ),
    (
        "Advertisement",
        "spec: {ebgpMultihop: 2}",
        "spec.ebgpMultihop",
        "a Peer has it, as spec.ebgpMultihop",
    ),
    (
        "Peer",
        "spec: {hold: 90s}",
        "spec.hold",
        "it belongs under spec.timers",
    ),
    (
        "Peer",
        "spec: {holdTime: 90s}",
        "spec.holdTime",
        "here it is spec.timers.hold",
    ),
    (
        "Peer",
        "spec: {peerASN: 1}",
        "spec.peerASN",
        "here it is spec.asn",
    ),
    (
        "Peer",
        "spec: {peerAddress: 192.0.2.1}",
        "spec.peerAddress",
        "here it is spec.address",
    ),
    (
        "Peer",
        "spec: {Address: 192.0.2.1}",
        "spec.Address",
        "did you mean address?",
    ),
    (
        "Peer",
        "spec: {timers: {address: 192.0.2.1}}",
        "spec.timers.address",
        "it belongs under spec",
    ),
    (
        "Peer",
        "spec: {on: 1}",
        "spec.true",
        "y, on, no and the like are read as true: put the name in quotes",
    ),
    (
        "RoutePolicy",
        "spec: {rules: [{prefixes: []}]}",
        "spec.rules[0].prefixes",
        "it belongs under spec.rules[].match",
    ),
    (
        "Router",
        "spec: {fib: {refuse: {tabel: 7}}}",
        "spec.fib.refuse.tabel",
        "did you mean table?",
    ),
];

#[test]
fn a_field_that_is_not_known_here_is_led_to_where_it_belongs() {
    for (kind, rest, field, hint) in MISPLACED {
        let problems = said(&object(kind, &format!("metadata: {{name: x}}\n{rest}")));
        let expected = format!("{kind} x: {field}: unknown field ({hint})");
        let is_said = problems.iter().any(|problem| problem.contains(&expected));
        assert!(is_said, "{expected}\n{problems:#?}");
    }
    let nothing = said(&object(
        "Peer",
        "metadata: {name: x}\nspec: {address: 192.0.2.1, asn: 1, qwertz: 1}",
    ));
    assert!(
        nothing[0].contains("spec.qwertz: unknown field: expected one of addPath, "),
        "{nothing:?}"
    );
    assert_eq!(nothing.len(), 1);
}

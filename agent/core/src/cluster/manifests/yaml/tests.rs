//! Claims about documents: what `kubectl` takes is taken as it takes it, everything else is refused with a reason.
#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value as Json, json};

use super::*;

/// A document as JSON; what cannot be used as its reason after a `!`.
fn json(tree: &Tree) -> Json {
    match &tree.value {
        Value::Null => Json::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Plain(Scalar::Bool(value), _) => (*value).into(),
        Value::Plain(Scalar::Integer(value), _) => (*value).into(),
        Value::Plain(Scalar::Large(value), _) => (*value).into(),
        Value::Plain(Scalar::Float(value), _) => (*value).into(),
        Value::Plain(other, _) => panic!("{other:?}"),
        Value::Bad(reason) => format!("!{reason}").into(),
        Value::Cut => panic!("nothing has been cut out yet"),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Map(map) => {
            let fields = map.iter().map(|(key, _, tree)| (key.clone(), json(tree)));
            fields.collect::<Map<_, _>>().into()
        }
    }
}

#[test]
fn documents_are_read_as_kubectl_reads_them() {
    for (text, expected) in [
        ("", Json::Null),
        ("# nothing\n\n# at all\n", Json::Null),
        ("--- # a\n# b\n", Json::Null),
        ("---\n...\n", Json::Null),
        (
            "a: n\nb: 'n'\nc: \"on\"\n",
            json!({"a": false, "b": "n", "c": "on"}),
        ),
        ("a: |\n  yes\nb: >-\n  1\n", json!({"a": "yes\n", "b": "1"})),
        (
            "a: ! 1\nb: !!str 1\nc: !!int \"1\"\nd: !!float 2\n",
            json!({"a": 1, "b": "1", "c": 1, "d": 2}),
        ),
        // Keys become text.
        (
            "1: a\ny: b\n010: c\n1.5: d\n",
            json!({"1": "a", "true": "b", "8": "c", "1.5": "d"}),
        ),
        ("a:\r\n- 1\r\n- b\r\n", json!({"a": [1, "b"]})),
        (
            "a:\n- 1\nb: {c: [], d: ~}\n",
            json!({"a": [1], "b": {"c": [], "d": null}}),
        ),
        (
            "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t\"c\"\n\t]\n}\n",
            json!({"a": 1, "b": ["c"]}),
        ),
        (
            "a: &x {b: 1}\nc: *x\n",
            json!({"a": {"b": 1}, "c": {"b": 1}}),
        ),
        (
            "x: &x {a: 1, b: 2}\nw: &w {a: 3}\nz:\n  <<: [*x, *w]\n  b: 4\n",
            json!({"x": {"a": 1, "b": 2}, "w": {"a": 3}, "z": {"a": 1, "b": 4}}),
        ),
        ("'<<': 1\n", json!({"<<": 1})),
        (
            "a: 64512:100\nb: 1:30:00\n",
            json!({"a": "64512:100", "b": "1:30:00"}),
        ),
    ] {
        let tree = parse(text, 0).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert_eq!(json(&tree), expected, "{text:?}");
    }
}

#[test]
fn what_has_two_meanings_is_refused_where_it_stands() {
    for (text, field, reason) in [
        (
            "a: 1\nb: 2\na: 3\n",
            "a",
            "is there twice, in lines 11 and 13: remove one of them",
        ),
        (
            "x: &x {a: 1}\nz:\n  a: 2\n  <<: *x\n",
            "z.a",
            "is overridden by <<: put << before it, or remove it",
        ),
        (
            "a: .inf\n",
            "a",
            ".inf is infinity, which JSON cannot represent",
        ),
        (
            "a: .NaN\n",
            "a",
            ".NaN is not a number, which JSON cannot represent",
        ),
    ] {
        let tree = parse(text, 10).unwrap();
        let found = field
            .split('.')
            .fold(&tree, |tree, key| tree.field(key).unwrap());
        assert_eq!(found.value, Value::Bad(reason.to_owned()), "{text:?}");
    }
}

#[test]
fn what_is_no_document_is_refused_with_its_line() {
    let long = format!("a: &a [{}]\n", ["x"; 500].join(","));
    let bomb = long + &format!("b: [{}]\n", ["*a"; 500].join(","));
    for (text, line, reason) in [
        (
            "a:\n\tb: 1\n",
            2,
            "the line is indented by a tab: YAML takes only spaces",
        ),
        (
            "a: 1\n...\nb: 2\n",
            3,
            "a second document begins: put --- on a line of its own before it",
        ),
        (
            "--- {a: 1}\n",
            1,
            "found \"{a: 1}\" after ---: begin the document on the next line",
        ),
        (
            "---a: 1\n",
            1,
            "found \"a: 1\" after ---: begin the document on the next line",
        ),
        ("~: 1\n", 1, "a key is empty or null: put it in quotes"),
        (
            "? [a]\n: 1\n",
            1,
            "a key is a list or a map: expected the name of a field",
        ),
        ("a: !!bool 7\n", 1, "\"7\" does not match its tag !!bool"),
        (
            "a: !!binary aGk=\n",
            1,
            "the tag binary is unknown: remove it",
        ),
        ("a: &a [*a]\n", 1, "an alias is inside its own anchor"),
        ("<<: 1\n", 1, "<< takes a map, or a list of maps"),
        (&bomb, 2, "aliases expand to too much"),
    ] {
        let error = parse(text, 0).unwrap_err();
        let short = &text[..text.len().min(40)];
        assert_eq!(
            (error.line, error.reason.as_str()),
            (line, reason),
            "{short:?}"
        );
    }
    for text in [
        "a: [\n",
        "a: b: c\n",
        "}{",
        "a: *b\n",
        "%YAML 1.2\n",
        "a: \"x\n",
    ] {
        let error = parse(text, 0).unwrap_err();
        assert!(!error.reason.is_empty(), "{text:?}");
    }
}

//! What may have been meant by a field or a value that is not known: a name nearby, the place where the field belongs, or the
//! name that it has here and not in other software.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use routelet_api::definitions::definitions;

use super::{Step, path};

/// Where each kind of ours has its fields: kind, field, path.
static FIELDS: LazyLock<Vec<(String, String, String)>> = LazyLock::new(|| {
    let mut fields = Vec::new();
    for definition in definitions() {
        let kind = definition.spec.names.kind;
        for (name, place) in [
            ("apiVersion", "apiVersion"),
            ("kind", "kind"),
            ("name", "metadata.name"),
            ("labels", "metadata.labels"),
            ("annotations", "metadata.annotations"),
        ] {
            fields.push((kind.clone(), name.to_owned(), place.to_owned()));
        }
        let schemas = definition.spec.versions.into_iter();
        let schemas = schemas.filter_map(|version| version.schema?.open_api_v3_schema);
        for mut schema in schemas {
            let properties = schema.properties.as_mut();
            if let Some(spec) = properties.and_then(|all| all.remove("spec")) {
                collect(&kind, "spec", &spec, &mut fields);
            }
        }
    }
    fields
});

fn collect(
    kind: &str,
    place: &str,
    schema: &JSONSchemaProps,
    fields: &mut Vec<(String, String, String)>,
) {
    for (name, schema) in schema.properties.iter().flatten() {
        let place = format!("{place}.{name}");
        fields.push((kind.to_owned(), name.clone(), place.clone()));
        collect(kind, &place, schema, fields);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        collect(kind, &format!("{place}[]"), items, fields);
    }
}

/// Names that other software has for fields of ours: kind, name, path.
const ELSEWHERE: [(&str, &str, &str); 20] = [
    ("Peer", "peerAddress", "spec.address"),
    ("Peer", "peerIP", "spec.address"),
    ("Peer", "neighbor", "spec.address"),
    ("Peer", "peerASN", "spec.asn"),
    ("Peer", "peerAS", "spec.asn"),
    ("Peer", "asNumber", "spec.asn"),
    ("Peer", "remoteAS", "spec.asn"),
    ("Peer", "peerPort", "spec.port"),
    ("Peer", "sourceAddress", "spec.localAddress"),
    ("Peer", "holdTime", "spec.timers.hold"),
    ("Peer", "keepaliveTime", "spec.timers.keepalive"),
    ("Peer", "connectTime", "spec.timers.connectRetry"),
    ("Peer", "bfdProfile", "spec.bfd"),
    ("Peer", "peerSelector", "spec.nodes.selector"),
    ("Router", "holdTime", "spec.mesh.timers.hold"),
    ("Router", "myASN", "spec.asn"),
    ("Router", "localASN", "spec.asn"),
    ("Router", "asNumber", "spec.asn"),
    (
        "Advertisement",
        "localPref",
        "spec.attributes.localPreference",
    ),
    ("AddressPool", "blocks", "spec.addresses"),
];

/// What is said of a field that is not known: what was probably meant first, then all that are known here.
pub(super) fn unknown_field(kind: &str, place: &[Step], fields: &[&str]) -> String {
    let Some((Step::Key(key), above)) = place.split_last() else {
        return "unknown field".to_owned();
    };
    let hint = meant(kind, key, &path(above), fields);
    let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
    let mut names = fields.to_vec();
    names.sort_unstable();
    match names.is_empty() {
        true => format!("unknown field{hint}: no fields are expected here"),
        false => format!("unknown field{hint}: expected one of {}", names.join(", ")),
    }
}

fn meant(kind: &str, key: &str, above: &str, fields: &[&str]) -> Option<String> {
    if key == "true" || key == "false" {
        return Some(format!(
            "y, on, no and the like are read as {key}: put the name in quotes"
        ));
    }
    let close = nearest(key, fields);
    if let Some(name) = close.filter(|name| name.eq_ignore_ascii_case(key)) {
        return Some(format!("did you mean {name}?"));
    }
    let of_kind = || FIELDS.iter().filter(|(of, ..)| of == kind);
    let mut elsewhere = ELSEWHERE.iter();
    if let Some((.., place)) =
        elsewhere.find(|(of, name, _)| *of == kind && name.eq_ignore_ascii_case(key))
    {
        return Some(format!("here it is {place}"));
    }
    let same = of_kind().filter(|(_, name, _)| name.eq_ignore_ascii_case(key));
    // A name that many maps have, such as `enabled`, says nothing.
    let mut places: Vec<&str> = same.map(|(.., place)| outer(place)).collect();
    if let Some(every) = places.iter().find(|place| !place.starts_with("spec")) {
        places = vec![*every];
    }
    if let [one, more @ ..] = places.as_slice()
        && more.len() < 3
        && *one != above
    {
        return Some(match *one {
            "" => "it belongs beside metadata and spec".to_owned(),
            _ => format!("it belongs under {}", places.join(" or ")),
        });
    }
    if let Some(name) = close {
        return Some(format!("did you mean {name}?"));
    }
    let names: Vec<&str> = of_kind().map(|(_, name, _)| name.as_str()).collect();
    if let Some(name) = nearest(key, &names) {
        let place = of_kind().find(|(_, of, _)| of == name);
        return place.map(|(.., place)| format!("did you mean {place}?"));
    }
    let mut others = FIELDS.iter();
    let other = others.find(|(_, name, place)| name == key && place.starts_with("spec."));
    other.map(|(kind, _, place)| format!("a {kind} has it, as {place}"))
}

/// The path of the map that a field is in.
fn outer(path: &str) -> &str {
    path.rfind('.').map_or("", |at| &path[..at])
}

/// What is said of a value that is none of those that a field can have.
pub(super) fn unknown_value(value: &str, known: &[&str]) -> String {
    let hint = match nearest(value, known) {
        Some(name) => format!(" (did you mean {name}?)"),
        None => String::new(),
    };
    format!("\"{value}\" is unknown{hint}: expected {}", or(known))
}

fn or(all: &[&str]) -> String {
    match all {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The name that differs least, if that is little.
fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let most = (lower.chars().count() / 2).min(2);
    let near = names
        .iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), *name));
    near.filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
pub(super) fn every_name_of_other_software_has_its_field() {
    for (kind, name, place) in ELSEWHERE {
        let mut fields = FIELDS.iter();
        let is_known = fields.any(|(of, _, known)| of == kind && known == place);
        assert!(is_known, "{kind}: {name}: {place}");
    }
}

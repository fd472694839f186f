//! Every field of the objects that people write is changed, and reaches who acts on it: at once, or with the resets that
//! docs/reference/configuration.md says. The table is `agent/api/tests/changes`; `agent/api/tests/configuration_page.rs` sees that no field is missing.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Effect {
    Now,
    Session,
    Sessions,
    Next,
    #[serde(rename = "not yet")]
    NotYet,
    Start,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    field: String,
    change: Effect,
    #[serde(default)]
    before: Value,
    after: Value,
    #[serde(default)]
    with: Map<String, Value>,
}

/// A JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        let target = target.as_object_mut().unwrap();
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

const NAMES: [(&str, &str, &str); 5] = [
    ("Router", "default", ""),
    ("Peer", "p", "role: tor"),
    ("Advertisement", "a", ""),
    ("RoutePolicy", "imported", ""),
    ("AddressPool", "pool", ""),
];

/// The manifests of these objects and of what is around them.
fn manifests(objects: &Value) -> String {
    let annotated = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {rack: a, asn: \"64777\"}, \
        annotations: {tor: 192.0.2.2, own: 192.0.2.11, id: 10.0.0.7}}\n\
        spec: {podCIDRs: [10.1.0.0/24], taints: [{key: example.com/off, effect: NoSchedule}]}\n\
        status: {addresses: [{type: InternalIP, address: 192.0.2.11}, {type: InternalIP, address: \"2001:db8::11\"}]}\n";
    let other = |name: &str, rack: &str, last: u8| {
        let addresses = [format!("192.0.2.{last}"), format!("2001:db8::{last}")];
        let addresses = addresses.each_ref().map(String::as_str);
        let cidr = format!("10.{last}.0.0/24");
        node(name, &format!("rack: {rack}"), &cidr, &addresses, "")
    };
    let web = service(
        "web",
        "type: LoadBalancer, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: [IPv4], externalIPs: [198.51.100.9]",
        "{ip: 203.0.113.10}, {ip: \"2001:db8:f::1\"}",
    );
    let mut text = annotated.to_owned()
        + &other("n2", "b", 12)
        + &other("n3", "c", 13)
        + &web
        + &service(
            "other",
            "type: LoadBalancer, loadBalancerClass: example.com/lb",
            "{ip: 203.0.113.11}",
        )
        + &slice("other-4", "other", "IPv4", &[("n1", "ready: true")])
        + &slice("web-4", "web", "IPv4", &[("n1", "ready: true")])
        + &slice("web-6", "web", "IPv6", &[("n1", "ready: true")])
        + &ours("RoutePolicy", "policy", "", "{rules: [{action: Reject}]}");
    for (kind, name, labels) in NAMES {
        text += &ours(kind, name, labels, &objects[kind].to_string());
    }
    text
}

fn facts() -> LocalFacts {
    let net = |text: &str| text.parse().unwrap();
    LocalFacts {
        interfaces: vec![Interface {
            name: "lo".to_owned(),
            addresses: vec![net("203.0.113.77/32")],
            up: true,
        }],
        gateways: vec![Gateway {
            address: "192.0.2.3".parse().unwrap(),
            interface: "eth0".to_owned(),
        }],
        ..LocalFacts::default()
    }
}

/// Whether going over to `new` ends the session of a peer.
fn resets(old: &PeerIntent, new: &PeerIntent) -> bool {
    let (address, other) = match (&old.target, &new.target) {
        // No session: of those out of the range, see `peering`.
        (PeerTarget::Range { .. }, PeerTarget::Range { .. }) => return false,
        (PeerTarget::Address { address, .. }, PeerTarget::Address { address: other, .. }) => {
            (*address, *other)
        }
        _ => return true,
    };
    old.password != new.password
        || old
            .settings(address, None, None)
            .needs_reset(&new.settings(other, None, None))
}

/// What is left of an intent without what only OPENs say.
fn beside_the_next_open(intent: &Intent) -> Intent {
    let mut rest = intent.clone();
    let mut peers = rest.peers.to_vec();
    for peer in &mut peers {
        peer.session.protocol.hold_time = None;
        peer.session.protocol.keepalive = None;
        peer.session.protocol.bfd = None;
        if let Some(bfd) = &mut peer.bfd {
            bfd.strict = None;
        }
    }
    rest.peers = peers.into();
    rest
}

/// What going over to `after` does. `of_router`: it was the Router that changed.
fn effect(before: &Intent, after: &Intent, of_router: bool) -> Option<Effect> {
    let both: Vec<(&PeerIntent, &PeerIntent)> = before
        .peers
        .iter()
        .filter_map(|old| Some((old, after.peer(&old.name)?)))
        .collect();
    let ended = both.iter().filter(|(old, new)| resets(old, new)).count();
    let is_unfinished = |intent: &Intent| {
        let is_interface = |peer: &PeerIntent| matches!(peer.target, PeerTarget::Interface { .. });
        intent.peers.iter().any(is_interface)
    };
    if is_unfinished(after) {
        Some(Effect::NotYet)
    } else if before == after {
        None
    } else if before.router.listen != after.router.listen || of_router && ended == both.len() {
        Some(Effect::Sessions)
    } else if ended > 0 {
        Some(Effect::Session)
    } else if beside_the_next_open(before) == beside_the_next_open(after) {
        Some(Effect::Next)
    } else {
        Some(Effect::Now)
    }
}

#[test]
fn every_field_that_is_changed_reaches_a_running_agent_with_the_resets_that_the_page_says() {
    let objects = include_str!("../../../../api/tests/changes/objects.yaml");
    let objects: Value = serde_saphyr::from_str(objects).unwrap();
    let rows = include_str!("../../../../api/tests/changes/fields.yaml");
    let rows: Vec<Row> = serde_saphyr::from_str(rows).unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let mut objects = objects.clone();
        for (kind, patch) in &row.with {
            merge(&mut objects[kind.as_str()], patch);
        }
        if !row.before.is_null() {
            merge(&mut objects[row.kind.as_str()], &row.before);
        }
        let before = state(&manifests(&objects));
        merge(&mut objects[row.kind.as_str()], &row.after);
        let after = state(&manifests(&objects));
        if row.kind == "AddressPool" {
            // Agents do not read it. That controllers follow every change: `pools/tests/allocator.rs`.
            assert_eq!(row.change, Effect::Now);
            continue;
        }
        let (mut planner, phase) = (Planner::new("n1"), Phase::default());
        let (old, _) = planner.plan(&before, &facts(), phase);
        let (new, change) = planner.plan(&after, &facts(), phase);
        let found = effect(&old, &new, row.kind == "Router");
        let is_seen = change != Change::Nothing || row.change == Effect::NotYet;
        if found != Some(row.change) || !is_seen {
            wrong.push(format!(
                "{} {}: {:?} in the table, but {found:?}",
                row.kind, row.field, row.change
            ));
        }
    }
    assert!(rows.len() > 100);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

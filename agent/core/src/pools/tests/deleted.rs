//! Pools that are deleted while Services use them, and pools that shrink.

use super::*;

const PUBLIC: &str = "addresses: [203.0.113.0/24]";
const SPARE: &str = "addresses: [198.51.100.0/24, \"2001:db8:5::/112\"]";

fn said(cluster: &Cluster, name: &str) -> (bool, String, String) {
    let request = &cluster.state.services[&key(name)];
    let statement = cluster.decision(name).statement(request).unwrap();
    (
        statement.holds,
        statement.reason.to_owned(),
        statement.message,
    )
}

fn in_status(cluster: &Cluster, name: &str) -> Vec<String> {
    let held = cluster.state.services[&key(name)].held();
    held.iter().map(ToString::to_string).collect()
}

fn released(cluster: &Cluster, name: &str) -> Vec<String> {
    let decision = cluster.decision(name);
    decision.release.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_keeps_the_address_of_a_deleted_pool_whatever_other_pools_there_are() {
    let mut cluster = Cluster::new(&[("public", PUBLIC)]);
    cluster.service("s", V4);
    cluster.settle();
    cluster.state.pools.clear();
    for more in [false, true] {
        if more {
            cluster.pool("spare", SPARE);
        }
        assert_eq!(cluster.shown("s"), "203.0.113.0 public");
        let (holds, reason, message) = said(&cluster, "s");
        assert!(holds);
        assert_eq!(reason, "AddressPoolDeleted");
        assert!(
            message.starts_with(
                "203.0.113.0 of AddressPool public; AddressPool public does not exist: "
            ),
            "{message}"
        );
        cluster.settle();
        assert_eq!(in_status(&cluster, "s"), ["203.0.113.0"]);
    }
    // The pool comes back, with that address or without it.
    let mut same = cluster.clone();
    same.pool("public", PUBLIC);
    assert_eq!(same.shown("s"), "203.0.113.0 public");
    assert_eq!(said(&same, "s").1, "Assigned");
    cluster.pool("public", "addresses: [192.0.2.0/24]");
    assert_eq!(cluster.shown("s"), "192.0.2.0 public");
}

#[test]
fn who_asks_for_something_else_moves_from_a_deleted_pool_and_who_asked_for_it_stays() {
    let mut cluster = Cluster::new(&[("public", PUBLIC), ("spare", SPARE)]);
    cluster.annotated("named", V4, "routelet.dev/address-pool: public");
    cluster.annotated("asked", V4, "routelet.dev/addresses: 203.0.113.9");
    cluster.settle();
    cluster.state.pools.remove("public");
    assert_eq!(cluster.shown("named"), "203.0.113.0 public");
    assert_eq!(cluster.shown("asked"), "203.0.113.9 public");
    cluster.settle();
    for name in ["named", "asked"] {
        cluster.change(name, |s| {
            s.asked.addresses = None;
            s.asked.pool = Some(AskedPool {
                source: "routelet.dev/address-pool",
                pool: "spare".into(),
            });
        });
    }
    cluster.settle();
    assert_eq!(in_status(&cluster, "named"), ["198.51.100.0"]);
    assert_eq!(in_status(&cluster, "asked"), ["198.51.100.1"]);
}

/// A pool is replaced by one of another name: before it is deleted, or after.
#[test]
fn a_pool_that_is_replaced_by_one_of_another_name_costs_nobody_an_address() {
    for new_first in [false, true] {
        let mut cluster = Cluster::new(&[("old", PUBLIC)]);
        cluster.annotated("named", V4, "metallb.io/address-pool: old");
        cluster.service("free", V4);
        let both = "metallb.io/address-pool: old, routelet.dev/addresses: 203.0.113.9";
        cluster.annotated("asked", V4, both);
        cluster.settle();
        let steps: [&dyn Fn(&mut Cluster); 2] = [
            &|cluster| drop(cluster.state.pools.remove("old")),
            &|cluster| cluster.pool("new", "addresses: [203.0.113.0/24], priority: 9"),
        ];
        let order = if new_first { [1, 0] } else { [0, 1] };
        for step in order {
            steps[step](&mut cluster);
            cluster.settle();
        }
        cluster.service("waiting", V4);
        cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.0");
        // A restart finds the same.
        for _ in 0..2 {
            let allocation = cluster.settle();
            assert_eq!(cluster.shown("named"), "203.0.113.0 old");
            assert_eq!(cluster.shown("free"), "203.0.113.1 new");
            assert_eq!(cluster.shown("asked"), "203.0.113.9 old");
            assert_eq!(said(&cluster, "named").1, "AddressPoolDeleted");
            assert_eq!(said(&cluster, "free").1, "Assigned");
            assert_eq!(cluster.shown("waiting"), "203.0.113.2 new");
            assert!(
                cluster
                    .shown("asks")
                    .starts_with("Service d/named has 203.0.113.0")
            );
            assert_eq!(allocation.pools["new"].ipv4.assigned, 4);
        }
        // Renamed in the Service too, it stays, and all is as it was.
        cluster.change("named", |s| {
            s.asked.pool.as_mut().unwrap().pool = "new".into();
        });
        assert_eq!(cluster.shown("named"), "203.0.113.0 new");
        assert_eq!(said(&cluster, "named").1, "Assigned");
    }
}

#[test]
fn who_names_a_deleted_pool_keeps_nothing_that_the_next_pool_is_closed_to_and_gets_nothing_more() {
    let mut cluster = Cluster::new(&[("old", PUBLIC)]);
    cluster.annotated("s", V4, "routelet.dev/address-pool: old");
    cluster.settle();
    cluster.state.pools.clear();
    let mut closed = cluster.clone();
    closed.pool(
        "new",
        &format!("{PUBLIC}, namespaceSelector: {{matchLabels: {{team: a}}}}"),
    );
    assert_eq!(released(&closed, "s"), ["203.0.113.0"]);
    // It may not take the chance to ask for an address of a pool that it does not name.
    cluster.pool("new", PUBLIC);
    cluster.change("s", |s| {
        s.asked.addresses = Some(AskedAddresses {
            source: "routelet.dev/addresses",
            addresses: Ok(["203.0.113.7".parse().unwrap()].into()),
        });
    });
    assert_eq!(
        cluster.shown("s"),
        "routelet.dev/address-pool names AddressPool old, which does not exist"
    );
}

#[test]
fn a_deleted_pools_address_has_one_owner_and_is_taken_over_by_a_pool_that_has_it() {
    let mut cluster = Cluster::new(&[("public", PUBLIC)]);
    cluster.service("s", V4);
    cluster.settle();
    cluster.state.pools.clear();
    cluster.pool("larger", "addresses: [203.0.0.0/16]");
    assert_eq!(cluster.shown("s"), "203.0.113.0 larger");
    // A younger one that says the same of itself gets another.
    let theirs = cluster.state.services[&key("s")].clone();
    cluster.service("t", V4);
    cluster.change("t", |t| {
        (t.ingress, t.condition) = (theirs.ingress.clone(), theirs.condition.clone());
    });
    cluster.state.pools.clear();
    cluster.pool("spare", SPARE);
    assert_eq!(cluster.shown("s"), "203.0.113.0 public");
    assert_eq!(cluster.shown("t"), "198.51.100.0 spare");
}

/// A pool that exists, but that the controller has never seen valid, as after a restart.
#[test]
fn a_pool_that_is_not_known_is_not_called_deleted_and_costs_nobody_an_address() {
    let mut cluster = Cluster::new(&[("p", PUBLIC)]);
    cluster.annotated("named", V4, "routelet.dev/address-pool: p");
    cluster.service("free", V4);
    cluster.annotated("asked", V4, "routelet.dev/addresses: 203.0.113.9");
    cluster.settle();
    let conditions = |cluster: &Cluster| {
        let all = cluster.state.services.values();
        all.map(|s| s.condition.clone()).collect::<Vec<_>>()
    };
    let before = conditions(&cluster);
    cluster.state.pools.clear();
    cluster.state.unknown_pools.insert("p".to_owned());
    for other in ["", SPARE, PUBLIC] {
        if !other.is_empty() {
            cluster.pool("other", other);
        }
        cluster.settle();
        for (name, has) in [
            ("named", "203.0.113.0 p"),
            ("free", "203.0.113.1 p"),
            ("asked", "203.0.113.9 p"),
        ] {
            let decision = cluster.decision(name);
            assert!(decision.release.is_empty());
            // Where no pool is known, none is known to be for Services without a class: they are left as they are.
            match other.is_empty() {
                true => assert_eq!(decision.outcome, Outcome::NotOurs(NotOurs::NoClass)),
                false => assert!(shown(&decision) == has && decision.is_of_unknown_pool()),
            }
        }
        assert_eq!(conditions(&cluster), before, "{other}");
    }
    // A younger pool that overlaps it gives nothing of it away.
    cluster.annotated("other", V4, "routelet.dev/addresses: 203.0.113.0");
    assert!(
        cluster
            .shown("other")
            .starts_with("Service d/named has 203.0.113.0")
    );
    cluster.service("waiting", V4);
    assert_eq!(cluster.shown("waiting"), "203.0.113.2 other");
    cluster.annotated("new", V4, "routelet.dev/address-pool: p");
    assert_eq!(
        cluster.shown("new"),
        "routelet.dev/address-pool names AddressPool p: it is not valid, see its condition Accepted"
    );
    cluster.pool("other", "addresses: [\"2001:db8:5::/112\"]");
    cluster.service("v4", V4);
    assert_eq!(
        cluster.shown("v4"),
        "no AddressPool assigns it an IPv4 address: other: it has no addresses of that family; p: it is not valid, \
         see its \
         condition Accepted"
    );
}

#[test]
fn who_needs_two_addresses_loses_both_or_none() {
    let both = "addresses: [203.0.113.0/24, \"2001:db8::/112\"]";
    let mut cluster = Cluster::new(&[("p", both)]);
    cluster.service("families", REQUIRE);
    cluster.annotated(
        "asked",
        V4,
        "routelet.dev/addresses: \"203.0.113.9,203.0.113.129\"",
    );
    cluster.settle();
    assert_eq!(
        in_status(&cluster, "families"),
        ["203.0.113.0", "2001:db8::"]
    );
    assert_eq!(in_status(&cluster, "asked").len(), 2);
    cluster.pool("p", "addresses: [203.0.113.0/25]");
    cluster.settle();
    assert!(in_status(&cluster, "families").is_empty());
    assert!(in_status(&cluster, "asked").is_empty());
    assert_eq!(said(&cluster, "families").1, "NoPool");
    assert_eq!(said(&cluster, "asked").1, "OutsidePools");
    // It has the whole of it again once there is one.
    cluster.pool("p", both);
    cluster.settle();
    assert_eq!(in_status(&cluster, "families").len(), 2);
}

#[test]
fn an_address_that_waits_for_a_replacement_is_named() {
    let mut cluster = Cluster::new(&[("p", PUBLIC)]);
    cluster.service("s", V4);
    cluster.settle();
    cluster.pool("p", "addresses: [\"2001:db8::/112\"]");
    cluster.settle();
    assert_eq!(in_status(&cluster, "s"), ["203.0.113.0"]);
    let (holds, reason, message) = said(&cluster, "s");
    assert!(!holds && reason == "NoPool");
    assert!(
        message.ends_with("; until then its status keeps 203.0.113.0, which no AddressPool has"),
        "{message}"
    );
}

#[test]
fn who_prefers_two_families_and_has_one_waits_for_nothing() {
    let mut cluster = Cluster::new(&[("p", PUBLIC)]);
    cluster.service("s", PREFER);
    let decision = cluster.decision("s");
    assert_eq!(decision.refusal(), None);
    let (holds, reason, message) = said(&cluster, "s");
    assert!(holds && reason == "OneFamily");
    assert_eq!(
        message,
        "203.0.113.0 of AddressPool p; no AddressPool assigns it an IPv6 address: p: it has no addresses of that family"
    );
}

#[test]
fn what_the_condition_lists_is_read_back() {
    let condition = |holds, message: &str| Condition {
        holds,
        message: message.into(),
        ..Condition::default()
    };
    let [v4, v6, other] = ["203.0.113.0", "2001:db8::", "203.0.113.1"].map(|a| a.parse().unwrap());
    let text =
        "203.0.113.0 of AddressPool a.b, 2001:db8:: of AddressPool c; 203.0.113.1 of AddressPool d";
    let both = condition(true, text);
    assert_eq!(both.pool_of(v4), Some("a.b"));
    assert_eq!(both.pool_of(v6), Some("c"));
    assert_eq!(both.pool_of(other), None);
    assert_eq!(condition(false, text).pool_of(v4), None);
    // Without the addresses, equal texts of all Services of a pool are one.
    let summary = |holds, text| condition(holds, text).summary();
    assert_eq!(
        summary(true, "203.0.113.0 of AddressPool a"),
        "AddressPool a"
    );
    let twice = "203.0.113.0 of AddressPool a, 203.0.113.1 of AddressPool a; requested by x";
    assert_eq!(summary(true, twice), "AddressPool a; requested by x");
    assert_eq!(
        summary(true, text),
        "AddressPool a.b, c; 203.0.113.1 of AddressPool d"
    );
    let refused = Condition {
        reason: "NoPool".into(),
        ..condition(false, "there is none")
    };
    assert_eq!(refused.summary(), "there is none (NoPool)");
    assert_eq!(condition(true, "").pool_of(v4), None);
}

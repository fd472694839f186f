//! Refusing on the real kernel: rules and routes are made, found again, repaired and removed, and those of others stay.

use routelet_fib::{FibHandle, Refusal, RefusalChange, Stop};

use super::namespace::*;

const WANTED: [(&str, Refusal); 5] = [
    ("203.0.113.7/32", Refusal::Service),
    ("2001:db8:f::7/128", Refusal::Service),
    ("203.0.113.0/24", Refusal::Aggregate),
    ("2001:db8:f::/64", Refusal::Aggregate),
    ("198.51.100.0/24", Refusal::FreePodAddresses),
];

const ROUTES: [&str; 5] = [
    "198.51.100.0/24 unreachable",
    "2001:db8:f::/64 unreachable",
    "2001:db8:f::7 unreachable",
    "203.0.113.0/24 unreachable",
    "203.0.113.7 unreachable",
];

const RULES_4: [&str; 3] = [
    "32765: from all to 198.51.100.0/24 lookup main suppress_prefixlength 23 proto 179",
    "32765: from all to 203.0.113.0/24 lookup main suppress_prefixlength 23 proto 179",
    "32765: not from all iif lo lookup 17900 proto 179",
];

const RULES_6: [&str; 2] = [
    "32765: from all to 2001:db8:f::/64 lookup main suppress_prefixlength 63 proto 179",
    "32765: not from all iif lo lookup 17900 proto 179",
];

fn refuse(fib: &FibHandle, wanted: &[(&str, Refusal)]) {
    let wanted = wanted
        .iter()
        .map(|(prefix, refusal)| (net(prefix), *refusal));
    fib.set_refused(None, wanted);
    settle(fib);
}

/// The rules of our protocol, in the kernel's order.
fn rules(family: u8) -> Vec<String> {
    let all = ip(&format!("-{family} rule show"));
    let ours = all.lines().filter(|line| line.contains("proto 179"));
    ours.map(|line| line.replace('\t', " ").trim().to_owned())
        .collect()
}

/// That exactly what is wanted is there, the rule that refuses last.
fn is_whole() -> bool {
    let [mut four, mut six] = [rules(4), rules(6)];
    let last = [four.last().cloned(), six.last().cloned()];
    four.sort();
    six.sort();
    ours() == ROUTES
        && four == RULES_4
        && six == RULES_6
        && last.iter().all(|rule| rule.as_deref() == Some(RULES_6[1]))
}

#[test]
fn refusing_is_set_up_adopted_without_duplicates_repaired_and_removed_and_others_keep_theirs() {
    in_namespace(|| {
        ip("rule add from 192.0.2.77 lookup 100");
        ip("rule add not iif lo pref 5270 lookup 52");
        ip("route add unreachable 203.0.113.0/24 metric 77");
        let before = (ip("rule"), ip("-6 rule"), ip("route"), ip("-6 route"));
        let fib = start();
        refuse(&fib, &WANTED);
        assert!(is_whole(), "{:?} {:?} {:?}", ours(), rules(4), rules(6));
        let counters = fib.counters();
        assert_eq!((counters.refusing_ipv4, counters.refusing_ipv6), (3, 2));
        fib.stop(Stop::KeepRoutes);
        assert!(
            is_whole(),
            "what is announced while the agent is away stays refused"
        );

        let fib = start();
        settle(&fib);
        assert!(is_whole(), "and until the next one knows what to announce");
        refuse(&fib, &WANTED);
        assert!(is_whole(), "{:?} {:?} {:?}", ours(), rules(4), rules(6));
        assert_eq!(fib.counters().operations, 0, "it finds all of it");

        for vandalism in [
            "rule del not iif lo lookup 17900",
            "-6 rule del not iif lo lookup 17900",
            "rule del to 203.0.113.0/24",
            "-6 rule del to 2001:db8:f::/64",
            "route flush table 17900",
            "-6 route flush table 17900",
        ] {
            ip(vandalism);
            until(&fib, vandalism, is_whole);
        }
        // A network that comes later goes before the rule that refuses.
        let added = net("198.18.0.0/24");
        let change = |refusal| {
            [RefusalChange {
                prefix: added,
                refusal,
            }]
        };
        fib.change_refused(change(Some(Refusal::Aggregate)));
        settle(&fib);
        assert_eq!(rules(4).len(), 4);
        assert_eq!(rules(4).last().map(String::as_str), Some(RULES_4[2]));
        fib.change_refused(change(None));
        settle(&fib);
        assert!(is_whole(), "{:?} {:?} {:?}", ours(), rules(4), rules(6));

        fib.stop(Stop::Withdraw(PATIENCE));
        assert_eq!(
            (ip("rule"), ip("-6 rule"), ip("route"), ip("-6 route")),
            before
        );
    });
}

#[test]
fn a_blackhole_of_an_earlier_version_goes_at_the_start_and_those_of_others_stay() {
    in_namespace(|| {
        ip("route add blackhole 203.0.113.0/24 metric 1024 proto 179");
        ip("-6 route add blackhole 2001:db8:f::/64 metric 1024 proto 179");
        ip("route add blackhole 203.0.114.0/24 metric 1024 proto bird");
        let fib = start();
        settle(&fib);
        assert_eq!(ours(), [""; 0], "before anything is known of the cluster");
        assert!(ip("route show").contains("blackhole 203.0.114.0/24"));
        fib.stop(Stop::KeepRoutes);
    });
}

#[test]
fn an_address_that_somebody_has_a_route_to_is_not_refused() {
    in_namespace(|| {
        let fib = start();
        refuse(&fib, &WANTED[..2]);
        assert_eq!(ours().len(), 2);
        ip("route add 203.0.113.7 via 192.0.2.9");
        until(&fib, "it is left to the other route", || ours().len() == 1);
        ip("route del 203.0.113.7");
        until(&fib, "it is refused again", || ours().len() == 2);
        // A link that goes down takes IPv4 routes along in silence.
        ip("route add 203.0.113.7 via 192.0.2.9");
        until(&fib, "it is left to the other route", || ours().len() == 1);
        ip("link set va down");
        until(&fib, "it is refused without the link", || ours().len() == 2);
        fib.stop(Stop::Withdraw(PATIENCE));
    });
}

//! Claims about what an agent advertises between its start and its end.

use bgp::types::Community;

use super::*;

/// Everything that a node can advertise: pod CIDRs, a Service, its aggregate, a static prefix, an address of an interface.
fn everything(router: &str, spec: &str, status: &str) -> String {
    node(
        "n1",
        "",
        "10.244.1.0/24",
        &["192.0.2.11"],
        &format!("  {status}"),
    )
    .replace("spec: {", &format!("spec: {{{spec}"))
        + &node("n2", "", "10.244.2.0/24", &["192.0.2.12"], "")
        + &ours("Router", "r", "", router)
        + &ours(
            "Advertisement",
            "all",
            "",
            "{services: {addresses: [LoadBalancer]}, podCIDRs: {}, prefixes: [198.51.100.0/24], interfaces: [lo], \
             aggregate: {ipv4: 24}, mode: Both}",
        )
        + &service(
            "web",
            "type: LoadBalancer, clusterIPs: [10.96.0.1]",
            "{ip: 203.0.113.7}",
        )
        + &slice("web-1", "web", "IPv4", &[("n1", "ready: true")])
}

fn lo() -> LocalFacts {
    LocalFacts {
        interfaces: vec![Interface {
            name: "lo".to_owned(),
            addresses: vec!["198.18.0.1/32".parse().unwrap()],
            up: true,
        }],
        ..LocalFacts::default()
    }
}

fn at(manifests: &str, phase: Phase) -> Arc<Intent> {
    Planner::new("n1").plan(&state(manifests), &lo(), phase).0
}

fn prefixes(intent: &Intent) -> Vec<String> {
    intent.originated.keys().map(ToString::to_string).collect()
}

fn is_drained(intent: &Intent) -> bool {
    let offers = intent.originated.values().flat_map(|one| &one.route.offers);
    let drained: Vec<bool> = offers
        .map(|offer| {
            offer.communities.contains(&Community::GRACEFUL_SHUTDOWN)
                && offer.local_preference == Some(0)
        })
        .collect();
    assert!(drained.iter().all(|one| *one == drained[0]), "{drained:?}");
    drained.contains(&true)
}

#[test]
fn each_phase_has_its_routes_and_its_rule_for_the_others() {
    let pods = "10.244.1.0/24";
    let services = ["203.0.113.0/24", "203.0.113.7/32"];
    let fixed = ["198.18.0.1/32", "198.51.100.0/24"];
    let mut all = vec![pods];
    all.extend(fixed);
    all.extend(services);
    let mut waiting = vec![pods];
    waiting.extend(fixed);
    for (services_wait, leaving, told, drained, rule) in [
        (false, Leaving::No, &all[..], false, None),
        (
            true,
            Leaving::No,
            &waiting[..],
            false,
            Some("kubeProxyNotHealthy"),
        ),
        (false, Leaving::Drained, &all[..], true, None),
        (
            false,
            Leaving::WithoutServices,
            &[pods][..],
            true,
            Some("nodeLeaves"),
        ),
        (
            true,
            Leaving::WithoutServices,
            &[pods][..],
            true,
            Some("nodeLeaves"),
        ),
        (
            false,
            Leaving::WithoutPods,
            &[][..],
            false,
            Some("nodeLeaves"),
        ),
        (false, Leaving::Gone, &[][..], false, Some("nodeLeaves")),
    ] {
        let phase = Phase {
            services_wait,
            leaving,
        };
        let intent = at(&everything("{}", "", ""), phase);
        assert_eq!(prefixes(&intent), told, "{phase:?}");
        assert_eq!(is_drained(&intent), drained, "{phase:?}");
        let rules: Vec<&str> = intent
            .suppressed
            .keys()
            .map(|one| code(&one.rule))
            .collect();
        assert!(rules.iter().all(|code| Some(*code) == rule), "{rules:?}");
        assert_eq!(rules.is_empty(), rule.is_none(), "{phase:?}");
        // Only a node that is gone has no peers.
        assert_eq!(
            intent.peers.is_empty(),
            leaving == Leaving::Gone,
            "{phase:?}"
        );
    }
}

#[test]
fn a_node_is_drained_for_the_strongest_reason_that_there_is() {
    let taints = "taints: [{key: example.com/other, effect: NoSchedule}, {key: example.com/gone, effect: NoExecute}], ";
    let listed = "{leave: {taints: [example.com/gone]}}";
    let down = "conditions: [{type: Ready, status: 'False', reason: KubeletNotReady, message: '[x, node is shutting down]'}]";
    let not_ready =
        "conditions: [{type: Ready, status: 'False', message: container runtime is down}]";
    for (router, spec, status, reason) in [
        ("{}", "", "", None),
        ("{}", taints, not_ready, None),
        ("{drain: true}", taints, "", Some(DrainReason::Router)),
        (
            listed,
            taints,
            "",
            Some(DrainReason::Taint("example.com/gone".into())),
        ),
        (listed, taints, down, Some(DrainReason::NodeShutdown)),
        ("{}", "", down, Some(DrainReason::NodeShutdown)),
    ] {
        let manifests = everything(router, spec, status);
        let intent = at(&manifests, Phase::default());
        assert_eq!(intent.router.drain, reason, "{router} {spec} {status}");
        assert_eq!(is_drained(&intent), reason.is_some(), "{router} {spec}");
        let ordered = Phase {
            leaving: Leaving::Drained,
            ..Phase::default()
        };
        let stronger = reason.max(Some(DrainReason::Command));
        assert_eq!(at(&manifests, ordered).router.drain, stronger);
    }
}

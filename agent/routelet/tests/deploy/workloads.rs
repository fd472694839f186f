//! Workloads and the unit of systemd fit the binary: its options, variables, port and how long it takes to stop.

use serde_json::Value;

use super::{PATHS, containers, deploy, documents, help, of_kind, text_at, texts, workloads};

#[test]
fn a_wrong_option_is_noticed_before_help() {
    assert!(help(&["run"]).is_ok());
    let error = help(&["run", "--no-such-option"]).unwrap_err();
    assert!(error.contains("--no-such-option"), "{error}");
    assert!(help(&["run", "--http=nowhere"]).is_err());
}

#[test]
fn containers_use_options_and_variables_that_there_are() {
    let documents = documents();
    for workload in workloads(&documents) {
        for container in containers(workload) {
            let arguments = texts(&container["args"]);
            let help = help(&arguments).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
            for variable in container["env"].as_array().into_iter().flatten() {
                let name = variable["name"].as_str().unwrap();
                let known = help.contains(&format!("[env: {name}="));
                assert!(known, "{arguments:?} knows no variable {name}");
            }
        }
    }
}

#[test]
fn the_component_adds_an_option_that_there_is_and_the_directory_that_it_names() {
    let documents = documents();
    let component = documents.iter().find(|(name, _)| name.starts_with("cni/"));
    let component = &component.unwrap().1;
    let patch = component["patches"][0]["patch"].as_str().unwrap();
    let operations: Vec<Value> = serde_saphyr::from_str(patch).unwrap();
    let added = |list: &str| {
        let path = format!("/{list}/-");
        let operation = operations
            .iter()
            .find(|one| text_at(one, "path").ends_with(&path));
        operation.unwrap_or_else(|| panic!("{patch}"))["value"].clone()
    };
    let option = added("args");
    let daemonset = of_kind(&documents, "DaemonSet").next().unwrap();
    let mut arguments = texts(&containers(daemonset)[0]["args"]);
    arguments.push(option.as_str().unwrap());
    help(&arguments).unwrap();
    let (mount, volume) = (added("volumeMounts"), added("volumes"));
    assert_eq!(mount["name"], volume["name"]);
    let directory = option.as_str().unwrap().split_once('=').unwrap().1;
    assert_eq!(mount["mountPath"], directory);
    assert_eq!(volume["hostPath"]["path"], directory);
}

#[test]
fn selectors_select_and_accounts_are_there() {
    let documents = documents();
    let workloads = workloads(&documents);
    for workload in &workloads {
        let template = &workload["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        assert_eq!(&workload["spec"]["selector"]["matchLabels"], labels);
        let account = text_at(template, "spec.serviceAccountName");
        let known = of_kind(&documents, "ServiceAccount")
            .any(|known| text_at(known, "metadata.name") == account);
        assert!(known, "no ServiceAccount {account}");
    }
    let pods_of = |selector: &Value| -> &Value {
        let found = workloads
            .iter()
            .find(|workload| &workload["spec"]["template"]["metadata"]["labels"] == selector);
        found.unwrap_or_else(|| panic!("{selector} selects nothing"))
    };
    for monitor in of_kind(&documents, "PodMonitor") {
        let workload = pods_of(&monitor["spec"]["selector"]["matchLabels"]);
        for endpoint in monitor["spec"]["podMetricsEndpoints"].as_array().unwrap() {
            let ports = containers(workload)[0]["ports"].as_array().unwrap();
            assert!(ports.iter().any(|port| port["name"] == endpoint["port"]));
            assert!(PATHS.contains(&text_at(endpoint, "path")));
        }
    }
    for policy in of_kind(&documents, "NetworkPolicy") {
        let workload = pods_of(&policy["spec"]["podSelector"]["matchLabels"]);
        let allowed = &policy["spec"]["ingress"][0]["ports"][0]["port"];
        assert_eq!(
            allowed,
            &containers(workload)[0]["ports"][0]["containerPort"]
        );
    }
    for binding in
        of_kind(&documents, "RoleBinding").chain(of_kind(&documents, "ClusterRoleBinding"))
    {
        let (kind, name) = (
            text_at(binding, "roleRef.kind"),
            text_at(binding, "roleRef.name"),
        );
        let known = of_kind(&documents, kind).any(|role| text_at(role, "metadata.name") == name);
        assert!(known, "{kind} {name} is bound and not there");
    }
}

#[test]
fn probes_ask_where_something_answers() {
    let documents = documents();
    for workload in workloads(&documents) {
        for container in containers(workload) {
            let http = texts(&container["args"])
                .into_iter()
                .find_map(|argument| argument.strip_prefix("--http="));
            let (address, served) = http.unwrap().rsplit_once(':').unwrap();
            let served: u64 = served.parse().unwrap();
            let ports = container["ports"].as_array().unwrap();
            let port = ports.iter().find(|port| port["name"] == "http").unwrap();
            assert_eq!(port["containerPort"], served);
            let pod = &workload["spec"]["template"]["spec"];
            // On the network of the node everybody could ask.
            let on_node = pod["hostNetwork"] == true;
            if on_node {
                assert_eq!(port["hostPort"], served);
                assert_eq!(address, "127.0.0.1");
            }
            let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
            let probes: Vec<&Value> = probes
                .iter()
                .map(|name| &container[*name]["httpGet"])
                .filter(|probe| !probe.is_null())
                .collect();
            assert!(probes.len() >= 2, "{container}");
            for probe in probes {
                assert_eq!(probe["port"], "http");
                let host = probe["host"].as_str().unwrap_or_default();
                assert_eq!(host, address, "{probe}");
                assert!(PATHS.contains(&text_at(probe, "path")), "{probe}");
            }
            // Every mount has its volume, and every volume its mount.
            let names = |list: &Value| -> Vec<String> {
                let list = list.as_array().into_iter().flatten();
                list.map(|one| text_at(one, "name").to_owned()).collect()
            };
            assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
        }
    }
}

#[test]
fn the_unit_of_systemd_uses_options_that_there_are() {
    let text = std::fs::read_to_string(deploy().join("systemd/routelet.service")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert!(words[0].ends_with("/routelet"), "{words:?}");
    help(&words[1..]).unwrap();
    let stop = text.lines().find_map(|line| line.strip_prefix("ExecStop="));
    let (_, command) = stop.unwrap().split_once(words[0]).unwrap();
    let command: Vec<&str> = command.trim_end_matches('\'').split_whitespace().collect();
    help(&command).unwrap();
}

/// What stops the agent kills it if it takes longer.
#[test]
fn an_agent_is_given_as_long_as_stopping_may_take_and_hardly_longer() {
    let documents = documents();
    let agent = of_kind(&documents, "DaemonSet").next().unwrap();
    let pod = &agent["spec"]["template"]["spec"];
    let given = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let unit = std::fs::read_to_string(deploy().join("systemd/routelet.service")).unwrap();
    let of_unit = unit.lines().find_map(|line| {
        line.strip_prefix("TimeoutStopSec=")
            .and_then(|rest| rest.strip_suffix('s'))
    });
    let of_unit = of_unit.unwrap().parse::<u64>().unwrap();
    let longest = routelet::run::LONGEST_STOP.as_secs();
    for (what, given) in [("the DaemonSet", given), ("the unit", of_unit)] {
        assert!(
            (longest + 1..=longest + 10).contains(&given),
            "{what}: {given} s for {longest} s"
        );
    }
}

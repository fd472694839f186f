//! The manifests in `deploy` fit each other and the binary: options and variables exist, probes ask where something answers,
//! selectors select, and kustomize makes one whole of them. No cluster is needed.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube::Resource;
use kube_cel::cel;
use routelet_core::cluster::Kind;
use serde_json::{Value, json};

/// The versions of API groups that every server has from Kubernetes 1.25 on.
const OF_1_25: [&str; 5] = [
    "v1",
    "apps/v1",
    "apiextensions.k8s.io/v1",
    "networking.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
];

/// What the HTTP port of agent and controller serves.
const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Every document of every YAML file below `deploy`, with its path there.
fn documents() -> Vec<(String, Value)> {
    let mut folders = vec![deploy()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let name = path.strip_prefix(deploy()).unwrap();
                let name = name.to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let all: Vec<Value> = parse(&name, &text);
                found.extend(all.into_iter().map(|one| (name.clone(), one)));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn parse(name: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn of_kind<'a>(documents: &'a [(String, Value)], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let objects = documents.iter().map(|(_, object)| object);
    objects.filter(move |object| object["kind"] == kind)
}

/// DaemonSets and Deployments.
fn workloads(documents: &[(String, Value)]) -> Vec<&Value> {
    let found: Vec<&Value> = of_kind(documents, "DaemonSet")
        .chain(of_kind(documents, "Deployment"))
        .collect();
    assert_eq!(found.len(), 2, "agent and controller");
    found
}

fn containers(workload: &Value) -> &Vec<Value> {
    let pod = &workload["spec"]["template"]["spec"];
    pod["containers"].as_array().unwrap()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

/// What the binary answers to a command line with `--help` at its end: its help, unless something before is wrong.
fn help(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_routelet"))
        .args(arguments)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// The text of a path in an object, such as `metadata.name`.
fn text_at<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = path.split('.').fold(object, |value, key| &value[key]);
    found
        .as_str()
        .unwrap_or_else(|| panic!("no {path} in {object}"))
}

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
fn every_file_is_part_of_a_kustomization() {
    let documents = documents();
    for (name, kustomization) in &documents {
        if kustomization["kind"] != "Kustomization" {
            continue;
        }
        let folder = deploy().join(name).parent().unwrap().to_owned();
        let listed = texts(&kustomization["resources"]);
        for resource in &listed {
            assert!(
                folder.join(resource).exists(),
                "{name}: {resource} is not there"
            );
        }
        for entry in std::fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let part = file == "kustomization.yaml"
                || !file.ends_with(".yaml")
                || listed.contains(&file.as_str());
            assert!(part, "{name} does not list {file}");
        }
    }
}

/// The rows of `routelet_api::kinds` are what is watched and what gets a status.
#[test]
fn roles_allow_what_is_done_with_the_kinds_that_people_write() {
    macro_rules! plurals {
        ($($kind:ident $row:tt)*) => {
            [$((
                routelet_api::$kind::plural(&()).into_owned(),
                routelet_api::$kind::READ_BY_AGENTS,
            )),*]
        };
    }
    let kinds = routelet_api::kinds!(plurals);
    let all: Vec<&str> = kinds.iter().map(|(plural, _)| plural.as_str()).collect();
    let of_agents: Vec<&str> = kinds
        .iter()
        .filter(|(_, is_read)| *is_read)
        .map(|(plural, _)| plural.as_str())
        .collect();
    let statuses: Vec<String> = all.iter().map(|all| format!("{all}/status")).collect();
    let documents = documents();
    let allowed = |role: &str, verbs: Value| {
        let role = of_kind(&documents, "ClusterRole").find(|one| one["metadata"]["name"] == role);
        let rules = role.unwrap()["rules"].as_array().unwrap().iter();
        let mut rules = rules.filter(|rule| {
            rule["apiGroups"] == json!([routelet_api::GROUP]) && rule["verbs"] == verbs
        });
        rules.next().unwrap()["resources"].clone()
    };
    let watch = json!(["list", "watch"]);
    assert_eq!(allowed("routelet-agent", watch.clone()), json!(of_agents));
    assert_eq!(allowed("routelet-controller", watch), json!(all));
    let patched = allowed("routelet-controller", json!(["patch"]));
    assert_eq!(patched, json!(statuses));
}

#[test]
fn an_agent_may_write_the_router_state_of_its_own_node_alone() {
    let documents = documents();
    let policy = of_kind(&documents, "ValidatingAdmissionPolicy")
        .next()
        .unwrap();
    let binding = of_kind(&documents, "ValidatingAdmissionPolicyBinding")
        .next()
        .unwrap();
    assert_eq!(
        binding["spec"]["policyName"],
        text_at(policy, "metadata.name")
    );
    let agent = "system:serviceaccount:routelet-system:routelet-agent";
    let own = json!({"authentication.kubernetes.io/node-name": ["node-1"]});
    for (user, extra, name, allowed) in [
        (agent, &own, "node-1", true),
        (agent, &own, "node-2", false),
        (agent, &own, "", false),
        (agent, &json!({}), "node-1", false),
        // Whom the policy is not about: an administrator, the garbage collector.
        ("kubernetes-admin", &json!({}), "node-2", true),
    ] {
        let request = json!({"userInfo": {"username": user, "extra": extra}, "name": name});
        let mut context = cel::Context::default();
        context.add_variable("request", &request).unwrap();
        let is_true = |context: &cel::Context<'_>, rule: &Value| {
            let program = cel::Program::compile(text_at(rule, "expression")).unwrap();
            program.execute(context).unwrap() == cel::Value::Bool(true)
        };
        let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
        let is_meant = conditions.iter().all(|rule| is_true(&context, rule));
        let nodes = text_at(&policy["spec"]["variables"][0], "expression");
        let nodes = cel::Program::compile(nodes).unwrap().execute(&context);
        let variables = HashMap::from([("nodes".to_owned(), nodes.unwrap())]);
        context.add_variable_from_value("variables", variables);
        let mut rules = policy["spec"]["validations"].as_array().unwrap().iter();
        let found = !is_meant || rules.all(|rule| is_true(&context, rule));
        assert_eq!(found, allowed, "{request}");
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

/// What kustomize makes of a folder; `None` if there is no kubectl here.
fn kustomize(folder: &Path) -> Option<Vec<Value>> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        // Straight to the terminal: what tests print is only shown when they fail.
        let _ = writeln!(
            std::io::stderr(),
            "skip: needs `kubectl`, which is not installed"
        );
        return None;
    };
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", folder.display());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(parse(&folder.to_string_lossy(), &text))
}

#[test]
fn kustomize_makes_one_whole_of_it() {
    let Some(objects) = kustomize(&deploy()) else {
        return;
    };
    let kinds = ["Namespace", "DaemonSet", "Deployment", "NetworkPolicy"];
    for kind in kinds {
        let count = objects.iter().filter(|o| o["kind"] == kind).count();
        assert_eq!(count, 1, "{kind}");
    }
    for object in &objects {
        if matches!(object["kind"].as_str(), Some("DaemonSet" | "Deployment")) {
            assert_eq!(object["metadata"]["namespace"], "routelet-system");
            let image = text_at(&containers(object)[0], "image");
            assert!(image.contains('/') && image.contains(':'), "{image}");
        }
    }
    let monitoring = kustomize(&deploy().join("monitoring")).unwrap();
    assert!(monitoring.iter().any(|o| o["kind"] == "ConfigMap"));
}

#[test]
fn kustomize_opens_the_port_where_the_component_says_so() {
    let overlay = "resources: [deploy]\ncomponents: [deploy/monitoring/open-port]\n";
    let Some(arguments) = arguments_under(overlay) else {
        return;
    };
    let http: Vec<&String> = arguments.iter().filter(|a| a.contains("http")).collect();
    assert_eq!(http, ["--http=:7179"]);
}

/// The arguments of the agent's container under a kustomization beside `deploy`.
fn arguments_under(overlay: &str) -> Option<Vec<String>> {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(deploy().canonicalize().unwrap(), root.path().join("deploy"))
        .unwrap();
    std::fs::write(root.path().join("kustomization.yaml"), overlay).unwrap();
    let objects = kustomize(root.path())?;
    let agent = objects.iter().find(|o| o["kind"] == "DaemonSet").unwrap();
    let arguments = texts(&containers(agent)[0]["args"]);
    help(&arguments).unwrap();
    Some(arguments.into_iter().map(str::to_owned).collect())
}

#[test]
fn kustomize_adds_the_component() {
    // Kustomize takes no absolute paths.
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(deploy().canonicalize().unwrap(), root.path().join("deploy"))
        .unwrap();
    let overlay = "resources: [deploy]\ncomponents: [deploy/cni]\n";
    std::fs::write(root.path().join("kustomization.yaml"), overlay).unwrap();
    let Some(objects) = kustomize(root.path()) else {
        return;
    };
    let agent = objects.iter().find(|o| o["kind"] == "DaemonSet").unwrap();
    let container = &containers(agent)[0];
    let arguments = texts(&container["args"]);
    assert!(
        arguments.contains(&"--cni-config-dir=/etc/cni/net.d"),
        "{arguments:?}"
    );
    help(&arguments).unwrap();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["mountPath"] == "/etc/cni/net.d")
    );
}

/// The overlay of the page, as it stands there.
#[test]
fn the_page_says_how_to_leave_out_what_older_api_servers_do_not_have() {
    let page = std::fs::read_to_string(deploy().join("README.md")).unwrap();
    let (_, overlay) = page.split_once("```yaml\n").unwrap();
    let (overlay, _) = overlay.split_once("```").unwrap();
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(deploy().canonicalize().unwrap(), root.path().join("deploy"))
        .unwrap();
    std::fs::write(root.path().join("kustomization.yaml"), overlay).unwrap();
    let (Some(all), Some(left)) = (kustomize(&deploy()), kustomize(root.path())) else {
        return;
    };
    let is_old = |object: &&Value| OF_1_25.contains(&text_at(object, "apiVersion"));
    assert_eq!(left.iter().filter(|object| !is_old(object)).count(), 0);
    // And nothing else.
    assert_eq!(left.len(), all.iter().filter(is_old).count());
}

//! What kustomize makes of the folders and components.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{containers, deploy, documents, help, parse, text_at, texts};

/// The versions of API groups that every server has from Kubernetes 1.25 on.
const OF_1_25: [&str; 5] = [
    "v1",
    "apps/v1",
    "apiextensions.k8s.io/v1",
    "networking.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
];

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

//! The container image: built by the script that ships it, and run as the DaemonSet runs it, it needs nothing but what
//! that gives.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::pod_cidrs;
use support::node::{node_object, object};

const NEEDS: [Need; 6] = [
    Need::Speaker(Kind::Bird2),
    Need::Program("podman"),
    Need::Program("runc"),
    Need::Program("cargo"),
    Need::Program("readelf"),
    Need::Program("curl"),
];

/// The name of the image. It is removed in the end; should this be cut short, the next run takes its place.
const IMAGE: &str = "localhost/routelet-lab-image";

#[test]
fn the_image_holds_one_static_binary_which_works_with_the_rights_of_the_daemonset() {
    run(&NEEDS, |lab| {
        let image = Image::build()?;
        let (node, tor) = lab.pair(
            ("node", &["10.0.0.1/24", "fd00::1/64"]),
            ("tor", &["10.0.0.2/24", "fd00::2/64"]),
        )?;
        let agent = Container::start(lab, &image, &node)?;
        eventually(SOON, "/healthz answers", || agent.get("healthz"))?;
        eventually(SOON, "it has a peer and writes to the kernel", || {
            let metrics = agent.get("metrics")?;
            let wanted = [
                "routelet_peer_up{peer=\"tor\"} 0",
                "routelet_fib_available 1",
            ];
            ensure!(
                wanted.iter().all(|line| metrics.contains(line)),
                "{metrics}"
            );
            Ok(())
        })?;
        ensure!(agent.get("readyz").is_err(), "ready without its peer");

        // The BGP port, routes, and a file on the node.
        let speaker = Speaker::new(64500, "10.0.0.2")
            .originate(Origination::new("198.51.100.0/24"))
            .neighbour(
                Neighbour::new("10.0.0.1", 64512).graceful_restart(Duration::from_secs(120)),
            );
        let tor = Subject::start(lab, Kind::Bird2, &tor, speaker)?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        eventually(SOON, "/readyz answers", || agent.get("readyz"))?;
        eventually(SOON, "the learned route is in the kernel", || {
            let found = kernel::routes_to(&node, "198.51.100.0/24")?;
            found.first().cloned().context("no route")
        })?;
        let list = node.dir().join("net.d/10-routelet.conflist");
        eventually(SOON, "the CNI configuration", || {
            ensure!(std::fs::read_to_string(&list)?.contains(&pod_cidrs(1)[1]));
            Ok(())
        })?;

        // As `kubectl exec` would.
        let status = podman(&["exec", &agent.name, "/routelet", "-o", "json", "status"])?;
        let status: Value = serde_json::from_str(&status)?;
        ensure!(status["peers"]["established"] == 1, "{status}");
        // Nothing else is in the image.
        let shell = podman(&["exec", &agent.name, "/bin/sh"]);
        ensure!(shell.is_err(), "there is a shell");
        agent.stop()
    });
}

/// The image. Dropping it removes it.
struct Image;

impl Image {
    fn build() -> Result<Self> {
        // What a run that was cut short left; usually there is nothing.
        drop(Self);
        let binary = script("static-binary", &["dev"])?;
        let text = succeed(Command::new("readelf").args(["-lW", "-d", binary.trim()]))?;
        ensure!(
            text.contains("LOAD") && !text.contains("INTERP") && !text.contains("NEEDED"),
            "{binary} is not static: {text}"
        );
        script("image", &["dev", IMAGE])?;
        Ok(Self)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = podman(&["rmi", "--force", IMAGE]);
    }
}

/// The agent's container.
struct Container<'a> {
    name: String,
    namespace: &'a Namespace,
    _image: &'a Image,
}

impl<'a> Container<'a> {
    /// Starts the container of the DaemonSet, on manifests instead of an API server, and with the component that writes
    /// a CNI configuration.
    fn start(lab: &Lab, image: &'a Image, namespace: &'a Namespace) -> Result<Self> {
        let name = format!("{}-routelet", namespace.name());
        let list = lab.dir().join("containers");
        writeln!(std::fs::File::create(list)?, "{name}")?;
        let log = format!("path={}", namespace.dir().join("routelet.log").display());
        let network = format!("ns:{}", namespace.path().display());
        let pod = daemonset()?;
        let container = &pod["containers"][0];
        let mut words = vec!["--runtime", "runc", "run", "--detach", "--replace"];
        words.extend(["--pull", "never", "--name", &name, "--network", &network]);
        words.extend(["--log-driver", "k8s-file", "--log-opt", &log]);
        // runc refuses to raise the limits that podman would ask for.
        words.extend(["--ulimit", "nofile=1024:1024"]);
        words.extend(["--ulimit", "nproc=1000:1000"]);
        let rights = rights(&container["securityContext"])?;
        words.extend(rights.iter().map(String::as_str));
        let volumes = volumes(namespace)?;
        words.extend(volumes.iter().flat_map(|v| ["--volume", v.as_str()]));
        words.push(IMAGE);
        let arguments = container["args"].as_array().context("no arguments")?;
        words.extend(arguments.iter().filter_map(Value::as_str));
        words.extend(["--node", "node", "--manifests", "/etc/routelet"]);
        words.push("--cni-config-dir=/etc/cni/net.d");
        podman(&words)?;
        Ok(Self {
            name,
            namespace,
            _image: image,
        })
    }

    /// The body of an answer with status 200.
    fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:7179/{path}");
        self.namespace
            .run(&["curl", "--silent", "--show-error", "--fail-with-body", &url])
    }

    /// Ends it as the kubelet does, and checks that it ended well.
    fn stop(self) -> Result<()> {
        podman(&["stop", "--time", "10", &self.name])?;
        let format = "{{.State.ExitCode}}";
        let code = podman(&["inspect", "--format", format, &self.name])?;
        ensure!(code.trim() == "0", "ended with {code}");
        Ok(())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = podman(&["rm", "--force", "--time", "0", &self.name]);
    }
}

/// The pod of `deploy/agent/daemonset.yaml`.
fn daemonset() -> Result<Value> {
    let path = root().join("deploy/agent/daemonset.yaml");
    let text = std::fs::read_to_string(&path)?;
    let object: Value = serde_saphyr::from_str(&text)?;
    Ok(object["spec"]["template"]["spec"].clone())
}

/// A security context as podman's options. podman's default filter of system calls is the runtime's default.
fn rights(context: &Value) -> Result<Vec<String>> {
    let user = &context["runAsUser"];
    let mut words = vec![format!("--user={user}")];
    // podman would put writable file systems into a read-only one.
    ensure!(context["readOnlyRootFilesystem"] == true);
    words.extend(["--read-only", "--read-only-tmpfs=false"].map(str::to_owned));
    ensure!(context["allowPrivilegeEscalation"] == false);
    words.push("--security-opt=no-new-privileges".to_owned());
    for (option, list) in [("drop", "drop"), ("add", "add")] {
        let names = context["capabilities"][list].as_array();
        for name in names.context("no capabilities")? {
            let name = name.as_str().context("no text")?;
            words.push(format!("--cap-{option}={name}"));
        }
    }
    Ok(words)
}

/// The directories that the container gets: manifests to read, and those of the DaemonSet and the component to write.
fn volumes(namespace: &Namespace) -> Result<[String; 3]> {
    let volume = |folder: &str, target: &str| -> Result<String> {
        let path = namespace.dir().join(folder);
        std::fs::create_dir_all(&path)?;
        Ok(format!("{}:{target}", path.display()))
    };
    let manifests = volume("manifests", "/etc/routelet:ro")?;
    let cidrs = pod_cidrs(1);
    let node = node_object(
        "node",
        &["10.0.0.1", "fd00::1"],
        &cidrs.each_ref().map(String::as_str),
    );
    let peer = json!({"address": "10.0.0.2", "asn": 64500, "timers": {"connectRetry": "1s"}});
    for (name, object) in [("node", node), ("peer", object("Peer", "tor", &peer))] {
        let file = namespace.dir().join(format!("manifests/{name}.yaml"));
        std::fs::write(file, object.to_string())?;
    }
    Ok([
        manifests,
        volume("run", "/run/routelet")?,
        volume("net.d", "/etc/cni/net.d")?,
    ])
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs one of the project's scripts.
fn script(name: &str, arguments: &[&str]) -> Result<String> {
    // Without layers, no build leaves any behind.
    let mut command = Command::new(root().join("scripts").join(name));
    command.args(arguments).env("BUILDAH_LAYERS", "false");
    succeed(&mut command)
}

fn podman(words: &[&str]) -> Result<String> {
    succeed(Command::new("podman").args(words))
}

fn succeed(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    if !done.status.success() {
        let error = String::from_utf8_lossy(&done.stderr);
        bail!("{command:?} ended with {}: {error}", done.status);
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

//! A node: `routelet run` in a namespace, on a directory of manifests that the test writes, or on an API server.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::{Namespace, Process, Signal, eventually};
use serde_json::{Value, json};

/// How long the agent may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node of the name of its namespace.
pub struct Node {
    pub namespace: Namespace,
    manifests: PathBuf,
    /// The arguments that say where the cluster's state comes from.
    source: Vec<String>,
    socket: String,
    /// What runs the agent: `setpriv` with arguments, or nothing.
    wrapper: Vec<String>,
    extra: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Writes `files` and starts the agent. `extra` are further arguments of `routelet run`.
    pub fn start(namespace: &Namespace, files: &[(&str, Value)], extra: &[&str]) -> Result<Self> {
        Self::start_under(namespace, &[], files, extra)
    }

    /// As [`Node::start`], the agent being run by `wrapper`, a command that executes the words behind it.
    pub fn start_under(
        namespace: &Namespace,
        wrapper: &[&str],
        files: &[(&str, Value)],
        extra: &[&str],
    ) -> Result<Self> {
        let manifests = namespace.dir().join("manifests");
        std::fs::create_dir_all(&manifests)?;
        let source = [
            "--manifests".to_owned(),
            manifests.to_string_lossy().into_owned(),
        ];
        let mut node = Self::new(namespace, wrapper, source, extra);
        for (name, objects) in files {
            node.write(name, objects)?;
        }
        node.launch()?;
        Ok(node)
    }

    /// Starts the agent on the API server of a kubeconfig file.
    pub fn start_in_cluster(
        namespace: &Namespace,
        kubeconfig: &Path,
        extra: &[&str],
    ) -> Result<Self> {
        Self::start_in_cluster_under(namespace, &[], kubeconfig, extra)
    }

    /// The same, run by `wrapper`: see [`Node::start_under`].
    pub fn start_in_cluster_under(
        namespace: &Namespace,
        wrapper: &[&str],
        kubeconfig: &Path,
        extra: &[&str],
    ) -> Result<Self> {
        let source = [
            "--kubeconfig".to_owned(),
            kubeconfig.to_string_lossy().into_owned(),
        ];
        let mut node = Self::new(namespace, wrapper, source, extra);
        node.launch()?;
        Ok(node)
    }

    fn new(namespace: &Namespace, wrapper: &[&str], source: [String; 2], extra: &[&str]) -> Self {
        Self {
            namespace: namespace.clone(),
            manifests: namespace.dir().join("manifests"),
            source: source.into(),
            socket: namespace
                .dir()
                .join("routelet.sock")
                .to_string_lossy()
                .into_owned(),
            wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
            extra: extra.iter().map(|&word| word.to_owned()).collect(),
            process: None,
        }
    }

    /// Starts the agent again.
    pub fn launch(&mut self) -> Result<()> {
        // It answers before it has done anything. What manifests say is done soon; an API server may be away.
        let waits_for_server = !self.source.iter().any(|word| word == "--manifests");
        self.launch_until(|status| !status["intentChangedSeconds"].is_null() || waits_for_server)
    }

    /// The same; it waits until the answer to `status` is as it should be, whether the agent works then or waits for
    /// something.
    pub fn launch_until(&mut self, is_good: impl Fn(&Value) -> bool) -> Result<()> {
        let binary = binary()?;
        let mut argv: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        argv.extend([binary.as_str(), "run"]);
        argv.extend(self.source.iter().map(String::as_str));
        argv.extend(["--node", self.namespace.label(), "--control", &self.socket]);
        argv.extend(self.extra.iter().map(String::as_str));
        let process = self.namespace.spawn("routelet", &argv)?;
        eventually(PATIENCE, "routelet works", || {
            process.check_alive()?;
            let status = self.ask(&["status"])?;
            ensure!(is_good(&status), "{status}");
            Ok(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Writes a manifest, a list of objects, in one step.
    pub fn write(&self, name: &str, objects: &Value) -> Result<()> {
        let documents: Vec<String> = match objects {
            Value::Array(all) => all.iter().map(ToString::to_string).collect(),
            one => vec![one.to_string()],
        };
        self.write_text(name, &documents.join("\n---\n"))
    }

    /// Writes a file as it is, in one step.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        self.write_octets(name, text.as_bytes())
    }

    /// The same of what need not be text.
    pub fn write_octets(&self, name: &str, octets: &[u8]) -> Result<()> {
        let draft = self.manifests.join(format!(".{name}.new"));
        std::fs::write(&draft, octets)?;
        std::fs::rename(&draft, self.manifests.join(format!("{name}.yaml")))?;
        Ok(())
    }

    /// Removes a manifest.
    pub fn remove(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(
            self.manifests.join(format!("{name}.yaml")),
        )?)
    }

    /// The directory of the manifests.
    pub fn manifests(&self) -> &Path {
        &self.manifests
    }

    /// The control socket.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The answer to a command of routelet.
    pub fn ask(&self, words: &[&str]) -> Result<Value> {
        let binary = binary()?;
        let mut argv = vec![binary.as_str(), "-o", "json"];
        argv.extend(words);
        argv.extend(["--control", &self.socket]);
        let text = self.namespace.run(&argv)?;
        serde_json::from_str(&text).with_context(|| format!("JSON of routelet {words:?}: {text}"))
    }

    /// The agent's process.
    pub fn pid(&self) -> Result<i32> {
        let process = self.process.as_ref().context("the agent does not run")?;
        Ok(process.pid())
    }

    /// What a command of routelet prints.
    pub fn ask_text(&self, words: &[&str]) -> Result<String> {
        let binary = binary()?;
        let mut argv = vec![binary.as_str()];
        argv.extend(words);
        argv.extend(["--control", &self.socket]);
        self.namespace.run(&argv)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process
            .as_ref()
            .map(Process::log_text)
            .unwrap_or_default()
    }

    /// Sends the agent a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("the agent does not run")?;
        process.signal(signal)
    }

    /// Waits for the end of an agent that was told to stop.
    pub fn wait_end(&mut self) -> Result<()> {
        self.wait_end_for(PATIENCE).map(drop)
    }

    /// Waits for an end that may take so long.
    pub fn wait_end_for(&mut self, patience: Duration) -> Result<ExitStatus> {
        let process = self.process.take().context("the agent does not run")?;
        process.wait(patience)
    }

    /// Ends the agent by a signal and waits for its end.
    pub fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(process) = self.process.take() else {
            bail!("the agent does not run");
        };
        process.signal(signal)?;
        process.wait(PATIENCE).map(drop)
    }
}

/// The binary under test, as the library finds it.
pub fn binary() -> Result<String> {
    interop_tests::routelet_binary().map(|path| path.to_string_lossy().into_owned())
}

/// A Node object with InternalIPs and pod CIDRs.
pub fn node_object(name: &str, addresses: &[&str], pod_cidrs: &[&str]) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"podCIDRs": pod_cidrs},
        "status": {"addresses": addresses},
    })
}

/// An object of our own kinds.
pub fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}

//! What a container runtime does with a CNI configuration list: runs its plugins one after the other, in the namespace
//! of the node, to connect a pod or to disconnect it (the protocol: CNI specification 1.0, sections 2 to 4).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use interop_tests::{Namespace, Need};
use serde_json::{Value, json};

/// Where Debian has the standard plugins.
const PLUGINS: &str = "/usr/lib/cni";

/// The plugins that the agent's lists name.
pub const NEEDS: [Need; 4] = [
    Need::Program("/usr/lib/cni/ptp"),
    Need::Program("/usr/lib/cni/bridge"),
    Need::Program("/usr/lib/cni/host-local"),
    Need::Program("/usr/lib/cni/portmap"),
];

/// The runtime of a node.
pub struct Runtime {
    node: Namespace,
    directory: PathBuf,
}

impl Runtime {
    /// One that reads its lists in `directory`.
    pub fn new(node: &Namespace, directory: &Path) -> Self {
        Self {
            node: node.clone(),
            directory: directory.to_owned(),
        }
    }

    /// Connects a pod, whose interface is `eth0` then, and returns what the last plugin said. `ports` are TCP ports of
    /// the node with those of the pod that they lead to.
    pub fn add(&self, pod: &Namespace, ports: &[(u16, u16)]) -> Result<Value> {
        let list = self.list()?;
        let mut result = Value::Null;
        for plugin in plugins(&list)? {
            result = self.execute("ADD", &list, plugin, (pod, ports), &result)?;
        }
        Ok(result)
    }

    /// Disconnects a pod; `result` is what [`Runtime::add`] returned for these ports.
    pub fn delete(&self, pod: &Namespace, ports: &[(u16, u16)], result: &Value) -> Result<()> {
        let list = self.list()?;
        for plugin in plugins(&list)?.iter().rev() {
            self.execute("DEL", &list, plugin, (pod, ports), result)?;
        }
        Ok(())
    }

    /// The first list by name, as runtimes take it.
    fn list(&self) -> Result<Value> {
        let mut found: Vec<PathBuf> = std::fs::read_dir(&self.directory)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        found.retain(|path| path.extension().is_some_and(|ending| ending == "conflist"));
        found.sort();
        let path = found.first().context("no configuration list")?;
        serde_json::from_slice(&std::fs::read(path)?).context("a configuration list")
    }

    /// Where `host-local` keeps its allocations: not where those of this machine would be.
    pub fn allocations(&self) -> PathBuf {
        self.node.dir().join("allocations")
    }

    fn execute(
        &self,
        command: &str,
        list: &Value,
        plugin: &Value,
        (pod, ports): (&Namespace, &[(u16, u16)]),
        previous: &Value,
    ) -> Result<Value> {
        let mut config = plugin.clone();
        config["cniVersion"] = list["cniVersion"].clone();
        config["name"] = list["name"].clone();
        if !previous.is_null() {
            config["prevResult"] = previous.clone();
        }
        // Only a plugin that says that it can is told.
        if config["capabilities"]["portMappings"] == true {
            let mapping = |(host, pod): &(u16, u16)| json!({"hostPort": host, "containerPort": pod, "protocol": "tcp"});
            let mappings: Vec<Value> = ports.iter().map(mapping).collect();
            config["runtimeConfig"] = json!({"portMappings": mappings});
        }
        if config["ipam"].is_object() {
            config["ipam"]["dataDir"] = json!(self.allocations());
        }
        let kind = plugin["type"].as_str().context("a plugin without type")?;
        let program = format!("{PLUGINS}/{kind}");
        let words = [
            format!("CNI_COMMAND={command}"),
            format!("CNI_CONTAINERID={}", pod.name()),
            format!("CNI_NETNS={}", pod.path().display()),
            "CNI_IFNAME=eth0".to_owned(),
            format!("CNI_PATH={PLUGINS}"),
        ];
        let mut argv = vec!["env"];
        argv.extend(words.iter().map(String::as_str));
        argv.push(&program);
        let text = self
            .node
            .run_with_input(&argv, &config.to_string())
            .with_context(|| format!("{command} by {kind}"))?;
        match command {
            "ADD" => serde_json::from_str(&text).with_context(|| format!("{kind}: {text}")),
            _ => Ok(Value::Null),
        }
    }
}

fn plugins(list: &Value) -> Result<&Vec<Value>> {
    let plugins = list["plugins"].as_array().context("no plugins")?;
    ensure!(!plugins.is_empty(), "no plugins");
    Ok(plugins)
}

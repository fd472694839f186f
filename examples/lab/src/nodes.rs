//! What runs on a node: routelet, out of a directory of manifests, and a stand-in for kube-proxy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_lab::{Process, eventually};
use serde_json::Value;

use crate::rack::Node;

/// A running agent.
pub(crate) struct Agent<'a> {
    pub(crate) node: &'a Node,
    binary: PathBuf,
    control: String,
    _process: Process,
}

/// The `routelet` that was built beside this program, or `ROUTELET_BIN`.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROUTELET_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("the path of this program")?;
    let path = own.with_file_name("routelet");
    ensure!(
        path.exists(),
        "{} is not there: build it with `cargo build --bin routelet`, or name another by ROUTELET_BIN",
        path.display()
    );
    Ok(path)
}

impl<'a> Agent<'a> {
    /// Starts routelet on a node and waits until it answers.
    pub(crate) fn start(node: &'a Node, manifests: &Path) -> Result<Self> {
        let binary = binary()?;
        let control = node
            .namespace
            .dir()
            .join("routelet.sock")
            .to_string_lossy()
            .into_owned();
        let process = node.namespace.spawn(
            "routelet",
            &[
                &binary.to_string_lossy(),
                "run",
                "--manifests",
                &manifests.to_string_lossy(),
                "--node",
                &node.name,
                "--control",
                &control,
            ],
        )?;
        let agent = Self {
            node,
            binary,
            control,
            _process: process,
        };
        eventually(Duration::from_secs(10), "routelet answers", || {
            agent._process.check_alive()?;
            agent.ask(&["status"])
        })?;
        Ok(agent)
    }

    /// A command of routelet on this node, as text for people.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String> {
        let binary = self.binary.to_string_lossy();
        let mut argv = vec![binary.as_ref()];
        argv.extend(words);
        argv.extend(["--control", &self.control]);
        self.node.namespace.run(&argv)
    }

    /// The same, for programs.
    pub(crate) fn ask_json(&self, words: &[&str]) -> Result<Value> {
        let words = [words, &["-o", "json"]].concat();
        let text = self.ask(&words)?;
        serde_json::from_str(&text).with_context(|| format!("answer of {words:?}"))
    }

    /// How many of its sessions are Established.
    pub(crate) fn established(&self) -> Result<usize> {
        let peers = self.ask_json(&["peers"])?;
        let peers = peers.as_array().context("a list of peers")?;
        Ok(peers
            .iter()
            .filter(|peer| peer["state"] == "Established")
            .count())
    }
}

/// What kube-proxy does for the Service `web`: packets to its addresses go to the endpoint on this node, with their
/// source address as it is, because the traffic policy is `Local`.
pub(crate) fn forward_service(node: &Node) -> Result<()> {
    let rules = format!(
        "table inet lab {{\n\
           chain services {{\n\
             type nat hook prerouting priority dstnat;\n\
             ip daddr 203.0.113.10 tcp dport 80 dnat ip to {}:8080\n\
             ip6 daddr 2001:db8:f::10 tcp dport 80 dnat ip6 to [{}]:8080\n\
           }}\n\
         }}\n",
        node.pod_addresses[0], node.pod_addresses[1]
    );
    node.namespace
        .run_with_input(&["nft", "-f", "-"], &rules)
        .map(drop)
}

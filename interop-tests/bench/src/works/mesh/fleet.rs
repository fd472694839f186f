//! The nodes of a mesh: a namespace each on one switch, with an agent that reads manifests of its own.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::layout::{
    MOST, Shape, addresses, compare, expected, links, manifests, name, pods, sessions,
};
use crate::usage::{Memory, cpu_of, memory_of};
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::probe::kernel;
use interop_lab::speaker::Family;
use interop_lab::{Process, Signal};

/// How long an agent may take to end, all others doing the same.
const END: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two rounds of questions, for each agent that is asked, but no more than for ten.
const ASK: Duration = Duration::from_millis(20);

/// The nodes, from number 1.
#[derive(Debug)]
pub(super) struct Fleet {
    shape: Shape,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    namespace: Namespace,
    socket: PathBuf,
    agent: Option<Process>,
}

impl Fleet {
    /// Makes `count` nodes without agents.
    ///
    /// # Errors
    /// The kernel refuses; or there are more nodes than a bridge has ports for.
    pub(super) fn new(lab: &Lab, shape: Shape, count: usize) -> Result<Self> {
        ensure!(count <= MOST, "at most {MOST} nodes, not {count}");
        let switch = lab.switch("switch")?;
        let manifests = manifests(shape, count);
        let mut nodes = Vec::new();
        for number in 1..=count {
            let namespace = lab.namespace(&name(number))?;
            // A link-local address derived from the node's number, instead of the kernel's.
            namespace.without_link_local()?;
            switch.plug(lab, &namespace, "eth0")?;
            namespace.run_with_input(&["ip", "-batch", "-"], &links(number, count)?)?;
            let folder = namespace.dir().join("manifests");
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("nodes.yaml"), &manifests)?;
            nodes.push(Node {
                socket: namespace.dir().join("routelet.sock"),
                namespace,
                agent: None,
            });
        }
        Ok(Self { shape, nodes })
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes' namespaces, in order.
    pub(super) fn namespaces(&self) -> Vec<Namespace> {
        let all = self.nodes.iter().map(|node| node.namespace.clone());
        all.collect()
    }

    /// Starts agents, one right after the other, and returns when the first one and the last one were.
    ///
    /// # Errors
    /// One cannot be started.
    pub(super) fn start(&mut self, which: &[usize]) -> Result<(Instant, Instant)> {
        let binary = interop_lab::routelet_binary()?;
        let first = Instant::now();
        for &index in which {
            let node = &mut self.nodes[index];
            let (binary, socket) = (binary.to_string_lossy(), node.socket.to_string_lossy());
            let folder = node.namespace.dir().join("manifests");
            let folder = folder.to_string_lossy();
            let mut argv = vec![&*binary, "run", "--manifests", &folder];
            argv.extend(["--node", node.namespace.label(), "--control", &socket]);
            node.agent = Some(node.namespace.spawn("routelet", &argv)?);
        }
        Ok((first, Instant::now()))
    }

    /// Ends agents as an update does, all at once, and waits for their ends.
    ///
    /// # Errors
    /// One has not ended after a minute.
    pub(super) fn stop(&mut self, which: &[usize]) -> Result<()> {
        for &index in which {
            self.agent(index)?.signal(Signal::SIGTERM)?;
        }
        for &index in which {
            self.agent(index)?.wait(END)?;
            self.nodes[index].agent = None;
        }
        Ok(())
    }

    /// Fails if an agent has ended that should run.
    ///
    /// # Errors
    /// It says why.
    pub(super) fn check_alive(&self) -> Result<()> {
        let agents = self.nodes.iter().filter_map(|node| node.agent.as_ref());
        agents.into_iter().try_for_each(Process::check_alive)
    }

    /// Waits until these agents have exchanged routes with all others, and returns when the last one was seen to;
    /// `None` if that takes longer than `limit`. Agents are asked by their sockets.
    ///
    /// # Errors
    /// One has ended.
    pub(super) fn until_converged(
        &self,
        which: &[usize],
        limit: Duration,
        mut tell: impl FnMut(usize),
    ) -> Result<Option<Instant>> {
        let began = Instant::now();
        let mut left = which.to_vec();
        let mut reported = began;
        while began.elapsed() <= limit {
            // One that does not answer yet is asked again.
            left.retain(|&index| {
                let sessions = sessions(self.shape, index + 1, self.len());
                let status = status(&self.nodes[index].socket);
                !status.is_ok_and(|status| has_converged(&status, sessions))
            });
            if left.is_empty() {
                return Ok(Some(Instant::now()));
            }
            if reported.elapsed() >= Duration::from_secs(1) {
                reported = Instant::now();
                self.check_alive()?;
                tell(which.len() - left.len());
            }
            std::thread::sleep(ASK * left.len().clamp(1, 10) as u32);
        }
        Ok(None)
    }

    /// The processor time of each agent since it was started.
    ///
    /// # Errors
    /// One does not run.
    pub(super) fn cpu(&self) -> Result<Vec<Duration>> {
        (0..self.len())
            .map(|index| cpu_of(self.agent(index)?.pid()))
            .collect()
    }

    /// The memory of each agent.
    ///
    /// # Errors
    /// One does not run.
    pub(super) fn memory(&self) -> Result<Vec<Memory>> {
        (0..self.len())
            .map(|index| memory_of(self.agent(index)?.pid()))
            .collect()
    }

    /// Succeeds if each kernel forwards the pods of each other node to that node, and has no other route of `protocol`.
    /// `altered` expects one that is not there.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check_kernels(&self, protocol: u8, altered: bool) -> Result<()> {
        for (place, node) in self.nodes.iter().enumerate() {
            let mut wanted = expected(place + 1, self.len())?;
            if altered {
                wanted.push((pods(MOST + 1)[0], addresses(MOST + 1)));
            }
            for family in Family::ALL {
                let held = kernel::routes(&node.namespace, family)?;
                let held = held
                    .into_iter()
                    .filter(|route| route.protocol == protocol.to_string())
                    .map(|route| {
                        let hops = route.paths.iter().map(|path| path.gateway).collect();
                        (route.prefix, hops)
                    });
                let of_family = wanted
                    .iter()
                    .filter(|(pods, _)| Family::of(*pods) == family);
                compare(&of_family.copied().collect::<Vec<_>>(), held.collect())
                    .with_context(|| format!("the kernel of {}", node.namespace.label()))?;
            }
        }
        Ok(())
    }

    fn agent(&self, index: usize) -> Result<&Process> {
        let agent = self.nodes[index].agent.as_ref();
        agent.with_context(|| format!("no agent runs on {}", name(index + 1)))
    }
}

/// Asks an agent over its socket.
fn status(socket: &Path) -> Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"{\"version\":1,\"command\":\"status\"}\n")?;
    for line in BufReader::new(stream).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        if let Some(status) = line.get_mut("status") {
            return Ok(status.take());
        }
    }
    bail!("no status")
}

fn has_converged(status: &Value, sessions: u64) -> bool {
    let established = status["peers"]["established"].as_u64();
    status["convergence"]["converged"] == true && established == Some(sessions)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn converged_is_who_has_all_of_its_sessions() {
        let status = |converged: bool, established| json!({"convergence": {"converged": converged}, "peers": {"established": established}});
        assert!(has_converged(&status(true, 99), 99));
        assert!(!has_converged(&status(true, 98), 99));
        assert!(!has_converged(&status(false, 99), 99));
    }
}

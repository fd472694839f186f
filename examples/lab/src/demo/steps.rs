//! The steps after the rack runs, each with what it shows and what it checks.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_lab::eventually;
use interop_lab::probe::web::get;

use super::{Running, SERVICE};
use crate::rack::{CLIENT, NODES};
use crate::screen::{holds, shown, step};
use crate::stream::Stream;

/// Sessions and routes come in far less; a loaded machine gets time.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long traffic flows before, between and after the changes of the last steps.
const WATCH: Duration = Duration::from_secs(2);

impl Running<'_> {
    pub(super) fn sessions(&self) -> Result<String> {
        step(
            2,
            "Every node has a session with both routers, both families on each",
        );
        let begun = Instant::now();
        for agent in &self.agents {
            eventually(
                PATIENCE,
                &format!("two sessions of {}", agent.node.name),
                || {
                    let count = agent.established()?;
                    ensure!(count == 2, "{count} Established");
                    Ok(())
                },
            )?;
        }
        let took = begun.elapsed();
        shown(
            "routelet peers                              # on node-1",
            &self.agents[0].ask(&["peers"])?,
        );
        shown(
            "birdc show protocols                        # on tor-a",
            &self.bird.ask("show protocols")?,
        );
        Ok(format!(
            "{} sessions Established {:.1} s after the last start",
            2 * NODES,
            took.as_secs_f32()
        ))
    }

    pub(super) fn routes(&self) -> Result<String> {
        step(
            3,
            "The routers have the pod CIDRs and the Service's addresses, the nodes have the client's network",
        );
        let [v4, v6] = SERVICE;
        for (prefix, ways) in [
            (format!("{v4}/32"), 2),
            (format!("{v6}/128"), 2),
            ("10.244.3.0/24".to_owned(), 1),
            ("2001:db8:244:3::/64".to_owned(), 1),
        ] {
            for tor in [&self.rack.tor_a, &self.rack.tor_b] {
                eventually(PATIENCE, &format!("{prefix} in {}", tor.label()), || {
                    let family = if prefix.contains(':') { "-6" } else { "-4" };
                    let found = tor.ip(&format!("{family} route show {prefix}"))?;
                    let seen = found.matches("via ").count();
                    ensure!(seen == ways, "{seen} next hops, expected {ways}: {found}");
                    Ok(())
                })?;
            }
        }
        for agent in &self.agents {
            for (family, prefix) in [("-4", "198.51.100.0/24"), ("-6", "2001:db8:c::/64")] {
                let name = &agent.node.name;
                eventually(
                    PATIENCE,
                    &format!("{prefix} over both routers at {name}"),
                    || {
                        let found = agent
                            .node
                            .namespace
                            .ip(&format!("{family} route show {prefix}"))?;
                        let seen = found.matches("via ").count();
                        ensure!(seen == 2, "{seen} next hops, expected 2: {found}");
                        Ok(())
                    },
                )?;
            }
        }
        let tor_a = &self.rack.tor_a;
        shown(
            &format!("ip route show {v4}                # in tor-a's kernel: node-1 and node-2"),
            &tor_a.ip(&format!("route show {v4}"))?,
        );
        shown(
            &format!("ip -6 route show {v6}           # and over IPv6"),
            &tor_a.ip(&format!("-6 route show {v6}"))?,
        );
        shown(
            &format!("vtysh -c 'show bgp ipv4 unicast {v4}/32'   # on tor-b"),
            &self.frr.ask(&format!("show bgp ipv4 unicast {v4}/32"))?,
        );
        shown(
            "routelet routes best                        # on node-1",
            &self.agents[0].ask(&["routes", "best"])?,
        );
        shown(
            "routelet fib                                # on node-1",
            &self.agents[0].ask(&["fib"])?,
        );
        let kernel = self.agents[0].node.namespace.ip("route show proto 179")?;
        shown(
            "ip route show proto 179                     # in node-1's kernel",
            &kernel,
        );
        Ok("pod CIDRs and Service addresses at both routers, ECMP over two nodes; learned routes in every node's \
            kernel, ECMP over two routers"
            .to_owned())
    }

    pub(super) fn requests(&self) -> Result<String> {
        step(
            4,
            "The client sends requests to pods and the Service; each answers with the source address that it saw",
        );
        let client = &self.rack.client;
        let pod = &self.rack.nodes[2].pod_addresses;
        let mut pods = BTreeSet::new();
        for (family, source) in CLIENT.into_iter().enumerate() {
            let source: IpAddr = source.parse()?;
            for (target, port) in [(pod[family].as_str(), 8080), (SERVICE[family], 80)] {
                // Enough flows that the hash of ECMP surely takes every way.
                for _ in 0..24 {
                    let answer = get(client, target, port)?;
                    ensure!(
                        answer.source == source,
                        "{target}: the pod saw {}, expected the client's own address {source}",
                        answer.source
                    );
                    if port == 80 {
                        pods.insert(answer.server);
                    }
                }
                holds(&format!(
                    "24 requests to {target} port {port}: the pod sees {source}, the client's own address"
                ));
            }
        }
        let names: Vec<&str> = pods.iter().map(String::as_str).collect();
        ensure!(
            names == ["pod-1", "pod-2"],
            "the Service was served by {names:?}"
        );
        holds("the Service was served by pod-1 and pod-2: ECMP over their nodes");
        Ok("96 requests to a pod and to the Service, IPv4 and IPv6: no NAT of the client's address".to_owned())
    }

    pub(super) fn explained(&self) -> Result<String> {
        step(
            5,
            "node-3 has no endpoint of the Service, so it does not advertise it, and explains why",
        );
        let text = self.agents[2].ask(&["explain", "service", "default/web"])?;
        shown(
            "routelet explain service default/web        # on node-3",
            &text,
        );
        shown(
            &format!("routelet explain {}             # on node-1", SERVICE[0]),
            &self.agents[0].ask(&["explain", SERVICE[0]])?,
        );
        Ok("routelet explain names the objects and rules behind every decision".to_owned())
    }

    pub(super) fn endpoint_lost(&self) -> Result<String> {
        step(
            6,
            "The endpoint on node-2 becomes unready: a change of a manifest, under traffic and without a session reset",
        );
        let before = self.sessions_made()?;
        let stream = Stream::start(&self.rack.client, SERVICE[0], 80);
        std::thread::sleep(WATCH);
        let path = self.manifests.join("service-web.yaml");
        let text = std::fs::read_to_string(&path)?;
        let changed: String = text
            .lines()
            .map(|line| {
                let line = if line.contains("nodeName: node-2") {
                    line.replace("ready: true", "ready: false")
                } else {
                    line.to_owned()
                };
                line + "\n"
            })
            .collect();
        ensure!(changed != text, "the manifest has no endpoint on node-2");
        let draft = self.manifests.join(".service-web.yaml.new");
        std::fs::write(&draft, changed)?;
        let begun = Instant::now();
        std::fs::rename(&draft, &path)?;
        for tor in [&self.rack.tor_a, &self.rack.tor_b] {
            eventually(
                PATIENCE,
                &format!("one next hop left in {}", tor.label()),
                || {
                    let found = tor.ip(&format!("route show {}", SERVICE[0]))?;
                    let seen = found.matches("via ").count();
                    ensure!(seen == 1, "{seen} next hops, expected 1: {found}");
                    Ok(())
                },
            )?;
        }
        let took = begun.elapsed();
        std::thread::sleep(WATCH);
        let tally = stream.stop()?;
        let after = self.sessions_made()?;
        ensure!(
            before == after,
            "a session was reset: made {before:?} times before, {after:?} after"
        );
        holds(&format!(
            "both routers have only node-1 left {} ms after the file was written",
            took.as_millis()
        ));
        holds("no session was reset");
        holds(&format!(
            "{} requests answered meanwhile, {} lost",
            tally.answered, tally.lost
        ));
        Ok(format!(
            "an unready endpoint was withdrawn from both routers {} ms after the change, {} of {} requests lost, no session reset",
            took.as_millis(),
            tally.lost,
            tally.lost + tally.answered
        ))
    }

    pub(super) fn router_killed(&self) -> Result<String> {
        step(
            7,
            "tor-a fails: its daemon is killed, then all its links are set down, under traffic",
        );
        let stream = Stream::start(&self.rack.client, SERVICE[0], 80);
        std::thread::sleep(WATCH);
        let begun = Instant::now();
        self.bird.kill()?;
        for agent in &self.agents {
            for (family, prefix) in [("-4", "198.51.100.0/24"), ("-6", "2001:db8:c::/64")] {
                eventually(
                    PATIENCE,
                    &format!("{prefix} over tor-b alone at {}", agent.node.name),
                    || {
                        let found = agent
                            .node
                            .namespace
                            .ip(&format!("{family} route show {prefix}"))?;
                        let seen = found.matches("via ").count();
                        ensure!(seen == 1, "{seen} next hops, expected 1: {found}");
                        Ok(())
                    },
                )?;
            }
        }
        let took = begun.elapsed();
        self.rack.switch_a.set_port(&self.rack.tor_a, false)?;
        self.rack.tor_a.ip("link set out0 down")?;
        std::thread::sleep(2 * WATCH);
        let tally = stream.stop()?;
        shown(
            "ip route show proto 179                     # in node-1's kernel",
            &self.agents[0].node.namespace.ip("route show proto 179")?,
        );
        shown(
            "routelet peers                              # on node-1",
            &self.agents[0].ask(&["peers"])?,
        );
        holds(&format!(
            "every node's kernel uses tor-b alone {} ms after the kill; the routes were never removed",
            took.as_millis()
        ));
        for (family, source) in CLIENT.into_iter().enumerate() {
            let answer = get(&self.rack.client, SERVICE[family], 80)
                .context("after the failure of the router")?;
            ensure!(answer.source == source.parse::<IpAddr>()?, "{answer:?}");
        }
        ensure!(
            tally.answered > tally.lost,
            "traffic did not continue: {tally:?}"
        );
        holds(&format!(
            "{} requests answered, {} lost, longest gap {} ms",
            tally.answered,
            tally.lost,
            tally.longest_gap.as_millis()
        ));
        Ok(format!(
            "a router was killed: all nodes forwarded via the other one after {} ms, {} of {} requests lost, longest gap {} ms",
            took.as_millis(),
            tally.lost,
            tally.lost + tally.answered,
            tally.longest_gap.as_millis()
        ))
    }

    /// How often each session was made, at the nodes: another number means that it fell in between, however briefly.
    fn sessions_made(&self) -> Result<Vec<u64>> {
        let mut all = Vec::new();
        for agent in &self.agents {
            let peers = agent.ask_json(&["peers"])?;
            for peer in peers.as_array().into_iter().flatten() {
                let made = peer["establishedCount"].as_u64();
                all.push(made.context("establishedCount of a peer")?);
            }
        }
        Ok(all)
    }
}

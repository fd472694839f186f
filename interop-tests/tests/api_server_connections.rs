//! How an agent gets to its API server: the server's name, and proxies in between.
//!
//! The fake API server has a certificate for `localhost`, and is asked by its address.

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::Proxy;
use interop_tests::{Kind, Namespace, Need, Signal, always, eventually, run};
use serde_json::{Value, json};
use support::cluster::{Cluster, cluster_node};
use support::node::Node;
use support::segment::v4;

const NEEDS: [Need; 1] = [Need::Speaker(Kind::Routelet)];

/// An agent may have to try again once: see its pauses.
const SOON: Duration = Duration::from_secs(30);

/// The number of the proxy on the segment.
const PROXY: u8 = 98;

/// A kubeconfig with more of its cluster, and with the server's certificate as the authority.
fn kubeconfig(cluster: &Cluster<'_>, at: &Namespace, more: &Value) -> Result<PathBuf> {
    let authority = at.dir().join("authority.pem");
    let certificate = cluster.fake()?.certificate().context("no TLS")?;
    std::fs::write(&authority, certificate)?;
    let path = cluster.kubeconfig(at, "agent")?;
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let fields = config["clusters"][0]["cluster"]
        .as_object_mut()
        .context("a cluster")?;
    fields.remove("insecure-skip-tls-verify");
    fields.insert("certificate-authority".to_owned(), json!(authority));
    fields.extend(more.as_object().cloned().unwrap_or_default());
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// Node `n` whose agent has these variables and more of a kubeconfig. `is_apart`: it has no route to the API server.
fn node(
    cluster: &Cluster<'_>,
    n: u8,
    variables: &[&str],
    more: &Value,
    is_apart: bool,
) -> Result<Node> {
    let host = cluster.segment.host(&format!("node-{n}"), n)?;
    if is_apart {
        host.ip(&format!("route add blackhole {}/32", v4(100)))?;
    }
    cluster.api.put(&cluster_node(n))?;
    let path = kubeconfig(cluster, &host, more)?;
    let words: Vec<&str> = ["env", "-u", "HTTPS_PROXY", "-u", "https_proxy"]
        .into_iter()
        .chain(variables.iter().copied())
        .collect();
    let words: &[&str] = &words;
    Node::start_in_cluster_under(
        &host,
        words,
        &path,
        &["--http", "off", "--kube-proxy", "off"],
    )
}

/// Waits until the agent of node `n` has written what it found.
fn wait_seen(cluster: &Cluster<'_>, n: u8) -> Result<()> {
    eventually(SOON, "the agent has written its RouterState", || {
        let state = cluster.api.get("RouterState", "", &format!("node-{n}"));
        let state = state.context("no RouterState")?;
        ensure!(state["status"]["version"].is_string(), "{state}");
        Ok(())
    })
}

/// That the agent says why it does not get to its server, and writes nothing.
fn check_refused(cluster: &Cluster<'_>, node: &Node, n: u8, why: &str) -> Result<()> {
    eventually(SOON, "it says why", || {
        let status = node.ask(&["status"])?.to_string();
        ensure!(status.contains(why), "no \"{why}\" in {status}");
        Ok(())
    })?;
    always(Duration::from_secs(2), "it knows nothing", || {
        let state = cluster.api.get("RouterState", "", &format!("node-{n}"));
        ensure!(state.is_none(), "{state:?}");
        Ok(())
    })
}

#[test]
fn the_name_in_the_kubeconfig_is_that_of_the_certificate() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let named = json!({"tls-server-name": "localhost"});
        let _one = node(&cluster, 1, &[], &named, false)?;
        wait_seen(&cluster, 1)?;
        // By its address, which stands in no certificate, and by another name.
        let two = node(&cluster, 2, &[], &json!({}), false)?;
        check_refused(&cluster, &two, 2, "certificate")?;
        let other = json!({"tls-server-name": "elsewhere.example"});
        let three = node(&cluster, 3, &[], &other, false)?;
        check_refused(&cluster, &three, 3, "certificate")
    });
}

#[test]
fn proxies_of_the_kubeconfig_and_of_the_environment_are_used() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let host = cluster.segment.host("proxy", PROXY)?;
        let at: SocketAddr = format!("{}:3128", v4(PROXY)).parse()?;
        let proxy = Proxy::start(&host, at)?;
        let server = format!("{}:6443", v4(100));
        let name = "localhost";
        let by = |scheme: &str| json!({"proxy-url": format!("{scheme}://{at}"), "tls-server-name": name});
        let named = json!({"tls-server-name": name});
        let variable = format!("HTTPS_PROXY=http://{at}");
        let direct = format!("NO_PROXY=10.1.0.0/16,{}", v4(100));
        // One after the other, so that it is known whose connections they are. Those by a proxy have no other way.
        for (n, kind, variables, more) in [
            (1, Some("CONNECT"), vec![], by("http")),
            (2, Some("SOCKS5"), vec![], by("socks5")),
            (3, Some("CONNECT"), vec![variable.as_str()], named.clone()),
            (4, None, vec![variable.as_str(), direct.as_str()], named),
        ] {
            let before = proxy.connections().len();
            let mut agent = node(&cluster, n, &variables, &more, kind.is_some())?;
            wait_seen(&cluster, n)?;
            agent.end(Signal::SIGTERM)?;
            let made = proxy.connections().split_off(before);
            ensure!(made.is_empty() == kind.is_none(), "node {n}: {made:?}");
            let expected = format!("{} {server}", kind.unwrap_or_default());
            ensure!(
                made.iter().all(|connection| *connection == expected),
                "node {n}: {made:?}, not {expected}"
            );
        }
        Ok(())
    });
}

//! What an operator can get wrong before the start: each mistake is told with what was found, where, and what to do.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::{Kind, Namespace, Need, Output, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, binary, node_object};

/// How long a start may take that is refused.
const REFUSAL: Duration = Duration::from_secs(20);

/// A start of the agent that must be refused.
struct Start<'a> {
    namespace: &'a Namespace,
    wrapper: &'a [&'a str],
    manifests: &'a Path,
    control: &'a str,
    extra: &'a [&'a str],
}

impl Start<'_> {
    /// Runs it, and checks that it ends by itself with exit code 1 and these words on standard error.
    fn is_refused(&self, words: &[&str]) -> Result<()> {
        let (binary, manifests) = (binary()?, self.manifests.to_string_lossy());
        let mut argv = self.wrapper.to_vec();
        argv.extend([&binary, "run", "--manifests", &manifests, "--node", "node"]);
        argv.extend(["--control", self.control]);
        argv.extend(self.extra);
        let Output {
            status,
            stdout,
            stderr,
        } = self.namespace.output(&argv, REFUSAL)?;
        ensure!(
            status.code() == Some(1),
            "{words:?}: {status}; {stdout}{stderr}"
        );
        let last = stderr.lines().last().unwrap_or_default();
        ensure!(last.starts_with("routelet: "), "the last line: {stderr}");
        for word in words {
            ensure!(last.contains(word), "\"{word}\" is missing: {stderr}");
        }
        Ok(())
    }
}

#[test]
fn an_impossible_start_is_refused_with_a_remedy() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let namespace = lab.namespace("node")?;
        let manifests = namespace.dir().join("empty");
        fs::create_dir(&manifests)?;
        let control = namespace.dir().join("control.sock");
        let control = control.to_string_lossy();
        let good = Start {
            namespace: &namespace,
            wrapper: &[],
            manifests: &manifests,
            control: &control,
            extra: &[],
        };
        manifests_that_are_none(&good)?;
        control_sockets_that_cannot_be(&good)?;
        addresses_in_use(&good)?;
        missing_capabilities(&good)?;
        // None of them left anything behind that a good start would stumble over.
        let _node = Node::start(&namespace, &[("node", node_object("node", &[], &[]))], &[])?;
        Ok(())
    });
}

fn manifests_that_are_none(good: &Start<'_>) -> Result<()> {
    let missing = good.namespace.dir().join("missing");
    let file = good.namespace.dir().join("file.yaml");
    fs::write(&file, "")?;
    for (path, found) in [(&missing, "No such file"), (&file, "Not a directory")] {
        let start = Start {
            manifests: path,
            ..*good
        };
        let shown = path.to_string_lossy();
        start.is_refused(&[&shown, found, "give a directory of *.yaml"])?;
    }
    Ok(())
}

fn control_sockets_that_cannot_be(good: &Start<'_>) -> Result<()> {
    let file = good.namespace.dir().join("no-socket");
    fs::write(&file, "precious")?;
    let path = file.to_string_lossy();
    let start = Start {
        control: &path,
        ..*good
    };
    start.is_refused(&[&path, "is no socket", "--control"])?;
    ensure!(fs::read_to_string(&file)? == "precious", "it was changed");

    let long = format!("/run/{}.sock", "x".repeat(120));
    let start = Start {
        control: &long,
        ..*good
    };
    start.is_refused(&["107", "--control"])?;

    let running = Node::start(
        good.namespace,
        &[("node", node_object("node", &[], &[]))],
        &[],
    )?;
    let pid = running.ask(&["status"])?["pid"].to_string();
    let start = Start {
        control: running.socket(),
        ..*good
    };
    start.is_refused(&["another routelet", running.socket(), &pid, "--control"])?;
    running.ask(&["status"])?;
    Ok(())
}

fn addresses_in_use(good: &Start<'_>) -> Result<()> {
    {
        let _taken = good
            .namespace
            .enter(|| TcpListener::bind("0.0.0.0:179"))??;
        good.is_refused(&["0.0.0.0:179", "in use", "ss -ltnp", "listen"])?;
    }
    {
        let _taken = good.namespace.enter(|| TcpListener::bind("[::]:179"))??;
        good.is_refused(&[":179", "in use", "ss -ltnp"])?;
    }
    let _taken = good
        .namespace
        .enter(|| TcpListener::bind("127.0.0.1:7179"))??;
    good.is_refused(&["127.0.0.1:7179", "another program listens", "--http"])
}

fn missing_capabilities(good: &Start<'_>) -> Result<()> {
    for (capability, words) in [
        ("-net_admin", &["CAP_NET_ADMIN", "NET_ADMIN]", "root"][..]),
        (
            "-net_bind_service",
            &[":179", "CAP_NET_BIND_SERVICE", "another port"],
        ),
    ] {
        let wrapper = [
            "setpriv",
            "--bounding-set",
            capability,
            "--inh-caps",
            capability,
        ];
        let start = Start {
            wrapper: &wrapper,
            ..*good
        };
        start.is_refused(words)?;
    }
    Ok(())
}

/// What is wrong from the start keeps nothing else from working, and works as soon as it is put right.
#[test]
fn manifests_invalid_at_the_start_do_not_affect_valid_ones() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let namespace = lab.namespace("node")?;
        let manifests = namespace.dir().join("manifests");
        fs::create_dir(&manifests)?;
        let head = "apiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {name: ";
        fs::write(
            manifests.join("peers.yaml"),
            format!(
                "{head}good}}\nspec: {{address: 10.0.0.2, asn: 64502}}\n---\n\
                 {head}bad}}\nspec:\n  address: 10.0.0.3\n  asn: none\n---\n\
                 kind: Peer\nmetadata: {{name: versionless}}\n"
            ),
        )?;
        fs::write(manifests.join("zeros.yaml"), [0; 64])?;
        let node = Node::start(
            &namespace,
            &[("node", node_object("node", &["10.0.0.1"], &[]))],
            &[],
        )?;
        let names = || -> Result<Vec<String>> {
            let peers = node.ask(&["peers"])?;
            let all = peers.as_array().cloned().unwrap_or_default();
            Ok(all.iter().map(|peer| peer["name"].to_string()).collect())
        };
        ensure!(names()? == ["\"good\""], "{:?}", names());
        let status = node.ask(&["status"])?;
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        for (file, line, word) in [
            ("peers.yaml", 11, "spec.asn"),
            ("peers.yaml", 13, "apiVersion"),
            ("zeros.yaml", 1, ""),
        ] {
            let found = problems.iter().any(|problem| {
                problem["file"] == file
                    && problem["line"] == line
                    && problem.to_string().contains(word)
            });
            ensure!(found, "{file}:{line} {word}: {problems:#?}");
        }
        // There is no Router, and one of these may be meant to be one.
        let unwritten = |problem: &Value| {
            let message = problem["message"].as_str().unwrap_or_default();
            message.starts_with("nothing is written until the Router can be read")
        };
        ensure!(problems.iter().any(unwritten), "{problems:#?}");
        ensure!(problems.len() == 4, "{problems:#?}");
        ensure!(
            !status["problems"].to_string().contains("last good"),
            "there is no last good version: {problems:#?}"
        );
        node.write_text(
            "peers",
            &format!("{head}bad}}\nspec: {{address: 10.0.0.3, asn: 64503}}\n"),
        )?;
        node.remove("zeros")?;
        eventually(SOON, "all is right", || {
            ensure!(names()? == ["\"bad\""], "{:?}", names());
            let problems = node.ask(&["status"])?["problems"].clone();
            ensure!(problems == json!([]), "{problems}");
            Ok(())
        })
    });
}

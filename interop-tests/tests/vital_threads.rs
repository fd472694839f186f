//! Threads that the agent cannot do without: one that hangs is noticed, and one that sessions hang on ends the process.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::json;
use support::SOON;
use support::node::{Node, node_object, object};

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

/// What the router announces.
const LEARNED: &str = "198.51.100.0/24";

/// A minute, and what a busy machine adds to it.
const HANGS: Duration = Duration::from_secs(120);

#[test]
fn a_hanging_thread_is_reported_and_one_that_holds_sessions_ends_the_agent() {
    run(&NEEDS, |lab| {
        let at = lab.namespace("node-1")?;
        let outside = lab.namespace("router")?;
        lab.link((&at, "eth0"), (&outside, "eth0"))?;
        at.address("eth0", "10.0.2.1/24")?;
        outside.address("eth0", "10.0.2.2/24")?;
        let speaker = Speaker::new(64500, "10.0.2.2")
            .neighbour(Neighbour::new("10.0.2.1", 64512))
            .originate(Origination::new(LEARNED));
        let router = Subject::start(lab, Kind::Bird2, &outside, speaker)?;
        let config = json!([
            node_object("node-1", &["10.0.2.1"], &["10.244.1.0/24"]),
            object(
                "Peer",
                "router",
                &json!({"address": "10.0.2.2", "asn": 64500})
            ),
        ]);
        let mut node = Node::start(&at, &[("config", config)], &[])?;
        router.wait_established("10.0.2.1")?;
        let learned = || {
            let found = kernel::routes_to(&at, LEARNED)?;
            ensure!(!found.is_empty(), "no route to {LEARNED}");
            Ok(())
        };
        eventually(SOON, "the route is in the kernel", learned)?;
        let healthy = |code: &str| {
            eventually(Duration::from_secs(60), "health", || {
                let answer = healthz(&at)?;
                ensure!(answer.contains(code), "{answer}");
                Ok(answer)
            })
        };
        healthy("200 OK")?;
        // It says so, works on, and is well again.
        let hung = Hung::start(node.pid()?, "fib")?;
        let said = healthy("503 Service Unavailable")?;
        ensure!(said.contains("thread fib"), "{said}");
        let status = node.ask(&["status"])?;
        let problem = &status["problems"][0]["message"];
        ensure!(problem.to_string().contains("has hung for"), "{status}");
        hung.end(true)?;
        healthy("200 OK")?;
        // The owner of the routes: as long as it hangs, peers must not be kept.
        let hung = Hung::start(node.pid()?, "rib")?;
        healthy("503 Service Unavailable")?;
        let mut log = String::new();
        eventually(HANGS, "the agent says why it ends", || {
            log = node.log();
            ensure!(log.contains("The process ends"), "{log}");
            Ok(())
        })?;
        hung.end(false)?;
        let ended = node.wait_end_for(SOON)?;
        ensure!(ended.code() == Some(70), "{ended}");
        ensure!(
            log.contains("thread rib, the owner of the routes, has hung for 60 s"),
            "{log}"
        );
        learned()?;
        // And it can be started again.
        node.launch()?;
        router.wait_established("10.0.2.1")?;
        healthy("200 OK")?;
        Ok(())
    });
}

/// The answer to `/healthz`, as it comes.
fn healthz(at: &Namespace) -> Result<String> {
    let mut stream = at.enter(|| TcpStream::connect("127.0.0.1:7179"))??;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// One thread of a process that is held still, by a tracer: the others go on.
struct Hung {
    /// Whoever traces has to be one thread all the time.
    tracer: JoinHandle<Result<()>>,
    go_on: std::sync::mpsc::Sender<bool>,
}

impl Hung {
    fn start(process: i32, name: &str) -> Result<Self> {
        let thread = thread_of(process, name)?;
        let (go_on, ordered) = std::sync::mpsc::channel();
        let (stopped, has_stopped) = std::sync::mpsc::channel();
        let tracer = std::thread::spawn(move || {
            ptrace::attach(thread).context("holding a thread")?;
            let state = waitpid(thread, Some(WaitPidFlag::__WALL))?;
            ensure!(matches!(state, WaitStatus::Stopped(..)), "{state:?}");
            stopped.send(())?;
            if ordered.recv()? {
                ptrace::detach(thread, None)?;
            } else {
                // The process is on its way out, and waits for somebody to see the end of the thread.
                waitpid(thread, Some(WaitPidFlag::__WALL))?;
            }
            Ok(())
        });
        if has_stopped.recv_timeout(SOON).is_ok() {
            return Ok(Self { tracer, go_on });
        }
        match tracer.join() {
            Ok(result) => result?,
            Err(_) => bail!("the tracer panicked"),
        }
        bail!("thread {name} was not held in time")
    }

    /// Lets it go on, or sees it end with its process.
    fn end(self, goes_on: bool) -> Result<()> {
        self.go_on.send(goes_on)?;
        self.tracer.join().ok().context("the tracer panicked")?
    }
}

fn thread_of(process: i32, name: &str) -> Result<Pid> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?;
        let found = std::fs::read_to_string(task.path().join("comm"))?;
        if found.trim() == name {
            let id = task.file_name();
            return Ok(Pid::from_raw(id.to_string_lossy().parse()?));
        }
    }
    bail!("process {process} has no thread {name}")
}

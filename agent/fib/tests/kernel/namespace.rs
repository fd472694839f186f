//! A namespace for each test, what it holds, and what the tests install there.

use std::num::NonZeroU8;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use routelet_fib::kernel::Ears;
use routelet_fib::kernel::event::{Event, RouteKind};
use routelet_fib::kernel::netlink::Monitor;
use routelet_fib::{FibChange, FibConfig, FibHandle, FibNexthop, FibRoute, spawn};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test in a thread with a network namespace of its own: two links, `va` and `wa`, whose other ends are here too.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
            println!("SKIPPED: a network namespace of its own needs root ({e})");
            return;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            println!("SKIPPED: the command `ip` (iproute2) is not installed");
            return;
        }
        for command in [
            "link set lo up",
            "link add va type veth peer name vb",
            "link add wa type veth peer name wb",
            "link set va up",
            "link set vb up",
            "link set wa up",
            "link set wb up",
            "addr add 192.0.2.1/24 dev va",
            "addr add 198.18.0.1/24 dev wa",
            "addr add 2001:db8:1::1/64 dev va nodad",
            "addr add 2001:db8:2::1/64 dev wa nodad",
        ] {
            ip(command);
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(arguments: &str) -> String {
    let out = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ip {arguments}: {stderr}");
    String::from_utf8(out.stdout).unwrap()
}

pub(crate) fn ip_json(arguments: &str) -> Vec<Value> {
    let text = ip(&format!("-N -j {arguments}"));
    if text.trim().is_empty() {
        return Vec::new();
    }
    let Value::Array(rows) = serde_json::from_str(&text).unwrap() else {
        panic!("no list: {text}")
    };
    rows.into_iter()
        .filter(|r| r.as_object().is_some_and(|o| !o.is_empty()))
        .collect()
}

/// Our routes, one per line, as `ip route` tells them: destination, type, ways out.
pub(crate) fn ours() -> Vec<String> {
    let mut out: Vec<String> = [4, 6]
        .iter()
        .flat_map(|family| ip_json(&format!("-{family} route show table all proto 179")))
        .map(|r| describe(&r))
        .collect();
    out.sort();
    out
}

pub(crate) fn describe(route: &Value) -> String {
    let hop = |h: &Value| {
        let via = h["gateway"]
            .as_str()
            .or_else(|| h["via"]["host"].as_str())
            .unwrap_or("link");
        let weight = h["weight"]
            .as_u64()
            .map_or(String::new(), |w| format!("*{w}"));
        format!("{via}@{}{weight}", h["dev"].as_str().unwrap_or("?"))
    };
    let mut hops: Vec<String> = match route["nexthops"].as_array() {
        Some(hops) => hops.iter().map(hop).collect(),
        // RTN_UNREACHABLE, with numbers for names.
        None if route["type"].as_str() == Some("7") => vec!["unreachable".to_owned()],
        None => vec![hop(route)],
    };
    hops.sort();
    format!("{} {}", route["dst"].as_str().unwrap(), hops.join(" "))
}

pub(crate) fn our_nexthops() -> usize {
    ip_json("nexthop show proto 179").len()
}

pub(crate) fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

pub(crate) fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

pub(crate) fn hop(gateway: &str, dev: &str) -> FibNexthop {
    FibNexthop::via(gateway.parse().unwrap(), index(dev))
}

pub(crate) fn hops(of: &[(&str, &str, u8)]) -> FibRoute {
    let weighted = |&(gateway, dev, weight): &(&str, &str, u8)| FibNexthop {
        weight: NonZeroU8::new(weight).unwrap(),
        ..hop(gateway, dev)
    };
    FibRoute {
        nexthops: of.iter().map(weighted).collect(),
    }
}

pub(crate) fn install(prefix: &str, route: FibRoute) -> FibChange {
    FibChange::install(net(prefix), route)
}

pub(crate) fn start() -> FibHandle {
    spawn(FibConfig::default()).unwrap()
}

/// A FIB whose thread can be held. It tells about a new view and waits to be let go on: meanwhile it does nothing and hears
/// nothing.
pub(crate) fn with_brake() -> (FibHandle, Brake) {
    let (tell, held) = channel();
    let (release, go_on) = channel::<()>();
    let go_on = Mutex::new(go_on);
    let fib = spawn(FibConfig {
        on_view: Some(Box::new(move |view| {
            // The first view comes while the FIB starts.
            if view.generation() > 1 {
                let _ = tell.send(());
                let _ = go_on.lock().unwrap().recv();
            }
        })),
        ..FibConfig::default()
    });
    (fib.unwrap(), Brake { held, release })
}

pub(crate) struct Brake {
    held: Receiver<()>,
    release: Sender<()>,
}

impl Brake {
    /// Holds the thread until what this returns is dropped; it is never held again.
    pub(crate) fn hold(self) -> Sender<()> {
        ip("link add xa type veth peer name xb");
        self.held.recv_timeout(PATIENCE).unwrap();
        self.release
    }
}

pub(crate) fn settle(fib: &FibHandle) {
    assert!(fib.flush(PATIENCE), "{:?}", fib.counters());
}

/// Looks again after every turn of the FIB thread until it holds.
pub(crate) fn until(fib: &FibHandle, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "{what}: {:?} {:#?}",
            ours(),
            fib.snapshot(|_| true)
        );
        fib.flush(PATIENCE);
    }
}

/// Everything that happened to routes and nexthops since the monitor was opened or asked last. Not the kernel's local routes,
/// which it makes of new addresses whenever it likes.
pub(crate) fn heard(monitor: &mut Monitor) -> Vec<Event> {
    let mut events = Vec::new();
    monitor
        .hear(&mut |event| {
            let is_local =
                matches!(&event, Event::Route(_, route) if route.kind == RouteKind::Other);
            if matches!(event, Event::Route(..) | Event::Nexthop(..)) && !is_local {
                events.push(event);
            }
        })
        .unwrap();
    events
}

pub(crate) fn dual() -> [FibChange; 5] {
    [
        install(
            "203.0.113.0/24",
            hops(&[("192.0.2.2", "va", 1), ("198.18.0.2", "wa", 3)]),
        ),
        install("203.0.114.0/24", hops(&[("192.0.2.2", "va", 1)])),
        install("203.0.115.0/24", hops(&[("2001:db8:1::2", "va", 1)])),
        install(
            "2001:db8:f::/48",
            hops(&[("2001:db8:1::2", "va", 1), ("2001:db8:2::2", "wa", 1)]),
        ),
        install("203.0.116.0/24", hops(&[("198.18.0.2", "wa", 1)])),
    ]
}

pub(crate) const DUAL: [&str; 5] = [
    "2001:db8:f::/48 2001:db8:1::2@va*1 2001:db8:2::2@wa*1",
    "203.0.113.0/24 192.0.2.2@va*1 198.18.0.2@wa*3",
    "203.0.114.0/24 192.0.2.2@va",
    "203.0.115.0/24 2001:db8:1::2@va",
    "203.0.116.0/24 198.18.0.2@wa",
];

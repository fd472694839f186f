//! How fast routes get into the kernel: through the FIB, and by a bare writer of the same messages for comparison.
//!
//! `sudo cargo run --release -p routelet-fib --features netlink --example speed [ROUTES]` (1,000,000 unless told). Works in a network namespace
//! of its own and leaves nothing behind.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use routelet_fib::kernel::Kernel;
use routelet_fib::kernel::netlink::Netlink;
use routelet_fib::plan::{Object, Op, RouteAction, RouteOp, Target};
use routelet_fib::{FibChange, FibConfig, FibNexthop, FibRoute, RouteSpace, Stop, spawn};

const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let n: u32 = std::env::args()
        .nth(1)
        .map_or(1_000_000, |a| a.parse().unwrap());
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        println!("a network namespace of its own needs root: {e}");
        return;
    }
    for command in [
        "link add va type veth peer name vb",
        "link set va up",
        "link set vb up",
        "addr add 192.0.2.1/24 dev va",
        "addr add 2001:db8::1/64 dev va nodad",
    ] {
        assert!(
            Command::new("ip")
                .args(command.split(' '))
                .status()
                .unwrap()
                .success()
        );
    }
    let ifindex = nix::net::if_::if_nametoindex("va").unwrap();
    let v4 = shuffled(n, |i| {
        IpNet::new(IpAddr::from((0x0b00_0000 + (i << 4)).to_be_bytes()), 28).unwrap()
    });
    let v6: Vec<IpNet> = (0..n / 4)
        .map(|i| {
            IpNet::new(
                IpAddr::from((0x2a00_u128 << 112 | u128::from(i) << 80).to_be_bytes()),
                48,
            )
            .unwrap()
        })
        .collect();

    bare(&v4, "192.0.2.2", ifindex);
    bare(&v6, "2001:db8::2", ifindex);
    let before = resident();
    through_the_fib(&v4, "192.0.2.2", "192.0.2.3", ifindex);
    through_the_fib(&v6, "2001:db8::2", "2001:db8::3", ifindex);
    println!(
        "memory: {} MiB before, {} MiB at most after",
        before >> 10,
        resident() >> 10
    );
}

/// In an order without order, the same every time.
fn shuffled(n: u32, prefix: impl Fn(u32) -> IpNet) -> Vec<IpNet> {
    let mut order: Vec<u32> = (0..n).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(i, (state % (i as u64 + 1)) as usize);
    }
    order.into_iter().map(prefix).collect()
}

fn report(what: &str, n: usize, took: Duration) {
    let rate = n as f64 / took.as_secs_f64();
    println!(
        "{what:44} {n:9} in {:8.3} s  {rate:10.0} /s",
        took.as_secs_f64()
    );
}

fn bare(prefixes: &[IpNet], gateway: &str, ifindex: u32) {
    let mut kernel = Netlink::open().unwrap();
    let mut go = |ops: &[Op]| {
        let mut refusals = Vec::new();
        let started = Instant::now();
        kernel.execute(ops, &mut refusals).unwrap();
        assert_eq!(refusals, []);
        started.elapsed()
    };
    let gateway: IpAddr = gateway.parse().unwrap();
    let object = Object {
        ipv6: gateway.is_ipv6(),
        gateway: Some(gateway),
        ifindex,
        onlink: false,
    };
    let members = vec![(1, 1)];
    go(&[
        Op::AddObject { id: 1, object },
        Op::AddGroup { id: 2, members },
    ]);
    let routes = |action| -> Vec<Op> {
        prefixes
            .iter()
            .map(|&p| Op::Route(RouteOp::new(p, RouteSpace::default(), action)))
            .collect()
    };
    let family = if gateway.is_ipv6() { "IPv6" } else { "IPv4" };
    let took = go(&routes(RouteAction::Add(Target::Group(2))));
    report(&format!("{family}, bare writer: add"), prefixes.len(), took);
    let took = go(&routes(RouteAction::Delete));
    report(
        &format!("{family}, bare writer: delete"),
        prefixes.len(),
        took,
    );
    go(&[Op::DeleteNexthop { id: 2 }, Op::DeleteNexthop { id: 1 }]);
}

fn through_the_fib(prefixes: &[IpNet], a: &str, b: &str, ifindex: u32) {
    let fib = spawn(FibConfig::default()).unwrap();
    fib.converged();
    let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
    let family = if a.is_ipv6() { "IPv6" } else { "IPv4" };
    let both = FibRoute {
        nexthops: [FibNexthop::via(a, ifindex), FibNexthop::via(b, ifindex)]
            .into_iter()
            .collect(),
    };
    let step = |what: &str, change: &dyn Fn(IpNet) -> FibChange| {
        let started = Instant::now();
        fib.submit(prefixes.iter().map(|&p| change(p)));
        let submitted = started.elapsed();
        assert!(fib.flush(PATIENCE));
        report(
            &format!("{family}, FIB: {what}"),
            prefixes.len(),
            started.elapsed(),
        );
        println!("{:44} submitted after {:.3} s", "", submitted.as_secs_f64());
    };
    step("add", &|p| FibChange::install(p, both.clone()));
    println!("{:44} {} MiB resident", "", resident() >> 10);
    let started = Instant::now();
    fib.set_nexthops_down(&[(a, ifindex)], true);
    assert!(fib.flush(PATIENCE));
    report(
        &format!("{family}, FIB: one of two routers down"),
        prefixes.len(),
        started.elapsed(),
    );
    step("the RIB's changes after that", &|p| {
        FibChange::install(p, FibRoute::via(b, ifindex))
    });
    let started = Instant::now();
    fib.stop(Stop::KeepRoutes);
    let fib = spawn(FibConfig::default()).unwrap();
    report(
        &format!("{family}, FIB: adopted by a successor"),
        prefixes.len(),
        started.elapsed(),
    );
    fib.converged();
    let started = Instant::now();
    fib.submit(prefixes.iter().map(|&p| FibChange::remove(p)));
    assert!(fib.flush(PATIENCE));
    report(
        &format!("{family}, FIB: delete"),
        prefixes.len(),
        started.elapsed(),
    );
    let c = fib.counters();
    assert_eq!((c.installed_ipv4, c.installed_ipv6, c.errors), (0, 0, 0));
    fib.stop(Stop::KeepRoutes);
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

//! A namespace with a driver in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::num::NonZeroU8;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::gettid;
use routelet_bfd::driver::{BfdHandle, Stop, spawn};
use routelet_bfd::packet::Interval;
use routelet_bfd::session::Parameters;
use routelet_bfd::sessions::{Hops, Request, SessionKey, UserId, UserLevel, UserState};

/// One end of the link `eth0`.
pub(crate) struct End {
    namespace: File,
    pub(crate) handle: BfdHandle,
    reports: Receiver<UserState>,
    /// For how many milliseconds the next report holds the thread up.
    stall: Arc<AtomicU64>,
    /// Taken from `reports`, and not waited for yet: each has another level or error than the one before of its user.
    states: Vec<UserState>,
    /// By user: the latest level, and whether its packets can be sent.
    levels: BTreeMap<UserId, (UserLevel, Option<ErrorKind>)>,
    /// By user: what it wants.
    wanted: RefCell<BTreeMap<u64, SessionKey>>,
}

/// Runs a test between two ends, if this machine can.
pub(crate) fn two_ends(test: impl FnOnce(&mut End, &mut End)) {
    let Some([a, b]) = namespaces() else { return };
    let enter = |namespace: &File, commands: &[&str]| {
        within(namespace, || {
            for command in commands {
                run("ip", command);
            }
        });
    };
    let addresses = |host: u8| {
        [
            format!("addr add 10.0.0.{host}/24 dev eth0"),
            format!("addr add 192.0.2.{host}/24 dev eth0"),
            format!("addr add 2001:db8::{host}/64 dev eth0 nodad"),
            format!("addr add 2001:db8:1::{host}/64 dev eth0 nodad"),
            format!("addr add fe80::{host}/64 dev eth0 nodad"),
            "link set lo up".to_owned(),
            "link set eth0 up".to_owned(),
        ]
    };
    // `ip` takes a process, or a thread, as the name of its namespace.
    let (thread, threads) = channel();
    let (done, waits) = channel::<()>();
    std::thread::scope(|scope| {
        let other = &b;
        scope.spawn(move || {
            within(other, move || {
                thread.send(gettid().as_raw()).unwrap();
                let _ = waits.recv();
            });
        });
        let peer = threads.recv().unwrap();
        let link = format!("link add eth0 type veth peer name eth0 netns {peer}");
        enter(&a, &[&link]);
        drop(done);
    });
    for (namespace, host) in [(&a, 1), (&b, 2)] {
        let commands = addresses(host);
        enter(
            namespace,
            &commands.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    let (mut left, mut right) = (End::new(a, 1), End::new(b, 2));
    test(&mut left, &mut right);
}

fn namespaces() -> Option<[File; 2]> {
    for program in ["ip", "nft"] {
        if Command::new(program).arg("-V").output().is_err() {
            println!("SKIPPED: `{program}` is not installed");
            return None;
        }
    }
    let make = || {
        std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).map_err(std::io::Error::from)?;
                File::open("/proc/thread-self/ns/net")
            });
            made.join().unwrap()
        })
    };
    match (make(), make()) {
        (Ok(a), Ok(b)) => Some([a, b]),
        (Err(error), _) | (_, Err(error)) => {
            println!("SKIPPED: a network namespace of its own needs root ({error})");
            None
        }
    }
}

fn within<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    })
}

pub(crate) fn run(program: &str, arguments: &str) {
    let out = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {arguments}: {stderr}");
}

impl End {
    fn new(namespace: File, seed: u8) -> Self {
        let (sender, reports) = channel();
        let stall = Arc::new(AtomicU64::new(0));
        let stalls = stall.clone();
        let report = move |states: &[UserState]| {
            std::thread::sleep(Duration::from_millis(stalls.swap(0, Ordering::Relaxed)));
            for state in states {
                let _ = sender.send(*state);
            }
        };
        let handle = within(&namespace, || spawn([seed; 32], report).unwrap());
        Self {
            namespace,
            handle,
            reports,
            stall,
            states: Vec::new(),
            levels: BTreeMap::new(),
            wanted: RefCell::default(),
        }
    }

    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.namespace, work)
    }

    pub(crate) fn ip(&self, arguments: &str) {
        self.enter(|| run("ip", arguments));
    }

    /// Loses all control packets that arrive, or none.
    pub(crate) fn drop_packets(&self, is_on: bool) {
        self.enter(|| {
            if is_on {
                run("nft", "add table inet bfd");
                run(
                    "nft",
                    "add chain inet bfd in { type filter hook input priority 0 ; }",
                );
                run("nft", "add rule inet bfd in udp dport { 3784, 4784 } drop");
            } else {
                run("nft", "delete table inet bfd");
            }
        });
    }

    pub(crate) fn add(&self, user: u64, local: &str, remote: &str, hops: Hops, request: &Request) {
        let interface = match hops {
            Hops::Single => self.enter(|| {
                let index = nix::net::if_::if_nametoindex("eth0").unwrap();
                NonZeroU32::new(index)
            }),
            Hops::Multi => None,
        };
        let key = SessionKey {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            interface,
            hops,
        };
        self.wanted.borrow_mut().insert(user, key);
        self.change(user, request);
    }

    pub(crate) fn change(&self, user: u64, request: &Request) {
        let key = self.wanted.borrow()[&user];
        self.handle.set(id(user), Some((key, request.clone())));
    }

    pub(crate) fn remove(&self, user: u64) {
        self.handle.set(id(user), None);
    }

    /// Holds the thread up: the report of a request that is refused does not return for so long.
    pub(crate) fn stall(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.stall.store(millis, Ordering::Relaxed);
        let key = SessionKey {
            local: "10.0.0.1".parse().unwrap(),
            remote: "10.0.0.1".parse().unwrap(),
            interface: None,
            hops: Hops::Multi,
        };
        let mult = NonZeroU8::MIN;
        let request = Request::new(Parameters::new(Interval::SLOW, mult));
        self.handle.set(id(u64::MAX), Some((key, request)));
        let is_refused = |level| matches!(level, UserLevel::Refused(_));
        self.wait(u64::MAX, duration * 20, is_refused);
        self.handle.set(id(u64::MAX), None);
        self.levels.remove(&id(u64::MAX));
    }

    /// Ends the driver; one without sessions takes its place.
    pub(crate) fn stop(&mut self, how: Stop) {
        let idle = self.enter(|| spawn([0; 32], |_| {}).unwrap());
        std::mem::replace(&mut self.handle, idle).stop(how);
    }

    /// The next level of a user that is as wanted; those before it are left out.
    pub(crate) fn wait(
        &mut self,
        user: u64,
        patience: Duration,
        is_wanted: impl Fn(UserLevel) -> bool,
    ) -> UserState {
        let end = Instant::now() + patience;
        loop {
            let found = self
                .states
                .iter()
                .position(|state| state.user == id(user) && is_wanted(state.state));
            if let Some(place) = found {
                let state = self.states[place];
                let mut count = 0;
                self.states.retain(|other| {
                    count += 1;
                    other.user != id(user) || count > place + 1
                });
                return state;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(state) => self.keep(state),
                Err(_) => panic!(
                    "user {user} waited in vain; {:?}; {:?}",
                    self.states,
                    self.handle.status()
                ),
            }
        }
    }

    /// Levels that were reported and not waited for.
    pub(crate) fn heard(&mut self) -> Vec<UserState> {
        while let Ok(state) = self.reports.try_recv() {
            self.keep(state);
        }
        std::mem::take(&mut self.states)
    }

    fn keep(&mut self, state: UserState) {
        let level = (state.state, state.send_error);
        if self.levels.insert(state.user, level) != Some(level) {
            self.states.push(state);
        }
    }
}

fn id(number: u64) -> UserId {
    UserId {
        number,
        generation: 0,
    }
}

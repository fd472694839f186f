//! A network namespace of a lab: its addresses and sysctls, and the commands, daemons and sockets in it.
//!
//! The handle is cheap to clone. The namespace lives as long as the lab: its name is `rl<owner's pid>-<lab>-<label>`,
//! visible to `ip netns` and to containers under `/run/netns`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ipnet::IpNet;
use nix::sched::{CloneFlags, setns};

use crate::exec::{self, Output, PATIENCE};
use crate::process::Process;

/// A network namespace. Clones name the same one.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    label: String,
    dir: PathBuf,
}

impl Namespace {
    /// Makes the namespace `name` with its loopback up and IPv6 usable at once; files of what runs in it go to `dir`.
    ///
    /// # Errors
    /// `ip netns add` fails: the message is the kernel's.
    pub(crate) fn create(name: String, label: &str, dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        exec::succeed(exec::words(&["ip", "netns", "add", &name])?, None, PATIENCE)?;
        let made = Self(Arc::new(Inner {
            name,
            label: label.to_owned(),
            dir,
        }));
        // Duplicate address detection would keep every IPv6 address of the lab unusable for a second.
        made.sysctl("net.ipv6.conf.all.accept_dad", "0")?;
        made.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        made.sysctl("net.ipv6.conf.default.dad_transmits", "0")?;
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// The name that `ip netns` knows.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name that the test gave.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// The directory for the files of what runs here; its `*.log` files are shown when the test fails.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Where the namespace can be opened.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0.name)
    }

    /// A command line that runs `argv` in the namespace and dies with the process that runs the lab.
    ///
    /// # Errors
    /// `argv` is empty.
    pub fn command(&self, argv: &[&str]) -> Result<Command> {
        let mut command = exec::words(&["ip", "netns", "exec", &self.0.name])?;
        command.args(["setpriv", "--pdeathsig", "KILL"]).args(argv);
        Ok(command)
    }

    /// Runs a command here and returns its standard output.
    ///
    /// # Errors
    /// It cannot be started, fails, or takes longer than 20 s.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        exec::succeed(self.command(argv)?, None, PATIENCE)
            .with_context(|| format!("in {}", self.label()))
    }

    /// Runs a command here with `input` on its standard input and returns its standard output.
    ///
    /// # Errors
    /// As [`Namespace::run`].
    pub fn run_with_input(&self, argv: &[&str], input: &str) -> Result<String> {
        exec::succeed(self.command(argv)?, Some(input), PATIENCE)
            .with_context(|| format!("in {}", self.label()))
    }

    /// Runs a command here and returns all that it left behind, also when it fails.
    ///
    /// # Errors
    /// It cannot be started or takes longer than `deadline`.
    pub fn output(&self, argv: &[&str], deadline: Duration) -> Result<Output> {
        exec::output(self.command(argv)?, None, deadline)
            .with_context(|| format!("in {}", self.label()))
    }

    /// Starts a daemon here; its output is kept in `<name>.log` of [`Namespace::dir`].
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, name: &str, argv: &[&str]) -> Result<Process> {
        let log = self.0.dir.join(format!("{name}.log"));
        Process::start(
            &format!("{name} in {}", self.label()),
            self.command(argv)?,
            &log,
        )
    }

    /// Runs `ip` with the words of `arguments` here: `ns.ip("route add 10.1.0.0/16 via 10.0.0.2")`.
    ///
    /// # Errors
    /// The kernel refuses; the message is `ip`'s.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut command = exec::words(&["ip", "-n", &self.0.name])?;
        command.args(arguments.split_whitespace());
        exec::succeed(command, None, PATIENCE).with_context(|| format!("in {}", self.label()))
    }

    /// Gives an interface an address with its prefix length (`10.0.0.1/24`), usable at once.
    ///
    /// # Errors
    /// No such interface, or the address is not one.
    pub fn address(&self, interface: &str, address: &str) -> Result<()> {
        let parsed: IpNet = address
            .parse()
            .with_context(|| format!("\"{address}\" is no address with a prefix length"))?;
        let nodad = if parsed.addr().is_ipv6() { "nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {interface} {nodad}"))?;
        Ok(())
    }

    /// Sets a sysctl of this namespace (`net.ipv4.ip_forward`).
    ///
    /// # Errors
    /// The kernel has no such sysctl or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // Interface names may hold dots, which the sysctl notation writes as slashes.
        let translated: String = key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect();
        let path = Path::new("/proc/sys").join(translated);
        self.enter(|| std::fs::write(&path, value))?
            .with_context(|| format!("{key}={value} in {}", self.label()))
    }

    /// Keeps the kernel from giving interfaces that are made from now on a link-local address.
    ///
    /// # Errors
    /// The kernel has no IPv6.
    pub fn without_link_local(&self) -> Result<()> {
        self.sysctl("net.ipv6.conf.default.addr_gen_mode", "1")
    }

    /// Makes a router of the namespace: forwarding on, and flows spread over equal paths by address and port.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("net.ipv4.ip_forward", "1")?;
        self.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        self.sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
        self.sysctl("net.ipv6.fib_multipath_hash_policy", "1")?;
        // Traffic may come back by the other of two routers.
        self.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
        self.sysctl("net.ipv4.conf.default.rp_filter", "0")
    }

    /// Runs `work` on a thread inside the namespace. Sockets that it makes stay there wherever they are used.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` panicked.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let inside = || -> Result<T> {
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
            Ok(work())
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("the work inside {} panicked", self.label()))?
    }
}

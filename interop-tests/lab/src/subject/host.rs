//! Where a subject runs: straight in its namespace, or in a container that uses the namespace.
//!
//! A container is podman's, with runc. Questions do not go through podman, which takes a third of a second for each:
//! they enter the namespaces of the container's first process. That process is the daemon itself, so that a signal to
//! it is a signal to the daemon, and its end is the container's.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Lab;
use crate::netns::Namespace;
use crate::process::Process;
use crate::subject::Kind;

/// Where a subject runs, and the directory of its files.
#[derive(Debug)]
pub(crate) struct Host {
    namespace: Namespace,
    dir: PathBuf,
    container: Option<Container>,
}

#[derive(Debug)]
struct Container {
    image: &'static str,
    name: String,
    /// The lab's list of containers, for its reaper.
    list: PathBuf,
}

impl Host {
    pub(crate) fn new(lab: &Lab, kind: Kind, namespace: &Namespace) -> Result<Self> {
        // A folder of its own: two subjects may share a namespace. The daemons' users, who differ between this machine
        // and the containers, have to write to it.
        let dir = (0..)
            .map(|n| namespace.dir().join(format!("{kind}{n}")))
            .find(|dir| !dir.exists())
            .context("a name for the subject's directory")?;
        std::fs::create_dir_all(&dir)?;
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777))?;
        let leaf = dir.file_name().unwrap_or_default().to_string_lossy();
        let container = kind.image().map(|image| Container {
            image,
            name: format!("{}-{leaf}", namespace.name()),
            list: lab.dir().join("containers"),
        });
        Ok(Self {
            namespace: namespace.clone(),
            dir,
            container,
        })
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn is_container(&self) -> bool {
        self.container.is_some()
    }

    /// The path of a file of the subject, the same inside a container.
    pub(crate) fn path(&self, file: &str) -> String {
        self.dir.join(file).to_string_lossy().into_owned()
    }

    /// Writes a file of the subject, readable for the daemon's user and nobody else's to change.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.dir.join(file);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Runs a command beside the daemon and returns what it prints.
    pub(crate) fn ask(&self, argv: &[&str]) -> Result<String> {
        if self.container.is_none() {
            return self.namespace.run(argv);
        }
        let pid = self.container_pid()?.to_string();
        let mut inside = vec!["nsenter", "--target", &pid, "--mount", "--uts", "--"];
        inside.extend(argv);
        self.namespace.run(&inside)
    }

    /// Starts a daemon of the subject. In a container there can be one at a time: `argv` is its first process.
    pub(crate) fn spawn(&self, name: &str, argv: &[&str]) -> Result<Process> {
        let log = self.dir.join(format!("{name}.log"));
        let shown = format!("{name} in {}", self.namespace.label());
        let Some(container) = &self.container else {
            return Process::start(&shown, self.namespace.command(argv)?, &log);
        };
        let mut list = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&container.list)?;
        writeln!(list, "{}", container.name)?;
        let pidfile = self.pidfile();
        // A pid file of a container before would name a stranger.
        let _ = std::fs::remove_file(&pidfile);
        let network = format!("ns:{}", self.namespace.path().display());
        let volume = format!("{0}:{0}", self.dir.display());
        let pidfile = pidfile.to_string_lossy();
        let mut podman = vec!["podman", "--runtime", "runc", "run", "--rm", "--replace"];
        podman.extend(["--name", &container.name, "--network", &network]);
        podman.extend([
            "--volume",
            &volume,
            "--pidfile",
            &pidfile,
            "--pull",
            "never",
        ]);
        // runc refuses to raise the limits that podman would ask for.
        podman.extend([
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1000:1000",
        ]);
        podman.extend(["--cap-add", "NET_ADMIN,NET_RAW,NET_BIND_SERVICE,SYS_ADMIN"]);
        podman.push(container.image);
        podman.extend(argv);
        // podman itself stays outside of the namespace; only the container goes in.
        let command =
            crate::exec::words(&[&["setpriv", "--pdeathsig", "KILL"], &podman[..]].concat())?;
        Process::start(&shown, command, &log)
    }

    /// Sends a signal to a daemon that [`Host::spawn`] started.
    pub(crate) fn signal(&self, process: &Process, signal: Signal) -> Result<()> {
        if self.container.is_none() {
            return process.signal(signal);
        }
        if process.ended()?.is_none() {
            kill(Pid::from_raw(self.container_pid()?), signal).with_context(|| {
                format!("{signal} to the container in {}", self.namespace.label())
            })?;
        }
        Ok(())
    }

    fn container_pid(&self) -> Result<i32> {
        let path = self.pidfile();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no container yet: {}", path.display()))?;
        text.trim().parse().context("the container's pid file")
    }

    fn pidfile(&self) -> PathBuf {
        Path::new(&self.dir).join("container.pid")
    }
}

impl Drop for Host {
    /// Ends the container: killing podman, as dropping its process does, leaves it running.
    fn drop(&mut self) {
        if self.container.is_none() {
            return;
        }
        if let Ok(pid) = self.container_pid() {
            let own = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok();
            let in_namespace = self
                .namespace
                .ip(&format!("netns pids {}", self.namespace.name()))
                .is_ok_and(|pids| pids.lines().any(|line| line.trim() == pid.to_string()));
            // The container may have ended and its id be another's by now: only what is in our namespace is ours.
            if own && in_namespace {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

//! A daemon that lives as long as its handle: its output goes to a log in the lab's directory, and dropping the handle
//! kills it by its process id.
//!
//! It also dies with the process that runs the lab (parent-death signal). A daemon that changes its user loses that
//! signal; the lab's reaper (see [`crate::Lab`]) ends it then.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
pub use nix::sys::signal::Signal;
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;

use crate::{eventually, exec};

/// A running daemon.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
    log: PathBuf,
    /// How much others had written into the log before.
    before: usize,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    ///
    /// # Errors
    /// The log cannot be written or the program not be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let open = || -> Result<File> {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .with_context(|| format!("log {}", log.display()))
        };
        let before = std::fs::read(log).map_or(0, |octets| octets.len());
        // A process group of its own, so that what it forks can be stopped and killed with it.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?);
        let child = exec::start(command)?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("process id")?);
        Ok(Self {
            name: name.to_owned(),
            pid,
            child: Mutex::new(child),
            log: log.to_owned(),
            before,
        })
    }

    /// Its process id. The programs that enter the namespace replace themselves, so it is the daemon's own.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        self.child()
            .try_wait()
            .with_context(|| format!("state of {}", self.name))
    }

    /// Sends a signal: SIGSTOP, SIGCONT and SIGKILL to it and the processes that it forked, others to it alone. A
    /// process that has ended already gets none, which is no error.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Under the lock, so that the id cannot have been reaped and given to another process meanwhile.
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            match signal {
                Signal::SIGSTOP | Signal::SIGCONT | Signal::SIGKILL => killpg(self.pid, signal),
                _ => kill(self.pid, signal),
            }
            .with_context(|| format!("{signal} to {}", self.name))?;
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        eventually(deadline, &format!("end of {}", self.name), || {
            let ended = self.ended()?;
            ended.with_context(|| format!("process {} still runs", self.pid))
        })
    }

    /// Fails, with the end of its log, if it does not run any more.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_alive(&self) -> Result<()> {
        let ended = self.ended()?;
        ensure!(
            ended.is_none(),
            "{} has ended ({:?}); its log ends with:\n{}",
            self.name,
            ended,
            tail(&self.log_text(), 20)
        );
        Ok(())
    }

    /// What it has printed so far; what an earlier one printed into the same log is not its own.
    pub fn log_text(&self) -> String {
        let octets = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(octets.get(self.before..).unwrap_or_default()).into_owned()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

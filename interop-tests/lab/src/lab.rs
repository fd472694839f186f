//! A lab: the owner of its namespaces, directory and daemons, and the run of one test in it.
//!
//! Cleaning up has one path for every way a lab can end. Beside each lab runs a *reaper*, a shell in a session of its
//! own that waits for the end of its standard input, whose other end only the lab's process holds. When the lab is
//! dropped, or its process panics, is interrupted or killed, the reaper kills what still runs in the lab's namespaces
//! (by process id, as the kernel lists them), deletes the namespaces and the directory, and ends. Should a reaper die
//! itself, the next lab sweeps what its owner left: a lab's directory carries the owner's process id and start time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::exec;
use crate::need::{self, Need};
use crate::netns::Namespace;
use crate::process::tail;

/// Below it, a directory for each lab. Short, because paths of Unix sockets in it may have 107 bytes at most.
const ROOT: &str = "/run/routelet-lab";
/// How much of each log a failure shows.
const LOG_LINES: usize = 60;

/// Ends what still runs in the namespaces of a prefix, then removes them and the directory. Arguments: prefix,
/// directory.
const REAP: &str = r#"
for round in 1 2 3; do
  for ns in /run/netns/"$1"-*; do
    [ -e "$ns" ] || continue
    for pid in $(ip netns pids "${ns##*/}" 2>/dev/null); do kill -9 "$pid" 2>/dev/null; done
    ip netns del "${ns##*/}" 2>/dev/null
  done
done
if [ -s "$2/containers" ]; then
  while read -r name; do podman rm --force --time 0 "$name" >/dev/null 2>&1; done <"$2/containers"
fi
rm -rf "$2"
"#;

/// A lab. Dropping it removes all that was made in it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    dir: PathBuf,
    reaper: Child,
}

/// Runs `test` in a lab of its own, if what it needs is there.
///
/// Otherwise prints `skip: ...` with the reason and returns; where `CI` or `ROUTELET_REQUIRE_LAB` is set, a missing
/// tool fails the test instead, so that nothing is skipped unseen.
///
/// # Panics
/// `test` failed or panicked: after the error, the message holds the end of every daemon's log.
pub fn run(needs: &[Need], test: impl FnOnce(&Lab) -> Result<()>) {
    if let Some(reason) = need::missing(needs) {
        assert!(
            !need::required(),
            "{reason} (and CI or ROUTELET_REQUIRE_LAB is set, so nothing may be skipped)"
        );
        // Straight to the terminal: what tests print is only shown when they fail.
        let _ = writeln!(std::io::stderr(), "skip: {reason}");
        return;
    }
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(error) => panic!("the lab cannot be made: {error:#}"),
    };
    // Logs have to be read before the lab's directory goes, so a panic is held for that long.
    match catch_unwind(AssertUnwindSafe(|| test(&lab))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let logs = lab.logs();
            drop(lab);
            panic!("{error:#}\n{logs}");
        }
        Err(panicked) => {
            let _ = writeln!(std::io::stderr(), "{}", lab.logs());
            drop(lab);
            resume_unwind(panicked);
        }
    }
}

impl Lab {
    /// An empty lab, after sweeping what dead owners left.
    ///
    /// # Errors
    /// Not root, or a tool of [`Need::Root`] is missing.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep(Path::new(ROOT));
        let own = std::process::id();
        let prefix = format!("rl{own}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(ROOT).join(&prefix);
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        // The reaper ignores signals that a terminal or a test runner sends to all: only end of input counts.
        let script = format!("trap '' INT TERM HUP QUIT; cat >/dev/null; {REAP}");
        let dir_text = dir.to_string_lossy();
        let mut command =
            exec::words(&["setsid", "sh", "-c", &script, "reaper", &prefix, &dir_text])?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let reaper = exec::start(command)?;
        let lab = Self {
            prefix,
            dir,
            reaper,
        };
        std::fs::write(lab.dir.join("owner"), start_time(own).unwrap_or_default())?;
        Ok(lab)
    }

    /// A new network namespace. Labels are unique in a lab and consist of letters, digits and dashes.
    ///
    /// # Errors
    /// The label is taken, or the kernel refuses.
    pub fn namespace(&self, label: &str) -> Result<Namespace> {
        Namespace::create(
            format!("{}-{label}", self.prefix),
            label,
            self.dir.join(label),
        )
    }

    /// Two namespaces joined by a veth pair, `eth0` at either end, with the addresses (`10.0.0.1/24`) given to each.
    ///
    /// # Errors
    /// As [`Lab::namespace`] and [`Lab::link`].
    pub fn pair(&self, a: (&str, &[&str]), b: (&str, &[&str])) -> Result<(Namespace, Namespace)> {
        let (left, right) = (self.namespace(a.0)?, self.namespace(b.0)?);
        self.link((&left, "eth0"), (&right, "eth0"))?;
        for (namespace, addresses) in [(&left, a.1), (&right, b.1)] {
            for address in addresses {
                namespace.address("eth0", address)?;
            }
        }
        Ok((left, right))
    }

    /// The lab's directory; each namespace has one of its own in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The end of every log in the lab, with its path as the head.
    pub fn logs(&self) -> String {
        let mut shown = String::new();
        let mut folders = vec![self.dir.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(_) if path.extension().is_some_and(|end| end == "log") => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        for path in found {
            let text = std::fs::read(&path).unwrap_or_default();
            let text = tail(&String::from_utf8_lossy(&text), LOG_LINES);
            let name = path.strip_prefix(&self.dir).unwrap_or(&path);
            let _ = writeln!(shown, "--- {}\n{text}", name.display());
        }
        shown
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::env::var_os("ROUTELET_LAB_KEEP").is_some() {
            let shown = self.dir.display();
            let _ = writeln!(
                std::io::stderr(),
                "lab kept until Enter is pressed: ip netns | grep {}; files in {shown}",
                self.prefix
            );
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        drop(self.reaper.stdin.take());
        let _ = self.reaper.wait();
    }
}

/// Removes the labs below `root` whose owners are gone. Several may sweep at once: what is gone already is no error.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let dir = entry.path();
        let name = entry.file_name();
        let Some(prefix) = name.to_str() else {
            continue;
        };
        let owner = prefix
            .strip_prefix("rl")
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| pid.parse().ok());
        if owner.is_some_and(|pid| is_gone(pid, &dir)) {
            let dir = dir.to_string_lossy();
            if let Ok(command) = exec::words(&["sh", "-c", REAP, "sweeper", prefix, &dir]) {
                let _ = exec::output(command, None, Duration::from_secs(60));
            }
        }
    }
}

/// Whether the owner of a lab has ended: no such process, or another one that got the same id later.
fn is_gone(pid: u32, dir: &Path) -> bool {
    let Some(now) = start_time(pid) else {
        return true;
    };
    // A lab that is being made has not noted its owner yet.
    std::fs::read_to_string(dir.join("owner")).is_ok_and(|noted| !noted.is_empty() && noted != now)
}

/// When a process started, in the kernel's ticks: with the process id it names a process for good.
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22; the second one is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let own = std::process::id();
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_gone(own, dir.path()), "being made");
        std::fs::write(dir.path().join("owner"), start_time(own).unwrap()).unwrap();
        assert!(!is_gone(own, dir.path()), "alive");
        std::fs::write(dir.path().join("owner"), "1").unwrap();
        assert!(is_gone(own, dir.path()), "the id was given to another");
        assert!(is_gone(u32::MAX, dir.path()), "no such process");
    }
}

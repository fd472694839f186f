//! What a result depends on besides the speakers' merit: the machine, and the versions.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use interop_lab::exec;
use interop_lab::subject::Kind;

/// Long enough for a container to start and print a version.
const PATIENCE: Duration = Duration::from_secs(30);

/// The machine and the versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors that may be used.
    pub cores: usize,
    /// What they are.
    pub processor: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in MB.
    #[serde(rename = "memoryMB")]
    pub memory_mb: u64,
    /// What each speaker says of its version.
    pub versions: BTreeMap<Kind, String>,
}

impl Machine {
    /// Whether results of both can stand in one table.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.cores, &self.processor, &self.kernel)
            == (other.cores, &other.processor, &other.kernel)
    }

    /// Looks at this machine and asks these speakers.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn look(speakers: &[Kind]) -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let processors = read("/proc/cpuinfo")?;
        let memory = read("/proc/meminfo")?;
        let after = |text: &str, name: &str| -> Option<String> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory_kb = after(&memory, "MemTotal")
            .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: after(&processors, "model name").unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory_mb: memory_kb.context("no MemTotal in /proc/meminfo")? / 1024,
            versions: speakers.iter().map(|&kind| (kind, version(kind))).collect(),
        })
    }
}

/// What a speaker says of its version; empty where it says nothing.
fn version(kind: Kind) -> String {
    let own = interop_lab::routelet_binary().unwrap_or_default();
    let program = match kind {
        Kind::Routelet => own.to_str().unwrap_or_default(),
        Kind::Bird2 | Kind::Bird3 => "bird",
        Kind::Frr8 | Kind::Frr10 => "/usr/lib/frr/bgpd",
        Kind::GoBgp => "gobgpd",
        Kind::OpenBgpd => "/usr/sbin/bgpd",
    };
    let option = match kind {
        Kind::OpenBgpd => "-V",
        _ => "--version",
    };
    let mut command = Command::new(program);
    if let Some(image) = kind.image() {
        command = Command::new("podman");
        command.args(["--runtime", "runc", "run", "--rm", "--network", "none"]);
        // As the subjects' own: runc refuses to raise the limits that podman would ask for.
        command.args([
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1000:1000",
        ]);
        command.args(["--pull", "never", image, program]);
    }
    command.arg(option);
    let Ok(said) = exec::output(command, None, PATIENCE) else {
        return String::new();
    };
    let text = format!("{}\n{}", said.stdout, said.stderr);
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.unwrap_or_default().trim().to_owned()
}

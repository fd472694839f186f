//! A real API server as `scripts/kube-apiserver` starts it, from the programs that it finds or builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;

/// See the module. It ends with this. It may have no kinds but definitions and what they define.
pub struct ScriptedApiServer {
    folder: TempDir,
    kubeconfig: PathBuf,
}

fn script(words: &[&str]) -> Command {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kube-apiserver");
    let mut command = Command::new(path);
    command.args(words).stdin(Stdio::null());
    command
}

impl ScriptedApiServer {
    /// The folder of the programs, if there are any. Nothing is built.
    pub fn programs() -> Option<PathBuf> {
        let found = script(&["find"]).output().ok()?;
        let text = String::from_utf8(found.stdout).ok()?;
        found.status.success().then(|| text.trim().into())
    }

    /// Starts it on loopback and waits until it answers.
    ///
    /// # Errors
    /// There are no programs, or they do not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // Its processes outlive the script: they must not hold our pipes.
        let words = ["start", text(folder.path())?];
        let started = script(&words).stdout(Stdio::null()).status();
        let started = started.context("scripts/kube-apiserver")?;
        ensure!(started.success(), "scripts/kube-apiserver start: {started}");
        let kubeconfig = folder.path().join("kubeconfig");
        Ok(Self { folder, kubeconfig })
    }

    /// A client of who may do everything.
    ///
    /// # Errors
    /// The kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

impl Drop for ScriptedApiServer {
    fn drop(&mut self) {
        let stopped = text(self.folder.path()).map(|folder| script(&["stop", folder]).status());
        if !matches!(stopped, Ok(Ok(status)) if status.success()) {
            eprintln!(
                "scripts/kube-apiserver stop {}: {stopped:?}",
                self.folder.path().display()
            );
        }
    }
}

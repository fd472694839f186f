//! A real API server with a store of its own, where its programs are installed.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::rbac::Account;
use crate::eventually::eventually;

/// The environment variable that names the folder of `kube-apiserver` and `etcd`.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// How long the two may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. Both processes end with it.
#[derive(Debug)]
pub struct RealApiServer {
    port: u16,
    _processes: Vec<Ends>,
    folder: TempDir,
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RealApiServer {
    /// The folder of the programs, if one is named.
    pub fn assets() -> Option<PathBuf> {
        std::env::var_os(ASSETS)
            .map(PathBuf::from)
            .filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Starts both on loopback and waits until the server answers.
    ///
    /// # Errors
    /// A program is missing or does not start; the text ends with what it logged.
    pub fn start(assets: &Path, accounts: &[Account]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [clients, peers, port] = free_ports()?;
        let store = format!("http://127.0.0.1:{clients}");
        let ring = format!("http://127.0.0.1:{peers}");
        let data = folder.path().join("etcd");
        let mut etcd = Command::new(assets.join("etcd"));
        etcd.arg("--data-dir").arg(&data);
        etcd.args([
            "--listen-client-urls",
            &store,
            "--advertise-client-urls",
            &store,
        ]);
        etcd.args([
            "--listen-peer-urls",
            &ring,
            "--initial-advertise-peer-urls",
            &ring,
        ]);
        etcd.args([
            "--initial-cluster",
            &format!("default={ring}"),
            "--unsafe-no-fsync",
        ]);
        let etcd = start(etcd, folder.path(), "etcd")?;

        let tokens = folder.path().join("tokens.csv");
        std::fs::write(&tokens, token_file(accounts)?)?;
        let key = folder.path().join("service-accounts.key");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&key)
            .arg("2048")
            .stderr(Stdio::null())
            .status()
            .context("openssl, for the key of service accounts")?;
        ensure!(made.success(), "openssl genrsa: {made}");
        let mut server = Command::new(assets.join("kube-apiserver"));
        server.args(["--etcd-servers", &store, "--bind-address", "127.0.0.1"]);
        server.args([
            "--secure-port",
            &port.to_string(),
            "--authorization-mode",
            "RBAC",
        ]);
        server.args(["--service-cluster-ip-range", "10.96.0.0/16,fd00:96::/112"]);
        server.args(["--disable-admission-plugins", "ServiceAccount"]);
        server.args(["--service-account-issuer", "https://kubernetes.default.svc"]);
        server.arg("--service-account-key-file").arg(&key);
        server.arg("--service-account-signing-key-file").arg(&key);
        server.arg("--token-auth-file").arg(&tokens);
        server
            .arg("--cert-dir")
            .arg(folder.path().join("certificates"));
        let server = start(server, folder.path(), "kube-apiserver")?;
        let made = Self {
            port,
            _processes: vec![server, etcd],
            folder,
        };
        eventually(PATIENCE, "kube-apiserver listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).with_context(|| made.log())?;
            Ok(())
        })?;
        Ok(made)
    }

    /// `https://127.0.0.1:12345`; the certificate is the server's own.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The end of what the server has logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("kube-apiserver.log"));
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

fn start(mut command: Command, folder: &Path, name: &str) -> Result<Ends> {
    let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{name} of the folder that {ASSETS} names"))?;
    Ok(Ends(child))
}

/// `token,user,uid,"groups"`, a line for each.
fn token_file(accounts: &[Account]) -> Result<String> {
    let mut text = String::new();
    for Account {
        token,
        user,
        groups,
    } in accounts
    {
        if [token, user]
            .into_iter()
            .chain(groups)
            .any(|word| word.contains([',', '"', '\n']))
        {
            bail!("account {user}: no comma, quote or line break can be written into a token file");
        }
        writeln!(text, "{token},{user},{user},\"{}\"", groups.join(","))?;
    }
    Ok(text)
}

/// Ports that nobody has at the moment.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_lines_of_a_token_file() -> Result<()> {
        let accounts = [
            Account::admin("a"),
            Account::service_account("b", "routelet-system", "routelet-agent"),
        ];
        let expected = "a,admin,admin,\"system:masters\"\n\
            b,system:serviceaccount:routelet-system:routelet-agent,system:serviceaccount:routelet-system:routelet-agent,\
            \"system:serviceaccounts,system:serviceaccounts:routelet-system\"\n";
        assert_eq!(token_file(&accounts)?, expected);
        assert!(token_file(&[Account::admin("a,b")]).is_err());
        Ok(())
    }
}

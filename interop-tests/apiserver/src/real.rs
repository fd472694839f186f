//! A real API server with a store of its own, where its programs are installed.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::objects::Objects;
use super::rbac::Account;
use super::server::{ADMIN, CLUSTER_IPS};
use interop_lab::Namespace;
use interop_lab::Process;
use interop_lab::eventually;
use interop_lab::exec;

/// The environment variable that names the folder of `kube-apiserver` and `etcd`.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// How long the two may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. Both processes end with it.
pub struct RealApiServer {
    address: SocketAddr,
    objects: Objects,
    _processes: [Process; 2],
    _folder: TempDir,
}

/// Where the two run.
struct Place<'a> {
    namespace: Option<&'a Namespace>,
    folder: &'a Path,
}

impl RealApiServer {
    /// The folder of the programs, if one is named.
    pub fn assets() -> Option<PathBuf> {
        std::env::var_os(ASSETS)
            .map(PathBuf::from)
            .filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Starts both on loopback and waits until the server answers. One of the accounts is [`super::ADMIN`].
    ///
    /// # Errors
    /// A program is missing or does not start.
    pub fn start(assets: &Path, accounts: &[Account]) -> Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, free_port()?).into();
        Self::start_at(assets, None, address, accounts)
    }

    /// The same in a namespace, at an address there.
    ///
    /// # Errors
    /// A program is missing or does not start.
    pub fn start_in(
        assets: &Path,
        namespace: &Namespace,
        address: SocketAddr,
        accounts: &[Account],
    ) -> Result<Self> {
        Self::start_at(assets, Some(namespace), address, accounts)
    }

    fn start_at(
        assets: &Path,
        namespace: Option<&Namespace>,
        address: SocketAddr,
        accounts: &[Account],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let place = Place {
            namespace,
            folder: folder.path(),
        };
        let [clients, peers] = [place.free_port()?, place.free_port()?];
        let etcd = place.spawn(assets, "etcd", &etcd_words(folder.path(), clients, peers))?;
        let words = server_words(folder.path(), address, clients, accounts)?;
        let server = place.spawn(assets, "kube-apiserver", &words)?;
        let objects = Objects::new(&format!("https://{address}"), ADMIN, namespace.cloned())?;
        eventually(PATIENCE, "kube-apiserver answers", || {
            etcd.check_alive()?;
            server.check_alive()?;
            objects.answers()
        })?;
        Ok(Self {
            address,
            objects,
            _processes: [server, etcd],
            _folder: folder,
        })
    }

    /// `https://127.0.0.1:12345`; the certificate is the server's own.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }
}

impl Place<'_> {
    fn spawn(&self, assets: &Path, name: &str, words: &[String]) -> Result<Process> {
        let program = assets.join(name).to_string_lossy().into_owned();
        let argv: Vec<&str> = [program.as_str()]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        let log = self.folder.join(format!("{name}.log"));
        let process = match self.namespace {
            Some(namespace) => namespace.spawn(name, &argv),
            None => Process::start(name, exec::words(&argv)?, &log),
        };
        process.with_context(|| format!("{name} of the folder that {ASSETS} names"))
    }

    fn free_port(&self) -> Result<u16> {
        match self.namespace {
            Some(namespace) => namespace.enter(free_port)?,
            None => free_port(),
        }
    }
}

fn etcd_words(folder: &Path, clients: u16, peers: u16) -> Vec<String> {
    let store = format!("http://127.0.0.1:{clients}");
    let ring = format!("http://127.0.0.1:{peers}");
    let data = folder.join("etcd").to_string_lossy().into_owned();
    let cluster = format!("default={ring}");
    [
        ("--data-dir", &data),
        ("--listen-client-urls", &store),
        ("--advertise-client-urls", &store),
        ("--listen-peer-urls", &ring),
        ("--initial-advertise-peer-urls", &ring),
        ("--initial-cluster", &cluster),
        ("--unsafe-no-fsync", &"true".to_owned()),
    ]
    .map(|(name, value)| format!("{name}={value}"))
    .into()
}

/// Writes the files that the server reads, and says how it is started.
fn server_words(
    folder: &Path,
    address: SocketAddr,
    store: u16,
    accounts: &[Account],
) -> Result<Vec<String>> {
    let tokens = folder.join("tokens.csv");
    std::fs::write(&tokens, token_file(accounts)?)?;
    let key = folder.join("service-accounts.key").display().to_string();
    let mut openssl = exec::words(&["openssl", "genrsa", "-out", &key, "2048"])?;
    openssl.stderr(std::process::Stdio::null());
    let made = openssl
        .status()
        .context("openssl, for the key of service accounts")?;
    ensure!(made.success(), "openssl genrsa: {made}");
    let words = [
        ("--etcd-servers", format!("http://127.0.0.1:{store}")),
        ("--bind-address", address.ip().to_string()),
        ("--secure-port", address.port().to_string()),
        ("--authorization-mode", "RBAC".to_owned()),
        ("--service-cluster-ip-range", CLUSTER_IPS.join(",")),
        (
            "--disable-admission-plugins",
            "ServiceAccount,TaintNodesByCondition".to_owned(),
        ),
        (
            "--service-account-issuer",
            "https://kubernetes.default.svc".to_owned(),
        ),
        ("--service-account-key-file", key.clone()),
        ("--service-account-signing-key-file", key),
        ("--token-auth-file", tokens.display().to_string()),
        (
            "--cert-dir",
            folder.join("certificates").display().to_string(),
        ),
    ];
    Ok(words.map(|(name, value)| format!("{name}={value}")).into())
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

/// A port of loopback that nobody has at the moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
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

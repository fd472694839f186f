//! Either API server, for what holds for both.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use kube::Client;
use serde_json::{Value, json};

use super::core::Settings;
use super::fake::FakeApiServer;
use super::objects::client;
use super::rbac::Account;
use super::real::RealApiServer;
use interop_lab::Namespace;
use interop_lab::eventually;

/// The token of who may do everything.
pub const ADMIN: &str = "admin";

/// The range of cluster IPs.
pub(super) const CLUSTER_IPS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// How long a real server may take to serve what was just defined.
const PATIENCE: Duration = Duration::from_secs(30);

/// The real API server where its programs are, else the fake one.
pub enum Server {
    /// See [`FakeApiServer`].
    Fake(FakeApiServer),
    /// See [`RealApiServer`].
    Real(Box<RealApiServer>),
}

impl Server {
    /// Starts the one that there is on loopback, with these accounts and [`ADMIN`].
    ///
    /// # Errors
    /// It does not start.
    pub fn start(accounts: Vec<Account>) -> Result<Self> {
        let settings = settings(accounts)?;
        Ok(match RealApiServer::assets() {
            Some(assets) => {
                Self::Real(Box::new(RealApiServer::start(&assets, &settings.accounts)?))
            }
            None => Self::Fake(FakeApiServer::start(settings)?),
        })
    }

    /// The same at an address of a namespace.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_in(
        namespace: &Namespace,
        address: SocketAddr,
        accounts: Vec<Account>,
    ) -> Result<Self> {
        let Some(assets) = RealApiServer::assets() else {
            return Self::fake_in(namespace, address, accounts);
        };
        let accounts = settings(accounts)?.accounts;
        let real = RealApiServer::start_in(&assets, namespace, address, &accounts)?;
        Ok(Self::Real(Box::new(real)))
    }

    /// The fake one at an address of a namespace, for what nobody could do to a real one.
    ///
    /// # Errors
    /// It does not start.
    pub fn fake_in(
        namespace: &Namespace,
        address: SocketAddr,
        accounts: Vec<Account>,
    ) -> Result<Self> {
        let fake = FakeApiServer::start_in(namespace, address, settings(accounts)?)?;
        Ok(Self::Fake(fake))
    }

    /// The fake one, to break it and to count what it is asked.
    ///
    /// # Errors
    /// It is the real one.
    pub fn fake(&self) -> Result<&FakeApiServer> {
        match self {
            Self::Fake(fake) => Ok(fake),
            Self::Real(_) => Err(anyhow!("this needs the fake API server")),
        }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        match self {
            Self::Fake(fake) => fake.url(),
            Self::Real(real) => real.url(),
        }
    }

    /// A client with the token of an account. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn client(&self, token: &str) -> Result<Client> {
        client(&self.url(), token)
    }

    /// Makes what `deploy` installs, but the workloads: a namespace, the definitions, and the roles of agent and
    /// controller.
    ///
    /// # Errors
    /// The server refuses an object, or does not come to serve the definitions.
    pub fn install(&self, namespace: &str) -> Result<()> {
        self.put(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        )?;
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
        let folder = format!("{deploy}/crds");
        let mut definitions = Vec::new();
        for file in std::fs::read_dir(&folder).context(folder)? {
            let path = file?.path();
            if path.file_name() != Some("kustomization.yaml".as_ref()) {
                for definition in documents(&std::fs::read_to_string(&path)?)? {
                    definitions.push(self.put(&definition)?);
                }
            }
        }
        for part in ["agent", "controller"] {
            let text = std::fs::read_to_string(format!("{deploy}/{part}/rbac.yaml"))?;
            for mut role in documents(&text)? {
                // Kustomize fills in the namespace.
                let kind = role["kind"].as_str().unwrap_or_default();
                if !kind.starts_with("Cluster") {
                    role["metadata"]["namespace"] = json!(namespace);
                }
                self.put(&role)?;
            }
        }
        for definition in definitions {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            eventually(PATIENCE, &format!("{name} is established"), || {
                let found = self.get("CustomResourceDefinition", "", name);
                let found = found.context("it is not there")?;
                let conditions = found["status"]["conditions"].as_array().cloned();
                let is_up = |c: &Value| c["type"] == "Established" && c["status"] == "True";
                ensure!(
                    conditions.unwrap_or_default().iter().any(is_up),
                    "{}",
                    found["status"]
                );
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Makes an object, or replaces its spec and status by the given ones. A status that says nothing is not written.
    ///
    /// # Errors
    /// The server refuses the object.
    pub fn put(&self, object: &Value) -> Result<Value> {
        match self {
            Self::Fake(fake) => Ok(fake.put(object)?),
            Self::Real(real) => real.objects().put(object),
        }
    }

    /// Changes an object that is there: what `change` leaves behind is put. A status that it does not touch stays the server's:
    /// it may be another one by now, or not be allowed beside the new spec.
    ///
    /// # Errors
    /// There is no such object, or the server refuses the new state.
    pub fn change(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value> {
        let found = self.get(kind, namespace, name);
        let mut object = found.with_context(|| format!("there is no {kind} {name}"))?;
        let status = object.get("status").cloned();
        change(&mut object);
        if object.get("status") == status.as_ref()
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        self.put(&object)
    }

    /// Deletes an object, as a client would.
    ///
    /// # Errors
    /// There is no such object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        match self {
            Self::Fake(fake) => Ok(fake.delete(kind, namespace, name)?),
            Self::Real(real) => real.objects().delete(kind, namespace, name),
        }
    }

    /// An object as a client would read it; `namespace` is empty for those of the cluster.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        match self {
            Self::Fake(fake) => fake.get(kind, namespace, name),
            Self::Real(real) => real.objects().get(kind, namespace, name).ok().flatten(),
        }
    }

    /// All objects of a kind.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        match self {
            Self::Fake(fake) => fake.list(kind),
            Self::Real(real) => real.objects().list(kind).unwrap_or_default(),
        }
    }
}

fn settings(mut accounts: Vec<Account>) -> Result<Settings> {
    accounts.push(Account::admin(ADMIN));
    let service_cidrs = CLUSTER_IPS.map(str::parse);
    Ok(Settings {
        accounts,
        service_cidrs: service_cidrs.into_iter().collect::<Result<_, _>>()?,
        ..Settings::default()
    })
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let all: Result<Vec<Value>, _> = serde_saphyr::from_multiple(text);
    all.map_err(|error| anyhow!("{error}"))
}

//! The objects of a real API server as tests write and read them: as an administrator, waiting for each answer.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersion;
use kube::discovery::{ApiResource, Scope, oneshot};
use kube::{Client, Config, Error};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::fake::says_status;
use interop_lab::Namespace;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where kinds are looked for, in this order, unless an object says it.
const GROUPS: [&str; 8] = [
    "v1",
    "discovery.k8s.io/v1",
    "coordination.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "routelet.dev/v1alpha1",
    "apps/v1",
    "events.k8s.io/v1",
];

/// See the module.
pub(super) struct Objects {
    client: Client,
    runtime: Runtime,
    /// Where connections are made from, if not here.
    namespace: Option<Namespace>,
    /// Kinds that were looked for before.
    kinds: Mutex<Vec<(ApiResource, Scope)>>,
}

impl Objects {
    /// With a token of somebody who may do everything.
    pub(super) fn new(url: &str, token: &str, namespace: Option<Namespace>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = {
            let _entered = runtime.enter();
            client(url, token)?
        };
        Ok(Self {
            client,
            runtime,
            namespace,
            kinds: Mutex::default(),
        })
    }

    /// Whether the server answers, and has made the namespace that it starts with.
    pub(super) fn answers(&self) -> Result<()> {
        let found = self.get("Namespace", "", "default")?;
        found.map(drop).context("no namespace \"default\" yet")
    }

    /// Makes an object, or replaces its spec and status by the given ones. A status that says nothing is not written. Whoever else writes at the same time is written
    /// over.
    pub(super) fn put(&self, object: &Value) -> Result<Value> {
        self.wait(async {
            let api = self.of(object).await?;
            loop {
                match put(&api, object).await {
                    Err(error) if is_conflict(&error) => {}
                    done => return done,
                }
            }
        })
        .with_context(|| format!("{} {}", object["kind"], object["metadata"]["name"]))
    }

    /// An object; `namespace` is empty for those of the cluster.
    pub(super) fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        self.wait(async {
            let api = self.api(kind, None, namespace).await?;
            let found = api.get_opt(name).await?;
            Ok(found.map(serde_json::to_value).transpose()?)
        })
    }

    /// Deletes an object.
    pub(super) fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.wait(async {
            let api = self.api(kind, None, namespace).await?;
            api.delete(name, &DeleteParams::default()).await?;
            Ok(())
        })
    }

    /// All objects of a kind.
    pub(super) fn list(&self, kind: &str) -> Result<Vec<Value>> {
        self.wait(async {
            let (resource, _) = self.resource(kind, None).await?;
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let listed = api.list(&ListParams::default()).await?.items;
            Ok(listed
                .into_iter()
                .map(serde_json::to_value)
                .collect::<Result<_, _>>()?)
        })
    }

    async fn of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let kind = object["kind"].as_str().context("kind")?;
        let namespace = object["metadata"]["namespace"].as_str();
        let version = object["apiVersion"].as_str();
        self.api(kind, version, namespace.unwrap_or_default()).await
    }

    async fn api(
        &self,
        kind: &str,
        version: Option<&str>,
        namespace: &str,
    ) -> Result<Api<DynamicObject>> {
        let (resource, scope) = self.resource(kind, version).await?;
        let client = self.client.clone();
        Ok(match (scope, namespace) {
            (Scope::Cluster, _) => Api::all_with(client, &resource),
            (Scope::Namespaced, "") => Api::namespaced_with(client, "default", &resource),
            (Scope::Namespaced, namespace) => Api::namespaced_with(client, namespace, &resource),
        })
    }

    async fn resource(&self, kind: &str, version: Option<&str>) -> Result<(ApiResource, Scope)> {
        let fits = |(resource, _): &&(ApiResource, Scope)| {
            resource.kind == kind && version.is_none_or(|wanted| resource.api_version == wanted)
        };
        if let Some(known) = self.kinds().iter().find(fits) {
            return Ok(known.clone());
        }
        let groups = version.map_or(GROUPS.to_vec(), |version| vec![version]);
        for group in groups {
            let gvk = group.parse::<GroupVersion>()?.with_kind(kind);
            match oneshot::pinned_kind(&self.client, &gvk).await {
                Ok((resource, capabilities)) => {
                    let found = (resource, capabilities.scope);
                    self.kinds().push(found.clone());
                    return Ok(found);
                }
                Err(Error::Discovery(_)) => {}
                Err(Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(anyhow!("the API server has no kind {kind}"))
    }

    fn kinds(&self) -> std::sync::MutexGuard<'_, Vec<(ApiResource, Scope)>> {
        // A list of names is whole whatever happened to who held it.
        self.kinds
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let run = || {
            let bounded = async { tokio::time::timeout(PATIENCE, work).await };
            self.runtime
                .block_on(bounded)
                .context("the API server does not answer")?
        };
        match &self.namespace {
            Some(namespace) => namespace.enter(run)?,
            None => run(),
        }
    }
}

async fn put(api: &Api<DynamicObject>, object: &Value) -> Result<Value> {
    let mut draft: DynamicObject = serde_json::from_value(object.clone())?;
    let name = draft.metadata.name.clone().context("metadata.name")?;
    let params = PostParams::default();
    let mut made = match api.get_opt(&name).await? {
        None => api.create(&params, &draft).await?,
        Some(old) => {
            draft.metadata.resource_version = old.metadata.resource_version;
            api.replace(&name, &params, &draft).await?
        }
    };
    if let Some(status) = says_status(object, &made.data) {
        made.data["status"] = status.clone();
        made = api.replace_status(&name, &params, &made).await?;
    }
    Ok(serde_json::to_value(made)?)
}

/// Whether the object was changed by somebody else since it was read.
fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Api(status)) if status.reason == "Conflict")
}

/// A client with a token, whatever the server's certificate. Made within a runtime.
pub(super) fn client(url: &str, token: &str) -> Result<Client> {
    let mut config = Config::new(url.parse()?);
    // The certificate of a server of our own.
    config.accept_invalid_certs = true;
    config.auth_info.token = Some(token.to_owned().into());
    Ok(Client::try_from(config)?)
}

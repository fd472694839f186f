//! What the controller asks of the API server: that statuses are written, and RouterStates deleted.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use routelet_api::{API_VERSION, RouterState};
use routelet_core::cluster::Kind;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::addresses::Write;
use super::kubernetes::WatchedPoolService;
use crate::reasons;
use crate::sources::Received;

/// How long the API server may take for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who writes, as managed fields name it.
const MANAGER: &str = "routelet-controller";

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was decided upon an object that has changed or gone since.
    #[error("the object was changed or deleted meanwhile")]
    Outdated,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Err(Failure::Outdated)
        }
        Ok(Err(error)) => Err(Failure::Other(reasons::of_request(&error))),
        Err(_) => Err(Failure::Other(format!(
            "no answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// Writes a part of the status of a Service, if it still is the version that was decided upon. Returns the Service as
/// it is then.
pub(super) async fn give(
    client: &Client,
    write: Write,
) -> Result<Received<WatchedPoolService>, Failure> {
    let api = Api::<Received<WatchedPoolService>>::namespaced(client.clone(), &write.key.0);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    answered(api.patch_status(&write.key.1, &params, &Patch::Strategic(&write.patch))).await
}

/// Applies the status of one of our objects.
pub(super) async fn apply<K: Kind>(
    api: &Api<PartialObjectMeta<K>>,
    kind: &str,
    name: &str,
    status: &impl Serialize,
) -> Result<(), Failure> {
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    answered(api.patch_status(name, &params, &Patch::Apply(&patch))).await?;
    Ok(())
}

/// Deletes the RouterState of a node, if it still is the object of that `uid`.
pub(super) async fn delete_state(
    client: &Client,
    node: &str,
    uid: Option<String>,
) -> Result<(), Failure> {
    let api = Api::<PartialObjectMeta<RouterState>>::all(client.clone());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    answered(api.delete(node, &params)).await?;
    Ok(())
}

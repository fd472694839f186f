//! Changes: versions that are decided upon, and watches that go on where a list ended.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use serde_json::json;

use crate::{NAMESPACE, create, good, peer, peers, refused, resource, services, web, with_server};

#[test]
fn a_write_with_an_older_resource_version_is_rejected() -> Result<()> {
    with_server(|clients| async move {
        let made = create(&clients.admin, Some(NAMESPACE), web()).await?;
        ensure!(
            made.data["spec"]["clusterIP"].is_string(),
            "{:?}",
            made.data
        );
        let version = made.metadata.resource_version.clone();
        let patch = |address: &str| {
            Patch::Merge(json!({
                "metadata": {"resourceVersion": version},
                "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
            }))
        };
        let api = services(&clients.controller);
        let params = PatchParams::default();
        let given = api
            .patch_status("web", &params, &patch("203.0.113.1"))
            .await?;
        let ingress = &given.data["status"]["loadBalancer"]["ingress"];
        ensure!(ingress[0]["ip"] == "203.0.113.1", "{ingress}");
        let number =
            |version: &Option<String>| version.as_ref().and_then(|v| v.parse::<u64>().ok());
        ensure!(
            number(&given.metadata.resource_version) > number(&version),
            "versions grow"
        );
        let again = api
            .patch_status("web", &params, &patch("203.0.113.2"))
            .await;
        ensure!(refused(again)?.0 == 409);
        // The Lease, likewise.
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "routelet-controller", "namespace": NAMESPACE},
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15},
        });
        let made = create(&clients.controller, Some(NAMESPACE), lease).await?;
        let kind = resource("coordination.k8s.io/v1", "Lease", "leases");
        let leases: Api<DynamicObject> =
            Api::namespaced_with(clients.controller.clone(), NAMESPACE, &kind);
        let params = PostParams::default();
        let mut renewed = made.clone();
        renewed.data["spec"]["holderIdentity"] = json!("b");
        leases
            .replace("routelet-controller", &params, &renewed)
            .await?;
        let (code, _) = refused(leases.replace("routelet-controller", &params, &made).await)?;
        ensure!(code == 409, "{code}");
        Ok(())
    })
}

#[test]
fn a_watch_continues_at_the_resource_version_of_the_list() -> Result<()> {
    with_server(|clients| async move {
        let api = peers(&clients.admin);
        api.create(&PostParams::default(), &peer("before", good()))
            .await?;
        // As an agent does it.
        let agent = peers(&clients.agent);
        let list = agent.list(&ListParams::default()).await?;
        ensure!(list.items.len() == 1);
        let version = list
            .metadata
            .resource_version
            .context("a version of the list")?;
        api.create(&PostParams::default(), &peer("a", good()))
            .await?;
        let patch = Patch::Merge(json!({"metadata": {"labels": {"rack": "a"}}}));
        api.patch("a", &PatchParams::default(), &patch).await?;
        api.delete("a", &DeleteParams::default()).await?;
        let events = agent
            .watch(&WatchParams::default().timeout(20), &version)
            .await?;
        let names = events.try_filter_map(|event| async move {
            let (what, object) = match event {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return Ok(None),
            };
            Ok(Some(format!(
                "{what} {}",
                object.metadata.name.unwrap_or_default()
            )))
        });
        let seen: Vec<String> = std::pin::pin!(names).take(3).try_collect().await?;
        ensure!(seen == ["added a", "modified a", "deleted a"], "{seen:?}");
        let labelled = agent.list(&ListParams::default().labels("rack=a")).await?;
        ensure!(labelled.items.is_empty());
        let named = agent
            .list(&ListParams::default().fields("metadata.name=before"))
            .await?;
        ensure!(named.items.len() == 1);
        Ok(())
    })
}

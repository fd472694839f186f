//! Services and their slices: defaults, addresses and status.

use anyhow::{Context, Result, ensure};
use interop_tests::apiserver::{RealApiServer, Server};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{NAMESPACE, create, refused, services, web, with_server};

#[test]
fn an_empty_list_comes_back_as_null_or_not_at_all() -> Result<()> {
    with_server(|clients| async move {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": [],
        });
        let made = create(&clients.admin, Some(NAMESPACE), slice).await?;
        for name in ["endpoints", "ports"] {
            // Since 1.36 a server may leave it out; the fake one writes what earlier versions do.
            let found = made.data.get(name);
            let is_fake = RealApiServer::assets().is_none();
            ensure!(found.is_none_or(Value::is_null), "{:?}", made.data);
            ensure!(found.is_some() || !is_fake, "{:?}", made.data);
        }
        let mut service = web();
        service["spec"]["externalIPs"] = json!([]);
        let made = create(&clients.admin, Some(NAMESPACE), service).await?;
        ensure!(
            made.data["spec"].get("externalIPs").is_none(),
            "{:?}",
            made.data
        );
        ensure!(
            made.data["status"] == json!({"loadBalancer": {}}),
            "{:?}",
            made.data
        );
        ensure!(
            made.metadata.creation_timestamp.is_some(),
            "{:?}",
            made.metadata
        );
        ensure!(
            made.metadata.managed_fields.is_some(),
            "{:?}",
            made.metadata
        );
        Ok(())
    })
}

#[test]
fn the_addresses_of_a_service_go_with_its_type() -> Result<()> {
    with_server(|clients| async move {
        create(&clients.admin, Some(NAMESPACE), web()).await?;
        let api = services(&clients.admin);
        let params = PatchParams::default();
        let status =
            Patch::Merge(json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}));
        let given = api.patch_status("web", &params, &status).await?;
        let patch = Patch::Merge(json!({"spec": {"type": "ClusterIP"}}));
        let changed = api.patch("web", &params, &patch).await?;
        ensure!(
            changed.data["status"] == json!({"loadBalancer": {}}),
            "{:?}",
            changed.data
        );
        // Whoever writes the old status beside the new type is refused.
        let mut stale = changed.clone();
        stale.data["status"] = given.data["status"].clone();
        let answer = api
            .replace_status("web", &PostParams::default(), &stale)
            .await;
        let (code, message) = refused(answer)?;
        ensure!(
            code == 422 && message.contains("may only be used when"),
            "{code} {message}"
        );
        let (code, _) = refused(api.patch_status("web", &params, &status).await)?;
        ensure!(code == 422, "{code}");
        Ok(())
    })
}

#[test]
fn put_keeps_the_status_that_others_wrote() -> Result<()> {
    let server = Server::start(Vec::new())?;
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    server.put(&namespace)?;
    let given = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}});
    let mut service = web();
    service["status"] = given.clone();
    server.put(&service)?;
    let status = || {
        let found = server.get("Service", NAMESPACE, "web");
        Ok::<_, anyhow::Error>(found.context("no Service")?["status"].clone())
    };
    ensure!(status()? == given);
    // A manifest without addresses is about the spec alone.
    for nothing in [json!({}), Value::Null] {
        service["status"] = nothing;
        service["spec"]["externalTrafficPolicy"] = json!("Local");
        server.put(&service)?;
        ensure!(status()? == given, "{}", status()?);
    }
    // A new type is not held up by the old status, which the server takes away itself.
    server.change("Service", NAMESPACE, "web", |service| {
        service["spec"]["type"] = json!("ClusterIP");
        service["spec"]["externalTrafficPolicy"] = Value::Null;
    })?;
    ensure!(status()? == json!({"loadBalancer": {}}), "{}", status()?);
    // What is refused says why, to its end.
    service["spec"]["type"] = json!("Balancer");
    let refused = server.put(&service).err().context("an unknown type")?;
    let text = format!("{refused:#}");
    ensure!(
        text.contains("spec.type") && text.contains("Balancer"),
        "{text}"
    );
    Ok(())
}

//! What the accounts of agents and of the controller may do.

use anyhow::{Result, ensure};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{
    NAMESPACE, create, good, is_recent, ours, peer, peers, refused, resource, services, with_server,
};

#[test]
fn service_accounts_have_exactly_the_rights_that_they_use() -> Result<()> {
    with_server(|clients| async move {
        // The agent's own word, as it writes it.
        let states = ours(&clients.agent, "RouterState", "routerstates");
        let state = json!({
            "apiVersion": "routelet.dev/v1alpha1", "kind": "RouterState", "metadata": {"name": "node-1"},
            "spec": {"node": "node-1"},
        });
        let params = PatchParams::apply("routelet-agent").force();
        states
            .patch("node-1", &params, &Patch::Apply(state))
            .await?;
        let status = json!({
            "apiVersion": "routelet.dev/v1alpha1", "kind": "RouterState", "metadata": {"name": "node-1"},
            "status": {"asn": 64512, "version": "0.1.0", "lastHeartbeatTime": "2026-01-01T00:00:00Z"},
        });
        let written = states
            .patch_status("node-1", &params, &Patch::Apply(status))
            .await?;
        ensure!(written.data["status"]["asn"] == 64512, "{:?}", written.data);
        let gone = states.delete("node-1", &DeleteParams::default()).await;
        ensure!(refused(gone.map(drop))?.0 == 403);
        let made = peers(&clients.agent)
            .create(&PostParams::default(), &peer("x", good()))
            .await;
        ensure!(refused(made)?.0 == 403);
        ensure!(
            refused(
                services(&clients.controller)
                    .create(&PostParams::default(), &peer("x", good()))
                    .await
            )?
            .0 == 403
        );
        // The Secret of its own namespace that its Role names, and no other.
        let kind = resource("v1", "Secret", "secrets");
        let secrets = |namespace| -> Api<DynamicObject> {
            Api::namespaced_with(clients.agent.clone(), namespace, &kind)
        };
        let named = |name| ListParams::default().fields(&format!("metadata.name={name}"));
        secrets(NAMESPACE).list(&named("bgp-passwords")).await?;
        for (namespace, params) in [
            (NAMESPACE, ListParams::default()),
            (NAMESPACE, named("other")),
            ("default", named("bgp-passwords")),
        ] {
            let other = secrets(namespace).list(&params).await;
            ensure!(refused(other)?.0 == 403);
        }
        // An Event at an object without a namespace, as the controller tells it.
        if !is_recent(&clients.admin, "Events at objects without a namespace").await? {
            return Ok(());
        }
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "tor.1", "namespace": "default"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Warning", "reason": "SessionLost", "action": "Peer",
            "note": "node-1: gone", "reportingController": "routelet-controller", "reportingInstance": "a",
            "regarding": {"apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "name": "tor", "uid": "u"},
        });
        create(&clients.controller, Some("default"), event).await?;
        Ok(())
    })
}

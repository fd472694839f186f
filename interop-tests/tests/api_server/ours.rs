//! Objects of ours: what is stored of them, and whose their status is.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{good, is_recent, ours, peer, peers, refused, with_server};

#[test]
fn objects_of_ours_are_pruned_validated_and_stored_as_written() -> Result<()> {
    with_server(|clients| async move {
        let api = peers(&clients.admin);
        let params = PostParams::default();
        let mut spec = good();
        spec["nonsense"] = json!(1);
        let made = api.create(&params, &peer("tor", spec)).await?;
        ensure!(
            made.data["spec"].get("nonsense").is_none(),
            "{:?}",
            made.data
        );
        ensure!(made.metadata.generation == Some(1), "{:?}", made.metadata);
        let (code, message) = refused(
            api.create(&params, &peer("odd", json!({"asn": 1, "address": 7})))
                .await,
        )?;
        ensure!(
            code == 422 && message.contains("spec.address"),
            "{code} {message}"
        );
        if is_recent(&clients.admin, "rules of definitions").await? {
            let odd = peer("odd", json!({"asn": 1}));
            let (code, message) = refused(api.create(&params, &odd).await)?;
            ensure!(
                code == 422 && message.contains("set exactly one of address"),
                "{code} {message}"
            );
        }
        let pool = json!({
            "apiVersion": "routelet.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": "public"},
            "spec": {"addresses": ["203.0.113.0/24"]},
        });
        let pools = ours(&clients.admin, "AddressPool", "addresspools");
        let made = pools
            .create(&params, &serde_json::from_value(pool)?)
            .await?;
        // A default that is stored could never change again.
        ensure!(
            made.data["spec"] == json!({"addresses": ["203.0.113.0/24"]}),
            "{:?}",
            made.data
        );
        // AS numbers of four octets are numbers like others.
        let mut large = good();
        large["asn"] = json!(4_200_000_000_u32);
        let made = api.create(&params, &peer("large", large)).await?;
        ensure!(
            made.data["spec"]["asn"] == 4_200_000_000_u32,
            "{:?}",
            made.data
        );
        Ok(())
    })
}

#[test]
fn a_status_is_a_part_of_its_own_and_fields_have_owners() -> Result<()> {
    with_server(|clients| async move {
        let api = peers(&clients.admin);
        let mut object = peer("boastful", good());
        object.data["status"] = json!({"sessions": 7});
        let made = api.create(&PostParams::default(), &object).await?;
        ensure!(made.data.get("status").is_none(), "{:?}", made.data);
        api.create(&PostParams::default(), &peer("tor", good()))
            .await?;
        // As the controller writes it, with its own account.
        let by = |manager: &str| PatchParams::apply(manager);
        let controller = peers(&clients.controller);
        let written = controller
            .patch_status("tor", &by("one"), &Patch::Apply(condition("True")))
            .await?;
        ensure!(
            written.metadata.generation == Some(1),
            "a status makes no generation"
        );
        ensure!(
            written.data["status"]["sessions"] == 1,
            "{:?}",
            written.data
        );
        let other = Patch::Apply(condition("False"));
        let (code, _) = refused(controller.patch_status("tor", &by("two"), &other).await)?;
        ensure!(code == 409, "{code}");
        let taken = controller
            .patch_status("tor", &by("two").force(), &other)
            .await?;
        ensure!(
            taken.data["status"]["conditions"][0]["status"] == "False",
            "{:?}",
            taken.data
        );
        let managers: Vec<String> = taken
            .metadata
            .managed_fields
            .unwrap_or_default()
            .into_iter()
            .filter_map(|fields| fields.manager)
            .collect();
        ensure!(
            managers.iter().any(|manager| manager == "two"),
            "{managers:?}"
        );
        // The spec is not the controller's to change.
        let patch = Patch::Merge(json!({"spec": {"asn": 1}}));
        let (code, _) = refused(
            controller
                .patch("tor", &PatchParams::default(), &patch)
                .await,
        )?;
        ensure!(code == 403, "{code}");
        let changed = api.patch("tor", &PatchParams::default(), &patch).await?;
        ensure!(
            changed.metadata.generation == Some(2),
            "{:?}",
            changed.metadata
        );
        ensure!(
            changed.data["status"]["sessions"] == 1,
            "{:?}",
            changed.data
        );
        Ok(())
    })
}

/// The status of Peer `tor` with one condition.
fn condition(status: &str) -> Value {
    json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": "tor"},
        "status": {"sessions": 1, "established": 0, "conditions": [{
            "type": "Accepted", "status": status, "reason": "Valid", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    })
}

//! What Routelet relies on in an API server: the fake one has it, and the real one, where KUBEBUILDER_ASSETS names the folder
//! of `kube-apiserver` and `etcd`.
#![allow(missing_docs)]

use std::future::Future;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use interop_tests::apiserver::{ADMIN, Account, RealApiServer, Server};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::{Client, Error};
use serde_json::{Value, json};

const NAMESPACE: &str = "routelet-system";
/// The oldest minor version of Kubernetes that Routelet is for: the first whose servers judge by the rules of definitions.
const OLDEST: u32 = 25;

/// Runs a suite on a server with our definitions, roles and accounts.
fn with_server<F: Future<Output = Result<()>>>(suite: impl FnOnce(Clients) -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let accounts = ["agent", "controller"]
        .map(|part| Account::service_account(part, NAMESPACE, &format!("routelet-{part}")));
    let server = Server::start(accounts.into())?;
    server.install(NAMESPACE)?;
    runtime.block_on(async {
        let clients = Clients {
            admin: server.client(ADMIN)?,
            agent: server.client("agent")?,
            controller: server.client("controller")?,
        };
        suite(clients).await
    })
}

struct Clients {
    admin: Client,
    agent: Client,
    controller: Client,
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Objects of a kind of ours.
fn ours(client: &Client, kind: &str, plural: &str) -> Api<DynamicObject> {
    Api::all_with(
        client.clone(),
        &resource("routelet.dev/v1alpha1", kind, plural),
    )
}

fn peers(client: &Client) -> Api<DynamicObject> {
    ours(client, "Peer", "peers")
}

fn services(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(
        client.clone(),
        NAMESPACE,
        &resource("v1", "Service", "services"),
    )
}

async fn create(client: &Client, namespace: Option<&str>, object: Value) -> Result<DynamicObject> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
        kind => format!("{kind}s"),
    };
    let kind = resource(&version, &kind, &plural);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let text = object.to_string();
    let object = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object)
        .await
        .with_context(|| text)
}

fn peer(name: &str, spec: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}"))
}

fn good() -> Value {
    json!({"address": "192.0.2.1", "asn": 64500})
}

/// Whether a server has a version that Routelet asks for. Says what is left out, if not.
async fn is_recent(client: &Client, what: &str) -> Result<bool> {
    let version = client.apiserver_version().await?.git_version;
    let minor = version.split('.').nth(1).context("v1.x.y")?.parse::<u32>();
    let minor = minor.with_context(|| version.clone())?;
    if minor < OLDEST {
        println!("skip: {what}: the API server is of {version}, and Routelet asks for 1.{OLDEST}");
    }
    Ok(minor >= OLDEST)
}

/// The code of a refusal, and its message.
fn refused<T>(answer: Result<T, Error>) -> Result<(u16, String)> {
    match answer {
        Ok(_) => bail!("it was not refused"),
        Err(Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

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
        let condition = |status: &str| {
            json!({
                "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": "tor"},
                "status": {"sessions": 1, "established": 0, "conditions": [{
                    "type": "Accepted", "status": status, "reason": "Valid", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }]},
            })
        };
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

fn web() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    })
}

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
fn what_tests_put_takes_no_status_away_that_others_wrote() -> Result<()> {
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

#[test]
fn what_was_decided_upon_an_older_version_is_refused() -> Result<()> {
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
fn a_watch_goes_on_where_a_list_ended() -> Result<()> {
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

#[test]
fn accounts_may_do_what_they_need_and_no_more() -> Result<()> {
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

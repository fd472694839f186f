//! A cluster on one segment: an API server with Routelet's definitions and roles, and nodes whose agents have an account.
//!
//! ```text
//!  10.0.0.1 node-1   10.0.0.2 node-2 ...   10.0.0.100 control (API server)   10.0.0.200 tor (BIRD, AS 64500)
//! ```

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use interop_tests::apiserver::{Account, FakeApiServer, Settings};
use interop_tests::{Kind, Lab, Namespace, Neighbour, Speaker, Subject};
use serde_json::{Value, json};

use super::node::{Node, node_object, object};
use super::segment::{Segment, v4, v6};

/// Where the agents and their Secrets are.
pub const NAMESPACE: &str = "routelet-system";
/// The number of the API server on the segment.
const CONTROL: u8 = 100;
/// The number of the router on the segment.
pub const TOR: u8 = 200;
/// The router's AS.
pub const TOR_ASN: u32 = 64500;

/// The cluster without its nodes.
pub struct Cluster<'lab> {
    lab: &'lab Lab,
    pub segment: Segment<'lab>,
    pub api: FakeApiServer,
}

impl<'lab> Cluster<'lab> {
    /// The API server, with what `deploy` installs but the workloads.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let control = segment.host("control", CONTROL)?;
        let settings = Settings {
            accounts: ["agent", "controller"]
                .map(|part| Account::service_account(part, NAMESPACE, &format!("routelet-{part}")))
                .into(),
            ..Settings::default()
        };
        let address = format!("{}:6443", v4(CONTROL)).parse()?;
        let api = FakeApiServer::start_in(&control, address, settings)?;
        api.install_definitions()?;
        for name in [NAMESPACE, "shop"] {
            api.create(
                &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            )?;
        }
        for part in ["agent", "controller"] {
            install_roles(&api, part)?;
        }
        Ok(Self { lab, segment, api })
    }

    /// A kubeconfig with the account of a part (`agent`, `controller`), for use in a namespace.
    pub fn kubeconfig(&self, at: &Namespace, part: &str) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.api.url()}}],
            "users": [{"name": part, "user": {"token": part}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": part, "namespace": NAMESPACE}}],
        });
        let path = at.dir().join(format!("{part}.kubeconfig"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// Node `n` with its Node object, and its agent.
    pub fn node(&self, n: u8) -> Result<Node> {
        self.node_with(n, &[])
    }

    /// The same, with arguments of the agent.
    pub fn node_with(&self, n: u8, extra: &[&str]) -> Result<Node> {
        let namespace = self.segment.host(&format!("node-{n}"), n)?;
        namespace.forward()?;
        self.api.put(&cluster_node(n))?;
        let kubeconfig = self.kubeconfig(&namespace, "agent")?;
        let mut words = vec!["--http", "off", "--kube-proxy", "off"];
        words.extend(extra);
        Node::start_in_cluster(&namespace, &kubeconfig, &words)
    }

    /// The router, which lets nodes 1 to `nodes` connect.
    pub fn tor(&self, nodes: u8) -> Result<Subject> {
        let namespace = self.segment.host("tor", TOR)?;
        let speaker = (1..=nodes).fold(Speaker::new(TOR_ASN, &v4(TOR)), |speaker, n| {
            let node = Neighbour::new(&v4(n), 64512).passive();
            speaker.neighbour(node.graceful_restart(Duration::from_secs(120)))
        });
        Subject::start(self.lab, Kind::Bird2, &namespace, speaker)
    }

    /// The Peer that is the router, with more of its spec.
    pub fn peer_with_tor(&self, more: &Value) -> Result<()> {
        let mut spec =
            json!({"address": v4(TOR), "asn": TOR_ASN, "timers": {"connectRetry": "1s"}});
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        self.api.put(&object("Peer", "tor", &spec))?;
        Ok(())
    }
}

/// The Node object of number `n`.
pub fn cluster_node(n: u8) -> Value {
    node_object(
        &format!("node-{n}"),
        &[&v4(n), &v6(n)],
        &pod_cidrs(n).each_ref().map(String::as_str),
    )
}

/// The pod CIDRs of node `n`.
pub fn pod_cidrs(n: u8) -> [String; 2] {
    [format!("10.244.{n}.0/24"), format!("fd00:244:{n}::/64")]
}

/// A LoadBalancer Service in namespace `shop` that has an address.
pub fn service(name: &str, address: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": policy,
            "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": name},
        },
        "status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}},
    })
}

/// Its IPv4 slice: nodes and whether the endpoint there is ready.
pub fn slice(service: &str, endpoints: &[(u8, bool)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(n, ready)| {
            json!({
                "addresses": [format!("10.244.{n}.9")], "nodeName": format!("node-{n}"),
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 8080, "protocol": "TCP"}],
    })
}

/// A Secret of the agents' namespace with a password.
pub fn secret(name: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {"password": password},
    })
}

/// The account's roles as `deploy` has them. Kustomize fills in the namespace.
fn install_roles(api: &FakeApiServer, part: &str) -> Result<()> {
    let path = format!("{}/../deploy/{part}/rbac.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
    for mut document in documents {
        let kind = document["kind"].as_str().unwrap_or_default();
        if kind == "ServiceAccount" {
            continue;
        }
        if matches!(kind, "Role" | "RoleBinding") {
            document["metadata"]["namespace"] = json!(NAMESPACE);
        }
        api.put(&document)?;
    }
    Ok(())
}

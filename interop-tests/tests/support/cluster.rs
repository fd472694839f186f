//! A cluster on one segment: an API server with Routelet's definitions and roles, and nodes whose agents have an
//! account.
//!
//! ```text
//!  10.0.0.1 node-1   10.0.0.2 node-2 ...   10.0.0.100 control (API server)   10.0.0.200 tor (BIRD, AS 64500)
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use interop_tests::apiserver::{Account, FakeApiServer, Server};
use interop_tests::probe::Relay;
use interop_tests::{Family, Kind, Lab, Namespace, Neighbour, Process, Speaker, Subject};
use serde_json::{Value, json};

use super::node::{Node, binary, node_object, object};
use super::segment::{Segment, v4, v6};

/// Where the agents and their Secrets are.
pub const NAMESPACE: &str = "routelet-system";
/// The Secret that agents may read.
pub const PASSWORDS: &str = "bgp-passwords";
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
    pub api: Server,
    /// Where agents and controllers ask.
    url: String,
}

impl<'lab> Cluster<'lab> {
    /// The API server, with what `deploy` installs but the workloads. The real one, where it is.
    pub fn start(lab: &'lab Lab) -> Result<Self> {
        Self::with(lab, Server::start_in)
    }

    /// The same with the fake server, for what nobody could do to a real one: see [`Cluster::fake`].
    pub fn on_fake(lab: &'lab Lab) -> Result<Self> {
        Self::with(lab, Server::fake_in)
    }

    fn with(
        lab: &'lab Lab,
        start: fn(&Namespace, SocketAddr, Vec<Account>) -> Result<Server>,
    ) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let control = segment.host("control", CONTROL)?;
        let accounts = ["agent", "controller"]
            .map(|part| Account::service_account(part, NAMESPACE, &format!("routelet-{part}")));
        let address = format!("{}:6443", v4(CONTROL)).parse()?;
        let api = start(&control, address, accounts.into())?;
        api.install(NAMESPACE)?;
        let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        api.put(&shop)?;
        let url = api.url();
        Ok(Self {
            lab,
            segment,
            api,
            url,
        })
    }

    /// The fake API server, to break it and to count what it is asked.
    pub fn fake(&self) -> Result<&FakeApiServer> {
        self.api.fake()
    }

    /// Puts a load balancer before the API server, for whoever is started from now on.
    pub fn relay(&mut self) -> Result<Relay> {
        let number = CONTROL - 1;
        let host = self.segment.host("balancer", number)?;
        let server: SocketAddr = format!("{}:6443", v4(CONTROL)).parse()?;
        let at: SocketAddr = format!("{}:6443", v4(number)).parse()?;
        self.url = format!("https://{at}");
        Relay::start(&host, at, server)
    }

    /// A kubeconfig with the account of a part (`agent`, `controller`), for use in a namespace.
    pub fn kubeconfig(&self, at: &Namespace, part: &str) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.url, "insecure-skip-tls-verify": true}}],
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

    /// Replica `n` of the controller, on a host of its own.
    pub fn controller(&self, n: u8) -> Result<Process> {
        let name = format!("controller-{n}");
        let host = self.segment.host(&name, CONTROL + n)?;
        let kubeconfig = self.kubeconfig(&host, "controller")?;
        let (binary, kubeconfig) = (binary()?, kubeconfig.to_string_lossy().into_owned());
        let argv = [
            &binary,
            "controller",
            "--kubeconfig",
            &kubeconfig,
            "--identity",
            &name,
        ];
        host.spawn("controller", &argv)
    }

    /// What stands in the status of a Service of namespace `shop`.
    pub fn addresses_of(&self, service: &str) -> Vec<String> {
        let service = self.api.get("Service", "shop", service).unwrap_or_default();
        let ingress = service["status"]["loadBalancer"]["ingress"]
            .as_array()
            .cloned();
        let addresses = ingress.unwrap_or_default().into_iter();
        addresses
            .filter_map(|entry| Some(entry["ip"].as_str()?.to_owned()))
            .collect()
    }

    /// The version of each object of these kinds. It stays where nobody writes.
    pub fn versions(&self, kinds: &[&str]) -> Vec<(String, String)> {
        let objects = kinds.iter().flat_map(|kind| self.api.list(kind));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        objects
            .map(|object| {
                let metadata = &object["metadata"];
                (text(&metadata["name"]), text(&metadata["resourceVersion"]))
            })
            .collect()
    }

    /// The texts of the Events of a reason at an object.
    pub fn notes(&self, reason: &str, kind: &str, name: &str) -> Vec<String> {
        let events = self.api.list("Event").into_iter().filter(|event| {
            event["reason"] == reason
                && event["involvedObject"]["kind"] == kind
                && event["involvedObject"]["name"] == name
        });
        events
            .filter_map(|event| Some(event["message"].as_str()?.to_owned()))
            .collect()
    }

    /// The router, which lets nodes 1 to `nodes` connect.
    pub fn tor(&self, nodes: u8) -> Result<Subject> {
        self.router("tor", TOR, (Kind::Bird2, TOR_ASN), nodes)
    }

    /// A router of a name, a number, a kind and an AS.
    pub fn router(
        &self,
        name: &str,
        number: u8,
        (kind, asn): (Kind, u32),
        nodes: u8,
    ) -> Result<Subject> {
        let namespace = self.segment.host(name, number)?;
        let speaker = (1..=nodes).fold(Speaker::new(asn, &v4(number)), |speaker, n| {
            let node = Neighbour::new(&v4(n), 64512).passive();
            speaker.neighbour(node.graceful_restart(Duration::from_secs(120)))
        });
        Subject::start(self.lab, kind, &namespace, speaker)
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

/// The nodes that tell a router of an IPv4 prefix, by their addresses.
pub fn told_by(router: &Subject, prefix: &str) -> Result<Vec<String>> {
    let routes = router.routes(Family::Ipv4)?.into_iter();
    let mut found: Vec<String> = routes
        .filter(|route| route.prefix.to_string() == prefix)
        .flat_map(|route| route.next_hops)
        .map(|hop| hop.to_string())
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
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

/// The same without an address: it is for the controller to give it one. `more` is merged into its spec.
pub fn request(name: &str, annotations: &Value, more: &Value) -> Value {
    let mut service = service(name, "", "Cluster");
    service["metadata"]["annotations"] = annotations.clone();
    if let Some(fields) = service.as_object_mut() {
        fields.remove("status");
    }
    if let (Some(spec), Some(more)) = (service["spec"].as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    service
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

//! A cluster of any size as manifests, the same at every run: what `kubectl get -o yaml` shows of it.
//!
//! | object | how many | what varies |
//! |---|---|---|
//! | Node | `nodes` | a rack of 40 nodes each; a pod CIDR and an InternalIP of each family |
//! | Service | `services` | every other one has a LoadBalancer, of these every other one is `Local`; every other one has both families |
//! | EndpointSlice | two per Service | one of each family, or two of IPv4; three endpoints on three nodes, one in 50 not ready |
//! | Router, Peer, Advertisement | 1, 2, 1 | no mesh, two routers on the rack, everything with a LoadBalancer |
//!
//! Objects carry what real ones carry and the agent does not use (ports, conditions, images, annotations), since reading
//! over that is a part of the work.

use std::fmt::Write;

/// How large the cluster is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    /// Node objects.
    pub(crate) nodes: usize,
    /// Service objects; there are twice as many EndpointSlices.
    pub(crate) services: usize,
}

/// Namespaces that Services are spread over.
const NAMESPACES: usize = 100;

/// Endpoints of a slice.
const ENDPOINTS: usize = 3;

/// What the nodes do: two routers that may be there or not, and no mesh, which a thousand nodes would not have.
const CONFIGURATION: &str = "\
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec: {asn: 64512, mesh: {enabled: false}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-a, labels: {role: tor}}
spec: {address: 192.0.2.1, asn: 64500}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-b, labels: {role: tor}}
spec: {address: 192.0.2.2, asn: 64500}
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: public}
spec:
  peerSelector: {matchLabels: {role: tor}}
  podCIDRs: {}
  services: {addresses: [LoadBalancer]}
  attributes: {communities: [\"64512:100\"]}
";

impl Cluster {
    /// The objects of our own kinds, as one text of several documents.
    pub(crate) fn configuration(&self) -> &'static str {
        CONFIGURATION
    }

    /// The name of a node.
    fn node_name(&self, at: usize) -> String {
        format!("node-{}", at % self.nodes.max(1) + 1)
    }

    /// The Node objects.
    pub(crate) fn node(&self, at: usize) -> String {
        let (name, rack) = (self.node_name(at), at / 40);
        let (high, low) = (at / 250, at % 250 + 1);
        let mut images = String::new();
        for image in 0..10 {
            let _ = write!(
                images,
                "  - names: [\"registry.example.net/platform/component-{image}@sha256:{:064x}\", \"registry.example.net/platform/component-{image}:v1.{at}.0\"]\n    sizeBytes: {}\n",
                image * 7919 + 1,
                100_000_000 + image
            );
        }
        format!(
            "apiVersion: v1
kind: Node
metadata:
  name: {name}
  uid: 5c1f0000-0000-4000-8000-{at:012x}
  resourceVersion: \"{at}\"
  creationTimestamp: \"2026-01-15T08:00:00Z\"
  labels:
    beta.kubernetes.io/arch: amd64
    beta.kubernetes.io/os: linux
    kubernetes.io/arch: amd64
    kubernetes.io/hostname: {name}
    kubernetes.io/os: linux
    node.kubernetes.io/instance-type: m5.2xlarge
    topology.kubernetes.io/region: region-1
    topology.kubernetes.io/zone: region-1-{}
    example.com/rack: rack-{rack}
  annotations:
    node.alpha.kubernetes.io/ttl: \"0\"
    volumes.kubernetes.io/controller-managed-attach-detach: \"true\"
    csi.volume.kubernetes.io/nodeid: '{{\"csi.example.com\":\"i-{at:017x}\"}}'
spec:
  podCIDR: 10.{}.{}.0/24
  podCIDRs: [10.{}.{}.0/24, \"fd00:10:{at:x}::/64\"]
status:
  addresses:
  - {{type: InternalIP, address: 172.16.{high}.{low}}}
  - {{type: InternalIP, address: \"2001:db8:16:{high:x}::{low:x}\"}}
  - {{type: Hostname, address: {name}}}
  capacity: {{cpu: \"8\", ephemeral-storage: 104845292Ki, memory: 32506116Ki, pods: \"110\"}}
  conditions:
  - {{type: NetworkUnavailable, status: \"False\", reason: RoutesCreated, lastHeartbeatTime: \"2026-01-15T08:00:30Z\"}}
  - {{type: MemoryPressure, status: \"False\", reason: KubeletHasSufficientMemory, lastHeartbeatTime: \"2026-01-15T09:00:00Z\"}}
  - {{type: DiskPressure, status: \"False\", reason: KubeletHasNoDiskPressure, lastHeartbeatTime: \"2026-01-15T09:00:00Z\"}}
  - {{type: PIDPressure, status: \"False\", reason: KubeletHasSufficientPID, lastHeartbeatTime: \"2026-01-15T09:00:00Z\"}}
  - {{type: Ready, status: \"True\", reason: KubeletReady, lastHeartbeatTime: \"2026-01-15T09:00:00Z\"}}
  nodeInfo: {{architecture: amd64, kernelVersion: 6.12.0, kubeletVersion: v1.33.2, operatingSystem: linux, osImage: Debian GNU/Linux 13}}
  images:
{images}",
            rack % 3,
            64 + at / 256,
            at % 256,
            64 + at / 256,
            at % 256,
        )
    }

    /// Namespace and name of a Service.
    fn service_name(at: usize) -> (String, String) {
        (format!("team-{}", at % NAMESPACES), format!("service-{at}"))
    }

    /// Whether a Service has addresses of both families.
    fn is_dual(at: usize) -> bool {
        (at / 2).is_multiple_of(2)
    }

    /// The Service objects.
    pub(crate) fn service(&self, at: usize) -> String {
        let (namespace, name) = Self::service_name(at);
        let (high, low) = (at / 250, at % 250 + 1);
        let mut cluster_ips = format!("10.{}.{}.{low}", 128 + high / 250, high % 250);
        let mut ingress = format!("{{ip: 100.64.{high}.{low}, ipMode: VIP}}");
        let (mut families, mut policy) = ("IPv4", "SingleStack");
        let first = cluster_ips.clone();
        if Self::is_dual(at) {
            let _ = write!(cluster_ips, ", \"fd00:96::{high:x}:{low:x}\"");
            let _ = write!(
                ingress,
                ", {{ip: \"2001:db8:96:{high:x}::{low:x}\", ipMode: VIP}}"
            );
            (families, policy) = ("IPv4, IPv6", "PreferDualStack");
        }
        let balanced = at.is_multiple_of(2);
        let (kind, external, status) = if balanced {
            let policy = if (at / 2) % 4 < 2 { "Cluster" } else { "Local" };
            (
                "LoadBalancer",
                format!(
                    "  externalTrafficPolicy: {policy}\n  allocateLoadBalancerNodePorts: true\n"
                ),
                format!("{{ingress: [{ingress}]}}"),
            )
        } else {
            ("ClusterIP", String::new(), "{}".to_owned())
        };
        format!(
            "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
  uid: 7d2e0000-0000-4000-8000-{at:012x}
  resourceVersion: \"{at}\"
  creationTimestamp: \"2026-01-15T08:00:00Z\"
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: {namespace}
    app.kubernetes.io/managed-by: Helm
  annotations:
    meta.helm.sh/release-name: {name}
    meta.helm.sh/release-namespace: {namespace}
spec:
  type: {kind}
  clusterIP: {first}
  clusterIPs: [{cluster_ips}]
  ipFamilies: [{families}]
  ipFamilyPolicy: {policy}
{external}  internalTrafficPolicy: Cluster
  sessionAffinity: None
  ports:
  - {{name: http, port: 80, protocol: TCP, targetPort: 8080, nodePort: {}}}
  - {{name: metrics, port: 9090, protocol: TCP, targetPort: metrics}}
  selector:
    app.kubernetes.io/name: {name}
status:
  loadBalancer: {status}
",
            30_000 + at % 2_768
        )
    }

    /// The EndpointSlice objects: `2 * at` and the one after it are those of Service `at`.
    pub(crate) fn slice(&self, at: usize) -> String {
        let service = at / 2;
        let (namespace, name) = Self::service_name(service);
        let is_v6 = at % 2 == 1 && Self::is_dual(service);
        let family = if is_v6 { "IPv6" } else { "IPv4" };
        let mut endpoints = String::new();
        for endpoint in 0..ENDPOINTS {
            let node = service * 7 + (at % 2) * 3 * usize::from(!is_v6) + endpoint;
            let in_rack = node % self.nodes.max(1);
            let address = if is_v6 {
                format!("\"fd00:10:{in_rack:x}::{:x}\"", service % 200 + 2)
            } else {
                let (high, low) = (64 + in_rack / 256, in_rack % 256);
                format!("10.{high}.{low}.{}", service % 200 + 2)
            };
            let ready = (at + endpoint) % 50 != 7;
            let _ = write!(
                endpoints,
                "- addresses: [{address}]
  conditions: {{ready: {ready}, serving: {ready}, terminating: false}}
  nodeName: {}
  targetRef: {{kind: Pod, name: {name}-7d9c5b9f6b-{at:05x}{endpoint}, namespace: {namespace}, uid: 9f3a0000-0000-4000-8000-{at:011x}{endpoint}}}
  zone: region-1-a
",
                self.node_name(node)
            );
        }
        format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{at:05x}
  namespace: {namespace}
  generateName: {name}-
  uid: 1b4d0000-0000-4000-8000-{at:012x}
  resourceVersion: \"{at}\"
  creationTimestamp: \"2026-01-15T08:00:00Z\"
  generation: 3
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: {namespace}
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
    kubernetes.io/service-name: {name}
  annotations:
    endpoints.kubernetes.io/last-change-trigger-time: \"2026-01-15T08:00:10Z\"
  ownerReferences:
  - {{apiVersion: v1, kind: Service, name: {name}, uid: 7d2e0000-0000-4000-8000-{service:012x}, controller: true, blockOwnerDeletion: true}}
addressType: {family}
endpoints:
{endpoints}ports:
- {{name: http, port: 8080, protocol: TCP}}
- {{name: metrics, port: 9090, protocol: TCP}}
"
        )
    }
}

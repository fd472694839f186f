//! The node of the commands' tests, in a moment in which much goes on at once: `node-1` with two top-of-rack routers,
//! one of which is unreachable, a node of its mesh, and a peer whose password is missing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Down, DownClass, State};
use bgp::os_error::OsError;
use bgp::session::PeerStatus;
use bgp::types::{Family, PeerText};
use bgp::wire::attribute::Origin;
use bgp::wire::capability::{Capability, GracefulRestart};
use bgp::wire::{Notification, NotificationCode};
use routelet_control::model::{MessageCounts, Peer, Status};
use routelet_core::intent::Phase;
use routelet_core::peering::Run;
use routelet_fib::kernel::event::Event;

use super::bfd;
use super::events::{address, link, route};
use super::session::path;
use super::world::World;
use crate::run::peers::blocked;
use crate::run::show::peer::{PeerSnapshot, Running, Session};

/// What the cluster says.
const MANIFESTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
spec: {podCIDRs: [10.244.2.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}
---
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
  mesh: {enabled: true}
  defaultAdvertisement: {enabled: false}
  fib: {maxRoutes: 1000}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-a, labels: {role: tor}}
spec:
  address: 192.0.2.1
  asn: 64500
  import: [no-bogons]
  maxPrefixes: 1000
  maxReceivedPrefixes: 2000
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-b, labels: {role: tor}}
spec: {address: 192.0.2.65, asn: 64501, bfd: {interval: 300ms}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-c, labels: {role: tor}}
spec: {address: 192.0.2.129, asn: 64502, timers: {hold: 1s}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: tor-d, labels: {role: tor}}
spec: {interface: eth3, asn: external, password: {secretRef: {name: tor-d}}}
---
apiVersion: routelet.dev/v1alpha1
kind: Peer
metadata: {name: rack}
spec: {range: 192.0.2.192/26, asn: external}
---
apiVersion: routelet.dev/v1alpha1
kind: RoutePolicy
metadata: {name: no-bogons}
spec:
  rules:
  - name: martians
    match: {prefixes: [{cidr: 127.0.0.0/8, orLonger: true}, {cidr: 192.168.0.0/16, orLonger: true}]}
    action: Reject
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: public}
spec:
  peerSelector: {matchLabels: {role: tor}}
  services: {addresses: [LoadBalancer]}
  aggregate: {ipv4: 24}
  mode: Both
---
apiVersion: routelet.dev/v1alpha1
kind: Advertisement
metadata: {name: pods}
spec: {podCIDRs: {}, attributes: {communities: ["64512:100"]}}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.20
  clusterIPs: [10.96.0.20]
  externalTrafficPolicy: Local
status:
  loadBalancer: {ingress: [{ip: 203.0.113.10}]}
  conditions:
  - {type: routelet.dev/AddressAssigned, status: "True", reason: Assigned, message: AddressPool public, lastTransitionTime: "2026-01-01T00:00:00Z"}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.21, clusterIPs: [10.96.0.21]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.11}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.244.1.5], nodeName: node-1, conditions: {ready: true}}
- {addresses: [10.244.2.5], nodeName: node-2, conditions: {ready: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-b, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.244.2.6], nodeName: node-2, conditions: {ready: true}}
- {addresses: [10.244.2.7], nodeName: node-2, conditions: {ready: false, serving: true, terminating: true}}
"#;

/// Interfaces, addresses and routes of the node.
fn kernel() -> Vec<Event> {
    let mut all = vec![
        link(1, "lo"),
        link(2, "eth0"),
        link(3, "eth1"),
        link(4, "eth2"),
        // Of others, and each in the way of one of ours.
        route("198.51.102.0/24", Some("192.0.2.9"), 3, 4, 1790),
    ];
    all.extend(address(2, "10.0.0.11/24"));
    all.extend(address(3, "192.0.2.11/26"));
    all.extend(address(3, "2001:db8:0:1::11/64"));
    all.extend(address(4, "192.0.2.75/26"));
    all
}

/// Graceful restart as the routers offer it.
fn restart(restart_time: u16) -> Capability {
    Capability::GracefulRestart(GracefulRestart {
        restarting: false,
        notification: true,
        restart_time,
        families: vec![(Family::IPV4_UNICAST, true), (Family::IPV6_UNICAST, false)],
    })
}

/// How long the agent has run, and since when sessions are up or away.
const UPTIME: Duration = Duration::from_secs(7384);
const TOR_A: Duration = Duration::from_secs(372);
const TOR_B_AWAY: Duration = Duration::from_secs(14);

/// See the module.
pub(crate) struct Scene {
    pub(crate) world: World,
    started: Instant,
    tor_b_down: Down,
}

/// What the routers announce, and what becomes of them.
pub(crate) fn scene() -> Scene {
    let mut world = World::new(MANIFESTS, kernel(), Phase::default());
    let started = world.now;
    world.refuse("198.51.101.0/24", libc::EINVAL);
    world.refuse("198.51.102.0/24", libc::EEXIST);

    world.wait(Duration::from_secs(4));
    world.up("mesh/node-2", 64512, &[restart(120)]);
    let mut pods = path(&[]);
    pods.local_pref = Some(100);
    world.announce("mesh/node-2", "10.244.2.0/24", "10.0.0.12", &pods);
    world.end_of_rib("mesh/node-2", Family::IPV4_UNICAST);

    world.wait(UPTIME - TOR_A - Duration::from_secs(4));
    world.up("tor-b", 64501, &[restart(120)]);
    world.announce("tor-b", "0.0.0.0/0", "192.0.2.65", &path(&[64501]));
    let longer = path(&[64501, 64510]);
    world.announce("tor-b", "198.51.100.0/24", "192.0.2.65", &longer);

    let host = Capability::Fqdn {
        host: PeerText::from_octets(b"tor-a"),
        domain: PeerText::from_octets(b""),
    };
    let unknown = Capability::Unknown {
        code: 200,
        value: bytes::Bytes::from_static(&[1, 2]),
    };
    world.up(
        "tor-a",
        64500,
        &[restart(120), Capability::RouteRefresh, host, unknown],
    );
    world.announce("tor-a", "0.0.0.0/0", "192.0.2.1", &path(&[64500]));
    let mut customer = path(&[64500, 64510]);
    customer.med = Some(10);
    customer.communities = vec!["no-export".parse().unwrap(), "64500:80".parse().unwrap()];
    customer.communities.sort_unstable();
    customer.large_communities = vec!["64500:1:2".parse().unwrap()];
    world.announce("tor-a", "198.51.100.0/24", "192.0.2.1", &customer);
    for prefix in ["198.51.101.0/24", "198.51.102.0/24", "192.168.7.0/24"] {
        world.announce("tor-a", prefix, "192.0.2.1", &path(&[64500]));
    }
    let mut own = path(&[64500, 64512, 64496]);
    own.origin = Some(Origin::Incomplete);
    world.announce("tor-a", "198.51.103.0/24", "192.0.2.1", &own);
    let next_hop = "2001:db8:0:1::1 fe80::1";
    world.announce("tor-a", "2001:db8:a::/48", next_hop, &path(&[64500, 64520]));
    world.end_of_rib("tor-a", Family::IPV4_UNICAST);

    // Its routes are kept for two minutes.
    world.wait(TOR_A - TOR_B_AWAY);
    let tor_b_down = Down::TransportFailed;
    world.down("tor-b", &tor_b_down);
    world.wait(TOR_B_AWAY);
    Scene {
        world,
        started,
        tor_b_down,
    }
}

/// A status without a session and without errors.
fn status(state: State, since: Instant) -> PeerStatus {
    PeerStatus {
        state,
        since,
        next_attempt: None,
        idle_hold: None,
        awaits_bfd: None,
        session: None,
        sessions: 0,
        downs: BTreeMap::new(),
        last_down: None,
        last_connect_error: None,
        last_sent: None,
        last_received: None,
    }
}

/// A task that has exchanged nothing.
fn running(status: PeerStatus, session: Option<Session>) -> Running {
    Running {
        status,
        session,
        sent: MessageCounts::default(),
        received: MessageCounts::default(),
        updates_malformed: 0,
        attributes_filtered: 0,
    }
}

const fn messages(open: u64, update: u64, notification: u64, keepalive: u64) -> MessageCounts {
    MessageCounts {
        open,
        update,
        notification,
        keepalive,
        route_refresh: 0,
    }
}

impl Scene {
    /// A moment so long ago.
    fn ago(&self, seconds: u64) -> Instant {
        self.world.now - Duration::from_secs(seconds)
    }

    fn session(&self, peer: &str, local: &str, remote: &str) -> Session {
        Session {
            negotiated: self.world.sessions[&self.world.id(peer)].clone(),
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            output_queue: 0,
        }
    }

    fn mesh(&self) -> Running {
        let status = PeerStatus {
            sessions: 1,
            ..status(State::Established, self.ago(7380))
        };
        let session = self.session("mesh/node-2", "10.0.0.11:179", "10.0.0.12:40112");
        Running {
            sent: messages(1, 2, 0, 246),
            received: messages(1, 2, 0, 246),
            ..running(status, Some(session))
        }
    }

    fn tor_a(&self) -> Running {
        let reset = Notification::administrative_reset("firmware update");
        let expired = Notification::new(NotificationCode::HOLD_TIMER_EXPIRED);
        let down = Down::NotificationReceived(reset.clone());
        let status = PeerStatus {
            sessions: 3,
            downs: [
                (DownClass::HoldTimerExpired, 1),
                (DownClass::NotificationReceived, 1),
            ]
            .into(),
            last_down: Some((self.ago(375), down)),
            last_sent: Some((self.ago(5400), expired)),
            last_received: Some((self.ago(375), reset)),
            ..status(State::Established, self.ago(TOR_A.as_secs()))
        };
        let session = self.session("tor-a", "192.0.2.11:38222", "192.0.2.1:179");
        Running {
            sent: messages(3, 9, 1, 260),
            received: messages(3, 22, 1, 251),
            updates_malformed: 1,
            attributes_filtered: 12,
            ..running(status, Some(session))
        }
    }

    fn tor_b(&self) -> Running {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let since = self.ago(TOR_B_AWAY.as_secs());
        let status = PeerStatus {
            next_attempt: Some(self.world.now + Duration::from_secs(4)),
            sessions: 1,
            downs: [(self.tor_b_down.class(), 1)].into(),
            last_down: Some((since, self.tor_b_down.clone())),
            last_connect_error: Some((self.ago(1), Arc::new(OsError(refused)))),
            ..status(State::Active, since)
        };
        Running {
            sent: messages(1, 3, 0, 13),
            received: messages(1, 3, 0, 13),
            ..running(status, None)
        }
    }

    /// The peers and how they are.
    fn shown(&self) -> Vec<PeerSnapshot> {
        let world = &self.world;
        let peers = world.intent.peers.iter().cloned();
        let shown = peers.map(|peer| PeerSnapshot {
            bfd: bfd::shown(&peer, world.now),
            run: match &*peer.name {
                "mesh/node-2" => Run::Running(Box::new(self.mesh())),
                "tor-a" => Run::Running(Box::new(self.tor_a())),
                "tor-b" => Run::Running(Box::new(self.tor_b())),
                "rack" => Run::Range,
                _ => Run::Blocked(blocked(&peer, &world.view).unwrap()),
            },
            intent: Arc::new(peer),
            takes_place: false,
        });
        shown.collect()
    }

    /// The answer to `peers`.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let shown = self.shown().into_iter();
        let peers: Vec<PeerSnapshot> = shown
            .filter(|shown| !matches!(shown.run, Run::Range))
            .collect();
        self.world.peers(&peers)
    }

    /// The answer to `status`.
    pub(crate) fn status(&self) -> Status {
        self.world.status(self.started, &self.shown())
    }
}

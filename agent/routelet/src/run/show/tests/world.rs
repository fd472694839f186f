//! An agent without sockets: an intent planned from manifests, a RIB that reads UPDATEs from octets, a FIB plan whose kernel
//! does what it is told or refuses. Answers come from `run/show` as in production.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Down, Negotiated, negotiate};
use bgp::types::{Asn, Family, NextHop, Nlri, NlriList, PathId};
use bgp::wire::attribute::{AsPath, AttributeFilter, Origin};
use bgp::wire::capability::Capability;
use bgp::wire::{
    AttributeSet, HEADER, Open, PathAttributes, UpdateBatch, UpdateEncoder, decode_update,
};
use bytes::Bytes;
use ipnet::IpNet;
use rib::{Full, PeerId, Rib, RibEvent, Transport};
use routelet_core::cluster::{Severity, Snapshot, manifests};
use routelet_core::intent::{Identity, Intent, PeerIntent, PeerTarget, Phase, Planner};
use routelet_fib::kernel::event::{Address, Event, Hop, Link, Presence, RouteKind};
use routelet_fib::plan::Plan;
use routelet_fib::types::KernelError;
use routelet_fib::{FibChange, KernelView, RouteSpace, refusal};

use super::kernel::Kernel;
use crate::run::facts::local_facts;
use crate::run::next_hops::{Denied, Resolver};
use crate::run::rib_thread::fib_route;
use crate::run::surroundings::{NextHopTable, Surroundings};
use crate::run::{rib_config, writing};

/// The node of every world.
pub(crate) const NODE: &str = "node-1";

/// Objects that are wrong on purpose.
const WRONG: [&str; 2] = ["Peer tor-c", "Peer a1"];

/// See the module.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) intent: Arc<Intent>,
    pub(crate) rib: Rib,
    pub(crate) now: Instant,
    pub(crate) plan: Plan,
    pub(super) view: Arc<KernelView>,
    surroundings: Surroundings,
    pub(super) next_hops: NextHopTable,
    pub(super) sessions: BTreeMap<PeerId, Arc<Negotiated>>,
    kernel: Kernel,
}

/// A peer takes everything and keeps nothing.
struct Sink;

impl Transport for Sink {
    fn send(&mut self, _: PeerId, _: &Bytes) -> Result<(), Full> {
        Ok(())
    }
}

/// An interface that is up.
pub(crate) fn link(ifindex: u32, name: &str) -> Event {
    Event::Link(
        Presence::Present,
        Link {
            ifindex,
            name: name.to_owned(),
            admin_up: true,
            up: true,
            loopback: name == "lo",
        },
    )
}

/// An address with its network, as in `192.0.2.11/26`, and the route to it.
pub(crate) fn address(ifindex: u32, text: &str) -> [Event; 2] {
    let net: IpNet = text.parse().unwrap();
    let address = Address {
        ifindex,
        address: net.addr(),
        prefix_len: net.prefix_len(),
        peer: None,
        tentative: false,
        deprecated: false,
        secondary: false,
    };
    [
        Event::Address(Presence::Present, address),
        route(&net.trunc().to_string(), None, ifindex, 2, 0),
    ]
}

/// A route of other software in the main table.
pub(crate) fn route(
    prefix: &str,
    gateway: Option<&str>,
    ifindex: u32,
    protocol: u8,
    metric: u32,
) -> Event {
    let hop = Hop {
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        ifindex,
        onlink: false,
    };
    Event::Route(
        Presence::Present,
        routelet_fib::kernel::event::Route {
            prefix: prefix.parse().unwrap(),
            table: RouteSpace::default().table,
            protocol,
            metric,
            kind: RouteKind::Unicast,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::smallvec![hop],
        },
    )
}

/// Reads manifests, which must be without errors but for [`WRONG`].
pub(super) fn read(text: &str) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("all.yaml"), text).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    let is_expected = |problem: &&routelet_core::cluster::Problem| {
        let object = problem.object.as_ref().map(ToString::to_string);
        object.is_some_and(|object| WRONG.contains(&&*object))
    };
    let errors = snapshot.problems.iter();
    let errors = errors.filter(|problem| !is_expected(problem));
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    assert_eq!(errors.map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    snapshot
}

/// Path attributes of an AS_PATH of these.
pub(crate) fn path(asns: &[u32]) -> PathAttributes {
    PathAttributes {
        origin: Some(Origin::Igp),
        as_path: AsPath::sequence(asns.iter().map(|asn| Asn(*asn))),
        ..PathAttributes::default()
    }
}

impl World {
    /// The agent of [`NODE`] with these manifests and this kernel, before any session. Its start gate is open.
    pub(crate) fn new(
        manifests: &str,
        kernel: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        let mut world = Self::closed(manifests, kernel, phase);
        world.rib.open_gate(world.now);
        world
    }

    /// The same with its start gate closed.
    pub(crate) fn closed(
        manifests: &str,
        kernel: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        Self::after(Kernel::default(), manifests, kernel, phase)
    }

    /// The same where a predecessor left routes in the kernel.
    pub(super) fn after(
        kernel: Kernel,
        manifests: &str,
        events: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        Self::of(kernel, read(manifests), events, phase)
    }

    /// The same of a state that was read already.
    pub(super) fn of(
        mut kernel: Kernel,
        snapshot: Snapshot,
        events: impl IntoIterator<Item = Event>,
        phase: Phase,
    ) -> Self {
        let mut view = KernelView::new(RouteSpace::default().table, 1);
        for event in events {
            if let Event::Route(Presence::Present, route) = &event {
                kernel.foreign.push(route.clone());
            }
            view.apply(event);
        }
        let facts = local_facts(&view, false, Identity::default());
        let mut planner = Planner::new(NODE);
        let (intent, _) = planner.plan(&snapshot.state, &facts, phase);
        let mut rib = Rib::new(rib_config(&intent.router));
        let view = Arc::new(view);
        let next_hops = NextHopTable::default();
        let mut surroundings = Surroundings::new(next_hops.clone());
        surroundings.set_view(view.clone(), &mut rib);
        surroundings.set_internal_ips(intent.router.internal_ips.clone(), &mut rib);
        rib.next_hops_changed(Arc::new(resolver(&view, &intent)));
        let fib = intent.router.fib.as_ref();
        let mut guard = fib.map(|fib| fib.guard.clone()).unwrap_or_default();
        let connected = view.connected();
        guard.foreign.append(&mut view.on_link(&connected));
        guard.connected.extend(connected);
        let space = fib.map(writing::space);
        let table = intent.router.refusing_table;
        let mut plan = Plan::new(
            space.unwrap_or_default(),
            table.unwrap_or(refusal::DEFAULT_TABLE),
            guard,
        );
        plan.set_space(space);
        rib.set_fib(space.is_some());
        let links = view.links().map(|link| link.ifindex).collect();
        plan.links_listed(links, [], Instant::now());
        kernel.list_all(&mut plan);
        let mut world = Self {
            snapshot,
            rib,
            now: Instant::now(),
            plan,
            view,
            surroundings,
            next_hops,
            sessions: BTreeMap::new(),
            kernel,
            intent: intent.clone(),
        };
        world.apply(intent);
        world
    }

    /// The objects are others now.
    pub(super) fn replan(&mut self, manifests: &str) {
        self.snapshot = read(manifests);
        let facts = local_facts(&self.view, false, self.intent.router.identity);
        let (intent, _) = Planner::new(NODE).plan(&self.snapshot.state, &facts, Phase::default());
        self.apply(intent);
        self.settle();
    }

    fn apply(&mut self, intent: Arc<Intent>) {
        self.intent = intent;
        let intent = &self.intent;
        for (id, peer) in numbered(intent) {
            self.rib.set_peer(id, peer.config.clone());
        }
        let originated = intent.originated.values();
        self.rib
            .set_originated(originated.map(|one| one.route.clone()).collect());
        let refused = intent.originated.iter();
        let refused = refused.filter_map(|(prefix, one)| Some((*prefix, one.refusal?)));
        let table = intent.router.refusing_table;
        self.plan
            .set_refused(table, refused.filter(|_| table.is_some()));
    }

    /// The kernel refuses routes to a prefix.
    pub(crate) fn refuse(&mut self, prefix: &str, errno: i32) {
        self.kernel.errors.insert(prefix.parse().unwrap(), errno);
    }

    /// The RIB's number of a peer.
    pub(crate) fn id(&self, peer: &str) -> PeerId {
        let found = numbered(&self.intent).find(|(_, one)| one.name == peer);
        found.unwrap_or_else(|| panic!("there is no peer {peer}")).0
    }

    fn peer(&self, peer: &str) -> &PeerIntent {
        self.intent.peer(peer).unwrap()
    }

    /// What a session with the peer would agree on. `capabilities`: of the peer's OPEN, beside both families and four-octet AS
    /// numbers unless it has some of these itself.
    pub(crate) fn negotiate(
        &self,
        peer: &str,
        asn: u32,
        capabilities: &[Capability],
    ) -> Negotiated {
        let protocol = &self.peer(peer).session.protocol;
        let mut all = capabilities.to_vec();
        let has_families = all
            .iter()
            .any(|capability| matches!(capability, Capability::Multiprotocol(_)));
        if !has_families {
            all.extend(Family::ALL.map(Capability::Multiprotocol));
        }
        all.push(Capability::FourOctetAs(Asn(asn)));
        let IpAddr::V4(address) = self.address(peer) else {
            panic!("an IPv4 address makes the identifier");
        };
        let open = Open {
            asn: Asn(asn),
            hold_time: 90,
            identifier: address.into(),
            capabilities: all,
        };
        negotiate(protocol, &open).unwrap()
    }

    fn address(&self, peer: &str) -> IpAddr {
        match self.peer(peer).target {
            PeerTarget::Address { address, .. } => address,
            _ => panic!("{peer} has no address"),
        }
    }

    /// The session of a peer becomes Established.
    pub(super) fn up(
        &mut self,
        peer: &str,
        asn: u32,
        capabilities: &[Capability],
    ) -> Arc<Negotiated> {
        let negotiated = Arc::new(self.negotiate(peer, asn, capabilities));
        let (id, remote) = (self.id(peer), self.address(peer));
        let local = self.local_address(remote);
        let (local, remote) = (SocketAddr::new(local, 40_112), SocketAddr::new(remote, 179));
        let info = self
            .surroundings
            .begin(id, negotiated.clone(), local, remote);
        self.rib.session_up(id, info, self.now);
        self.sessions.insert(id, negotiated.clone());
        self.settle();
        negotiated
    }

    /// Our address on the network of a peer, or any of its family.
    fn local_address(&self, remote: IpAddr) -> IpAddr {
        let links = self.view.links();
        let all: Vec<&Address> = links
            .flat_map(|link| self.view.addresses(link.ifindex))
            .collect();
        let on_link = all
            .iter()
            .find(|one| one.network().is_some_and(|net| net.contains(&remote)));
        let any = all
            .iter()
            .find(|one| one.address.is_ipv4() == remote.is_ipv4());
        on_link.or(any).unwrap().address
    }

    /// The session of a peer ends.
    pub(crate) fn down(&mut self, peer: &str, why: &Down) {
        let id = self.id(peer);
        self.surroundings.end(id);
        self.sessions.remove(&id);
        self.rib.session_down(id, why, self.now);
        self.settle();
    }

    /// The peer announces a prefix: an UPDATE is encoded as it would encode it, and decoded as the session decodes it.
    pub(crate) fn announce(
        &mut self,
        peer: &str,
        prefix: &str,
        next_hop: &str,
        attributes: &PathAttributes,
    ) {
        self.announce_path(peer, prefix, 0, next_hop, attributes);
    }

    /// The same with a path identifier (RFC 7911).
    pub(crate) fn announce_path(
        &mut self,
        peer: &str,
        prefix: &str,
        path_id: u32,
        next_hop: &str,
        attributes: &PathAttributes,
    ) {
        let id = self.id(peer);
        let negotiated = &self.sessions[&id];
        let ours = negotiated.update_codec(&self.peer(peer).config.attribute_filter);
        let mut theirs = negotiated.update_codec(&AttributeFilter::DEFAULT);
        for family in [&mut theirs.ipv4, &mut theirs.ipv6] {
            std::mem::swap(&mut family.add_path_send, &mut family.add_path_receive);
        }
        let path_id = PathId(path_id);
        let nlri = match prefix.parse().unwrap() {
            IpNet::V4(prefix) => NlriList::Ipv4(vec![Nlri { prefix, path_id }]),
            IpNet::V6(prefix) => NlriList::Ipv6(vec![Nlri { prefix, path_id }]),
        };
        let next_hop = match next_hop.split_once(' ') {
            Some((global, link_local)) => NextHop::Ipv6WithLinkLocal {
                global: global.parse().unwrap(),
                link_local: link_local.parse().unwrap(),
            },
            None => next_hop.parse::<IpAddr>().unwrap().into(),
        };
        let set = AttributeSet::from_attributes(attributes).unwrap();
        let mut messages = Vec::new();
        UpdateEncoder::new(theirs)
            .reach_list(&set, next_hop, &nlri, |message| messages.push(message))
            .unwrap();
        let mut batch = UpdateBatch::default();
        for message in messages {
            let update = decode_update(&message.slice(HEADER..), &ours);
            assert!(update.reset().is_none(), "{:?}", update.faults);
            batch.push(&update);
        }
        self.rib.updates(id, &batch);
        self.settle();
    }

    /// The peer has sent all of a family.
    pub(crate) fn end_of_rib(&mut self, peer: &str, family: Family) {
        let id = self.id(peer);
        let codec = self.sessions[&id].update_codec(&AttributeFilter::DEFAULT);
        let message = UpdateEncoder::new(codec).end_of_rib(family);
        let mut batch = UpdateBatch::default();
        batch.push(&decode_update(&message.slice(HEADER..), &codec));
        self.rib.updates(id, &batch);
        self.settle();
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// The RIB and the FIB do all that there is to do.
    pub(crate) fn settle(&mut self) {
        while self.rib.poll(self.now, 1_000, &mut Sink) {}
        let mut changes = Vec::new();
        while self.rib.take_fib_changes(1_000, |prefix, route| {
            changes.push(match route {
                Some(route) => FibChange::install(prefix, fib_route(&route)),
                None => FibChange::remove(prefix),
            });
        }) > 0
        {}
        for event in self.rib.take_events() {
            let (routers, down) = match event {
                RibEvent::NextHopsLost(routers) => (routers, true),
                RibEvent::NextHopsRegained(routers) => (routers, false),
                RibEvent::Converged => {
                    self.plan.converged();
                    continue;
                }
                _ => continue,
            };
            for (gateway, ifindex) in routers {
                self.plan.set_nexthop_down(gateway, ifindex, down);
            }
        }
        for change in changes {
            self.plan.submit(change);
        }
        self.drive();
    }

    /// The kernel is brought to what the plan wants.
    fn drive(&mut self) {
        for _ in 0..1_000 {
            self.kernel.list(&mut self.plan);
            let ops = self.plan.next_batch(self.now, 100);
            for op in &ops {
                if let Err(errno) = self.kernel.apply(op) {
                    let error = KernelError::from_errno(errno);
                    self.plan.refused(self.now, op, error);
                }
            }
            self.plan.carried_out(&ops);
            if ops.is_empty() && !self.plan.is_walking() {
                return;
            }
        }
        panic!("the plan never rests");
    }
}

/// The peers with their numbers.
pub(super) fn numbered(intent: &Intent) -> impl Iterator<Item = (PeerId, &PeerIntent)> {
    (1..).map(PeerId).zip(intent.peers.iter())
}

pub(super) fn resolver(view: &Arc<KernelView>, intent: &Intent) -> Resolver {
    Resolver {
        view: view.clone(),
        via_default: intent.router.resolve_via_default,
        denied: Denied::default(),
    }
}

//! Nodes, the network between them, and what must hold at every step.

mod network;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use self::network::{Arrival, Connection, Segment};
use crate::fsm::{
    Cease, Config, ConnectionId, Down, Input, Output, Outputs, Peer, Received, RemoteAsn, State,
};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::{Notification, NotificationCode, Open};

/// TCP gives up on unacknowledged octets, as the driver asks of it for handshakes.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// One node's peer towards another node.
type At = (usize, usize);
type Tcp = usize;

/// Something bad.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Nothing passes between two nodes.
    Partition(usize, usize),
    /// Everything passes again.
    Heal,
    /// All connections between two nodes are reset.
    Reset(usize, usize),
    /// One end of all connections between two nodes is forgotten; the other finds out when it sends.
    Forget(usize, usize),
    /// A node loses everything and starts anew.
    Restart(usize),
    /// The first resets its session with the second, by its operator's wish.
    Administrative(usize, usize),
    /// The first has got something malformed from the second.
    Malformed(usize, usize),
    /// The first has a new configuration, which needs a new session if it says so.
    Reconfigure(usize, usize, bool),
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) peers: BTreeMap<At, Peer>,
    /// Which connection's session each peer has, by what it put out.
    pub(super) established: BTreeMap<At, ConnectionId>,
    /// How many sessions there were.
    pub(super) sessions: usize,
    /// Why sessions fell.
    pub(super) downs: Vec<Down>,
    closed: BTreeMap<At, Vec<ConnectionId>>,
    configs: Vec<Config>,
    connections: Vec<Connection>,
    arrivals: BinaryHeap<Reverse<(Instant, u64)>>,
    bodies: BTreeMap<u64, Arrival>,
    partitions: Vec<(usize, usize)>,
    random: u64,
    sequence: u64,
    incarnation: u64,
    /// The incarnation of each peer.
    lives: BTreeMap<At, u64>,
}

impl World {
    pub(super) fn new(seed: u64, ids: &[u32], hold_time: Option<u64>) -> Self {
        Self::with(seed, ids, hold_time, |_, _| {})
    }

    /// With what `change` makes of each node's configuration.
    pub(super) fn with(
        seed: u64,
        ids: &[u32],
        hold_time: Option<u64>,
        change: impl Fn(usize, &mut Config),
    ) -> Self {
        let config = |(node, id): (usize, &u32)| {
            let asn = Asn(65000 + node as u32);
            let mut config = Config::new(asn, BgpIdentifier(*id), RemoteAsn::Any, 0);
            config.hold_time = hold_time.map(Duration::from_secs);
            change(node, &mut config);
            config
        };
        let mut world = Self {
            now: Instant::now(),
            peers: BTreeMap::new(),
            established: BTreeMap::new(),
            sessions: 0,
            downs: Vec::new(),
            closed: BTreeMap::new(),
            configs: ids.iter().enumerate().map(config).collect(),
            connections: Vec::new(),
            arrivals: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            partitions: Vec::new(),
            random: seed,
            sequence: 0,
            incarnation: 0,
            lives: BTreeMap::new(),
        };
        for node in 0..ids.len() {
            world.start(node);
        }
        world
    }

    fn start(&mut self, node: usize) {
        self.incarnation += 1;
        for other in (0..self.configs.len()).filter(|other| *other != node) {
            let at = (node, other);
            let mut config = self.configs[node].clone();
            config.jitter_seed =
                self.random ^ (self.incarnation << 16) ^ (node * 64 + other) as u64;
            self.peers.insert(at, Peer::new(config, None));
            self.established.remove(&at);
            self.lives.insert(at, self.incarnation);
            self.closed.insert(at, Vec::new());
            self.step(at, Input::Start);
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        let nodes = self.configs.len();
        match fault {
            Fault::Partition(a, b) => self.partitions.push((a % nodes, b % nodes)),
            Fault::Heal => self.partitions.clear(),
            Fault::Reset(a, b) => {
                for tcp in self.between(a % nodes, b % nodes) {
                    self.later(Arrival::Rst { tcp, to: 0 });
                    self.later(Arrival::Rst { tcp, to: 1 });
                }
            }
            Fault::Forget(a, b) => {
                for tcp in self.between(a % nodes, b % nodes) {
                    self.later(Arrival::Rst { tcp, to: 0 });
                }
            }
            Fault::Restart(node) => {
                let node = node % nodes;
                for connection in &mut self.connections {
                    for end in 0..2 {
                        if connection.nodes[end] == node {
                            connection.ends[end] = None;
                        }
                    }
                }
                self.start(node);
            }
            Fault::Administrative(a, b) => {
                self.strike((a % nodes, b % nodes), |_, _| {
                    Some(Input::Reset(Cease::Reset(String::new())))
                });
            }
            Fault::Malformed(a, b) => {
                let answer = Notification::new(NotificationCode::MALFORMED_AS_PATH);
                self.strike((a % nodes, b % nodes), |_, session| {
                    Some(Input::Received(session?, Received::Malformed(&answer)))
                });
            }
            Fault::Reconfigure(a, b, reset) => {
                self.strike((a % nodes, b % nodes), |peer, _| {
                    let mut config = peer.config().clone();
                    config.enforce_first_as ^= reset;
                    config.keepalive = Some(Duration::from_secs(2));
                    Some(Input::Reconfigure(Box::new(config)))
                });
            }
        }
    }

    /// Gives a node's peer an input that depends on it and its session, if there is such a peer.
    fn strike<'a>(
        &mut self,
        at: At,
        input: impl FnOnce(&Peer, Option<ConnectionId>) -> Option<Input<'a>>,
    ) {
        let session = self.established.get(&at).copied();
        if let Some(input) = self.peers.get(&at).and_then(|peer| input(peer, session)) {
            self.step(at, input);
        }
    }

    /// Everything that happens in so much time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = self
                .peers
                .iter()
                .filter_map(|(at, peer)| Some((peer.deadline()?.at, *at)))
                .min();
            let arrival = self.arrivals.peek().map(|Reverse((at, _))| *at);
            let next = timer.map(|(at, _)| at).into_iter().chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let Reverse((_, sequence)) = self.arrivals.pop().unwrap();
                let arrival = self.bodies.remove(&sequence).unwrap();
                self.arrive(arrival);
            } else if let Some((_, at)) = timer {
                // As the driver does: what it looks at when a timer is due. The socket takes what little there is.
                if let Some(id) = self.established.get(&at).copied() {
                    self.step(at, Input::Progressed(id, self.now));
                }
                self.step(at, Input::DeadlineReached);
                let next = self.peers[&at].deadline();
                assert!(
                    next.is_none_or(|next| next.at > self.now),
                    "a timer that fired is still there"
                );
            }
        }
    }

    /// Which connection a peer's session runs on.
    pub(super) fn session(&self, at: At) -> Option<Tcp> {
        self.find(at, *self.established.get(&at)?)
            .map(|(tcp, _)| tcp)
    }

    // ---- The machines ----

    fn step(&mut self, at: At, input: Input<'_>) {
        let mut out = Outputs::new();
        self.peers
            .get_mut(&at)
            .unwrap()
            .handle(self.now, input, &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: At, out: Outputs) {
        for output in out {
            self.check(at, &output);
            match output {
                Output::Connect(id) => {
                    let life = self.lives[&at];
                    self.later(Arrival::Syn { from: at, id, life });
                }
                Output::AbortConnect(id) => self.closed.get_mut(&at).unwrap().push(id),
                Output::Accept(_) | Output::Refuse(_) | Output::Failed(..) => {}
                Output::SendOpen(id, open) => self.transmit(at, id, Segment::Open(open)),
                Output::SendKeepalive(id) => self.transmit(at, id, Segment::Keepalive),
                Output::Close(id, last) => {
                    if let Some(message) = last {
                        self.transmit(at, id, Segment::Notification(message));
                    }
                    self.transmit(at, id, Segment::Fin);
                    if let Some((tcp, end)) = self.find(at, id) {
                        self.connections[tcp].ends[end] = None;
                    }
                    self.closed.get_mut(&at).unwrap().push(id);
                }
                Output::Established(id, _) => {
                    self.sessions += 1;
                    self.established.insert(at, id);
                }
                Output::Down(_, reason) => {
                    self.established.remove(&at);
                    self.downs.push(reason);
                }
            }
        }
        let established = self.established.contains_key(&at);
        let peer = &self.peers[&at];
        assert_eq!(established, peer.state() == State::Established);
        if let Some(id) = peer.deadline().and_then(|deadline| deadline.connection) {
            assert!(
                !self.closed[&at].contains(&id),
                "a timer outlived its connection"
            );
        }
    }

    /// What no sequence of outputs may violate.
    fn check(&self, at: At, output: &Output) {
        let (id, ending) = match output {
            Output::Connect(id) | Output::AbortConnect(id) | Output::Accept(id) => (*id, false),
            Output::SendOpen(id, _) | Output::SendKeepalive(id) => (*id, false),
            Output::Close(id, _) | Output::Established(id, _) => (*id, false),
            Output::Down(id, _) | Output::Failed(id, _) => (*id, true),
            Output::Refuse(_) => return,
        };
        let closed = self.closed[&at].contains(&id);
        assert!(
            !closed || ending,
            "{output:?} after the connection was closed"
        );
        match output {
            Output::Established(..) => {
                assert_eq!(self.established.get(&at), None, "two sessions at once");
            }
            Output::Down(id, _) => {
                assert_eq!(
                    self.established.get(&at),
                    Some(id),
                    "Down without Established"
                );
            }
            Output::Failed(id, _) => {
                assert_ne!(
                    self.established.get(&at),
                    Some(id),
                    "a session must end with Down"
                );
            }
            _ => {}
        }
    }
}

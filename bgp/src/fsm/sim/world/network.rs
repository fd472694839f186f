//! The network: connections, what is on its way over them, and how long that takes.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Segment {
    Open(Open),
    Keepalive,
    Notification(Notification),
    Fin,
}

#[derive(Debug)]
pub(super) enum Arrival {
    Syn {
        from: At,
        id: ConnectionId,
        life: u64,
    },
    /// SYN+ACK.
    Answer {
        at: At,
        id: ConnectionId,
        life: u64,
        tcp: Tcp,
    },
    Segment {
        tcp: Tcp,
        to: usize,
        segment: Segment,
        sent: Instant,
    },
    /// The end hears that the connection is no more.
    Rst { tcp: Tcp, to: usize },
}

/// A TCP connection: two ends, of which each may know it or not.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) nodes: [usize; 2],
    pub(super) ends: [Option<ConnectionId>; 2],
    /// Segments stay in order: none arrives before the one ahead of it.
    pub(super) latest: [Instant; 2],
}

impl World {
    pub(super) fn between(&self, a: usize, b: usize) -> Vec<Tcp> {
        let is = |tcp: &Tcp| {
            let nodes = self.connections[*tcp].nodes;
            nodes == [a, b] || nodes == [b, a]
        };
        (0..self.connections.len()).filter(is).collect()
    }

    fn partitioned(&self, a: usize, b: usize) -> bool {
        self.partitions
            .iter()
            .any(|pair| *pair == (a, b) || *pair == (b, a))
    }

    pub(super) fn delay(&mut self) -> Duration {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = self.random >> 33;
        // One segment in sixteen is lost and sent again by TCP.
        let resent = if random.is_multiple_of(16) { 250 } else { 0 };
        Duration::from_micros(200 + random % 40_000 + resent * 1000)
    }

    pub(super) fn later(&mut self, arrival: Arrival) {
        let at = self.now + self.delay();
        self.put(at, arrival);
    }

    fn put(&mut self, at: Instant, arrival: Arrival) {
        self.sequence += 1;
        self.arrivals.push(Reverse((at, self.sequence)));
        self.bodies.insert(self.sequence, arrival);
    }

    pub(super) fn transmit(&mut self, at: At, id: ConnectionId, segment: Segment) {
        let Some((tcp, end)) = self.find(at, id) else {
            return;
        };
        let to = 1 - end;
        let arrives = self.now + self.delay();
        let latest = &mut self.connections[tcp].latest[to];
        *latest = (*latest).max(arrives);
        let (arrives, sent) = (*latest, self.now);
        self.put(
            arrives,
            Arrival::Segment {
                tcp,
                to,
                segment,
                sent,
            },
        );
    }

    pub(super) fn find(&self, at: At, id: ConnectionId) -> Option<(Tcp, usize)> {
        self.between(at.0, at.1).into_iter().rev().find_map(|tcp| {
            let connection = &self.connections[tcp];
            let end = connection.nodes.iter().position(|node| *node == at.0)?;
            (connection.ends[end] == Some(id)).then_some((tcp, end))
        })
    }

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Syn { from, id, life } => {
                if self.partitioned(from.0, from.1) {
                    // TCP tries again; the machine's own limit ends it.
                    let again = self.now + Duration::from_secs(1);
                    return self.put(again, Arrival::Syn { from, id, life });
                }
                if self.has_given_up(from, id, life) {
                    return;
                }
                let tcp = self.connections.len();
                // The dialler hears of the connection before anything that is sent on it.
                let answered = self.now + self.delay();
                self.connections.push(Connection {
                    nodes: [from.0, from.1],
                    ends: [None, None],
                    latest: [answered, self.now],
                });
                let at = from;
                self.put(answered, Arrival::Answer { at, id, life, tcp });
                self.accept((from.1, from.0), tcp);
            }
            Arrival::Answer { at, id, life, tcp } => {
                if self.has_given_up(at, id, life) {
                    return self.later(Arrival::Rst { tcp, to: 1 });
                }
                self.connections[tcp].ends[0] = Some(id);
                self.step(at, Input::Connected(id));
            }
            Arrival::Segment {
                tcp,
                to,
                segment,
                sent,
            } => self.segment(tcp, to, segment, sent),
            Arrival::Rst { tcp, to } => self.end(tcp, to),
        }
    }

    /// Whether the attempt was aborted, or made before a restart.
    fn has_given_up(&self, at: At, id: ConnectionId, life: u64) -> bool {
        self.lives[&at] != life || self.closed[&at].contains(&id)
    }

    pub(super) fn accept(&mut self, at: At, tcp: Tcp) {
        let mut out = Outputs::new();
        self.peers
            .get_mut(&at)
            .unwrap()
            .handle(self.now, Input::Accepted, &mut out);
        match out.first() {
            Some(Output::Accept(id)) => self.connections[tcp].ends[1] = Some(*id),
            Some(Output::Refuse(_)) => {}
            other => panic!("Accepted answered with {other:?}"),
        }
        self.carry_out(at, out);
    }

    pub(super) fn segment(&mut self, tcp: Tcp, to: usize, segment: Segment, sent: Instant) {
        let connection = &self.connections[tcp];
        let at = (connection.nodes[to], connection.nodes[1 - to]);
        if self.partitioned(at.0, at.1) {
            if self.now > sent + USER_TIMEOUT {
                return self.end(tcp, 1 - to);
            }
            let again = self.now + Duration::from_secs(1);
            self.connections[tcp].latest[to] = again;
            return self.put(
                again,
                Arrival::Segment {
                    tcp,
                    to,
                    segment,
                    sent,
                },
            );
        }
        let Some(id) = self.connections[tcp].ends[to] else {
            // The other end answers for a connection that it does not know.
            return self.later(Arrival::Rst { tcp, to: 1 - to });
        };
        match segment {
            Segment::Open(open) => self.step(at, Input::Received(id, Received::Open(&open))),
            Segment::Keepalive => self.step(at, Input::Received(id, Received::Keepalive)),
            Segment::Notification(message) => {
                self.step(at, Input::Received(id, Received::Notification(&message)));
            }
            Segment::Fin => self.end(tcp, to),
        }
    }

    /// The end learns that its connection is over.
    pub(super) fn end(&mut self, tcp: Tcp, end: usize) {
        let connection = &mut self.connections[tcp];
        let at = (connection.nodes[end], connection.nodes[1 - end]);
        if let Some(id) = connection.ends[end].take() {
            self.step(at, Input::Closed(id));
        }
    }
}

//! The fuzz target of this crate as a plain function; see [`bgp::fuzz`].

use bgp::fuzz::Octets;
use bgp::types::Community;

use crate::facade::Expected;
use crate::facade::model::{Attributes, OWN, Op, ROUTER_ID, SessionKind, run};

/// Operations of one run: past this nothing new is found.
const MAX_OPERATIONS: usize = 300;
/// Peers and prefixes of the model.
const PEERS: usize = 6;
const PREFIXES: usize = 6;

/// Any sequence of operations: the RIB equals the oracle, its peers have heard what the rules say, and nothing is left
/// once every peer and route is gone.
pub fn operations(data: &[u8]) {
    let mut octets = Octets(data);
    let mut operations = Vec::new();
    while !octets.is_empty() && operations.len() < MAX_OPERATIONS {
        operations.push(operation(&mut octets));
    }
    run(&operations);
}

fn operation(octets: &mut Octets<'_>) -> Op {
    let choice = octets.below(32);
    let peer = octets.below(PEERS);
    match choice {
        0..=3 => Op::Up(peer, session(octets)),
        4 | 5 => Op::Down(peer, octets.flag()),
        6..=13 => {
            let nlri =
                (0..=octets.below(3)).map(|_| (octets.below(PREFIXES), octets.below(3) as u32));
            Op::Announce(peer, nlri.collect(), attributes(octets))
        }
        14 => Op::Repeat(peer),
        15 | 16 => Op::Withdraw(peer, octets.below(PREFIXES), octets.below(3) as u32),
        17 | 18 => Op::EndOfRib(peer, octets.flag()),
        19 => Op::RefreshBegins(peer),
        20 => Op::RefreshEnds(peer),
        21 => Op::Import(peer, octets.below(5) as u8),
        22 if octets.flag() => Op::Filter(peer, octets.below(6) as u8),
        22 => Op::AllowOwnAs(peer, octets.below(3) as u8),
        23 if octets.flag() => Op::EndRetention(peer),
        23 => Op::RemovePeer(peer),
        24 | 25 => {
            let ways = (0..octets.below(5)).map(|_| {
                (
                    octets.below(4) as u8 + 1,
                    octets.below(3) as u32,
                    octets.flag(),
                )
            });
            Op::NextHops(ways.collect())
        }
        26 => {
            let routes =
                (0..octets.below(3)).map(|_| (octets.below(PREFIXES), octets.below(2) as u8));
            Op::Originate(routes.collect())
        }
        27 => Op::Configure {
            always_med: octets.flag(),
            max_paths: octets.below(3) as u8 + 1,
            relax: octets.flag(),
            other_id: octets.flag(),
        },
        28 | 29 => Op::Pass(*octets.one_of(&[1, 29, 31, 40, 101, 130])),
        30 => Op::Poll(octets.below(6)),
        _ => match octets.below(8) {
            5 => Op::Expect(Expected::Nobody, false),
            6 => Op::Expect(Expected::Perhaps, false),
            7 => Op::Expect(Expected::Returning, true),
            other => Op::Fib(other % 2 == 1),
        },
    }
}

fn session(octets: &mut Octets<'_>) -> SessionKind {
    let bits = octets.octet();
    SessionKind {
        graceful: bits & 1 != 0,
        forwarding: bits & 2 != 0,
        long_lived: bits & 4 != 0,
        ipv6: bits & 8 != 0,
        restarting: bits & 16 != 0,
    }
}

fn attributes(octets: &mut Octets<'_>) -> Attributes {
    let asns = [100, 101, 102, OWN.0];
    let routers = [1, 2, 3, ROUTER_ID.0];
    let communities = [
        None,
        Some(Community(7)),
        Some(Community::GRACEFUL_SHUTDOWN),
        Some(Community::LLGR_STALE),
        Some(Community::NO_LLGR),
    ];
    Attributes {
        local_pref: *octets.one_of(&[None, Some(90), Some(100), Some(200)]),
        med: *octets.one_of(&[None, Some(0), Some(5)]),
        path: (0..octets.below(3))
            .map(|_| *octets.one_of(&asns))
            .collect(),
        wrong_first: octets.below(16) == 15,
        igp: octets.flag(),
        community: *octets.one_of(&communities),
        originator: octets.flag().then(|| *octets.one_of(&routers)),
        clusters: (0..octets.below(2))
            .map(|_| *octets.one_of(&routers))
            .collect(),
        unknown: if octets.flag() {
            vec![40, 99]
        } else {
            Vec::new()
        },
        next_hop: octets.below(4) as u8 + 1,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_operations_holds() {
        assert!(bgp::fuzz::replay("rib", super::operations) > 20);
    }
}

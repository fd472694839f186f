//! What several tests set up alike.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses another part"
)]

pub mod bad_input;
pub mod cluster;
pub mod cni;
pub mod node;
pub mod octets;
pub mod parts;
pub mod rack;
pub mod segment;
pub mod service;
pub mod updates;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::probe::tcp;
use interop_tests::{Kind, Lab, Neighbour, Origination, Route, Speaker, Subject, eventually};

/// How long a route may take to get from one speaker to the next.
pub const SOON: Duration = Duration::from_secs(15);

/// The subject's addresses on the link to its peer.
pub const SUBJECT: [&str; 2] = ["10.0.0.1", "fd00::1"];
/// The peer's.
pub const PEER: [&str; 2] = ["10.0.0.2", "fd00::2"];

/// A subject and a peer on one dual-stack link.
pub struct Pair {
    pub subject: Subject,
    pub peer: Subject,
}

impl Pair {
    /// Starts both and waits until both call the session between `transport` addresses Established.
    pub fn start(
        lab: &Lab,
        transport: usize,
        subject: (Kind, Speaker),
        peer: (Kind, Speaker),
    ) -> Result<Self> {
        let (left, right) = lab.pair(
            ("subject", &["10.0.0.1/24", "fd00::1/64"]),
            ("peer", &["10.0.0.2/24", "fd00::2/64"]),
        )?;
        let pair = Self {
            subject: Subject::start(lab, subject.0, &left, subject.1)?,
            peer: Subject::start(lab, peer.0, &right, peer.1)?,
        };
        pair.subject.wait_established(PEER[transport])?;
        pair.peer.wait_established(SUBJECT[transport])?;
        Ok(pair)
    }

    /// The TCP connections between the two: the same ones as long as no session was reset.
    pub fn connections(&self) -> Result<BTreeSet<String>> {
        tcp::connections(self.subject.namespace(), &[179])
    }

    /// The one connection that is left where both sides dialled.
    pub fn settled(&self) -> Result<BTreeSet<String>> {
        eventually(SOON, "one connection is left", || {
            let connections = self.connections()?;
            ensure!(connections.len() == 1, "{connections:?}");
            Ok(connections)
        })
    }
}

/// A speaker with AS 64500 + `n`, and a neighbour with AS 64500 + `other` at `address`.
pub fn speaker(n: u32, other: u32, address: &str) -> Speaker {
    Speaker::new(64500 + n, &format!("10.0.0.{n}"))
        .neighbour(Neighbour::new(address, 64500 + other))
}

/// A prefix of each family with every attribute that all kinds can set.
pub fn decorated(n: u32) -> [Origination; 2] {
    [format!("198.51.{n}.0/24"), format!("2001:db8:{n}::/48")].map(|prefix| {
        Origination::new(&prefix)
            .community(64500, 100)
            .community(64500, 200)
            .large_community(4_200_000_000, 1, 2)
            .route_target(64500, 7)
            .med(50)
            .local_pref(250)
    })
}

/// That a route carries the attributes of `sent`, but for those that depend on the kind of session.
pub fn check_attributes(route: &Route, sent: &Origination) -> Result<()> {
    let communities = sent.communities.iter().copied().collect();
    ensure!(route.communities == communities, "communities: {route:?}");
    let large = sent.large_communities.iter().copied().collect();
    ensure!(
        route.large_communities == large,
        "large communities: {route:?}"
    );
    let targets = sent
        .route_targets
        .iter()
        .map(|(asn, number)| format!("rt:{asn}:{number}"))
        .collect();
    ensure!(
        route.extended_communities == targets,
        "extended communities: {route:?}"
    );
    ensure!(route.med == sent.med, "MED: {route:?}");
    Ok(())
}

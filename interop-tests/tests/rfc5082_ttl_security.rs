//! RFC 5082 and RFC 4271's neighbours: how far away a peer may be. Directly connected unless told otherwise; farther
//! with multihop; and with TTL security never farther than told, whoever the packets say they are from.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{Kind, Lab, Neighbour, Origination, Speaker, State, Subject, always, pairs};
use support::SOON;

pairs!(a_peer_behind_a_router_needs_multihop: multihop, [routelet]);
pairs!(a_peer_behind_a_router_is_not_a_neighbour: no_multihop, [routelet], [bird2 frr8]);
pairs!(ttl_security_lets_in_from_as_far_as_told: secured, [routelet], [bird2 bird3 frr8 frr10]);
pairs!(ttl_security_keeps_out_from_farther_away: too_far, [routelet], [bird2 frr8]);
pairs!(the_lab_holds_for_multihop: multihop, [bird2], [frr8]);
pairs!(the_lab_holds_without_multihop: no_multihop, [bird2], [frr8]);
pairs!(the_lab_holds_for_ttl_security: secured, [bird2], [frr8]);
pairs!(the_lab_holds_for_ttl_security_from_afar: too_far, [bird2], [frr8]);

const SUBJECT: &str = "10.0.1.1";
const PEER: &str = "10.0.2.1";
const ROUTE: &str = "198.51.100.0/24";

/// A subject and a peer with a router between them.
fn start(
    lab: &Lab,
    subject: Kind,
    peer: Kind,
    neighbour: impl Fn(Neighbour) -> Neighbour,
    theirs: impl Fn(Neighbour) -> Neighbour,
) -> Result<(Subject, Subject)> {
    let router = lab.namespace("router")?;
    let (left, right) = (lab.namespace("subject")?, lab.namespace("peer")?);
    lab.link((&left, "eth0"), (&router, "eth1"))?;
    lab.link((&right, "eth0"), (&router, "eth2"))?;
    router.address("eth1", "10.0.1.254/24")?;
    router.address("eth2", "10.0.2.254/24")?;
    router.forward()?;
    for (namespace, own, gateway) in [(&left, SUBJECT, "10.0.1.254"), (&right, PEER, "10.0.2.254")]
    {
        namespace.address("eth0", &format!("{own}/24"))?;
        namespace.ip(&format!("route add 10.0.0.0/16 via {gateway}"))?;
    }
    let ours = Speaker::new(64501, SUBJECT).neighbour(neighbour(Neighbour::new(PEER, 64502)));
    let theirs = Speaker::new(64502, PEER)
        .neighbour(theirs(Neighbour::new(SUBJECT, 64501)))
        .originate(Origination::new(ROUTE));
    Ok((
        Subject::start(lab, subject, &left, ours)?,
        Subject::start(lab, peer, &right, theirs)?,
    ))
}

fn multihop(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let two = |neighbour: Neighbour| neighbour.multihop(2);
    let (subject, _peer) = start(lab, subject, peer, two, two)?;
    subject.wait_route(ROUTE, SOON * 3).map(drop)
}

/// The peer would take it, so the subject's own packets are what does not arrive.
fn no_multihop(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let (subject, _peer) = start(lab, subject, peer, |near| near, |far| far.multihop(2))?;
    stays_out(&subject)
}

fn secured(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let two = |neighbour: Neighbour| neighbour.ttl_security(2);
    let (subject, _peer) = start(lab, subject, peer, two, two)?;
    subject.wait_route(ROUTE, SOON * 3).map(drop)
}

/// The peer's packets arrive with a TTL of 254 after one router; the subject wants 255.
fn too_far(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let two = |neighbour: Neighbour| neighbour.ttl_security(2);
    let one = |neighbour: Neighbour| neighbour.ttl_security(1);
    let (subject, _peer) = start(lab, subject, peer, one, two)?;
    stays_out(&subject)
}

fn stays_out(subject: &Subject) -> Result<()> {
    // With multihop or enough hops, the same two have a session within two seconds.
    always(std::time::Duration::from_secs(4), "no session", || {
        let session = subject.session(PEER)?;
        ensure!(session.state != State::Established, "{session:?}");
        Ok(())
    })
}

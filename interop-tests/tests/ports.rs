//! Another port than 179, and a node that does not listen at all because somebody else on it does.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::tcp;
use interop_tests::{Kind, Lab, Listen, Origination, Speaker, Subject, pairs};
use support::{PEER, SOON, SUBJECT, speaker};

pairs!(a_node_that_does_not_listen_dials_another_port: does_not_listen, [routelet]);
pairs!(a_node_is_dialled_at_another_port: listens_elsewhere, [routelet]);
pairs!(the_lab_holds_where_the_subject_does_not_listen: does_not_listen, [frr8], [bird2]);
pairs!(the_lab_holds_where_the_subject_listens_elsewhere: listens_elsewhere, [bird2], [frr8]);

const PORT: u16 = 1790;
const ROUTE: &str = "198.51.100.0/24";

fn does_not_listen(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut ours = speaker(1, 2, PEER[0]).listen(Listen::Never);
    ours.neighbours[0].port = Some(PORT);
    let theirs = speaker(2, 1, SUBJECT[0]).listen(Listen::Port(PORT));
    let subject = meet(lab, (subject, ours), (peer, theirs))?;
    let ports = tcp::listening_ports(subject.namespace())?;
    ensure!(
        !ports.contains(&179) && !ports.contains(&PORT),
        "{subject} listens at {ports:?}"
    );
    Ok(())
}

fn listens_elsewhere(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut ours = speaker(1, 2, PEER[0]).listen(Listen::Port(PORT));
    ours.neighbours[0] = ours.neighbours[0].clone().passive();
    let mut theirs = speaker(2, 1, SUBJECT[0]);
    theirs.neighbours[0].port = Some(PORT);
    let subject = meet(lab, (subject, ours), (peer, theirs))?;
    let ports = tcp::listening_ports(subject.namespace())?;
    ensure!(
        ports.contains(&PORT) && !ports.contains(&179),
        "{subject} listens at {ports:?}"
    );
    Ok(())
}

/// Starts both; the session runs at the other port, and a route crosses.
fn meet(lab: &Lab, subject: (Kind, Speaker), peer: (Kind, Speaker)) -> Result<Subject> {
    let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("peer", &["10.0.0.2/24"]))?;
    let peer_speaker = peer.1.originate(Origination::new(ROUTE));
    let subject = Subject::start(lab, subject.0, &left, subject.1)?;
    let _peer = Subject::start(lab, peer.0, &right, peer_speaker)?;
    subject.wait_route(ROUTE, SOON * 3)?;
    let connections = tcp::connections(subject.namespace(), &[PORT])?;
    ensure!(connections.len() == 1, "{connections:?}");
    Ok(subject)
}

//! RFC 2385: sessions with a TCP-MD5 password come up, and only with the right one.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::tcp;
use interop_tests::{Kind, Lab, State, Subject, eventually, pairs};
use support::{PEER, Pair, SOON, SUBJECT, speaker};

// OpenBGPD has no TCP-MD5 on Linux.
pairs!(the_right_password_lets_in: right_password, [routelet], [bird2 bird3 frr8 frr10 gobgp]);
pairs!(a_wrong_password_keeps_out: wrong_password, [routelet], [bird2 frr8 gobgp]);
pairs!(the_lab_holds_for_the_right_password: right_password, [bird2], [frr8]);
pairs!(the_lab_holds_for_a_wrong_password: wrong_password, [bird2], [frr8]);

fn right_password(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let mut ours = speaker(1, 2, PEER[0]);
    ours.neighbours[0].password = Some("open sesame".replace(' ', "-"));
    let mut theirs = speaker(2, 1, SUBJECT[0]);
    theirs.neighbours[0]
        .password
        .clone_from(&ours.neighbours[0].password);
    Pair::start(lab, 0, (subject, ours), (peer, theirs)).map(drop)
}

fn wrong_password(lab: &Lab, subject: Kind, peer: Kind) -> Result<()> {
    let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("peer", &["10.0.0.2/24"]))?;
    let mut ours = speaker(1, 2, PEER[0]);
    ours.neighbours[0].password = Some("sesame".to_owned());
    let mut theirs = speaker(2, 1, SUBJECT[0]);
    theirs.neighbours[0].password = Some("linseed".to_owned());
    let subject = Subject::start(lab, subject, &left, ours)?;
    let peer = Subject::start(lab, peer, &right, theirs)?;
    // Either kernel counts the segments that it drops: both sides have tried by then.
    for side in [&subject, &peer] {
        eventually(SOON, &format!("{side} drops segments"), || {
            let dropped = tcp::tcp_counter(side.namespace(), "TCPMD5Failure")?;
            ensure!(dropped > 0, "none so far");
            Ok(())
        })?;
    }
    let session = subject.session(PEER[0])?;
    ensure!(session.state != State::Established, "{session:?}");
    let connections = tcp::connections(subject.namespace(), &[179])?;
    ensure!(connections.is_empty(), "{connections:?}");
    Ok(())
}

//! BFD beside BIRD and FRR (RFC 5880, 5881, 5883): Up over both families, failures seen, intervals and keys that
//! change.
//!
//! The subject is the example `bfd_session` of `agent/bfd`, one session from flags; `cargo test -p routelet-bfd` builds
//! it.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{
    Bfd, Kind, Lab, Namespace, Need, Process, Speaker, Subject, always, eventually,
};

/// Makes a test of a scenario `fn(&Lab, Kind) -> Result<()>` beside each of the peers.
macro_rules! beside {
    ($claim:ident: $scenario:ident, [$($peer:ident)+]) => {
        mod $claim {
            $(#[test]
            fn $peer() {
                let kind = interop_tests::pairs!(@kind $peer);
                interop_tests::run(&[interop_tests::Need::Speaker(kind)], |lab| super::$scenario(lab, kind));
            })+
        }
    };
}

beside!(sessions_come_up_near_and_far: comes_up, [bird2 bird3 frr8 frr10]);
beside!(silence_is_seen_by_both_ends: silence, [bird2 bird3 frr8 frr10]);
beside!(a_peer_that_dies_is_missed: death, [bird2 bird3 frr8 frr10]);
beside!(admin_down_is_understood_both_ways: admin_down, [frr8 frr10]);
beside!(admin_down_is_understood_by: our_admin_down, [bird2 bird3]);
beside!(intervals_change_while_it_is_up: intervals, [bird2 bird3 frr8 frr10]);
beside!(a_passive_end_waits: passive, [bird2 bird3 frr8 frr10]);
beside!(keyed_sha1_is_understood: keyed, [bird2 bird3]);
beside!(meticulous_keyed_sha1_is_understood: meticulous, [bird2 bird3]);

/// The lab shows a session to be Up, and one without a counterpart not to be.
#[test]
fn the_lab_holds() {
    let needs = [Need::Speaker(Kind::Bird2), Need::Speaker(Kind::Frr8)];
    interop_tests::run(&needs, |lab| {
        let (left, right) = link(lab)?;
        let bird = Speaker::new(64501, "10.0.0.1").bfd(Bfd::new("10.0.0.1", "10.0.0.2"));
        let frr = Speaker::new(64502, "10.0.0.2")
            .bfd(Bfd::new("10.0.0.2", "10.0.0.1"))
            .bfd(Bfd::new("10.0.0.2", "10.0.0.9"));
        let bird = Subject::start(lab, Kind::Bird2, &left, bird)?;
        let frr = Subject::start(lab, Kind::Frr8, &right, frr)?;
        wait_state(&bird, "10.0.0.2", "up")?;
        wait_state(&frr, "10.0.0.1", "up")?;
        ensure!(frr.bfd_state("10.0.0.9")? == "down");
        Ok(())
    });
}

const SOON: Duration = Duration::from_secs(20);
/// What the peer shows may lag.
const CALM: Duration = Duration::from_secs(2);

/// The subject.
struct Session {
    process: Process,
    flags: PathBuf,
    /// Lines that were waited for already.
    seen: Cell<usize>,
}

impl Session {
    /// A session that begins with these flags. It is one way or the other if it ends: the lab shows its log.
    fn start(namespace: &Namespace, local: &str, remote: &str, flags: &str) -> Result<Self> {
        let own = std::env::current_exe()?;
        // Tests run from target/<profile>/deps, examples lie in target/<profile>/examples.
        let program = own
            .ancestors()
            .skip(2)
            .map(|folder| folder.join("examples/bfd_session"))
            .find(|path| path.is_file())
            .context("needs the example bfd_session: run `cargo test -p routelet-bfd --no-run`")?;
        let path = namespace.dir().join("flags");
        std::fs::write(&path, flags)?;
        let (program, file) = (program.to_string_lossy(), path.to_string_lossy());
        let argv = [
            &*program, "--local", local, "--remote", remote, "--flags", &file,
        ];
        Ok(Self {
            process: namespace.spawn("bfd_session", &argv)?,
            flags: path.clone(),
            seen: Cell::new(0),
        })
    }

    fn set(&self, flags: &str) -> Result<()> {
        // Replaced as a whole: the subject never reads half of it.
        let new = self.flags.with_extension("new");
        std::fs::write(&new, flags)?;
        Ok(std::fs::rename(new, &self.flags)?)
    }

    /// The next line with these words, behind that which was waited for last.
    fn wait(&self, words: &str) -> Result<String> {
        eventually(SOON, &format!("`{words}` from the subject"), || {
            self.process.check_alive()?;
            let text = self.process.log_text();
            let mut lines = text.lines().enumerate().skip(self.seen.get());
            let found = lines.find(|(_, line)| line.contains(words));
            let (place, line) = found.with_context(|| format!("it has said: {text}"))?;
            self.seen.set(place + 1);
            Ok(line.to_owned())
        })
    }

    /// Whether it has said that it went down since it was waited for.
    fn has_gone_down(&self) -> bool {
        let text = self.process.log_text();
        let mut lines = text.lines().skip(self.seen.get());
        lines.any(|line| line.contains("Down(") || line.contains("refused"))
    }
}

fn link(lab: &Lab) -> Result<(Namespace, Namespace)> {
    lab.pair(
        ("subject", &["10.0.0.1/24", "fd00::1/64", "fe80::11/64"]),
        ("peer", &["10.0.0.2/24", "fd00::2/64", "fe80::12/64"]),
    )
}

fn peer(lab: &Lab, kind: Kind, namespace: &Namespace, session: Bfd) -> Result<Subject> {
    Subject::start(
        lab,
        kind,
        namespace,
        Speaker::new(64502, "10.0.0.2").bfd(session),
    )
}

fn wait_state(peer: &Subject, remote: &str, state: &str) -> Result<()> {
    eventually(SOON, &format!("{state} at {peer}"), || {
        let now = peer.bfd_state(remote)?;
        ensure!(now == state, "it is {now}");
        Ok(())
    })
}

/// A subject and a peer with one session of 3 x 50 ms, Up.
fn up(lab: &Lab, kind: Kind) -> Result<(Session, Subject, [Namespace; 2])> {
    let (left, right) = link(lab)?;
    let peer = peer(lab, kind, &right, Bfd::new("10.0.0.2", "10.0.0.1"))?;
    let ours = Session::start(&left, "10.0.0.1", "10.0.0.2", "--interface eth0")?;
    ours.wait("Up")?;
    wait_state(&peer, "10.0.0.1", "up")?;
    Ok((ours, peer, [left, right]))
}

fn comes_up(lab: &Lab, kind: Kind) -> Result<()> {
    let (left, right) = link(lab)?;
    let rows = [
        ("10.0.0.1", "10.0.0.2", "--interface eth0"),
        ("fd00::1", "fd00::2", "--interface eth0"),
        ("fe80::11", "fe80::12", "--interface eth0"),
        ("192.0.2.1", "192.0.2.2", ""),
        ("2001:db8::1", "2001:db8::2", ""),
    ];
    for (ns, last) in [(&left, 1), (&right, 2)] {
        ns.address("eth0", &format!("192.0.2.{last}/24"))?;
        ns.address("eth0", &format!("2001:db8::{last}/64"))?;
    }
    let mut speaker = Speaker::new(64502, "10.0.0.2");
    for (ours, theirs, flags) in rows {
        let session = Bfd::new(theirs, ours);
        speaker = speaker.bfd(if flags.is_empty() {
            session.multihop()
        } else {
            session
        });
    }
    let peer = Subject::start(lab, kind, &right, speaker)?;
    for (ours, theirs, flags) in rows {
        let session = Session::start(&left, ours, theirs, flags)?;
        session.wait("Up").with_context(|| ours.to_owned())?;
        wait_state(&peer, ours, "up")?;
        // What both ends want is negotiated, and it stays.
        session.wait("transmit_interval: Some(50ms), detection_time: Some(150ms)")?;
        always(CALM, "it stays up", || {
            ensure!(peer.bfd_state(ours)? == "up" && !session.has_gone_down());
            Ok(())
        })?;
    }
    Ok(())
}

fn silence(lab: &Lab, kind: Kind) -> Result<()> {
    let (ours, peer, [left, _right]) = up(lab, kind)?;
    for (hook, reason) in [
        ("input", "DetectionTimeExpired"),
        // The peer does not hear us, and says so.
        ("output", "NeighborSignaledDown"),
    ] {
        ours.wait("detection_time: Some(150ms)")?;
        left.run(&["nft", "add table inet bfd"])?;
        let chain = format!("add chain inet bfd c {{ type filter hook {hook} priority 0 ; }}");
        left.run(&["nft", &chain])?;
        left.run(&["nft", "add rule inet bfd c udp dport 3784 drop"])?;
        let line = ours.wait("Down(")?;
        ensure!(line.contains(reason), "{line}");
        wait_state(&peer, "10.0.0.1", "down")?;
        left.run(&["nft", "delete table inet bfd"])?;
        ours.wait("Up")?;
        wait_state(&peer, "10.0.0.1", "up")?;
    }
    Ok(())
}

fn death(lab: &Lab, kind: Kind) -> Result<()> {
    let (ours, mut peer, _namespaces) = up(lab, kind)?;
    ours.wait("detection_time: Some(150ms)")?;
    peer.kill()?;
    let line = ours.wait("Down(")?;
    ensure!(line.contains("DetectionTimeExpired"), "{line}");
    peer.launch()?;
    ours.wait("Up")?;
    wait_state(&peer, "10.0.0.1", "up")
}

fn admin_down(lab: &Lab, kind: Kind) -> Result<()> {
    let (ours, mut peer, _namespaces) = up(lab, kind)?;
    let plain = peer.speaker().clone();
    let mut held = plain.clone();
    for session in &mut held.bfd {
        session.disabled = true;
    }
    peer.reconfigure(held)?;
    let line = ours.wait("Down(")?;
    ensure!(line.contains("NeighborAdminDown"), "{line}");
    peer.reconfigure(plain)?;
    ours.wait("Up")?;
    our_admin_down_with(&ours, &peer)
}

fn our_admin_down(lab: &Lab, kind: Kind) -> Result<()> {
    let (ours, peer, _namespaces) = up(lab, kind)?;
    our_admin_down_with(&ours, &peer)
}

fn our_admin_down_with(ours: &Session, peer: &Subject) -> Result<()> {
    wait_state(peer, "10.0.0.1", "up")?;
    ours.set("--interface eth0 --disable")?;
    let line = ours.wait("Down(")?;
    ensure!(line.contains("AdminDown"), "{line}");
    wait_state(peer, "10.0.0.1", "down")?;
    ours.set("--interface eth0")?;
    ours.wait("Up")?;
    wait_state(peer, "10.0.0.1", "up")?;
    // An end that stops says so.
    ours.set("--stop")?;
    wait_state(peer, "10.0.0.1", "down")
}

fn intervals(lab: &Lab, kind: Kind) -> Result<()> {
    let (ours, mut peer, _namespaces) = up(lab, kind)?;
    ours.wait("transmit_interval: Some(50ms), detection_time: Some(150ms)")?;
    let seen = ours.seen.get();
    ours.set("--interface eth0 --interval 20 --mult 5")?;
    // The peer still wants 50 ms.
    std::thread::sleep(CALM);
    ours.set("--interface eth0 --interval 400 --mult 3")?;
    ours.wait("transmit_interval: Some(400ms), detection_time: Some(1.2s)")?;
    ours.set("--interface eth0 --interval 30 --mult 4")?;
    ours.wait("transmit_interval: Some(50ms), detection_time: Some(150ms)")?;
    let mut slow = peer.speaker().clone();
    for session in &mut slow.bfd {
        session.interval = Duration::from_millis(200);
        session.mult = 5;
    }
    let mut fast = slow.clone();
    for session in &mut fast.bfd {
        session.interval = Duration::from_millis(20);
    }
    peer.reconfigure(slow)?;
    ours.wait("transmit_interval: Some(200ms), detection_time: Some(1s)")?;
    peer.reconfigure(fast)?;
    ours.wait("transmit_interval: Some(30ms), detection_time: Some(150ms)")?;
    std::thread::sleep(CALM);
    ours.seen.set(seen);
    ensure!(!ours.has_gone_down(), "{}", ours.process.log_text());
    ensure!(peer.bfd_state("10.0.0.1")? == "up");
    Ok(())
}

fn passive(lab: &Lab, kind: Kind) -> Result<()> {
    let (left, right) = link(lab)?;
    let theirs = Bfd::new("10.0.0.2", "10.0.0.1");
    let mut peer = peer(
        lab,
        kind,
        &right,
        Bfd {
            passive: true,
            ..theirs.clone()
        },
    )?;
    let ours = Session::start(&left, "10.0.0.1", "10.0.0.2", "--interface eth0 --passive")?;
    always(Duration::from_secs(4), "two passive ends stay down", || {
        ensure!(peer.bfd_state("10.0.0.1")? == "down");
        Ok(())
    })?;
    peer.reconfigure(Speaker::new(64502, "10.0.0.2").bfd(theirs))?;
    ours.wait("Up")?;
    wait_state(&peer, "10.0.0.1", "up")
}

fn keyed(lab: &Lab, kind: Kind) -> Result<()> {
    authenticated(lab, kind, false)
}

fn meticulous(lab: &Lab, kind: Kind) -> Result<()> {
    authenticated(lab, kind, true)
}

fn authenticated(lab: &Lab, kind: Kind, meticulous: bool) -> Result<()> {
    let (left, right) = link(lab)?;
    let theirs = |keys: &[(u8, &str)]| {
        let keys = keys
            .iter()
            .map(|(id, key)| (*id, (*key).to_owned()))
            .collect();
        Bfd {
            keys,
            meticulous,
            ..Bfd::new("10.0.0.2", "10.0.0.1")
        }
    };
    let flags = if meticulous {
        "--interface eth0 --meticulous"
    } else {
        "--interface eth0"
    };
    let mut peer = peer(lab, kind, &right, theirs(&[(1, "first")]))?;
    let ours = Session::start(
        &left,
        "10.0.0.1",
        "10.0.0.2",
        &format!("{flags} --key 1:wrong"),
    )?;
    std::thread::sleep(CALM);
    ensure!(peer.bfd_state("10.0.0.1")? == "down");
    ours.set(&format!("{flags} --key 1:first"))?;
    ours.wait("Up")?;
    wait_state(&peer, "10.0.0.1", "up")?;
    let speaker = |keys: &[(u8, &str)]| Speaker::new(64502, "10.0.0.2").bfd(theirs(keys));
    // Both know the new key, then either sends with it, then the old one goes.
    ours.set(&format!("{flags} --key 2:second --key 1:first"))?;
    std::thread::sleep(CALM);
    peer.reconfigure(speaker(&[(2, "second"), (1, "first")]))?;
    std::thread::sleep(CALM);
    ours.set(&format!("{flags} --key 1:first --key 2:second"))?;
    std::thread::sleep(CALM);
    ours.set(&format!("{flags} --key 2:second"))?;
    std::thread::sleep(CALM);
    ensure!(peer.bfd_state("10.0.0.1")? == "up" && !ours.has_gone_down());
    Ok(())
}

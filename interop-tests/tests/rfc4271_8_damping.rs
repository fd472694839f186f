//! RFC 4271 8.1.1 (DampPeerOscillations): a peer with which things go wrong is left alone for longer each time, whoever
//! dials; one over its prefix limit is held until its time has come; and a router that is there again is met within the
//! bound.

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, OPEN, RawPeer, Received};
use interop_tests::{
    Kind, Lab, Need, Neighbour, Origination, Speaker, State, Subject, always, eventually, run,
};
use serde_json::Value;
use support::{PEER, SOON, SUBJECT};

/// The timers of all subjects here.
const TIMERS: &str = r#""timers": {"hold": "9s", "connectRetry": "1s", "idleHold": "4s"}"#;
/// Within so long a peer that behaves has a session again: the longest hold, a retry, and the handshake.
const BOUND: Duration = Duration::from_secs(4 + 1 + 2);

fn routelet(lab: &Lab, at: &interop_tests::Namespace, neighbour: Neighbour) -> Result<Subject> {
    let ours = Speaker::new(64501, SUBJECT[0]).neighbour(neighbour);
    Subject::start(lab, Kind::Routelet, at, ours)
}

/// What `routelet peers` shows of the only peer.
fn shown(subject: &Subject) -> Result<Value> {
    Ok(subject.query(&["peers"])?[0].clone())
}

fn established_count(subject: &Subject) -> Result<u64> {
    Ok(shown(subject)?["establishedCount"]
        .as_u64()
        .unwrap_or_default())
}

#[test]
fn a_failing_peer_is_sent_few_opens_and_has_a_session_within_the_bound() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("raw", &["10.0.0.2/24"]))?;
        let neighbour = Neighbour::new(PEER[0], 64502).passive();
        let subject = routelet(lab, &left, neighbour.extra(&format!("{{{TIMERS}}}")))?;
        let (mut opens, mut connections) = (0, 0);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            connections += 1;
            // A reset may be quicker than we are, here and below.
            let Ok(mut peer) = RawPeer::connect(&right, SUBJECT[0]) else {
                continue;
            };
            drop(peer.send(&[0; 64]));
            if let Ok(Received::Message(message)) = peer.receive(SOON) {
                ensure!(message.kind == OPEN, "{message:?}");
                opens += 1;
            }
        }
        // 1 s, 2 s and then one in 4 s, all of them up to a third shorter.
        ensure!(
            (2..=7).contains(&opens),
            "{opens} OPENs on {connections} connections"
        );
        ensure!(
            connections > 100,
            "only {connections} connections: they wait for something"
        );
        // Between the end of a hold and the connection that leads to the next, it is not held.
        eventually(BOUND, "the peer is held Idle", || {
            if let Ok(mut peer) = RawPeer::connect(&right, SUBJECT[0]) {
                drop(peer.send(&[0; 64]));
            }
            let now = shown(&subject)?;
            ensure!(
                now["state"] == "Idle" && now["idleHold"]["seconds"].is_u64(),
                "{now}"
            );
            let reason = "sent Message Header Error/Connection Not Synchronized";
            ensure!(now["idleHold"]["reason"] == reason, "{}", now["idleHold"]);
            Ok(())
        })?;
        // Kept, so that the session stays.
        let _peer = eventually(BOUND, "a session", || {
            let mut peer = RawPeer::connect(&right, SUBJECT[0])?;
            peer.handshake(64502, Ipv4Addr::new(10, 0, 0, 2), 9, &BOTH_FAMILIES)?;
            Ok(peer)
        })?;
        subject.wait_established(PEER[0])?;
        eventually(SOON, "the hold is over", || {
            let now = shown(&subject)?;
            ensure!(now["idleHold"].is_null(), "{now}");
            Ok(())
        })
    });
}

#[test]
fn a_peer_over_its_prefix_limit_is_held_until_the_limit_is_raised_or_its_time_has_come() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("bird", &["10.0.0.2/24"]))?;
        let limited = |limit: u32, restart: &str| {
            let fields = format!(
                r#"{{{TIMERS}, "maxPrefixes": {limit}, "maxPrefixesRestart": "{restart}"}}"#
            );
            Neighbour::new(PEER[0], 64502).extra(&fields)
        };
        let mut subject = routelet(lab, &left, limited(10, "never"))?;
        let mut theirs = Speaker::new(64502, PEER[0]).neighbour(Neighbour::new(SUBJECT[0], 64501));
        for number in 0..20 {
            theirs = theirs.originate(Origination::new(&format!("198.51.{number}.0/24")));
        }
        let bird = Subject::start(lab, Kind::Bird2, &right, theirs)?;
        let held = |subject: &Subject| {
            let now = shown(subject)?;
            let reason = "sent Cease/Maximum Number of Prefixes Reached";
            ensure!(
                now["state"] == "Idle" && now["idleHold"]["reason"] == reason,
                "{now}"
            );
            Ok(now)
        };
        // BIRD dials every two seconds.
        let now = eventually(SOON, "held", || held(&subject))?;
        ensure!(now["idleHold"]["seconds"].is_null(), "{}", now["idleHold"]);
        always(Duration::from_secs(6), "held", || {
            held(&subject)?;
            ensure!(established_count(&subject)? == 1, "a session meanwhile");
            Ok(())
        })?;
        // A limit that is still too low: a session at once, and a hold that ends by itself.
        let with = |neighbour| Speaker::new(64501, SUBJECT[0]).neighbour(neighbour);
        subject.reconfigure(with(limited(11, "5s")))?;
        // As the agent says how long the hold still lasts, this is no matter of when it is asked.
        let (begin, left) = eventually(SOON, "a second session, and held", || {
            let begin = Instant::now();
            let now = held(&subject)?;
            ensure!(now["establishedCount"] == 2, "{}", now["establishedCount"]);
            let left = now["idleHold"]["seconds"].as_u64();
            let left = left.filter(|left| *left <= 5);
            Ok((begin, left.with_context(|| now["idleHold"].to_string())?))
        })?;
        eventually(SOON, "a third session", || {
            ensure!(
                established_count(&subject)? == 3,
                "{}",
                established_count(&subject)?
            );
            Ok(())
        })?;
        // Shown in whole seconds.
        ensure!(
            begin.elapsed() + Duration::from_secs(1) >= Duration::from_secs(left),
            "after {:?}, though {left} s were left",
            begin.elapsed()
        );
        eventually(SOON, "held again", || held(&subject))?;
        subject.reconfigure(with(limited(20, "never")))?;
        subject.wait_established(PEER[0])?;
        bird.wait_established(SUBJECT[0])?;
        subject.wait_route("198.51.19.0/24", SOON)?;
        let family = &shown(&subject)?["families"][0];
        ensure!(
            family["maxPrefixes"] == 20 && family["prefixWarning"] == 15,
            "{family}"
        );
        Ok(())
    });
}

#[test]
fn a_session_with_a_passive_router_returns_within_the_bound_after_shutdown_or_reset() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::GoBgp)];
    run(&needs, |lab| {
        let (left, right) = lab.pair(("subject", &["10.0.0.1/24"]), ("gobgp", &["10.0.0.2/24"]))?;
        let neighbour = Neighbour::new(PEER[0], 64502).extra(&format!("{{{TIMERS}}}"));
        let subject = routelet(lab, &left, neighbour)?;
        let theirs =
            Speaker::new(64502, PEER[0]).neighbour(Neighbour::new(SUBJECT[0], 64501).passive());
        let gobgp = Subject::start(lab, Kind::GoBgp, &right, theirs)?;
        subject.wait_established(PEER[0])?;
        // Often enough that a wait which doubles without a bound would be seen.
        for round in 0..4 {
            gobgp.ask(&["gobgp", "neighbor", SUBJECT[0], "disable"])?;
            eventually(SOON, "down", || {
                let now = shown(&subject)?;
                let received = &now["lastErrorReceived"];
                ensure!(
                    received["code"] == 6 && received["subcode"] == 2,
                    "{received}"
                );
                ensure!(subject.session(PEER[0])?.state != State::Established);
                Ok(())
            })?;
            // It is dialled, and closes at once, several times.
            always(Duration::from_secs(3), "down", || {
                ensure!(established_count(&subject)? == round + 1);
                Ok(())
            })?;
            gobgp.ask(&["gobgp", "neighbor", SUBJECT[0], "enable"])?;
            eventually(BOUND, "a session again", || {
                ensure!(
                    established_count(&subject)? == round + 2,
                    "{}",
                    shown(&subject)?
                );
                Ok(())
            })?;
        }
        Ok(())
    });
}

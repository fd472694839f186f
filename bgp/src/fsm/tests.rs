//! Tables: what is refused with what, and what retains routes.
#![allow(clippy::unwrap_used)]

mod bfd;
mod collision;
mod connect;
mod negotiated;
mod peer;
mod retention;

use std::time::{Duration, Instant};

use super::negotiate::open;
use super::{
    Config, Down, GracefulRestartConfig, Input, Negotiated, Output, Outputs, Peer, Received,
    RemoteAsn, State, negotiate,
};
use crate::types::{Asn, BgpIdentifier, Family};
use crate::wire::capability::{GracefulRestart, Role};
use crate::wire::{Capability, Notification, NotificationCode as Code, Open};

fn config(asn: u32, id: u32) -> Config {
    Config::new(Asn(asn), BgpIdentifier(id), RemoteAsn::Any, 1)
}

fn graceful(notification: bool) -> Config {
    let mut config = config(1, 1);
    config.graceful_restart = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(120),
        notification,
        families: vec![(Family::IPV4_UNICAST, true)],
    });
    config
}

#[test]
fn rfc_4271_6_2_each_unacceptable_open_is_refused_with_its_own_notification() {
    let refusal = |change_local: fn(&mut Config), change_remote: fn(&mut Open)| {
        let mut local = config(1, 1);
        change_local(&mut local);
        let mut remote = open(&config(2, 2), false);
        change_remote(&mut remote);
        negotiate(&local, &remote).err().map(|message| message.code)
    };
    assert_eq!(refusal(|_| {}, |_| {}), None);
    let internal = |local: &mut Config| local.remote_asn = RemoteAsn::Internal;
    assert_eq!(refusal(internal, |_| {}), Some(Code::BAD_PEER_AS));
    let number = |local: &mut Config| local.remote_asn = RemoteAsn::Number(Asn::TRANS);
    assert_eq!(
        refusal(number, |remote| remote.asn = Asn::TRANS),
        Some(Code::BAD_PEER_AS)
    );
    assert_eq!(
        refusal(|_| {}, |remote| remote.asn = Asn(0)),
        Some(Code::BAD_PEER_AS)
    );
    let zero = |remote: &mut Open| remote.identifier = BgpIdentifier(0);
    assert_eq!(refusal(|_| {}, zero), Some(Code::BAD_BGP_IDENTIFIER));
    // RFC 6286: equal identifiers are an error within an AS only.
    let same = |remote: &mut Open| remote.identifier = BgpIdentifier(1);
    assert_eq!(refusal(|_| {}, same), None);
    assert_eq!(
        refusal(|local| local.local_asn = Asn(2), same),
        Some(Code::BAD_BGP_IDENTIFIER)
    );
    assert_eq!(
        refusal(|_| {}, |remote| remote.hold_time = 2),
        Some(Code::UNACCEPTABLE_HOLD_TIME)
    );
    let ipv6 = |local: &mut Config| local.families = vec![Family::IPV6_UNICAST];
    let silent = |remote: &mut Open| remote.capabilities.clear();
    assert_eq!(refusal(ipv6, silent), Some(Code::UNSUPPORTED_CAPABILITY));
    assert_eq!(refusal(|_| {}, silent), None);
    let provider = |local: &mut Config| local.role = Some(Role::Provider);
    let peer = |remote: &mut Open| remote.capabilities.push(Capability::Role(Role::Peer));
    assert_eq!(refusal(provider, peer), Some(Code::ROLE_MISMATCH));
    let customer = |remote: &mut Open| remote.capabilities.push(Capability::Role(Role::Customer));
    assert_eq!(refusal(provider, customer), None);
    assert_eq!(refusal(provider, |_| {}), None);
    let strict = |local: &mut Config| {
        local.role = Some(Role::Provider);
        local.role_strict = true;
    };
    assert_eq!(refusal(strict, |_| {}), Some(Code::ROLE_MISMATCH));
}

const ROLES: [Role; 5] = [
    Role::Provider,
    Role::RouteServer,
    Role::RouteServerClient,
    Role::Customer,
    Role::Peer,
];

/// A peer in AS 2 that sends these roles, met by a speaker in AS 1 (or `asn`) with this one.
fn met(asn: u32, role: Option<Role>, strict: bool, sent: &[Role]) -> Result<Negotiated, Code> {
    let mut local = config(asn, 1);
    (local.role, local.role_strict) = (role, strict);
    let mut remote = open(&config(2, 2), false);
    let sent = sent.iter().map(|role| Capability::Role(*role));
    remote.capabilities.extend(sent);
    negotiate(&local, &remote).map_err(|message| message.code)
}

#[test]
fn rfc_9234_4_2_the_local_role_decides_whether_or_not_the_peer_sends_one() {
    for ours in ROLES {
        let theirs = ours.counterpart();
        let silent = met(1, Some(ours), false, &[]).unwrap();
        assert_eq!((silent.peer_role, silent.announced_role), (theirs, None));
        let strict = met(1, Some(ours), true, &[]);
        assert_eq!(strict.err(), Some(Code::ROLE_MISMATCH), "{ours}");
        for sent in ROLES.into_iter().chain([Role::Unknown(9)]) {
            for strict in [false, true] {
                let met = met(1, Some(ours), strict, &[sent, sent]);
                match met {
                    Ok(met) => {
                        assert_eq!(Some(sent), theirs, "{ours} meets {sent}");
                        assert_eq!((met.peer_role, met.announced_role), (theirs, theirs));
                    }
                    Err(code) => {
                        assert_ne!(Some(sent), theirs, "{ours} meets {sent}");
                        assert_eq!(code, Code::ROLE_MISMATCH);
                    }
                }
            }
        }
    }
    // Section 5 goes by the role of the local AS: what the peer says alone turns nothing on.
    for sent in ROLES {
        let met = met(1, None, false, &[sent]).unwrap();
        assert_eq!((met.peer_role, met.announced_role), (None, Some(sent)));
    }
}

#[test]
fn rfc_9234_4_2_roles_that_differ_are_refused_whatever_ours_is() {
    for ours in ROLES.into_iter().map(Some).chain([None]) {
        let met = met(1, ours, false, &[Role::Provider, Role::Customer]);
        assert_eq!(met.err(), Some(Code::ROLE_MISMATCH), "{ours:?}");
    }
}

#[test]
fn rfc_9234_roles_are_neither_sent_to_internal_peers_nor_used_with_them() {
    for sent in [&[][..], &[Role::Peer], &[Role::Provider, Role::Customer]] {
        let met = met(2, Some(Role::Provider), true, sent).unwrap();
        assert_eq!((met.peer_role, met.announced_role), (None, None));
    }
    for (remote_asn, told) in [
        (RemoteAsn::Internal, false),
        (RemoteAsn::Number(Asn(1)), false),
        (RemoteAsn::Number(Asn(2)), true),
        (RemoteAsn::External, true),
    ] {
        let with = |role| Config {
            remote_asn,
            role,
            role_strict: role.is_some(),
            ..config(1, 1)
        };
        let provider = with(Some(Role::Provider));
        let sent = open(&provider, false)
            .capabilities
            .contains(&Capability::Role(Role::Provider));
        assert_eq!(sent, told, "{remote_asn}");
        // No session ends for a setting that it does not use.
        assert_eq!(with(None).needs_reset(&provider), told, "{remote_asn}");
    }
}

#[test]
fn rfc_7947_2_2_2_1_the_first_as_is_not_checked_towards_a_configured_route_server_only() {
    for ours in ROLES.into_iter().map(Some).chain([None]) {
        let met = met(1, ours, false, &[]).unwrap();
        let checked = ours != Some(Role::RouteServerClient);
        assert_eq!(met.first_as, checked.then_some(Asn(2)), "{ours:?}");
    }
    // What a peer says of itself does not switch the check off.
    let met = met(1, None, false, &[Role::RouteServer]).unwrap();
    assert_eq!(met.first_as, Some(Asn(2)));
}

#[test]
fn rfc_4724_3_only_the_first_opens_after_a_start_say_restarting() {
    let restarting = |out: &Outputs| {
        out.iter().find_map(|output| match output {
            Output::SendOpen(_, open) => open.capabilities.iter().find_map(|one| match one {
                Capability::GracefulRestart(GracefulRestart { restarting, .. }) => {
                    Some(*restarting)
                }
                _ => None,
            }),
            _ => None,
        })
    };
    let now = Instant::now();
    let mut peer = Peer::new(graceful(true), Some(now + Duration::from_secs(120)));
    let mut out = Outputs::new();
    peer.handle(now, Input::Start, &mut out);
    let Some(Output::Connect(id)) = out.pop() else {
        panic!("no attempt at once")
    };
    peer.handle(now, Input::Connected(id), &mut out);
    assert_eq!(restarting(&out), Some(true));
    peer.handle(
        now,
        Input::Received(id, Received::Open(&open(&config(2, 2), false))),
        &mut out,
    );
    peer.handle(now, Input::Received(id, Received::Keepalive), &mut out);
    peer.handle(now, Input::Closed(id), &mut out);
    out.clear();
    peer.handle(now, Input::Accepted, &mut out);
    assert_eq!(restarting(&out), Some(false));
}

#[test]
fn rfc_6608_a_message_out_of_place_is_answered_with_the_state_and_its_type() {
    let now = Instant::now();
    let mut config_without_hold = config(1, 1);
    // Else the second connection is refused.
    config_without_hold.idle_hold_max = Duration::ZERO;
    let mut peer = Peer::new(config_without_hold, None);
    let mut out = Outputs::new();
    let remote = open(&config(2, 2), false);
    peer.handle(now, Input::Start, &mut out);
    let mut told = |before: &[Received<'_>], last: Received<'_>| {
        out.clear();
        peer.handle(now, Input::Accepted, &mut out);
        let Some(Output::Accept(id)) = out.first().cloned() else {
            panic!("refused")
        };
        for message in before {
            match message {
                Received::Open(open) => {
                    peer.handle(now, Input::Received(id, Received::Open(open)), &mut out);
                }
                _ => peer.handle(now, Input::Received(id, Received::Keepalive), &mut out),
            }
        }
        peer.handle(now, Input::Received(id, last), &mut out);
        out.iter().find_map(|output| match output {
            Output::Close(_, Some(message)) => Some(message.clone()),
            _ => None,
        })
    };
    // The data is the type of the message.
    let answer = |code, kind: u8| Some(Notification::with_data(code, vec![kind]));
    for (message, kind) in [
        (Received::Keepalive, 4),
        (Received::Update, 2),
        (Received::RouteRefresh, 5),
    ] {
        assert_eq!(told(&[], message), answer(Code::FSM_OPEN_SENT, kind));
    }
    for (message, kind) in [
        (Received::Open(&remote), 1),
        (Received::Update, 2),
        (Received::RouteRefresh, 5),
    ] {
        assert_eq!(
            told(&[Received::Open(&remote)], message),
            answer(Code::FSM_OPEN_CONFIRM, kind)
        );
    }
    let established = [Received::Open(&remote), Received::Keepalive];
    assert_eq!(
        told(&established, Received::Open(&remote)),
        answer(Code::FSM_ESTABLISHED, 1)
    );
}

#[test]
fn rfc_9687_3_2_no_send_hold_timer_runs_with_a_hold_time_of_zero_whatever_is_configured() {
    for send_hold_time in [None, Some(Duration::from_secs(10))] {
        let now = Instant::now();
        let mut local = config(1, 1);
        local.hold_time = None;
        local.send_hold_time = send_hold_time;
        let mut peer = Peer::new(local, None);
        let mut out = Outputs::new();
        peer.handle(now, Input::Start, &mut out);
        peer.handle(now, Input::Accepted, &mut out);
        let accepted = out.iter().find_map(|output| match output {
            Output::Accept(id) => Some(*id),
            _ => None,
        });
        let id = accepted.unwrap();
        let remote = open(&config(2, 2), false);
        peer.handle(now, Input::Received(id, Received::Open(&remote)), &mut out);
        peer.handle(now, Input::Received(id, Received::Keepalive), &mut out);
        assert_eq!(peer.state(), State::Established);
        assert_eq!(peer.deadline(), None, "{send_hold_time:?}");
        // Nor does it once something was sent.
        peer.handle(now, Input::Progressed(id, now), &mut out);
        peer.handle(now, Input::Heard(id, now), &mut out);
        assert_eq!(peer.deadline(), None, "{send_hold_time:?}");
    }
}

#[test]
fn a_peer_that_restarts_gracefully_may_dial_twice_and_its_sessions_end_once_each() {
    let mut now = Instant::now();
    let mut local = graceful(true);
    local.passive = true;
    let mut peer = Peer::new(local, None);
    let mut out = Outputs::new();
    let remote = open(
        &Config {
            local_asn: Asn(2),
            local_id: BgpIdentifier(2),
            ..graceful(true)
        },
        false,
    );
    peer.handle(now, Input::Start, &mut out);
    let mut ended = Vec::new();
    let mut last = None;
    for _ in 0..4 {
        // Two connections, of which the peer goes on with the second, while routes of the session before are retained.
        let mut ids = Vec::new();
        for _ in 0..2 {
            out.clear();
            peer.handle(now, Input::Accepted, &mut out);
            let Some(Output::Accept(id)) = out.first().cloned() else {
                panic!("refused: {out:?}")
            };
            ids.push(id);
            assert_eq!(
                out.iter()
                    .filter(|one| matches!(one, Output::Down(..)))
                    .count(),
                0
            );
        }
        out.clear();
        peer.handle(
            now,
            Input::Received(ids[1], Received::Open(&remote)),
            &mut out,
        );
        peer.handle(now, Input::Received(ids[1], Received::Keepalive), &mut out);
        let downs = out.iter().filter_map(|output| match output {
            Output::Down(id, reason) => Some((*id, reason.clone())),
            _ => None,
        });
        ended.extend(downs);
        if let Some(before) = last.replace(ids[1]) {
            assert_eq!(ended.pop(), Some((before, Down::PeerRestarted)));
        }
        assert_eq!(ended, []);
        assert_eq!(peer.state(), State::Established);
        now += Duration::from_secs(70);
        peer.handle(now, Input::Heard(ids[1], now), &mut out);
    }
}

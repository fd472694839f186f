//! One peer with everything that is known of it.

use routelet_control::model::{BfdSession, Peer, RestartState, SessionError};

use super::place;
use crate::cli::screen::Screen;
use crate::cli::table::{Pages, number, prose, text};
use crate::cli::words::{commas, count, group, or_dash, time};

pub(super) fn detail(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    let mut rows = Rows(screen);
    rows.0.line(&peer.name)?;
    rows.row("Asked for by", &peer.object)?;
    rows.row(
        "Peer",
        format!(
            "{}, AS {}, {}{}",
            place(peer),
            or_dash(peer.asn),
            peer.role,
            if peer.passive { ", passive" } else { "" }
        ),
    )?;
    rows.row(
        "State",
        format!("{} for {}", peer.state, time(peer.state_seconds)),
    )?;
    if let Some(blocked) = &peer.blocked {
        rows.row("Blocked", blocked)?;
    }
    if let Some(hold) = &peer.idle_hold {
        let until = match hold.seconds {
            Some(seconds) => format!("for {}", time(seconds)),
            None => format!(
                "until `routelet peer reset {}` or a change of its configuration",
                peer.name
            ),
        };
        rows.row("Held Idle", format!("{until}: {}", hold.reason))?;
    }
    if let Some(seconds) = peer.next_attempt_seconds {
        rows.row("Next attempt", format!("in {}", time(seconds)))?;
    }
    session(peer, &mut rows)?;
    errors(peer, &mut rows)?;
    rows.row(
        "Policies",
        format!(
            "import {}; export {}",
            names(&peer.import),
            names(&peer.export)
        ),
    )?;
    rows.row("Advertisements", names(&peer.advertisements))?;
    families(peer, rows.0)?;
    messages(peer, rows.0)?;
    capabilities(peer, rows.0)
}

fn session(peer: &Peer, rows: &mut Rows<'_>) -> anyhow::Result<()> {
    if let (Some(local), Some(remote)) = (peer.local_address, peer.remote_address) {
        rows.row("Connection", format!("{local} to {remote}"))?;
    }
    if let Some(id) = peer.router_id {
        let host = peer.host.as_ref().map(|h| format!(", host name {h}"));
        rows.row("Router ID", format!("{id}{}", host.unwrap_or_default()))?;
    }
    match (peer.hold_time_seconds, peer.keepalive_seconds) {
        (Some(0), _) => rows.row("Timers", "no hold time, no keepalives")?,
        (Some(hold), Some(keepalive)) => {
            let ours = peer.configured_hold_time_seconds;
            let theirs = peer.peer_hold_time_seconds;
            let theirs = theirs.map(|time| format!(" (peer announced {time}s, we {ours}s)"));
            let text = format!(
                "hold {hold}s{}, keepalive {keepalive}s",
                theirs.unwrap_or_default()
            );
            rows.row("Timers", text)?;
        }
        _ => rows.row(
            "Timers",
            format!("hold {}s proposed", peer.configured_hold_time_seconds),
        )?,
    }
    if let Some(restart) = &peer.graceful_restart {
        rows.row("Restart", restarting(restart))?;
    }
    if let Some(session) = &peer.bfd {
        rows.row("BFD", bfd(session))?;
        if let Some(down) = &session.last_down {
            let text = format!("{} ago: {down}", time(down.ago_seconds));
            rows.row(
                "BFD down",
                format!("{}; last {text}", count(session.downs.into(), "time")),
            )?;
        }
    }
    Ok(())
}

/// The state of BFD and its times, or why it has none.
fn bfd(session: &BfdSession) -> String {
    let mut text = match session.state {
        Some(state) => state.to_string(),
        None => "no session".to_owned(),
    };
    if let Some(state) = session
        .peer_state
        .filter(|state| Some(*state) != session.state)
    {
        text.push_str(&format!(" (peer {state})"));
    }
    if let Some(interval) = session.transmit_interval_milliseconds {
        text.push_str(&format!(", interval {interval}ms"));
    }
    if let Some(detection) = session.detection_time_milliseconds {
        text.push_str(&format!(", detection time {detection}ms"));
    }
    if session.multihop {
        text.push_str(", multihop");
    }
    if let Some(problem) = &session.problem {
        text.push_str(&format!(": {problem}"));
    }
    text
}

/// What was agreed on about restarts, and what of it is done here.
fn restarting(restart: &RestartState) -> String {
    let mut text = format!("{}s asked by the peer", restart.restart_time_seconds);
    if !restart.used {
        text.push_str(", not used: graceful restart is disabled here");
    }
    if restart.restarting {
        text.push_str(", it had restarted");
    }
    if restart.notification {
        text.push_str(", also after NOTIFICATIONs");
    }
    if let Some(asked) = restart.long_lived_seconds {
        text.push_str(&format!(", long-lived {}", time(asked)));
        if let Some(kept) = restart.long_lived_kept_seconds.filter(|kept| *kept < asked) {
            let kept = time(kept);
            text.push_str(&format!(" (kept for {kept}: maxLongLivedStaleTime)"));
        }
    }
    if !restart.families.is_empty() {
        let families = restart.families.iter().map(|one| match one.forwarding {
            true => format!("{} (forwarding kept)", one.family),
            false => one.family.clone(),
        });
        text.push_str(&format!(": {}", commas(families)));
    }
    text
}

fn errors(peer: &Peer, rows: &mut Rows<'_>) -> anyhow::Result<()> {
    let falls = peer.downs.iter().map(|down| {
        let reason = down.class.as_label().replace('_', " ");
        format!("{reason} {}", down.count)
    });
    let falls = commas(falls);
    let text = match (peer.established_count, falls.as_str()) {
        (0, _) => "never established".to_owned(),
        (times, "") => format!("established {}", count(times, "time")),
        (times, falls) => format!("established {}; closed by {falls}", count(times, "time")),
    };
    rows.row("History", text)?;
    let mut error = |label, error: &Option<SessionError>| match error {
        Some(e) => rows.row(label, format!("{} ago: {e}", time(e.ago_seconds))),
        None => Ok(()),
    };
    error("Last fall", &peer.last_down)?;
    error("Last sent", &peer.last_error_sent)?;
    error("Last received", &peer.last_error_received)?;
    error("Last connect", &peer.last_connect_error)
}

fn families(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    if peer.families.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    let columns = [
        text("FAMILY"),
        number("RECEIVED"),
        number("ACCEPTED"),
        number("USED"),
        number("STALE"),
        number("ADVERTISED"),
        number("LIMIT"),
        text("END-OF-RIB"),
    ];
    let mut pages = Pages::new(&columns);
    for f in &peer.families {
        let ends = match (f.negotiated, f.end_of_rib_received, f.end_of_rib_sent) {
            (false, ..) if f.announced => "not negotiated: not offered here",
            (false, ..) => "not negotiated",
            (true, true, true) => "both ways",
            (true, true, false) => "received, not sent yet",
            (true, false, true) => "sent, not received yet",
            (true, false, false) => "not yet",
        };
        let numbers = [f.received, f.accepted, f.best, f.stale, f.advertised];
        let mut row = vec![f.family.to_string()];
        row.extend(numbers.map(group));
        row.push(or_dash(f.max_prefixes));
        row.push(ends.to_owned());
        pages.row(screen, row)?;
    }
    pages.end(screen)?;
    own_next_hops(peer, screen)?;
    limits(peer, screen)
}

/// The next hop of this node's own routes, by family.
fn own_next_hops(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    for f in peer.families.iter().filter(|f| f.negotiated) {
        match (&f.own_next_hop, &f.no_next_hop) {
            (Some(next_hop), _) => {
                screen.line(format!("{}: own next hop {next_hop}", f.family))?;
            }
            (None, Some(why)) => {
                screen.line(format!(
                    "{}: this node's routes are not advertised: {why}",
                    f.family
                ))?;
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// What is limited of the peer's routes, and which of ours are too large for it.
fn limits(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    for f in &peer.families {
        if let Some(limit) = f.max_received_prefixes {
            let (family, limit) = (f.family, group(limit.into()));
            screen.line(format!(
                "{family}: at most {limit} prefixes may be received"
            ))?;
        }
    }
    if peer.next_hops > 0 {
        screen.line(format!(
            "{} of at most {} distinct next hops, about {} bytes of memory",
            group(peer.next_hops.into()),
            group(peer.max_next_hops.into()),
            group(peer.memory_bytes)
        ))?;
    }
    for f in peer.families.iter().filter(|f| f.too_large > 0) {
        screen.line(format!(
            "{}: {} not advertised, because their attributes exceed the message size of this peer: routelet routes \
             advertised --peer {}",
            f.family,
            group(f.too_large),
            peer.name
        ))?;
    }
    Ok(())
}

fn messages(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    screen.line("")?;
    let columns = [text("MESSAGES"), number("SENT"), number("RECEIVED")];
    let mut pages = Pages::new(&columns);
    let received = peer.messages_received.by_type();
    for ((kind, sent), (_, received)) in peer.messages_sent.by_type().into_iter().zip(received) {
        pages.row(screen, vec![kind.to_owned(), group(sent), group(received)])?;
    }
    pages.end(screen)?;
    if peer.updates_malformed > 0 {
        screen.line(format!(
            "{} handled without a reset (RFC 7606)",
            count(peer.updates_malformed, "malformed update")
        ))?;
    }
    if peer.attributes_filtered > 0 {
        screen.line(format!(
            "{} discarded or treated as withdrawn (by attributeFilter or by default)",
            count(peer.attributes_filtered, "attribute")
        ))?;
    }
    if peer.output_queue_bytes > 0 {
        screen.line(format!(
            "{} not yet read by the peer",
            count(peer.output_queue_bytes, "byte")
        ))?;
    }
    Ok(())
}

fn capabilities(peer: &Peer, screen: &mut Screen) -> anyhow::Result<()> {
    if peer.capabilities.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    let columns = [text("CAPABILITY"), text("LOCAL"), text("PEER"), prose("")];
    let mut pages = Pages::new(&columns);
    let yes = |holds| if holds { "yes" } else { "-" }.to_owned();
    for capability in &peer.capabilities {
        let row = vec![
            capability.name.clone(),
            yes(capability.ours),
            yes(capability.theirs),
            capability.detail.clone().unwrap_or_default(),
        ];
        pages.row(screen, row)?;
    }
    pages.end(screen)?;
    Ok(())
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        commas(names)
    }
}

/// Lines of a label and a value.
struct Rows<'a>(&'a mut Screen);

impl Rows<'_> {
    fn row(&mut self, label: &str, value: impl AsRef<str>) -> anyhow::Result<()> {
        Ok(self.0.line(format!("  {label:16}{}", value.as_ref()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_shown_as_the_peer_asks_for_it_and_as_it_is_done() {
        let mut restart = RestartState {
            restart_time_seconds: 120,
            used: true,
            ..RestartState::default()
        };
        assert_eq!(restarting(&restart), "120s asked by the peer");
        restart.long_lived_seconds = Some(3600);
        restart.long_lived_kept_seconds = Some(3600);
        let text = "120s asked by the peer, long-lived 1h0m";
        assert_eq!(restarting(&restart), text);
        restart.long_lived_kept_seconds = Some(60);
        let text = "120s asked by the peer, long-lived 1h0m (kept for 1m0s: maxLongLivedStaleTime)";
        assert_eq!(restarting(&restart), text);
    }
}

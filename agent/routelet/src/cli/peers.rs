//! `routelet peers`: all sessions in a table, or one of them with everything that is known.

mod detail;

use routelet_control::Client;
use routelet_control::model::{Peer, PeerFamily};

use super::screen::Screen;
use super::table::{Pages, number, prose, text};
use super::words::{count, group, or_dash, time};
use detail::detail;

/// Show the peers and their sessions; with a NAME, everything about one
#[derive(Debug, clap::Args)]
pub(super) struct Peers {
    /// Only this peer, in detail
    name: Option<String>,
}

impl Peers {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let peers = client.peers(self.name.clone())?;
        if let (Some(_), [peer]) = (&self.name, peers.as_slice()) {
            if !screen.data(peer)? {
                detail(peer, screen)?;
            }
            return Ok(());
        }
        if screen.data(&peers)? {
            return Ok(());
        }
        table(&peers, screen)
    }
}

fn table(peers: &[Peer], screen: &mut Screen) -> anyhow::Result<()> {
    let columns = [
        text("NAME"),
        text("ADDRESS"),
        text("AS"),
        text("STATE"),
        text("FOR"),
        number("RECEIVED"),
        number("ACCEPTED"),
        number("ADVERTISED"),
        prose("NOTE"),
    ];
    let mut pages = Pages::new(&columns);
    for peer in peers {
        let sum = |value: fn(&PeerFamily) -> u64| {
            let kept = peer.families.iter().any(|f| f.stale > 0);
            if peer.is_established() || kept {
                group(peer.families.iter().map(value).sum())
            } else {
                "-".to_owned()
            }
        };
        let row = vec![
            peer.name.clone(),
            place(peer),
            or_dash(peer.asn),
            peer.state.to_string(),
            time(peer.state_seconds),
            sum(|f| f.received),
            sum(|f| f.accepted),
            sum(|f| f.advertised),
            note(peer),
        ];
        pages.row(screen, row)?;
    }
    if !pages.end(screen)? {
        screen.note("No peers: no Peer object selects this node, and there is no mesh.")?;
    }
    Ok(())
}

fn place(peer: &Peer) -> String {
    match (peer.address, &peer.interface) {
        (Some(address), Some(interface)) => format!("{address}%{interface}"),
        (Some(address), None) => address.to_string(),
        (None, Some(interface)) => interface.clone(),
        (None, None) => "-".to_owned(),
    }
}

/// What a person should know about the peer at a glance.
fn note(peer: &Peer) -> String {
    let mut notes = Vec::new();
    notes.extend(peer.trouble());
    let stale: u64 = peer.families.iter().map(|f| f.stale).sum();
    if stale > 0 {
        notes.push(format!("{} kept while it restarts", count(stale, "route")));
    }
    let silent = peer
        .families
        .iter()
        .filter(|f| peer.is_established() && !f.negotiated);
    for family in silent {
        notes.push(format!("{} not negotiated", family.family));
    }
    for f in &peer.families {
        if let (Some(limit), Some(warning)) = (f.max_prefixes, f.prefix_warning)
            && f.accepted > u64::from(warning)
        {
            let (accepted, limit) = (group(f.accepted), group(limit.into()));
            notes.push(format!(
                "{accepted} of at most {limit} {} prefixes",
                f.family
            ));
        }
    }
    for f in peer.families.iter().filter(|f| f.paths_refused > 0) {
        notes.push(format!(
            "{} of {} ignored: more than {} of one prefix",
            count(f.paths_refused, "path"),
            f.family,
            group(f.max_paths_per_prefix.into())
        ));
    }
    let refused: u64 = peer.families.iter().map(|f| f.next_hops_refused).sum();
    if refused > 0 {
        notes.push(format!(
            "{} rejected: more than {} distinct next hops",
            count(refused, "path"),
            group(peer.max_next_hops.into())
        ));
    }
    if peer.updates_malformed > 0 {
        notes.push(count(peer.updates_malformed, "malformed update"));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use routelet_control::model::{IdleHold, SessionState};

    use super::*;
    use crate::contract::fake;

    fn peer(name: &str) -> Peer {
        let mut peers = fake::peers().into_iter();
        peers.find(|peer| peer.name == name).unwrap()
    }

    #[test]
    fn a_peer_near_its_prefix_limit_is_noted_and_one_at_the_share_is_not() {
        let mut near = peer("tor-a");
        near.updates_malformed = 0;
        near.families[0].paths_refused = 0;
        near.families[0].next_hops_refused = 0;
        for (accepted, noted) in [
            (750, ""),
            (751, "751 of at most 1,000 ipv4-unicast prefixes"),
        ] {
            near.families[0].accepted = accepted;
            assert_eq!(note(&near), noted);
        }
    }

    #[test]
    fn paths_that_were_kept_out_by_a_limit_are_noted() {
        let mut peer = peer("tor-a");
        peer.updates_malformed = 0;
        (
            peer.families[0].paths_refused,
            peer.families[0].next_hops_refused,
        ) = (3, 2);
        assert_eq!(
            note(&peer),
            "3 paths of ipv4-unicast ignored: more than 256 of one prefix; \
             2 paths rejected: more than 32,768 distinct next hops"
        );
        peer.families[0].paths_refused = 0;
        peer.families[0].next_hops_refused = 1;
        assert_eq!(
            note(&peer),
            "1 path rejected: more than 32,768 distinct next hops"
        );
    }

    #[test]
    fn a_held_peer_says_why_and_how_it_is_released_but_not_a_time_that_runs() {
        let mut held = peer("tor-b");
        held.state = SessionState::Idle;
        let reason = "sent Cease/Maximum Number of Prefixes Reached".to_owned();
        for (seconds, text) in [
            (Some(299), "held Idle: "),
            (
                None,
                "held Idle until it is reset or its configuration changes: ",
            ),
        ] {
            let reason = reason.clone();
            let expected = format!("{text}{reason}");
            held.idle_hold = Some(IdleHold { seconds, reason });
            assert_eq!(held.trouble(), Some(expected));
        }
    }
}

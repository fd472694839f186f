//! What End-of-RIB and convergence wait for at the start, beyond what the RIB sees by itself: Services that wait for kube-proxy,
//! and peers that are not configured one by one. The rule is the RIB's (`rib::facade::convergence`).

use std::time::{Duration, Instant};

use rib::{Expected, PeerKind};
use routelet_core::intent::{Intent, PeerTarget};

use super::Runtime;
use super::rib_thread::Command;

/// How often the kernel's routes of a predecessor are counted while peers are awaited that had announced them.
const COUNT: Duration = Duration::from_millis(250);

/// The routes of a predecessor in the kernel that nobody has announced again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adopted {
    /// No routes are installed, so that there never were any.
    Never,
    /// So many.
    Count(u64),
    /// There may be some: nothing is written so far, and nobody has looked.
    Unknown,
}

/// Which peers may come that are not configured one by one, and whether some of them would be clients of ours.
fn expected(intent: &Intent, adopted: Adopted) -> (Expected, bool) {
    let is_range = |target: &PeerTarget| matches!(target, PeerTarget::Range { .. });
    let ranges = intent.peers.iter().filter(|peer| is_range(&peer.target));
    let clients = ranges
        .clone()
        .any(|range| range.config.kind == PeerKind::ReflectorClient);
    let has_ranges = ranges.count() > 0;
    let who = match adopted {
        _ if !has_ranges && !intent.peers.is_empty() => Expected::Nobody,
        Adopted::Count(1..) | Adopted::Unknown => Expected::Returning,
        // None of their routes is in the kernel: of a node that was switched off, or guard rails kept them out.
        Adopted::Count(0) | Adopted::Never if has_ranges => Expected::Perhaps,
        Adopted::Count(0) | Adopted::Never => Expected::Nobody,
    };
    (who, clients)
}

/// What the RIB was last given about such peers.
pub(super) struct Awaited {
    who: Expected,
    clients: bool,
    /// How many routes there were then, and when they were counted.
    adopted: Adopted,
    counted: Instant,
    /// Routes of such peers were there, and all of them have been announced again: nobody else is waited for.
    has_returned: bool,
}

impl Awaited {
    /// As the RIB has it at first.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            who: Expected::Nobody,
            clients: false,
            adopted: Adopted::Never,
            counted: now,
            has_returned: false,
        }
    }
}

impl Runtime {
    /// Has the RIB wait for peers that are not configured one by one, as long as some may have been there before.
    pub(super) async fn expect(&mut self) -> anyhow::Result<()> {
        if self.shared.has_converged() && self.expected.who == Expected::Nobody {
            return Ok(());
        }
        let adopted = match self.intent.router.fib {
            None => Adopted::Never,
            Some(_) => self.fib.adopted().map_or(Adopted::Unknown, Adopted::Count),
        };
        let (mut who, clients) = expected(&self.intent, adopted);
        let mut has_returned = self.expected.has_returned;
        has_returned |=
            matches!(self.expected.adopted, Adopted::Count(1..)) && adopted == Adopted::Count(0);
        if has_returned && who == Expected::Perhaps {
            who = Expected::Nobody;
        }
        if (who, clients) != (self.expected.who, self.expected.clients) {
            self.rib.send(Command::Expect(who, clients)).await?;
        }
        self.expected = Awaited {
            who,
            clients,
            adopted,
            counted: Instant::now(),
            has_returned,
        };
        self.shared.set_returning(who == Expected::Returning);
        Ok(())
    }

    /// When the kernel's routes are to be counted again.
    pub(super) fn count_again(&self) -> Option<Instant> {
        let waits = self.expected.who == Expected::Returning && !self.shared.has_converged();
        waits.then(|| self.expected.counted + COUNT)
    }

    /// Has End-of-RIB wait while Services wait: peers that kept them over a restart would take them for withdrawn.
    pub(super) async fn hold_end_of_rib(&mut self) -> anyhow::Result<()> {
        let hold = self.presence.waits_for_kube_proxy();
        if hold != self.holds_end_of_rib {
            self.rib.send(Command::HoldEndOfRib(hold)).await?;
            self.holds_end_of_rib = hold;
        }
        Ok(())
    }

    /// Has it wait for Services no longer.
    pub(super) async fn release_end_of_rib(&mut self) -> anyhow::Result<()> {
        self.rib.send(Command::HoldEndOfRib(false)).await?;
        self.holds_end_of_rib = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use routelet_core::cluster::manifests;
    use routelet_core::intent::{LocalFacts, Phase, Planner};

    use super::*;

    const ONE: &str = "tor, spec: {address: 192.0.2.1, asn: 64501}";
    const RANGE: &str = "racks, spec: {range: 10.0.0.0/24, asn: external}";
    const CLIENTS: &str =
        "nodes, spec: {range: 10.1.0.0/24, asn: internal, routeReflectorClient: true}";

    fn intent(peers: &[&str]) -> Arc<Intent> {
        let directory = tempfile::tempdir().unwrap();
        let mut text = String::from(
            "apiVersion: routelet.dev/v1alpha1\nkind: Router\nmetadata: {name: default}\n\
             spec: {asn: 64512, routerID: 10.0.0.9}\n",
        );
        for peer in peers {
            let (name, spec) = peer.split_once(", spec: ").unwrap();
            text += &format!(
                "---\napiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            );
        }
        std::fs::write(directory.path().join("all.yaml"), text).unwrap();
        let snapshot = manifests::load(directory.path()).unwrap();
        assert_eq!(snapshot.problems.len(), 0, "{:?}", snapshot.problems);
        let mut planner = Planner::new("node-1");
        let facts = LocalFacts::default();
        let (intent, _) = planner.plan(&snapshot.state, &facts, Phase::default());
        assert_eq!(intent.peers.len(), peers.len(), "{:?}", intent.warnings);
        intent
    }

    #[test]
    fn adopted_routes_are_waited_for_where_their_peers_may_not_be_configured() {
        use Adopted::{Count, Never, Unknown};
        use Expected::{Nobody, Perhaps, Returning};
        for (peers, adopted, who) in [
            (&[][..], Count(0), Nobody),
            (&[], Count(7), Returning),
            (&[], Never, Nobody),
            (&[ONE], Count(0), Nobody),
            // Whoever is configured is waited for by name, and nobody else has announced them.
            (&[ONE], Count(7), Nobody),
            (&[ONE], Never, Nobody),
            (&[RANGE], Count(0), Perhaps),
            (&[RANGE], Count(7), Returning),
            (&[RANGE], Never, Perhaps),
            (&[ONE, RANGE], Count(7), Returning),
            (&[ONE, RANGE], Never, Perhaps),
            (&[], Unknown, Returning),
            (&[ONE], Unknown, Nobody),
            (&[RANGE], Unknown, Returning),
        ] {
            let found = expected(&intent(peers), adopted);
            assert_eq!(found, (who, false), "{peers:?} {adopted:?}");
        }
        let found = expected(&intent(&[RANGE, CLIENTS]), Count(7));
        assert_eq!(found, (Returning, true));
    }
}

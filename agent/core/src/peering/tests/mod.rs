//! Claims about the machine. What is wanted is written as manifests, since that is what people write.
#![allow(clippy::unwrap_used)]

mod awaited;
mod changes;
mod passwords;
mod ranges;
mod retries;

use std::fs;

use bgp::fsm::State;
use routelet_fib::kernel::event::{Event, Link, Presence};
use routelet_fib::types::MAIN_TABLE;

use super::*;
use crate::cluster::manifests;
use crate::intent::{LocalFacts, intend};

/// An object of ours.
fn ours(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: routelet.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn peer(name: &str, spec: &str) -> String {
    ours("Peer", name, spec)
}

/// A Peer in AS 64501 at 192.0.2.1; `more`: further fields.
fn tor(name: &str, more: &str) -> String {
    peer(name, &format!("{{address: 192.0.2.1, asn: 64501, {more}}}"))
}

/// A range of two peers.
fn racks(more: &str) -> String {
    let spec = format!("{{range: 10.0.0.0/24, asn: external, maxPeers: 2, {more}}}");
    peer("racks", &spec)
}

/// A node at 192.0.2.NUMBER.
fn node(number: u8, labels: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{number}, labels: {{{labels}}}}}\n\
         status: {{addresses: [{{type: InternalIP, address: 192.0.2.{number}}}]}}\n"
    )
}

/// What the agent of n11 has to do.
fn intent(manifests: &str) -> Arc<crate::intent::Intent> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("all.yaml"), manifests).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    assert_eq!(snapshot.problems.len(), 0, "{:?}", snapshot.problems);
    intend(&snapshot.state, "n11", &LocalFacts::default())
}

/// The machine, its time, and who is its owner.
struct Owner {
    machine: Peering,
    now: Instant,
}

impl Owner {
    fn new() -> Self {
        Self {
            machine: Peering::default(),
            now: Instant::now(),
        }
    }

    /// What is done for an input, but for what is shown.
    fn feed(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        out.iter().filter_map(words).collect()
    }

    fn want(&mut self, manifests: &str) -> Vec<String> {
        self.feed(Input::Wanted(intent(manifests).peers.clone()))
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// So many seconds later.
    fn look_after(&mut self, seconds: u64) -> Vec<String> {
        self.pass(seconds);
        self.feed(Input::Look)
    }

    /// The session of a peer goes over to this state, for which nothing is to be done.
    fn session(&mut self, number: u32, state: State) {
        assert_eq!(self.goes_over(number, state), [""; 0]);
    }

    /// The session of a peer goes over to this state.
    fn goes_over(&mut self, number: u32, state: State) -> Vec<String> {
        let known = self.machine.peer(PeerId(number)).unwrap();
        let known = *known.facts().unwrap();
        let facts = SessionFacts {
            state,
            since: self.now,
            sessions: known.sessions + u64::from(state == State::Established),
            is_held: false,
            awaits_bfd: false,
        };
        self.feed(Input::Session(PeerId(number), facts))
    }

    /// The kernel has these interfaces.
    fn links(&mut self, links: &[(u32, &str)]) {
        let mut view = KernelView::new(MAIN_TABLE, 1);
        for (ifindex, name) in links {
            let link = Link {
                ifindex: *ifindex,
                name: (*name).to_owned(),
                admin_up: true,
                up: true,
                loopback: false,
            };
            view.apply(Event::Link(Presence::Present, link));
        }
        assert!(self.feed(Input::View(Arc::new(view))).is_empty());
    }

    fn connect(&mut self, remote: &str) -> Vec<String> {
        self.feed(Input::Candidate {
            range: "10.0.0.0/24".parse().unwrap(),
            remote: remote.parse().unwrap(),
        })
    }

    /// Why a peer is blocked.
    fn blocked(&self, number: u32) -> Option<&str> {
        match &self.machine.peer(PeerId(number)).unwrap().run {
            Run::Blocked(reason) => Some(reason),
            Run::Running(_) | Run::Range | Run::Stopped => None,
        }
    }

    fn name(&self, number: u32) -> &str {
        self.machine.peer(PeerId(number)).unwrap().name()
    }
}

fn words(action: &Action) -> Option<String> {
    Some(match action {
        Action::SetRibPeer(id, config) => format!("set {} {:?}", id.0, config.kind),
        Action::SetUnexpected(id) => format!("unexpected {}", id.0),
        Action::RemoveRibPeer(id) => format!("remove {}", id.0),
        Action::Start(id, settings) => format!("start {} {}", id.0, settings.remote),
        Action::Reconfigure(id, _) => format!("reconfigure {}", id.0),
        Action::Stop(id, Stop::Cease(cause)) => format!("stop {} {cause:?}", id.0),
        Action::Stop(id, Stop::Silent) => format!("stop {} silently", id.0),
        Action::Accept(id) => format!("accept {}", id.0),
        Action::Refuse(why) => format!("refuse {why:?}"),
        Action::SetRanges(ranges) => format!("ranges {}", ranges.len()),
        Action::AskKeptRoutes(ids) => {
            format!("ask {:?}", ids.iter().map(|id| id.0).collect::<Vec<_>>())
        }
        Action::Show(_) => return None,
    })
}

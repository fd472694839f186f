//! Who the node was to its peers before the agent was started again: a small file beside the control socket.
//!
//! A Router may take AS and BGP identifier from labels of the Node. While one is missing, a running agent goes on with what it had
//! ([`Identity`]); one that is started meanwhile has it from here. The file lies where the socket does, so that it lasts as long as the
//! kernel's routes do: until the machine is started again. An agent that finds none waits for the label: sessions with another AS
//! would be refused by its peers, and routes of a predecessor would go since nobody announces them.

mod nodes;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bgp::os_error::OsError;
use bgp::types::{Asn, BgpIdentifier};
use routelet_core::cluster::Snapshot;
use routelet_core::intent::{Identity, Intent, RouterSettings};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::gates::{self, Gates};
use super::writing::unread_router;

pub(super) use nodes::LastNodes;

/// The longest file that is read, in octets. What is written has less than half of that.
const MOST: u64 = 1024;

/// See the module.
pub(super) struct Remembered {
    path: PathBuf,
    /// Where what is known of Nodes lies.
    of_nodes: PathBuf,
    node: String,
    /// What the file holds.
    identity: Identity,
    waits: bool,
}

/// What stands in the file, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    node: String,
    asn: Option<u32>,
    #[serde(rename = "routerID")]
    router_id: Option<std::net::Ipv4Addr>,
}

impl Remembered {
    /// Reads what the last agent of this node with this control socket left. A file that there is not, or that cannot be read, says
    /// nothing.
    pub(super) fn read(control: &Path, node: &str) -> Self {
        let path = beside(control, ".identity");
        let content = read(&path, MOST).filter(|content: &Content| content.node == node);
        let identity = content.map_or_else(Identity::default, |content| Identity {
            asn: content.asn.map(Asn).filter(|asn| !asn.is_reserved()),
            router_id_from: content.router_id.map(BgpIdentifier::from),
            ..Identity::default()
        });
        Self {
            path,
            of_nodes: LastNodes::path(control),
            node: node.to_owned(),
            identity,
            waits: false,
        }
    }

    /// What the last agent left.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether the node's AS is known, so that the agent can begin. If not, the gate says what is missing.
    pub(super) fn can_begin(&mut self, loaded: &Snapshot, intent: &Intent, gates: &Gates) -> bool {
        let Some(text) = self.missing(loaded, intent) else {
            if std::mem::take(&mut self.waits) {
                info!(asn = %intent.router.asn, "the node's AS is known");
                gates.set(gates::ASN, true, "the node's AS is known");
            }
            return true;
        };
        if !std::mem::replace(&mut self.waits, true) {
            warn!("waiting for the node's AS before anything is advertised: {text}");
        }
        gates.set(gates::ASN, false, text);
        false
    }

    /// Why the AS is not known, or not that of the node.
    fn missing(&self, loaded: &Snapshot, intent: &Intent) -> Option<String> {
        let asn = intent.router.asn;
        if intent.router.knows_asn() {
            let before = self.identity.asn.filter(|before| *before != asn)?;
            let mut routers = loaded.state.routers.values();
            if !loaded.state.nodes.contains_key(&*self.node)
                && routers.any(|router| router.spec.node_selector.is_some())
            {
                return Some(format!(
                    "there is no Node {}, whose labels select its Router; without it the node would be in AS {asn} \
                     instead of {before}",
                    self.node
                ));
            }
            // It may be the node's, also where a less specific one is used without it.
            let problem = unread_router(loaded)?;
            return Some(format!(
                "a Router cannot be read; without it the node would be in AS {asn} instead of {before}: {problem}"
            ));
        }
        let router = intent.router.object.as_deref();
        let about = |warning: &&routelet_core::intent::Warning| {
            &*warning.object.kind == "Router" && Some(&*warning.object.name) == router
        };
        Some(match intent.warnings.iter().find(about) {
            Some(warning) => warning.to_string(),
            None => "the node's AS is unknown".to_owned(),
        })
    }

    /// Leaves for the next agent who the node is, where that is new. One that cannot be left is warned of once.
    pub(super) fn keep(&mut self, router: &RouterSettings) {
        // The default without a Router is nobody's decision: the next agent is not to take it for the node's.
        if router.object.is_some() {
            self.leave(router.identity);
        }
    }

    fn leave(&mut self, identity: Identity) {
        let before = (self.identity.asn, self.identity.router_id_from);
        if before == (identity.asn, identity.router_id_from) {
            return;
        }
        self.identity = identity;
        let content = Content {
            node: self.node.clone(),
            asn: identity.asn.map(|asn| asn.0),
            router_id: identity.router_id_from.map(|id| id.0.into()),
        };
        if let Err(error) = write(&self.path, &content, MOST) {
            let error = OsError::from(error);
            warn!(path = %self.path.display(), %error, "the node's AS cannot be saved for the next agent");
            // Without the file that one waits, which is better than another AS.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Leaves nothing: the node is no longer what it was.
    pub(super) fn forget(&self) {
        for path in [&self.path, &self.of_nodes] {
            // That it is not there is what is wanted.
            let _ = fs::remove_file(path);
        }
    }
}

/// A file beside the control socket, by the end of its name.
fn beside(control: &Path, end: &str) -> PathBuf {
    let mut path = control.as_os_str().to_owned();
    path.push(end);
    PathBuf::from(path)
}

/// What a file of at most so many octets holds, if there is one that can be read.
fn read<T: DeserializeOwned>(path: &Path, most: u64) -> Option<T> {
    let read = || -> io::Result<T> {
        let mut text = Vec::new();
        fs::File::open(path)?.take(most).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    let found = read();
    if let Err(error) = &found
        && error.kind() != io::ErrorKind::NotFound
    {
        let error = OsError::words(error);
        warn!(path = %path.display(), %error, "the file of the previous agent cannot be read");
    }
    found.ok()
}

/// Whole or not at all, and nothing longer than is read.
fn write<T: Serialize>(path: &Path, content: &T, most: u64) -> io::Result<()> {
    let text = serde_json::to_vec(content)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let mut options = fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600);
    let written = made
        .open(&temporary)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use routelet_api::{RouterSpec, ValueFrom};
    use routelet_core::cluster::{ClusterState, Node, Object, ObjectRef, Problem, Severity};
    use routelet_core::intent::{LocalFacts, intend};

    use super::*;

    fn identity(asn: u32) -> Identity {
        Identity {
            asn: Some(Asn(asn)),
            router_id_from: Some(BgpIdentifier::from(std::net::Ipv4Addr::new(192, 0, 2, 50))),
            derived_router_id: None,
        }
    }

    #[test]
    fn the_next_agent_of_the_node_has_the_as_of_the_last_one_and_that_of_another_node_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("routelet.sock");
        let mut first = Remembered::read(&socket, "n1");
        assert_eq!(first.identity(), Identity::default());
        for asn in [64_600, 4_200_000_000] {
            first.leave(identity(asn));
            let next = Remembered::read(&socket, "n1");
            assert_eq!(next.identity(), identity(asn));
        }
        let other = Remembered::read(&socket, "n2");
        assert_eq!(other.identity(), Identity::default());
        // Nothing else is left beside the socket.
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
        assert_eq!(names, ["routelet.sock.identity"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_says_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("routelet.sock");
        let path = folder.path().join("routelet.sock.identity");
        for text in [
            "",
            "{",
            "{\"node\": \"n1\", \"asn\": -1}",
            &"x".repeat(5000),
        ] {
            fs::write(&path, text).unwrap();
            let mut found = Remembered::read(&socket, "n1");
            assert_eq!(found.identity(), Identity::default(), "{text}");
            found.leave(identity(64_600));
            assert_eq!(Remembered::read(&socket, "n1").identity(), identity(64_600));
        }
    }

    #[test]
    fn an_agent_that_does_not_know_its_as_waits_and_says_for_what() {
        let folder = tempfile::tempdir().unwrap();
        let mut remembered = Remembered::read(&folder.path().join("socket"), "n1");
        let gates = Gates::default();
        let mut state = ClusterState::default();
        let spec = RouterSpec {
            asn_from: Some(ValueFrom {
                node_label: Some("asn".to_owned()),
                ..ValueFrom::default()
            }),
            ..RouterSpec::default()
        };
        let router = Object {
            name: "r".to_owned(),
            labels: routelet_api::selector::Labels::default(),
            spec,
        };
        state.routers.insert("r".to_owned(), Arc::new(router));
        let mut can_begin = |state: &ClusterState, identity| {
            let facts = LocalFacts {
                identity,
                ..LocalFacts::default()
            };
            let loaded = Snapshot::default();
            remembered.can_begin(&loaded, &intend(state, "n1", &facts), &gates)
        };
        assert!(can_begin(&state, identity(64_600)));
        assert_eq!(gates.list().len(), 0, "most nodes never wait for it");
        assert!(!can_begin(&state, Identity::default()));
        let gate = gates.list().remove(0);
        assert!(!gate.open && gate.message.contains("label asn"), "{gate:?}");
        let node = Node {
            name: "n1".to_owned(),
            labels: [("asn".into(), "64601".into())].into_iter().collect(),
            ..Node::default()
        };
        state.nodes.insert("n1".to_owned(), node.into());
        assert!(can_begin(&state, Identity::default()));
        assert!(gates.list()[0].open);
    }

    /// Without it the built-in defaults would count, with an AS that is not the node's.
    #[test]
    fn a_router_that_cannot_be_read_does_not_give_the_node_another_as() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let gates = Gates::default();
        let intent = intend(&ClusterState::default(), "n1", &LocalFacts::default());
        assert_eq!(intent.router.asn, Asn(64_512));
        let unreadable = Snapshot {
            problems: Arc::new(vec![Problem {
                severity: Severity::Error,
                file: None,
                line: None,
                object: Some(ObjectRef::cluster("Router", "r")),
                path: "spec.asn".to_owned(),
                reason: "cannot be read".to_owned(),
                meanwhile: None,
            }]),
            ..Snapshot::default()
        };
        for (before, expected) in [(None, true), (Some(64_512), true), (Some(64_600), false)] {
            if let Some(asn) = before {
                Remembered::read(&socket, "n1").leave(identity(asn));
            }
            let mut remembered = Remembered::read(&socket, "n1");
            let can_begin = remembered.can_begin(&unreadable, &intent, &gates);
            assert_eq!(can_begin, expected, "{before:?}");
            assert!(remembered.can_begin(&Snapshot::default(), &intent, &gates));
        }
        let message = &gates.list()[0].message;
        assert_eq!(message, "the node's AS is known");
    }

    fn state(routers: &[(&str, u32, Option<&str>)]) -> ClusterState {
        let mut state = ClusterState::default();
        for (name, asn, rack) in routers {
            let selector = rack.map(|rack| {
                serde_json::from_value(serde_json::json!({"matchLabels": {"rack": rack}})).unwrap()
            });
            let router = Object {
                name: (*name).to_owned(),
                labels: routelet_api::selector::Labels::default(),
                spec: RouterSpec {
                    asn: Some(*asn),
                    node_selector: selector,
                    ..RouterSpec::default()
                },
            };
            state.routers.insert((*name).to_owned(), Arc::new(router));
        }
        state
    }

    /// Of a Node that is not there nobody knows which Router selects it.
    #[test]
    fn an_agent_without_its_node_takes_no_other_as_than_the_last_one_where_routers_select_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        Remembered::read(&socket, "n1").leave(identity(65_101));
        for (routers, expected) in [
            (vec![("rack-a", 65_101, Some("a"))], false),
            (
                vec![("all", 64_700, None), ("rack-a", 65_101, Some("a"))],
                false,
            ),
            (
                vec![("all", 65_101, None), ("rack-b", 65_102, Some("b"))],
                true,
            ),
            // Changed while no agent ran.
            (vec![("all", 64_700, None)], true),
        ] {
            let loaded = Snapshot {
                state: Arc::new(state(&routers)),
                ..Snapshot::default()
            };
            let intent = intend(&loaded.state, "n1", &LocalFacts::default());
            let mut remembered = Remembered::read(&socket, "n1");
            let can_begin = remembered.can_begin(&loaded, &intent, &Gates::default());
            assert_eq!(can_begin, expected, "{routers:?}");
        }
    }

    #[test]
    fn a_router_that_is_less_specific_does_not_stand_for_one_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        Remembered::read(&socket, "n1").leave(identity(65_101));
        let mut all = state(&[("all", 64_700, None)]);
        let node = Node {
            name: "n1".to_owned(),
            ..Node::default()
        };
        all.nodes.insert("n1".to_owned(), node.into());
        let intent = intend(&all, "n1", &LocalFacts::default());
        let problem = Problem {
            severity: Severity::Error,
            file: None,
            line: None,
            object: Some(ObjectRef::cluster("Router", "rack-a")),
            path: "spec.asn".to_owned(),
            reason: "cannot be read".to_owned(),
            meanwhile: None,
        };
        let state = Arc::new(all);
        for (problems, expected) in [(vec![problem], false), (vec![], true)] {
            let loaded = Snapshot {
                state: Arc::clone(&state),
                problems: Arc::new(problems),
                ..Snapshot::default()
            };
            let mut remembered = Remembered::read(&socket, "n1");
            let can_begin = remembered.can_begin(&loaded, &intent, &Gates::default());
            assert_eq!(can_begin, expected);
        }
    }

    #[test]
    fn nothing_is_left_for_the_next_agent_that_nobody_decided() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let mut remembered = Remembered::read(&socket, "n1");
        let router = |routers| {
            let state = state(routers);
            intend(&state, "n1", &LocalFacts::default()).router.clone()
        };
        remembered.keep(&router(&[]));
        assert_eq!(Remembered::read(&socket, "n1").identity().asn, None);
        remembered.keep(&router(&[("all", 64_700, None)]));
        let asn = || Remembered::read(&socket, "n1").identity().asn;
        assert_eq!(asn(), Some(Asn(64_700)));
        remembered.keep(&router(&[]));
        assert_eq!(asn(), Some(Asn(64_700)));
        // The number of no AS is not used.
        remembered.leave(identity(0));
        assert_eq!(asn(), None);
        LastNodes::read(&socket, "n1").leave(Some(&Node::default()), BTreeMap::new());
        remembered.forget();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

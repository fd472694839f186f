//! What the next agent needs of Nodes, in a file beside what [`Remembered`](super::Remembered) holds:
//! - The labels and annotations of the own Node that something is decided by. One that is made again while no agent runs, or was shortly
//!   before, has them as if one had run all the time ([`OwnNode`](routelet_core::cluster::OwnNode)). They choose its Router, and by that its AS.
//! - The last AS of each other node that lacks its own now ([`LastAsNumbers`](routelet_core::intent::LastAsNumbers)). That is the one which the
//!   node itself goes on with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bgp::os_error::OsError;
use bgp::types::Asn;
use routelet_core::cluster::{AtomMap, Node};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{beside, read, write};

/// The longest file that is read and written, in octets: thousands of nodes can lack a label.
const MOST: u64 = 1024 * 1024;

/// See the module.
pub(in crate::run) struct LastNodes {
    path: PathBuf,
    node: String,
    /// What the file holds.
    left: Content,
}

/// What stands in the file, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    /// The name of the node.
    node: String,
    /// As it was.
    own: Option<Own>,
    /// The ASes of others, by name.
    others: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Own {
    uid: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl LastNodes {
    /// Where those of the agent with this control socket lie.
    pub(super) fn path(control: &Path) -> PathBuf {
        beside(control, ".nodes")
    }

    /// Reads what the last agent of this node with this control socket left. A file that there is not, or that cannot
    /// be read, says nothing.
    pub(in crate::run) fn read(control: &Path, node: &str) -> Self {
        let path = Self::path(control);
        let left = read(&path, MOST).filter(|content: &Content| content.node == node);
        Self {
            path,
            node: node.to_owned(),
            left: left.unwrap_or_default(),
        }
    }

    /// The own Node as far as it was left.
    pub(in crate::run) fn own(&self) -> Option<Node> {
        let own = self.left.own.as_ref()?;
        Some(Node {
            name: self.node.clone(),
            uid: own.uid.as_str().into(),
            labels: map(&own.labels),
            annotations: map(&own.annotations),
            ..Node::default()
        })
    }

    /// The last ASes of other nodes.
    pub(in crate::run) fn others(&self) -> BTreeMap<String, Asn> {
        let others = self.left.others.iter();
        let others = others.map(|(name, asn)| (name.clone(), Asn(*asn)));
        others.filter(|(_, asn)| !asn.is_reserved()).collect()
    }

    /// Leaves this for the next agent, where it is something else than before. `own`: `None`: as it was.
    pub(in crate::run) fn leave(&mut self, own: Option<&Node>, others: BTreeMap<String, Asn>) {
        let own = own.map(|node| Own {
            uid: node.uid.as_str().to_owned(),
            labels: owned(&node.labels),
            annotations: owned(&node.annotations),
        });
        let others = others.into_iter();
        let content = Content {
            node: self.node.clone(),
            own: own.or_else(|| self.left.own.clone()),
            others: others.map(|(name, asn)| (name, asn.0)).collect(),
        };
        let says_nothing = content.own.is_none() && content.others.is_empty();
        if self.left == content || says_nothing && self.left == Content::default() {
            return;
        }
        if let Err(error) = write(&self.path, &content, MOST) {
            let error = OsError::from(error);
            warn!(path = %self.path.display(), %error, "the state of Nodes cannot be saved for the next agent");
            // What was is not what is.
            let _ = std::fs::remove_file(&self.path);
        }
        self.left = content;
    }
}

fn map(pairs: &BTreeMap<String, String>) -> AtomMap {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect()
}

fn owned(map: &AtomMap) -> BTreeMap<String, String> {
    let pairs = map.pairs();
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(labels: &[(&str, &str)]) -> Node {
        let pairs = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Node {
            name: "n1".to_owned(),
            uid: "first".into(),
            labels: pairs.collect(),
            ..Node::default()
        }
    }

    fn of_others(asn: u32) -> BTreeMap<String, Asn> {
        [("n2".to_owned(), Asn(asn))].into()
    }

    #[test]
    fn the_next_agent_of_the_node_has_what_was_left_and_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let path = LastNodes::path(&socket);
        let read = |node| {
            let last = LastNodes::read(&socket, node);
            (last.own(), last.others())
        };
        assert_eq!(read("n1"), (None, BTreeMap::new()));
        let mut last = LastNodes::read(&socket, "n1");
        last.leave(None, BTreeMap::new());
        assert!(!path.exists(), "there is nothing to be left");
        // Of manifests nobody needs the Node.
        last.leave(None, of_others(64_600));
        assert_eq!(read("n1"), (None, of_others(64_600)));
        for labels in [&[("rack", "a")][..], &[("rack", "b"), ("zone", "z")], &[]] {
            last.leave(Some(&node(labels)), of_others(64_601));
            assert_eq!(read("n1"), (Some(node(labels)), of_others(64_601)));
        }
        last.leave(None, BTreeMap::new());
        assert_eq!(read("n1"), (Some(node(&[])), BTreeMap::new()));
        last.leave(None, of_others(0));
        assert_eq!(read("n1").1, BTreeMap::new(), "the number of no AS");
        assert_eq!(read("n2"), (None, BTreeMap::new()));
    }

    #[test]
    fn nothing_is_written_that_stands_there_and_what_does_not_fit_is_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let path = LastNodes::path(&socket);
        let mut last = LastNodes::read(&socket, "n1");
        last.leave(Some(&node(&[])), BTreeMap::new());
        std::fs::write(&path, "{").unwrap();
        last.leave(Some(&node(&[])), BTreeMap::new());
        assert_eq!(std::fs::read(&path).unwrap(), b"{");
        assert_eq!(LastNodes::read(&socket, "n1").own(), None);
        let long = "x".repeat(usize::try_from(MOST).unwrap());
        last.leave(Some(&node(&[("rack", &long)])), BTreeMap::new());
        assert!(!path.exists());
    }
}

//! Who the node was to its peers before the agent was started again: a small file beside the control socket.
//!
//! A Router may take AS and BGP identifier from labels of the Node. While one is missing, a running agent goes on with
//! what it had ([`Identity`]); one that is started meanwhile has it from here. The file lies where the socket does, so
//! that it lasts as long as the kernel's routes do: until the machine is started again. An agent that finds none waits
//! for the label: sessions with another AS would be rejected by its peers, and stale routes would be removed since no
//! peer announces them.

mod nodes;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bgp::os_error::OsError;
use bgp::types::{Asn, BgpIdentifier};
use routelet_core::cluster::Snapshot;
use routelet_core::intent::{Identity, Intent, RouterSettings};
use routelet_core::lifecycle::missing_asn;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::gates::{self, Gates};

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
    /// Reads what the last agent of this node with this control socket left. A file that there is not, or that cannot
    /// be read, says nothing.
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
        let Some(text) = missing_asn(self.identity.asn, loaded, intent) else {
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

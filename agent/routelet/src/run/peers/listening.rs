//! The listening sockets of all peers, and how they change.
//!
//! New sockets come before the old ones go: where they cannot be had, everything stays as it was. Only where our own sockets are
//! in the way of the new ones are they given up first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bgp::fsm::Cease;
use bgp::session::{Admit, BindError, Checks, Intake, ListenRange, Listener, Password};
use routelet_core::intent::{Intent, ListenIntent, PeerIntent, PeerTarget};
use tracing::{info, warn};

use super::passwords::Passwords;
use super::{Peers, RELEASE, RunState, Stopped};

/// What the listener was made for.
#[derive(Clone, PartialEq)]
pub(super) struct Listening {
    pub(super) listen: Option<ListenIntent>,
    pub(super) ranges: Vec<ListenRange>,
}

impl Peers {
    /// Listens as the intent says. Nothing happens if it does already.
    ///
    /// Sessions end when the sockets change, since connections are accepted through them.
    ///
    /// # Errors
    /// An address that cannot be had; what was listened on before still is, as far as it still can be had itself.
    pub(crate) async fn listen(&mut self, intent: &Intent) -> Result<(), ListenError> {
        self.read_passwords(intent).await;
        let wanted = Listening {
            listen: intent.router.listen.clone(),
            ranges: ranges(intent, &self.passwords),
        };
        if self.listening.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let addresses = addresses(wanted.listen.as_ref());
        let same_sockets = self
            .listening
            .as_ref()
            .is_some_and(|before| before.listen == wanted.listen);
        if same_sockets {
            self.listener.set_ranges(wanted.ranges.clone());
            self.listening = Some(wanted);
            return Ok(());
        }
        // The new sockets first: where they cannot be had, the old ones stay, and the sessions with them.
        let keys = keys(intent, &self.passwords);
        self.listener = match self.bind(&addresses, &wanted, &keys) {
            Ok(listener) => {
                self.reset_all().await?;
                listener
            }
            Err(error) if self.is_in_the_way(error.address) => {
                if let Some((failed, error)) = &self.in_vain
                    && *failed == wanted
                {
                    return Err(ListenError::Bind(error.clone()));
                }
                self.try_elsewhere(addresses)?;
                self.rebind(&wanted, &keys).await?
            }
            Err(error) => return Err(error.into()),
        };
        for address in self.listener.local_addresses() {
            info!(%address, "listening");
        }
        self.listening = Some(wanted);
        self.in_vain = None;
        Ok(())
    }

    fn bind(
        &self,
        addresses: &[SocketAddr],
        wanted: &Listening,
        passwords: &[(IpAddr, Password)],
    ) -> Result<Listener, BindError> {
        Listener::bind(addresses)?.listen(Intake {
            ranges: wanted.ranges.clone(),
            passwords: passwords.to_vec(),
            candidates: self.candidates.clone(),
            admissions: self.admissions.clone(),
        })
    }

    /// Whether we listen ourselves where another socket would overlap with `address`.
    fn is_in_the_way(&self, address: SocketAddr) -> bool {
        self.listener.local_addresses().iter().any(|own| {
            own.port() == address.port()
                && own.is_ipv4() == address.is_ipv4()
                && (own.ip().is_unspecified() || address.ip().is_unspecified() || own == &address)
        })
    }

    /// Finds out what is known to fail before anything is given up for it: an address where our own socket is in the way is
    /// tried on some other port.
    fn try_elsewhere(&self, addresses: Vec<SocketAddr>) -> Result<(), BindError> {
        for address in addresses {
            let mut trial = address;
            if self.is_in_the_way(address) {
                trial.set_port(0);
            }
            if let Err(BindError { source, .. }) = Listener::bind(&[trial]) {
                return Err(BindError { address, source });
            }
        }
        Ok(())
    }

    /// Gives the old sockets up before binding the new ones; takes them back if that fails.
    async fn rebind(
        &mut self,
        wanted: &Listening,
        passwords: &[(IpAddr, Password)],
    ) -> Result<Listener, ListenError> {
        self.reset_all().await?;
        std::mem::replace(&mut self.listener, Listener::none())
            .close()
            .await;
        let before = self.listening.take();
        let error = match self.bind(&addresses(wanted.listen.as_ref()), wanted, passwords) {
            Ok(listener) => return Ok(listener),
            Err(error) => Arc::new(error),
        };
        self.in_vain = Some((wanted.clone(), error.clone()));
        if let Some(before) = before
            && let Ok(listener) = self.bind(&addresses(before.listen.as_ref()), &before, passwords)
        {
            self.listener = listener;
            self.listening = Some(before);
        }
        Err(ListenError::Bind(error))
    }

    /// Ends every peer, because each holds on to the listener that it was made with, and waits until their sockets are
    /// free. The intent makes them anew.
    async fn reset_all(&mut self) -> Result<(), Stopped> {
        let running = self.table.all();
        for (name, peer) in &running {
            info!(peer = %name, "reset: the addresses to listen on have changed");
            self.remove(name, peer, Cease::ConfigurationChange).await?;
        }
        let all = running.values().filter_map(|peer| match &peer.run {
            RunState::Running(handle) => Some(handle.stopped()),
            RunState::Blocked(_) | RunState::Range => None,
        });
        let all = futures::future::join_all(all);
        if tokio::time::timeout(RELEASE, all).await.is_err() {
            warn!("not every session ended in time");
        }
        Ok(())
    }
}

/// Why the agent does not listen as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The kernel refuses an address.
    #[error(transparent)]
    Bind(Arc<BindError>),
    /// The agent is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<BindError> for ListenError {
    fn from(error: BindError) -> Self {
        Self::Bind(Arc::new(error))
    }
}

/// The sockets of a listener: all addresses of both families unless some are named.
fn addresses(listen: Option<&ListenIntent>) -> Vec<SocketAddr> {
    let Some(listen) = listen else {
        return Vec::new();
    };
    let any = [
        IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    ];
    let chosen: &[IpAddr] = match listen.addresses.as_slice() {
        [] => &any,
        named => named,
    };
    chosen
        .iter()
        .map(|address| SocketAddr::new(*address, listen.port))
        .collect()
}

/// The listen ranges. One whose password cannot be had lets nobody in: it fails closed, no wider range opens it, and
/// [`Peers::put`] says so.
pub(super) fn ranges(intent: &Intent, passwords: &Passwords) -> Vec<ListenRange> {
    let peers = intent.peers.iter();
    peers.filter_map(|peer| range(peer, passwords)).collect()
}

fn range(peer: &PeerIntent, passwords: &Passwords) -> Option<ListenRange> {
    let PeerTarget::Range { net } = peer.target else {
        return None;
    };
    let admit = match passwords.find(peer) {
        Ok(None) => Admit::Anybody,
        Ok(Some(password)) => Admit::Signed(password),
        Err(_) => Admit::Nobody,
    };
    let checks = Checks {
        ttl: peer.ttl,
        local: peer.local_address,
        device: peer.device.clone(),
    };
    Some(ListenRange { net, admit, checks })
}

/// The passwords of peers that have an address: their keys are set before anybody is heard.
fn keys(intent: &Intent, passwords: &Passwords) -> Vec<(IpAddr, Password)> {
    let key = |peer: &PeerIntent| {
        let PeerTarget::Address { address, .. } = peer.target else {
            return None;
        };
        let password = passwords.find(peer).ok()??;
        Some((address, password))
    };
    intent.peers.iter().filter_map(key).collect()
}

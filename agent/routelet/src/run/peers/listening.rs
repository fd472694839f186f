//! The listening sockets of all peers, and how they change.
//!
//! New sockets come before the old ones go: where they cannot be had, everything stays as it was. Only where our own
//! sockets are in the way of the new ones are they given up first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bgp::session::{BindError, ListenRange, Listener, ListenerConfig, Password};
use routelet_core::intent::{Intent, ListenIntent};
use routelet_core::peering::{HeldRanges, Input, Listening};
use tracing::info;

use super::{Peers, RELEASE, Stopped, stopped};

impl Peers {
    /// Listens as the intent says. Nothing happens if it does already.
    ///
    /// Sessions end when the sockets change, since connections are accepted through them.
    ///
    /// # Errors
    /// An address that cannot be had; what was listened on before still is, as far as it still can be had itself.
    pub(crate) async fn listen(&mut self, intent: &Intent) -> Result<(), ListenError> {
        self.read_passwords(&intent.peers).await?;
        let (wanted, keys) = self.machine.listening(intent);
        if self.listening.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let addresses = addresses(wanted.listen.as_ref());
        let same_sockets = self
            .listening
            .as_ref()
            .is_some_and(|before| before.listen == wanted.listen);
        if same_sockets {
            let held = self.set_ranges(wanted.ranges);
            return Ok(self.feed(Input::Listening(held)).await?);
        }
        // The new sockets first: where they cannot be had, the old ones stay, and the sessions with them.
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
        let held = self.held(&wanted.ranges);
        self.listening = Some(wanted);
        self.in_vain = None;
        Ok(self.feed(Input::Listening(held)).await?)
    }

    /// Other ranges for the sockets that there are. Returns what came of it.
    pub(super) fn set_ranges(&mut self, ranges: Vec<ListenRange>) -> HeldRanges {
        self.listener.set_ranges(ranges.clone());
        let held = self.held(&ranges);
        if let Some(listening) = &mut self.listening {
            listening.ranges = ranges;
        }
        held
    }

    /// Which ranges the listener has, and which of them let nobody in.
    fn held(&self, ranges: &[ListenRange]) -> HeldRanges {
        let failed = ranges.iter().filter_map(|range| {
            let error = self.listener.range_error(range.net)?;
            Some((range.net, error.to_string()))
        });
        HeldRanges {
            failed: failed.collect(),
            ranges: ranges.to_vec(),
        }
    }

    fn bind(
        &self,
        addresses: &[SocketAddr],
        wanted: &Listening,
        passwords: &[(IpAddr, Password)],
    ) -> Result<Listener, BindError> {
        Listener::bind(addresses)?.listen(ListenerConfig {
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

    /// Finds out what is known to fail before anything is given up for it: an address where our own socket is in the
    /// way is tried on some other port.
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
            let held = self.held(&before.ranges);
            self.listening = Some(before);
            self.feed(Input::Listening(held)).await?;
        }
        Err(ListenError::Bind(error))
    }

    /// Ends every peer, because each holds on to the listener that it was made with, and waits until their sockets are
    /// free. The intent creates them again.
    async fn reset_all(&mut self) -> Result<(), Stopped> {
        let handles = self.handles();
        self.feed(Input::SocketsReplaced).await?;
        stopped(&handles, RELEASE).await;
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

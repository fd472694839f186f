//! A speaker with one peer, and an owner that reads its events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fsm::{Config, Down, Negotiated, RemoteAsn};
use crate::session::{
    Admissions, Candidate, Event, KeyError, Listener, ListenerConfig, Outbox, PeerHandle, PeerKey,
    PeerSettings, SessionId, spawn,
};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::BatchPart;

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Without ranges and passwords.
pub(super) fn listen(address: &str, candidates: mpsc::Sender<Candidate>) -> Listener {
    let bound = Listener::bind(&[address.parse().unwrap()]).unwrap();
    bound.listen(listener_config(candidates)).unwrap()
}

pub(super) fn listener_config(candidates: mpsc::Sender<Candidate>) -> ListenerConfig {
    ListenerConfig {
        ranges: Vec::new(),
        passwords: Vec::new(),
        candidates,
        admissions: Arc::default(),
    }
}

/// One end.
pub(super) struct Speaker {
    pub(super) listener: Listener,
    pub(super) admissions: Arc<Admissions>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) sender: mpsc::Sender<Event>,
    pub(super) config: Config,
}

pub(super) struct Up {
    pub(super) session: SessionId,
    pub(super) outbox: Outbox,
    pub(super) negotiated: Arc<Negotiated>,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

impl Speaker {
    /// Listens on a loopback address of its own, so that two speakers tell each other apart by address.
    pub(super) fn new(number: u8, events: usize) -> Self {
        Self::on(&format!("127.0.0.{number}:0"), number, events)
    }

    pub(super) fn on(address: &str, number: u8, events: usize) -> Self {
        // Without ranges nobody is a candidate.
        let (candidates, _) = mpsc::channel(1);
        let listener_config = listener_config(candidates);
        let admissions = listener_config.admissions.clone();
        let bound = Listener::bind(&[address.parse().unwrap()]).unwrap();
        let listener = bound.listen(listener_config).unwrap();
        listener.start_accepting();
        let (sender, events) = mpsc::channel(events);
        let id = BgpIdentifier(u32::from(number));
        let asn = Asn(64500 + u32::from(number));
        let mut config = Config::new(asn, id, RemoteAsn::External, number.into());
        config.connect_retry = Duration::from_millis(500);
        config.idle_hold_max = Duration::from_secs(1);
        Self {
            listener,
            admissions,
            events,
            sender,
            config,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addresses()[0]
    }

    pub(super) fn settings(&self, other: &Self) -> PeerSettings {
        let mut settings = PeerSettings::new(other.address().ip(), self.config.clone());
        settings.session.port = other.address().port();
        settings.session.transport.local = Some(self.address().ip());
        settings
    }

    pub(super) fn peer(&self, settings: PeerSettings) -> PeerHandle {
        self.try_peer(settings).unwrap()
    }

    pub(super) fn try_peer(&self, settings: PeerSettings) -> Result<PeerHandle, KeyError> {
        spawn(
            PeerKey(7),
            settings,
            &self.listener,
            self.sender.clone(),
            None,
        )
    }

    pub(super) fn passive(&self, other: &Self) -> PeerHandle {
        let mut settings = self.settings(other);
        settings.session.protocol.passive = true;
        self.peer(settings)
    }

    pub(super) async fn event(&mut self, what: &str) -> Event {
        soon(what, self.events.recv()).await.unwrap()
    }

    pub(super) async fn up(&mut self) -> Up {
        match self.event("Established").await {
            Event::Established {
                session,
                negotiated,
                outbox,
                local,
                remote,
                ..
            } => Up {
                session,
                outbox,
                negotiated,
                local,
                remote,
            },
            other => panic!("expected Established, got {other:?}"),
        }
    }

    pub(super) async fn down(&mut self) -> Down {
        match self.event("Down").await {
            Event::Down { reason, .. } => reason,
            other => panic!("expected Down, got {other:?}"),
        }
    }

    /// The IPv4 prefixes that the next batch withdraws, in the order of the wire; it may say nothing else.
    pub(super) async fn withdrawn(&mut self) -> Vec<Ipv4Net> {
        match self.event("Updates").await {
            Event::Updates { updates, .. } => {
                let withdraws = |part| matches!(part, BatchPart::Unreach(_));
                assert!(updates.parts().all(withdraws), "{updates:?}");
                updates.ipv4().iter().map(|nlri| nlri.prefix).collect()
            }
            other => panic!("expected Updates, got {other:?}"),
        }
    }
}

/// Two speakers with a session: the first dials.
pub(super) async fn pair(events: usize) -> (Speaker, PeerHandle, Up, Speaker, PeerHandle, Up) {
    let (mut a, mut b) = (Speaker::new(21, 64), Speaker::new(22, events));
    let b_handle = b.passive(&a);
    let a_handle = a.peer(a.settings(&b));
    let (a_up, b_up) = (a.up().await, b.up().await);
    (a, a_handle, a_up, b, b_handle, b_up)
}

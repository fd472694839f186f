//! A peer's task: owns the state machine, feeds it with what happens, and carries out what it says.

mod establish;
mod messages;
mod outputs;

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{Instrument, debug, info, info_span};

use super::admission::{Accepted, check_signature};
use super::handle::{Commands, Control};
use super::handshake::{Handshake, readable};
use super::reader::Report;
use super::stamp::{self, Stamps};
use super::{
    Event, KeyError, Listener, Outbox, PeerHandle, PeerKey, PeerSettings, PeerStatus, options,
};
use crate::fsm::{Cease, ConnectionId, Down, Input, Outputs, Peer, State};
use crate::os_error::OsError;
use crate::wire::attribute::AttributeFilter;
use crate::wire::{RouteRefresh, RouteRefreshSubtype};

/// How long a stopped peer waits for its last words to be read, and for the owner to take its last events.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long octets may lie in the socket of a session whose hold timer is due, until the reader has looked at them.
const READ_GRACE: Duration = Duration::from_secs(1);

/// Starts a peer: dials it at once unless it is passive, and takes its connections from `listener`.
///
/// `events` is the one channel to the owner of the routes, shared by all peers. Its capacity bounds how many batches
/// of UPDATEs are decoded ahead; when it is full, sockets are not read. Must be called within a tokio runtime.
///
/// `restarting_until` is set on peers that are spawned at the start of a process whose predecessor may have left routes
/// at the peer: until then, or its first session, our OPEN has the R bit of RFC 4724.
///
/// # Errors
///
/// The TCP MD5 key of its password cannot be set at the listener. The peer is neither accepted nor dialled.
pub fn spawn(
    key: PeerKey,
    settings: PeerSettings,
    listener: &Listener,
    events: mpsc::Sender<Event>,
    restarting_until: Option<Instant>,
) -> Result<PeerHandle, KeyError> {
    let control = Arc::new(Control::new(key));
    let place = listener.expect(&settings, &control)?;
    control.place().replace(place);
    let (status, watched) = watch::channel(PeerStatus {
        state: State::Idle,
        since: stamp::now(),
        next_attempt: None,
        idle_hold: None,
        awaits_bfd: None,
        session: None,
        sessions: 0,
        downs: Default::default(),
        last_down: None,
        last_connect_error: None,
        last_sent: None,
        last_received: None,
    });
    let span = info_span!("peer", address = %settings.remote, key = key.0);
    let task = Task {
        machine: Peer::new(settings.session.protocol.clone(), restarting_until),
        settings,
        control: control.clone(),
        events,
        status,
        connecting: None,
        offered: None,
        handshakes: Vec::new(),
        session: None,
        delivered: None,
        broken: Vec::new(),
        tasks: JoinSet::new(),
    };
    tokio::spawn(task.run().instrument(span));
    Ok(PeerHandle {
        control,
        status: watched,
    })
}

type ConnectFuture = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

struct Task {
    machine: Peer,
    settings: PeerSettings,
    control: Arc<Control>,
    events: mpsc::Sender<Event>,
    status: watch::Sender<PeerStatus>,
    /// The attempt in progress.
    connecting: Option<(ConnectionId, ConnectFuture)>,
    /// What was accepted, until the machine says what becomes of it: in the same step.
    offered: Option<Accepted>,
    handshakes: Vec<Handshake>,
    session: Option<Session>,
    /// Ends when the owner has got the last event of the latest session.
    delivered: Option<oneshot::Receiver<()>>,
    /// Connections that failed while an output was carried out. They are the machine's next inputs.
    broken: Vec<ConnectionId>,
    /// Readers, writers and farewells.
    tasks: JoinSet<()>,
}

/// The Established session, as the peer's task sees it.
struct Session {
    id: ConnectionId,
    outbox: Outbox,
    stamps: Arc<Stamps>,
    reports: mpsc::Receiver<Report>,
    /// `None` once the machine has said why it ended.
    down: oneshot::Sender<Down>,
    /// To ask how much lies unread. The reader's half belongs to the reader.
    socket: std::os::fd::OwnedFd,
    /// What the reader is to know of the peer's attributes.
    filter: watch::Sender<AttributeFilter>,
    /// When the last message had arrived at the time unread octets were last given time to become a message.
    grace: Option<Instant>,
}

/// Why the task woke up.
enum Wake {
    Commands(Box<Commands>),
    Connected(ConnectionId, io::Result<TcpStream>),
    Readable(ConnectionId),
    Report(ConnectionId, Report),
    Deadline,
}

impl Task {
    async fn run(mut self) {
        self.step(Input::Start);
        while let Some(wake) = self.next().await {
            match wake {
                Wake::Commands(commands) => {
                    if self.obey(*commands) {
                        break;
                    }
                }
                Wake::Connected(id, result) => self.connected(id, result),
                Wake::Readable(id) => self.read(id),
                Wake::Report(id, report) => self.reported(id, report),
                Wake::Deadline => self.deadline(),
            }
            while self.tasks.try_join_next().is_some() {}
        }
        drop(self.control.place().take());
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all).await.is_err() {
            // Their own limits end them; the owner still gets its last event.
            self.tasks.detach_all();
        }
    }

    async fn next(&mut self) -> Option<Wake> {
        let deadline = self.machine.deadline();
        let timer = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.at.into()).await,
                None => std::future::pending().await,
            }
        };
        let connecting = async {
            match &mut self.connecting {
                Some((id, dial)) => (*id, dial.await),
                None => std::future::pending().await,
            }
        };
        let report = async {
            match &mut self.session {
                Some(session) => (session.id, session.reports.recv().await),
                None => std::future::pending().await,
            }
        };
        Some(tokio::select! {
            commands = self.control.commands() => Wake::Commands(Box::new(commands)),
            (id, result) = connecting => Wake::Connected(id, result),
            Some(id) = readable(self.handshakes.first()) => Wake::Readable(id),
            Some(id) = readable(self.handshakes.get(1)) => Wake::Readable(id),
            // The owner is gone; the connection is useless.
            (id, report) = report => Wake::Report(id, report.unwrap_or(Report::Closed)),
            () = timer => Wake::Deadline,
        })
    }

    /// Whether it was the last.
    fn obey(&mut self, commands: Commands) -> bool {
        if let Some(how) = commands.stop {
            self.step(Input::Stop(how));
            return true;
        }
        if let Some(settings) = commands.reconfigure {
            self.reconfigure(settings);
        }
        if let Some(state) = commands.bfd {
            self.step(Input::Bfd(state));
        }
        if let Some(cause) = commands.reset {
            self.step(Input::Reset(cause));
        }
        if commands.refresh {
            self.request_refresh();
        }
        if let Some(accepted) = commands.accepted {
            // It was judged with the password of that moment, which may have changed since.
            match check_signature(&accepted, self.settings.password.as_ref()) {
                Ok(()) => {
                    self.offered = Some(accepted);
                    self.step(Input::Accepted);
                }
                Err(why) => accepted.refuse(why),
            }
        }
        false
    }

    /// Asks for the routes of all negotiated families. In front of what waits: the answer takes long enough.
    fn request_refresh(&self) {
        let status = self.status.borrow();
        let (Some(session), Some(up)) = (&self.session, &status.session) else {
            debug!("no session to be refreshed");
            return;
        };
        if !up.negotiated.route_refresh {
            info!("the peer does not know ROUTE-REFRESH and is not asked for its routes");
            return;
        }
        for &family in &up.negotiated.families {
            debug!(%family, "asking for the peer's routes again");
            let request = RouteRefresh {
                family,
                subtype: RouteRefreshSubtype::Request,
            };
            session.outbox.send_urgent(request.encode());
        }
    }

    fn reconfigure(&mut self, settings: PeerSettings) {
        let before = std::mem::replace(&mut self.settings, settings);
        let reset = before.needs_reset(&self.settings);
        info!(reset, "reconfigured");
        if before.session.attribute_filter != self.settings.session.attribute_filter && !reset {
            self.filter_changed();
        }
        let protocol = self.settings.session.protocol.clone();
        if reset && !before.session.protocol.needs_reset(&protocol) {
            self.step(Input::Reset(Cease::ConfigurationChange));
        }
        self.step(Input::Reconfigure(Box::new(protocol)));
    }

    /// A session goes on with another filter of attributes. The owner corrects the routes that it holds; what the reader has
    /// taken out so far, and what would be taken out now without having been kept, only the peer can say again.
    fn filter_changed(&self) {
        if let Some(session) = &self.session {
            session
                .filter
                .send_replace(self.settings.session.attribute_filter);
            self.request_refresh();
        }
    }

    fn connected(&mut self, id: ConnectionId, result: io::Result<TcpStream>) {
        self.connecting = None;
        let connected = result.and_then(|stream| Handshake::dialled(id, stream));
        match connected {
            Ok(handshake) => {
                self.handshakes.push(handshake);
                self.step(Input::Connected(id));
            }
            Err(error) => {
                let error = Arc::new(OsError::from(error));
                debug!(remote = %self.settings.remote_socket(), %error, "cannot connect");
                self.status.send_modify(|status| {
                    status.last_connect_error = Some((stamp::now(), error));
                });
                self.step(Input::ConnectFailed(id));
            }
        }
    }

    fn deadline(&mut self) {
        if let Some(session) = &mut self.session {
            let (id, now) = (session.id, stamp::now());
            // DEVIATION(RFC 4271 8.2.2): silence counts only if we listened. While the reader waits for the owner, the peer may say what it likes;
            // what has come and was not read yet may be a message, and is soon known to be one or not.
            let unread = options::unread(session.socket.as_fd()).unwrap_or(0);
            let hold = self.machine.negotiated().and_then(|n| n.hold_time);
            let heard = if session.stamps.is_waiting() {
                now
            } else if unread > 0 && session.grace != Some(session.stamps.heard()) {
                // Once: what never becomes a message must not put it off again and again.
                session.grace = Some(session.stamps.heard());
                let read_by = (now + READ_GRACE).checked_sub(hold.unwrap_or_default());
                read_by.map_or(now, |at| at.max(session.stamps.heard()))
            } else {
                session.stamps.heard()
            };
            let progressed = if session.outbox.waiting() == 0 {
                now
            } else {
                session.stamps.progressed()
            };
            self.step(Input::Heard(id, heard));
            self.step(Input::Progressed(id, progressed));
        }
        self.step(Input::DeadlineReached);
    }

    /// Feeds the machine, and does what it says.
    fn step(&mut self, input: Input<'_>) {
        let mut outputs = Outputs::new();
        self.machine.handle(stamp::now(), input, &mut outputs);
        self.carry_out(outputs);
        while let Some(id) = self.broken.pop() {
            let mut outputs = Outputs::new();
            let closed = Input::Closed(id);
            self.machine.handle(stamp::now(), closed, &mut outputs);
            self.carry_out(outputs);
        }
        let state = self.machine.state();
        let next_attempt = self.machine.next_attempt();
        let awaits_bfd = self.machine.awaits_bfd().and_then(|id| {
            let waiting = self.handshakes.iter().find(|one| one.id == id)?;
            Some(waiting.local)
        });
        self.status.send_if_modified(|status| {
            status.next_attempt = next_attempt;
            status.awaits_bfd = awaits_bfd;
            let hold = self.machine.idle_hold();
            if status.idle_hold.as_ref() != hold {
                if let Some(hold) = hold {
                    info!(reason = %hold.reason, "held Idle: no connection is made or accepted");
                }
                status.idle_hold = hold.cloned();
            }
            let changed = status.state != state;
            if changed {
                debug!(from = %status.state, to = %state, "state");
                status.state = state;
                status.since = stamp::now();
            }
            changed
        });
    }

    fn handshake(&mut self, id: ConnectionId) -> Option<&mut Handshake> {
        self.handshakes.iter_mut().find(|one| one.id == id)
    }
}

//! A peer's task: owns the state machine, feeds it with what happens, and carries out what it says.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{Instrument, debug, info, info_span, trace};

use super::admission::{Accepted, check_signature};
use super::faults::FaultLog;
use super::handle::{Commands, Control};
use super::handshake::{Handshake, readable};
use super::outbox::Closing;
use super::reader::{Alarm, Reader, Report};
use super::stamp::{self, Stamps};
use super::turn::Turns;
use super::writer::Writer;
use super::{
    Event, KeyError, Listener, Outbox, PeerHandle, PeerKey, PeerSettings, PeerStatus, SessionId,
    SessionStatus, connect, options,
};
use crate::fsm::{
    Cease, ConnectionId, Down, Input, Negotiated, Output, Outputs, Peer, Received, State,
};
use crate::os_error::OsError;
use crate::refusal::Refusal;
use crate::wire::attribute::AttributeFilter;
use crate::wire::{
    Framer, HEADER, Message, MessageKind, Notification, PeerKind, RouteRefresh,
    RouteRefreshSubtype, UpdateCodec, WireError, keepalive,
};

/// How long a stopped peer waits for its last words to be read, and for the owner to take its last events.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long octets may lie in the socket of a session whose hold timer is due, until the reader has looked at them.
const READ_GRACE: Duration = Duration::from_secs(1);

/// Readers, writers and farewells of sessions before that may be left. A reader stays until the owner has taken its last event.
const LINGERING: usize = 16;

/// Starts a peer: dials it at once unless it is passive, and takes its connections from `listener`.
///
/// `events` is the one channel to the owner of the routes, shared by all peers. Its capacity bounds how many batches
/// of UPDATEs are decoded ahead; when it is full, sockets are not read. Must be called within a tokio runtime.
///
/// `restarting_until` is set on peers that are spawned at the start of a process whose predecessor may have left
/// routes at the peer: until then, or its first session, the peer is told that we have restarted (RFC 4724's R bit).
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
        machine: Peer::new(settings.protocol.clone(), restarting_until),
        settings,
        control: control.clone(),
        events,
        status,
        dialling: None,
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

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

struct Task {
    machine: Peer,
    settings: PeerSettings,
    control: Arc<Control>,
    events: mpsc::Sender<Event>,
    status: watch::Sender<PeerStatus>,
    /// The attempt under way.
    dialling: Option<(ConnectionId, Dial)>,
    /// What was accepted, until the machine says what becomes of it: in the same step.
    offered: Option<Accepted>,
    handshakes: Vec<Handshake>,
    session: Option<Session>,
    /// Ends when the owner has got the last event of the latest session.
    delivered: Option<oneshot::Receiver<()>>,
    /// Connections that failed while an output was carried out. The machine hears of them next.
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
    /// What was last heard when octets that lay unread were last given time to become a message.
    grace: Option<Instant>,
}

/// Why the task woke up.
enum Wake {
    Commands(Box<Commands>),
    Dialled(ConnectionId, io::Result<TcpStream>),
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
                Wake::Dialled(id, result) => self.dialled(id, result),
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
        let dialling = async {
            match &mut self.dialling {
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
            (id, result) = dialling => Wake::Dialled(id, result),
            Some(id) = readable(self.handshakes.first()) => Wake::Readable(id),
            Some(id) = readable(self.handshakes.get(1)) => Wake::Readable(id),
            // Nobody is left to report; the connection is of no use.
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
        if let Some(cause) = commands.reset {
            self.step(Input::Reset(cause));
        }
        if commands.refresh {
            self.request_refresh();
        }
        if let Some(accepted) = commands.accepted {
            // It was judged with the password of that moment; another may have come since.
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
        if before.attribute_filter != self.settings.attribute_filter && !reset {
            self.filter_changed();
        }
        let protocol = self.settings.protocol.clone();
        if reset && !before.protocol.needs_reset(&protocol) {
            self.step(Input::Reset(Cease::ConfigurationChange));
        }
        self.step(Input::Reconfigure(Box::new(protocol)));
    }

    /// A session goes on with another filter of attributes. The owner corrects the routes that it holds; what the reader has
    /// taken out so far, and what would be taken out now without having been kept, only the peer can say again.
    fn filter_changed(&self) {
        if let Some(session) = &self.session {
            session.filter.send_replace(self.settings.attribute_filter);
            self.request_refresh();
        }
    }

    fn dialled(&mut self, id: ConnectionId, result: io::Result<TcpStream>) {
        self.dialling = None;
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

    // ---- What handshakes and readers say ----

    fn read(&mut self, id: ConnectionId) {
        let Some(handshake) = self.handshake(id) else {
            return;
        };
        if !matches!(handshake.read(), Ok(true)) {
            // What came before the end is still looked at.
            self.read_messages(id);
            return self.step(Input::Closed(id));
        }
        self.read_messages(id);
    }

    /// Until the buffer holds no whole message, or the connection is no handshake any more.
    fn read_messages(&mut self, id: ConnectionId) {
        while let Some(handshake) = self.handshake(id) {
            let frame = match handshake.framer.next(&mut handshake.buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(WireError { notification, .. }) => {
                    return self.step(Input::Received(id, Received::Malformed(&notification)));
                }
            };
            let length = HEADER + frame.body.len();
            self.control.counters.received(frame.kind, length);
            trace!(kind = frame.kind.name(), length, "received");
            if frame.kind == MessageKind::Update {
                // Out of place whatever it says.
                self.step(Input::Received(id, Received::Update));
                continue;
            }
            match Message::decode(&frame, &UpdateCodec::plain(PeerKind::External)) {
                Ok(Message::Open(open)) => {
                    debug!(?open, "received OPEN");
                    if let Some(handshake) = self.handshake(id) {
                        handshake.waiting = None;
                    }
                    self.step(Input::Received(id, Received::Open(&open)));
                }
                Ok(Message::Keepalive) => self.step(Input::Received(id, Received::Keepalive)),
                Ok(Message::Notification(message)) => self.notified(id, &message),
                Ok(Message::RouteRefresh(_) | Message::Update(_)) => {
                    self.step(Input::Received(id, Received::RouteRefresh));
                }
                // RFC 4271 section 6.4: a NOTIFICATION is not answered, not even a bad one.
                Err(_) if frame.kind == MessageKind::Notification => self.step(Input::Closed(id)),
                Err(error) => {
                    info!(%error, "the peer's message cannot be used");
                    self.step(Input::Received(
                        id,
                        Received::Malformed(&error.notification),
                    ));
                }
            }
        }
    }

    fn reported(&mut self, id: ConnectionId, report: Report) {
        match report {
            Report::Notification(message) => self.notified(id, &message),
            Report::Open(open) => self.step(Input::Received(id, Received::Open(&open))),
            Report::Malformed(answer) => {
                self.step(Input::Received(id, Received::Malformed(&answer)));
            }
            Report::Closed => self.step(Input::Closed(id)),
        }
    }

    fn notified(&mut self, id: ConnectionId, message: &Notification) {
        self.status
            .send_modify(|status| status.last_received = Some((stamp::now(), message.clone())));
        self.step(Input::Received(id, Received::Notification(message)));
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

    // ---- The machine ----

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
        self.status.send_if_modified(|status| {
            status.next_attempt = next_attempt;
            let hold = self.machine.idle_hold();
            if status.idle_hold.as_ref() != hold {
                if let Some(hold) = hold {
                    info!(reason = %hold.reason, "held Idle: not dialled, and its connections are refused");
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

    fn carry_out(&mut self, outputs: Outputs) {
        for output in outputs {
            match output {
                Output::Connect(id) => {
                    let dial = connect::dial(self.settings.clone());
                    self.dialling = Some((id, Box::pin(dial)));
                }
                Output::AbortConnect(id) => {
                    self.dialling.take_if(|(dialling, _)| *dialling == id);
                }
                Output::Accept(id) => self.accept(id),
                Output::Refuse(last) => self.refuse(last),
                Output::SendOpen(id, open) => self.send(id, open.encode()),
                Output::SendKeepalive(id) => self.send(id, keepalive()),
                Output::Close(id, last) => self.close(id, last),
                Output::Established(id, negotiated) => self.establish(id, negotiated),
                Output::Down(id, reason) => self.down(id, reason),
                Output::Failed(_, reason) => {
                    debug!(%reason, "no session");
                    self.status
                        .send_modify(|status| status.last_down = Some((stamp::now(), reason)));
                }
            }
        }
    }

    /// Closes what was just accepted.
    fn refuse(&mut self, last: Option<Notification>) {
        let Some(accepted) = self.offered.take() else {
            return;
        };
        match last {
            // Courtesy only: the peer has been stopped, and the connection is closed next.
            Some(message) => drop(accepted.stream.try_write(&message.encode())),
            None => accepted.refuse(Refusal::Held),
        }
    }

    fn accept(&mut self, id: ConnectionId) {
        let Some(accepted) = self.offered.take() else {
            return self.broken.push(id);
        };
        let prepared = options::prepare(&accepted.stream, &self.settings)
            .and_then(|()| options::limit_handshake(&accepted.stream, true))
            .and_then(|()| Handshake::accepted(id, accepted));
        match prepared {
            Ok(handshake) => {
                handshake.count_accepted();
                self.handshakes.push(handshake);
            }
            Err(error) => {
                let error = OsError::from(error);
                info!(%error, "the accepted connection cannot be used");
                self.broken.push(id);
            }
        }
    }

    fn send(&mut self, id: ConnectionId, message: Bytes) {
        if let Some(session) = self.session.as_ref().filter(|session| session.id == id) {
            session.outbox.send_urgent(message);
        } else if let Some(handshake) = self.handshakes.iter().find(|one| one.id == id)
            && let Err(error) = handshake.send(&message, &self.control)
        {
            let error = OsError::from(error);
            debug!(%error, "cannot send");
            self.broken.push(id);
        }
    }

    fn close(&mut self, id: ConnectionId, last: Option<Notification>) {
        if let Some(message) = &last {
            self.status
                .send_modify(|status| status.last_sent = Some((stamp::now(), message.clone())));
        }
        let last = last.map(|message| message.encode());
        if let Some(at) = self.handshakes.iter().position(|one| one.id == id) {
            let handshake = self.handshakes.remove(at);
            if let Some(message) = &last {
                self.control.counters.sent(message);
            }
            let control = self.control.clone();
            self.tasks.spawn(handshake.close(last, control));
        } else if let Some(session) = self.session.as_ref().filter(|session| session.id == id) {
            let closing = match last {
                Some(message) => {
                    session.outbox.send_urgent(message);
                    Closing::AfterUrgent
                }
                None => Closing::Now,
            };
            session.outbox.close(closing);
        }
    }

    fn down(&mut self, id: ConnectionId, reason: Down) {
        info!(%reason, "session down");
        if let Some(session) = self.session.take_if(|session| session.id == id) {
            // A reader that has panicked hears nothing.
            drop(session.down.send(reason.clone()));
        }
        self.status.send_modify(|status| {
            status.session = None;
            *status.downs.entry(reason.class()).or_default() += 1;
            status.last_down = Some((stamp::now(), reason));
        });
    }

    fn establish(&mut self, id: ConnectionId, negotiated: Arc<Negotiated>) {
        let Some(at) = self.handshakes.iter().position(|one| one.id == id) else {
            return self.broken.push(id);
        };
        if self.tasks.len() >= LINGERING {
            info!("no new session: too many before it have not ended, because the agent is busy");
            return self.broken.push(id);
        }
        let handshake = self.handshakes.remove(at);
        let socket = match handshake.stream.as_fd().try_clone_to_owned() {
            Ok(socket) => socket,
            Err(error) => {
                let error = OsError::from(error);
                info!(%error, "out of file descriptors; the session cannot begin");
                self.handshakes.push(handshake);
                return self.broken.push(id);
            }
        };
        drop(options::limit_handshake(&handshake.stream, false));
        let (local, remote, dialled) = (handshake.local, handshake.remote, handshake.dialled);
        info!(%local, %remote, dialled, asn = %negotiated.peer_asn, "session established");
        let session = SessionId::next();
        let (outbox, stamps) = (Outbox::new(), Arc::new(Stamps::new()));
        // Three: a reader reports once, and each of the two tasks fails at most once. Never full.
        let (reports_in, reports) = mpsc::channel(3);
        let alarm = || Alarm::new(reports_in.clone());
        let (reader_alarm, writer_alarm) = (alarm(), alarm());
        let (down, down_out) = oneshot::channel();
        let (delivered_in, delivered) = oneshot::channel();
        let (filter, filter_out) = watch::channel(self.settings.attribute_filter);
        let mut framer = Framer::new();
        // DEVIATION(RFC 8654 section 4): a speaker that has announced the capability takes extended messages from any
        // peer, whatever that one announced. Here both must have: a peer that cannot receive them has no reason to send
        // them, and one that is broken then makes us hold 4,096 octets of it at most.
        if negotiated.extended_message {
            framer.allow_extended();
        }
        let (read, write) = handshake.stream.into_split();
        let event = Event::Established {
            peer: self.control.key,
            session,
            negotiated: negotiated.clone(),
            outbox: outbox.clone(),
            local,
            remote,
        };
        let reader = Reader::<OwnedReadHalf> {
            socket: read,
            buffer: handshake.buffer,
            framer,
            codec: negotiated.update_codec(&self.settings.attribute_filter),
            enhanced_refresh: negotiated.enhanced_route_refresh,
            filter: filter_out,
            faults: FaultLog::new(remote),
            peer: self.control.key,
            session,
            events: self.events.clone(),
            turns: Turns::new(),
            outbox: outbox.clone(),
            stamps: stamps.clone(),
            control: self.control.clone(),
            reports: reports_in,
            down: down_out,
        };
        let writer = Writer::<OwnedWriteHalf> {
            socket: write,
            outbox: outbox.clone(),
            stamps: stamps.clone(),
            control: self.control.clone(),
        };
        let previous = self.delivered.replace(delivered);
        let reader = reader.run(event, previous, delivered_in);
        self.tasks
            .spawn(reader_alarm.watch(reader).in_current_span());
        self.tasks
            .spawn(writer_alarm.watch(writer.run()).in_current_span());
        self.session = Some(Session {
            id,
            outbox: outbox.clone(),
            stamps,
            reports,
            down,
            socket,
            filter,
            grace: None,
        });
        self.status.send_modify(|status| {
            status.sessions += 1;
            status.session = Some(SessionStatus {
                session,
                negotiated,
                local,
                remote,
                dialled,
                outbox,
            });
        });
    }

    fn handshake(&mut self, id: ConnectionId) -> Option<&mut Handshake> {
        self.handshakes.iter_mut().find(|one| one.id == id)
    }
}

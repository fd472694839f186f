//! Starts a session: passes the connection of a handshake to a reader and a writer.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{Instrument, info};

use super::super::alarm::Alarm;
use super::super::faults::FaultLog;
use super::super::handshake::Handshake;
use super::super::reader::Reader;
use super::super::stamp::Stamps;
use super::super::turn::Turns;
use super::super::writer::Writer;
use super::super::{Event, Outbox, SessionId, SessionStatus, options};
use super::{Session, Task};
use crate::fsm::{ConnectionId, Negotiated};
use crate::os_error::OsError;
use crate::wire::Framer;

/// Readers, writers and farewells of sessions before that may be left. A reader stays until the owner has taken its
/// last event.
const LINGERING: usize = 16;

impl Task {
    /// The machine has reached Established on this connection. One that cannot be served is broken.
    pub(super) fn establish(&mut self, id: ConnectionId, negotiated: Arc<Negotiated>) {
        let Some(at) = self.handshakes.iter().position(|one| one.id == id) else {
            return self.broken.push(id);
        };
        if self.tasks.len() >= LINGERING {
            info!("no new session: too many before it have not ended, because the agent is busy");
            return self.broken.push(id);
        }
        let handshake = self.handshakes.remove(at);
        match handshake.stream.as_fd().try_clone_to_owned() {
            Ok(socket) => self.begin_session(handshake, socket, negotiated),
            Err(error) => {
                let error = OsError::from(error);
                info!(%error, "out of file descriptors; the session cannot begin");
                self.handshakes.push(handshake);
                self.broken.push(id);
            }
        }
    }

    /// Starts the session's reader and writer. `socket` is the handshake's, once more.
    fn begin_session(
        &mut self,
        handshake: Handshake,
        socket: OwnedFd,
        negotiated: Arc<Negotiated>,
    ) {
        drop(options::limit_handshake(&handshake.stream, false));
        let (id, session) = (handshake.id, SessionId::next());
        let (local, remote, dialled) = (handshake.local, handshake.remote, handshake.dialled);
        info!(%local, %remote, dialled, asn = %negotiated.peer_asn, "session established");
        let (outbox, stamps) = (Outbox::new(), Arc::new(Stamps::new()));
        // Three: a reader reports once, and each of the two tasks fails at most once. Never full.
        let (reports_in, reports) = mpsc::channel(3);
        let alarm = || Alarm::new(reports_in.clone());
        let (reader_alarm, writer_alarm) = (alarm(), alarm());
        let (down, down_out) = oneshot::channel();
        let (filter, filter_out) = watch::channel(self.settings.session.attribute_filter);
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
            framer: framer(&negotiated),
            codec: negotiated.update_codec(&self.settings.session.attribute_filter),
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
        self.spawn_reader(reader, reader_alarm, event);
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

    /// The reader's first event waits until the owner has got the last one of the session before.
    fn spawn_reader(&mut self, reader: Reader<OwnedReadHalf>, alarm: Alarm, established: Event) {
        let (delivered_in, delivered) = oneshot::channel();
        let previous = self.delivered.replace(delivered);
        let reader = reader.run(established, previous, delivered_in);
        self.tasks.spawn(alarm.watch(reader).in_current_span());
    }
}

/// DEVIATION(RFC 8654 section 4): a speaker that has announced the capability takes extended messages from any peer,
/// whatever that one announced. Here both must have: a peer that cannot receive them has no reason to send them, and
/// one that is broken then makes us hold 4,096 octets of it at most.
fn framer(negotiated: &Negotiated) -> Framer {
    let mut framer = Framer::new();
    if negotiated.extended_message {
        framer.allow_extended();
    }
    framer
}

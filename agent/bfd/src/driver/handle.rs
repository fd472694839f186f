//! How others talk to the thread.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Status;
use super::thread::Driver;
use crate::random::Random;
use crate::session::LocalFailure;
use crate::sessions::{Notice, Request, RequestError, SessionKey, UserId};

/// How long the thread may take to show itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the thread reports. The callback runs on the thread: it must not block, or packets are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Something happened to a user's session.
    Notice(Notice),
    /// A user's request was not fulfilled; what it had asked for before holds.
    Refused(UserId, RequestError),
}

/// How sessions end with the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Each says AdminDown once, which remote systems do not take for a failure of the path (RFC 5882 3.2).
    AdminDown,
    /// Nothing is said: remote systems find out after their detection times.
    Silently,
}

/// What others want of the thread.
pub(super) enum Command {
    Add(UserId, SessionKey, Request),
    Change(UserId, Request),
    Remove(UserId),
    Fail(Option<NonZeroU32>, LocalFailure),
    Show(Sender<Status>),
    Stop(Stop),
}

/// Commands on their way, and what wakes the thread.
pub(super) struct Mailbox {
    /// Not bounded: commands come from configuration, and the thread takes all of them at once.
    commands: Mutex<Vec<Command>>,
    event: EventFd,
}

impl Mailbox {
    fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            commands: Mutex::default(),
            event: EventFd::from_value_and_flags(0, flags)?,
        })
    }

    fn put(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.push(command);
        drop(commands);
        // Fails if the counter is full: then the thread is awake anyway.
        let _ = self.event.write(1);
    }

    /// All that waits, into an empty list.
    pub(super) fn take(&self, into: &mut Vec<Command>) {
        // Fails if it is not set.
        let _ = self.event.read();
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *commands, into);
    }

    pub(super) fn poll(&self) -> PollFd<'_> {
        PollFd::new(self.event.as_fd(), PollFlags::POLLIN)
    }
}

/// The thread, for those who use it. It ends when this is dropped, as by [`Stop::Silently`].
pub struct BfdHandle {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread in the network namespace of the caller. `seed` is of the operating system: discriminators come from it.
///
/// # Errors
/// The thread, or the descriptor that wakes it, cannot be made.
pub fn spawn(seed: [u8; 32], report: impl FnMut(Report) + Send + 'static) -> io::Result<BfdHandle> {
    let mailbox = Arc::new(Mailbox::new()?);
    let mut driver = Driver::new(mailbox.clone(), Random::new(seed), Box::new(report));
    let thread = std::thread::Builder::new()
        .name("bfd".to_owned())
        .spawn(move || driver.run())?;
    Ok(BfdHandle {
        mailbox,
        thread: Some(thread),
    })
}

impl BfdHandle {
    /// Begins to use a session: see [`Sessions::add`](crate::sessions::Sessions::add).
    pub fn add(&self, user: UserId, key: SessionKey, request: Request) {
        self.mailbox
            .put(Command::Add(user, key, without_echo(request)));
    }

    /// Wants something else of it: see [`Sessions::change`](crate::sessions::Sessions::change).
    pub fn change(&self, user: UserId, request: Request) {
        self.mailbox
            .put(Command::Change(user, without_echo(request)));
    }

    /// Does not use it any more: see [`Sessions::remove`](crate::sessions::Sessions::remove). Reports that are on their way may
    /// still arrive.
    pub fn remove(&self, user: UserId) {
        self.mailbox.put(Command::Remove(user));
    }

    /// Something failed that BFD need not find out: see [`Sessions::fail`](crate::sessions::Sessions::fail).
    pub fn fail(&self, interface: Option<NonZeroU32>, failure: LocalFailure) {
        self.mailbox.put(Command::Fail(interface, failure));
    }

    /// How the thread and its sessions are; `None` if it does not answer within a second. Blocks for that long at most.
    pub fn status(&self) -> Option<Status> {
        let (answer, answered) = mpsc::channel();
        self.mailbox.put(Command::Show(answer));
        answered.recv_timeout(PATIENCE).ok()
    }

    /// Ends the thread and waits for it.
    pub fn stop(mut self, how: Stop) {
        self.end(how);
    }

    /// Whether the thread runs: it ends by itself only if the kernel refuses to wait, or by a panic.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    fn end(&mut self, how: Stop) {
        if let Some(thread) = self.thread.take() {
            self.mailbox.put(Command::Stop(how));
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// A session that sends Echo packets which nobody sends would go down, and one that says it returns them may be relied on.
fn without_echo(mut request: Request) -> Request {
    request.parameters.echo_tx = None;
    request.parameters.echo_rx = None;
    request
}

impl Drop for BfdHandle {
    fn drop(&mut self) {
        self.end(Stop::Silently);
    }
}

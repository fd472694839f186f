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
use crate::sessions::{Request, SessionKey, UserId, UserState};

/// How long the thread may take to show itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// How sessions end with the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Each says AdminDown as often as packets may be lost, within some 20 ms, which remote systems do not take for a failure of the path (RFC 5882 3.2).
    AdminDown,
    /// Nothing is said: remote systems find out after their detection times.
    Silently,
}

/// Gets the states of users.
pub(super) type Callback = Box<dyn FnMut(&[UserState]) + Send>;

/// What others want of the thread.
pub(super) enum Command {
    Set(UserId, Option<(SessionKey, Request)>),
    Fail(Option<NonZeroU32>, LocalFailure),
    FailUser(UserId, LocalFailure),
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
/// `report` gets the latest state of each user whose state has changed, at most once per turn of the thread. It runs on the
/// thread: it must not block, or packets are late.
///
/// # Errors
/// The thread, or the descriptor that wakes it, cannot be made.
pub fn spawn(
    seed: [u8; 32],
    report: impl FnMut(&[UserState]) + Send + 'static,
) -> io::Result<BfdHandle> {
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
    /// Sets what a user wants, or that it wants nothing: see [`Sessions::set`](crate::sessions::Sessions::set). Reports that
    /// are on their way may still arrive; their generation says so.
    pub fn set(&self, user: UserId, wanted: Option<(SessionKey, Request)>) {
        let wanted = wanted.map(|(key, request)| (key, without_echo(request)));
        self.mailbox.put(Command::Set(user, wanted));
    }

    /// Something failed that BFD need not find out: see [`Sessions::fail`](crate::sessions::Sessions::fail).
    pub fn fail(&self, interface: Option<NonZeroU32>, failure: LocalFailure) {
        self.mailbox.put(Command::Fail(interface, failure));
    }

    /// The same of one user's session: see [`Sessions::fail_user`](crate::sessions::Sessions::fail_user).
    pub fn fail_user(&self, user: UserId, failure: LocalFailure) {
        self.mailbox.put(Command::FailUser(user, failure));
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

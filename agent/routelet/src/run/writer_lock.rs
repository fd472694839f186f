//! Which agent writes the kernel's routes in a network namespace: one at a time.
//!
//! Routes, rules and nexthop objects of ours are known by their protocol number, whatever their table: two agents would
//! remove each other's. So the agent that writes holds an abstract Unix socket ([`NAME`]), of which the kernel has one
//! in each network namespace. It goes with the process, however that ends.
//!
//! Any process of the namespace may bind such a name. One that is neither root's nor of our own user cannot write
//! routes: it does not count, so that it cannot keep an agent from its work.

mod listing;

use std::fmt;
use std::io;
use std::time::Duration;

use bgp::os_error::OsError;
use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use routelet_base::printable;

/// The name of the socket, as `ss -xl` shows it behind an `@`.
pub(super) const NAME: &str = "routelet.dev/kernel-routes";

/// How long who holds it may take to say who that is, or to listen.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most that is read of what it says, in octets.
const LONGEST: usize = 300;

/// The right to write, held by this process until it is dropped.
#[derive(Debug)]
pub(super) struct WriterLock {
    /// Answers those who ask; owns the socket. `None`: somebody without privileges has it, and does not count.
    task: Option<AbortHandle>,
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Who holds the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LockHolder {
    /// Its process, as far as it can be seen from here: not out of another PID namespace.
    pub(super) pid: Option<i32>,
    /// What it says of itself: one line. `None`: nothing, so it may be no agent at all.
    pub(super) says: Option<String>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.says, self.pid) {
            (Some(says), _) => f.write_str(says),
            (None, Some(pid)) => write!(f, "process {pid}, which does not identify itself"),
            (None, None) => f.write_str("a process that does not identify itself"),
        }
    }
}

/// The result of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// This process writes.
    Ours(WriterLock),
    /// Another one does.
    Theirs(LockHolder),
}

/// Claims the kernel's routes of this network namespace. `says`: what others are answered who claim them later; one
/// line.
///
/// # Errors
/// The kernel makes no such socket.
pub(super) async fn claim(says: String) -> Result<Claim, OsError> {
    let address = format!("\0{NAME}");
    match UnixListener::bind(&address) {
        Ok(listener) => {
            let task = tokio::spawn(answer(listener, says)).abort_handle();
            return Ok(Claim::Ours(WriterLock { task: Some(task) }));
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        Err(error) => return Err(error.into()),
    }
    let mut found = holder(&address).await;
    if found.as_ref().is_err_and(is_refused) {
        // Agents listen from the first moment on. This one is ending, or is none.
        tokio::time::sleep(PATIENCE).await;
        found = holder(&address).await;
    }
    let (holder, uid) = match found {
        Ok((holder, uid)) => (holder, Some(uid)),
        Err(error) if is_refused(&error) => {
            return Ok(uncounted(
                "a process that does not listen on it, so not an agent",
            ));
        }
        // Whoever has it can see to it that nobody connects, and anybody can see to that of an agent.
        Err(_) => (UNKNOWN, listing::user_of(NAME).ok().flatten()),
    };
    Ok(match uid {
        Some(uid) if !counts(uid) => uncounted(&format!("user {uid}, who cannot write routes")),
        _ => Claim::Theirs(holder),
    })
}

fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

const UNKNOWN: LockHolder = LockHolder {
    pid: None,
    says: None,
};

fn uncounted(who: &str) -> Claim {
    tracing::warn!("the socket @{NAME} is held by {who}: ignored");
    Claim::Ours(WriterLock { task: None })
}

/// Whether a process of this user may be one that writes.
fn counts(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Who listens, and its user.
async fn holder(address: &str) -> io::Result<(LockHolder, u32)> {
    let mut stream = timeout(PATIENCE, UnixStream::connect(address)).await??;
    let credentials = stream.peer_cred()?;
    let mut said = vec![0; LONGEST];
    let mut length = 0;
    let read = async {
        while length < said.len() {
            match stream.read(&mut said[length..]).await {
                Ok(0) | Err(_) => break,
                Ok(n) => length += n,
            }
        }
    };
    // What came by then counts.
    let _ = timeout(PATIENCE, read).await;
    let text = String::from_utf8_lossy(&said[..length]);
    let text = printable::short_line(text.trim_end(), LONGEST);
    let holder = LockHolder {
        // 0: of another PID namespace.
        pid: credentials.pid().filter(|pid| *pid != 0),
        says: (!text.is_empty()).then_some(text),
    };
    Ok((holder, credentials.uid()))
}

/// Answers each connection with one line, one after the other: what it says fits into the socket's buffer, so nobody
/// can hold it up.
async fn answer(listener: UnixListener, says: String) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                // Whoever has gone does not want to know.
                let _ = timeout(PATIENCE, stream.write_all(says.as_bytes())).await;
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(PATIENCE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::fd::AsRawFd;

    use nix::sched::{CloneFlags, unshare};
    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

    use super::*;

    /// Runs in a network namespace of its own; without the privilege for one nothing can be tested.
    fn alone(test: impl Future<Output = ()> + Send + 'static) {
        let thread = std::thread::spawn(move || {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("skipped: no network namespace of our own: {error}");
                return;
            }
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(test);
        });
        thread.join().unwrap();
    }

    fn says(claim: Claim) -> Option<String> {
        match claim {
            Claim::Ours(_) => None,
            Claim::Theirs(holder) => Some(holder.to_string()),
        }
    }

    #[test]
    fn one_process_owns_the_routes_until_it_lets_go_and_says_who_it_is() {
        alone(async {
            let Claim::Ours(first) = claim("the agent of node n1\n".to_owned()).await.unwrap()
            else {
                panic!("nobody else claims anything here");
            };
            for _ in 0..3 {
                let second = claim("another".to_owned()).await.unwrap();
                assert_eq!(says(second).unwrap(), "the agent of node n1");
            }
            drop(first);
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            while says(claim("another".to_owned()).await.unwrap()).is_some() {
                assert!(tokio::time::Instant::now() < deadline);
                tokio::task::yield_now().await;
            }
        });
    }

    /// A socket of the name, made by this user.
    fn bound_by(uid: u32) -> std::os::fd::OwnedFd {
        let before = nix::unistd::setfsuid(nix::unistd::Uid::from_raw(uid));
        let bound = socket::socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        );
        nix::unistd::setfsuid(before);
        let bound = bound.unwrap();
        let name = UnixAddr::new_abstract(NAME.as_bytes()).unwrap();
        socket::bind(bound.as_raw_fd(), &name).unwrap();
        bound
    }

    #[test]
    fn a_user_who_cannot_write_routes_does_not_count_though_nobody_can_connect() {
        alone(async {
            for (uid, counts) in [(0, true), (65_534, false)] {
                let bound = bound_by(uid);
                socket::listen(&bound, socket::Backlog::new(0).unwrap()).unwrap();
                let address = format!("\0{NAME}");
                let mut waiting = Vec::new();
                while let Ok(stream) = UnixStream::connect(&address).await {
                    waiting.push(stream);
                    assert!(waiting.len() < 10, "the queue of the socket is never full");
                }
                let theirs = says(claim(String::new()).await.unwrap());
                assert_eq!(theirs.is_some(), counts, "{uid}: {theirs:?}");
            }
        });
    }

    #[test]
    fn what_holds_the_name_without_listening_is_no_agent_and_one_that_is_silent_may_be() {
        alone(async {
            let address = format!("\0{NAME}");
            let bound = socket::socket(
                AddressFamily::Unix,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                None,
            );
            let bound = bound.unwrap();
            let name = UnixAddr::new_abstract(NAME.as_bytes()).unwrap();
            socket::bind(bound.as_raw_fd(), &name).unwrap();
            assert_eq!(says(claim(String::new()).await.unwrap()), None);
            drop(bound);
            let listener = UnixListener::bind(&address).unwrap();
            let of_process = says(claim(String::new()).await.unwrap()).unwrap();
            let expected = format!(
                "process {}, which does not identify itself",
                std::process::id()
            );
            assert_eq!(of_process, expected);
            drop(listener);
        });
    }
}

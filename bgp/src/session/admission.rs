//! Admission of connections: the requirements of a peer or listen range, rate limits, and counts of refusals.
//!
//! Nothing here waits. A connection beyond a limit is closed silently, and its sender tries again: a Cease would end
//! graceful restart there (RFC 4724 section 4). Each reason is counted, and logged once a minute at most.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tracing::info;

use super::pace::{Bucket, Rate, Waiting};
use super::syn::Syn;
use super::{Password, Scope, Transport, Ttl, options, stamp};
use crate::refusal::Refusal;
use crate::wire::{Notification, NotificationCode};

/// Who dials: an address, with the interface if it is link-local.
pub(super) type Source = (IpAddr, Option<Scope>);

pub(super) fn source_of(remote: SocketAddr) -> Source {
    match remote {
        SocketAddr::V6(remote) if remote.ip().is_unicast_link_local() => {
            ((*remote.ip()).into(), Some(Scope(remote.scope_id())))
        }
        remote => (remote.ip(), None),
    }
}

/// The minimum interval of log lines with one reason. Refused connections may be many.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Limit of answers to refused connections: a burst, then this many a second. The rest is closed silently.
const ANSWERS: Rate = Rate {
    burst: 64,
    per_second: 16,
};

/// Accepted and refused connections of all listeners, since the start. Outlives each listener.
#[derive(Debug)]
pub struct Admissions {
    accepted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    pub(super) without_open: AtomicUsize,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// By reason: when it was last logged, and how many were not since.
    reasons: [(Option<Instant>, u64); Refusal::ALL.len()],
    answers: Bucket,
}

impl Default for Admissions {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            refused: Default::default(),
            without_open: AtomicUsize::new(0),
            log: Mutex::new(Log {
                reasons: Default::default(),
                answers: Bucket::full(ANSWERS, stamp::now()),
            }),
        }
    }
}

impl Admissions {
    /// Connections that a peer took.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that were refused for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Accepted connections that have not sent an OPEN, at this moment.
    pub fn without_open(&self) -> usize {
        self.without_open.load(Ordering::Relaxed)
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes a connection, with an answer if it is due one.
    pub(super) fn refuse(&self, stream: TcpStream, remote: SocketAddr, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
        let now = stamp::now();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, silent) = &mut log.reasons[why as usize];
        if last.is_none_or(|last| now >= last + LOG_INTERVAL) {
            info!(%remote, others = *silent, "refused a connection: {why}");
            (*last, *silent) = (Some(now), 0);
        } else {
            *silent += 1;
        }
        // Courtesy or thrift only: the connection is closed next. A reset leaves nothing behind in the kernel.
        if why.is_answered() && log.answers.take(now) {
            let message = Notification::new(NotificationCode::CONNECTION_REJECTED).encode();
            drop(stream.try_write(&message));
        } else {
            drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
        }
    }
}

/// An accepted connection with what the kernel says of it.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// `None` if the kernel answered with a SYN cookie, and kept none.
    pub(super) syn: Option<Syn>,
    /// The password that the kernel has surely checked it with.
    pub(super) password: Option<Password>,
    pub(super) waiting: Waiting,
}

impl Accepted {
    /// Closes it for this reason, which is counted and may be logged and answered.
    pub(super) fn refuse(self, why: Refusal) {
        let admissions = self.waiting.admissions();
        admissions.refuse(self.stream, self.remote, why);
    }
}

/// Whether a connection is signed as it must be. Its later segments must be, too, from here on.
pub(super) fn check_signature(
    accepted: &Accepted,
    password: Option<&Password>,
) -> Result<(), Refusal> {
    let Some(password) = password else {
        return Ok(());
    };
    let is_signed = accepted.syn.is_none_or(|syn| syn.signed);
    if !is_signed || accepted.password.as_ref() != Some(password) {
        return Err(Refusal::Unsigned);
    }
    let net = options::host(accepted.remote.ip());
    options::set_md5(accepted.stream.as_fd(), net, Some(password)).map_err(|_| Refusal::Unsigned)
}

impl Transport {
    /// Whether a connection came as it must.
    pub(super) fn check(&self, accepted: &Accepted) -> Result<(), Refusal> {
        if !self.is_near(accepted) {
            return Err(Refusal::TooFar);
        }
        if self.local.is_some_and(|local| local != accepted.local.ip()) {
            return Err(Refusal::LocalAddress);
        }
        match &self.device {
            Some(device) => check_device(accepted, device).map_err(|_| Refusal::Interface),
            None => Ok(()),
        }
    }
}

impl Transport {
    /// Whether the sender is as near as TTL security asks for. What a stranger sent between SYN and accept would else be
    /// read: the least TTL is the connection's only once it is set.
    fn is_near(&self, accepted: &Accepted) -> bool {
        let Ttl::Security { hops } = self.ttl else {
            return true;
        };
        if let Some(syn) = accepted.syn {
            return syn.ttl >= options::least_ttl(hops);
        }
        // The kernel answered with a SYN cookie, as it does while the port is flooded, and kept no SYN. From here on
        // every segment is checked; what came before has brought no octet that could be read.
        let v4 = accepted.remote.is_ipv4();
        options::set_ttl(&accepted.stream, v4, self.ttl).is_ok()
            && options::unread(accepted.stream.as_fd()).is_ok_and(|octets| octets == 0)
    }
}

/// Whether a connection came in by this interface. It stays on it from here on, as one that we dialled does.
fn check_device(accepted: &Accepted, device: &str) -> io::Result<()> {
    let index = options::incoming_interface(&accepted.stream, accepted.remote.is_ipv4())?;
    if !options::is_interface(index, device) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    match source_of(accepted.remote) {
        // The kernel has bound it already, and only CAP_NET_RAW may do so again.
        (_, Some(_)) => Ok(()),
        (_, None) => SockRef::from(&accepted.stream).bind_device(Some(device.as_bytes())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::super::pace::Pace;
    use super::*;

    #[tokio::test]
    async fn a_signature_counts_if_the_syn_has_it_and_the_password_is_the_present_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, remote) = listener.accept().await.unwrap();
        let mut pace = Pace::new(Arc::default());
        let password = |text: &str| Some(text.parse::<Password>().unwrap());
        let syn = |signed| Some(Syn { ttl: 64, signed });
        let mut accepted = Accepted {
            local: stream.local_addr().unwrap(),
            stream,
            remote,
            syn: None,
            password: None,
            waiting: pace.enter(source_of(remote), false).unwrap(),
        };
        let cases = [
            (syn(true), password("new"), true),
            (syn(true), password("old"), false),
            (syn(true), None, false),
            (syn(false), password("new"), false),
            // A SYN cookie: the kernel has checked the ACK, and kept no SYN.
            (None, password("new"), true),
            (None, None, false),
        ];
        for (syn, checked, expected) in cases {
            (accepted.syn, accepted.password) = (syn, checked);
            let result = check_signature(&accepted, password("new").as_ref());
            let expected = if expected {
                Ok(())
            } else {
                Err(Refusal::Unsigned)
            };
            assert_eq!(
                result, expected,
                "{:?} {:?}",
                accepted.syn, accepted.password
            );
            assert_eq!(check_signature(&accepted, None), Ok(()));
        }
    }

    /// Without a SYN the sender's distance is not known until its next segment, and the kernel looks at that.
    #[tokio::test]
    async fn after_a_syn_cookie_a_connection_is_near_if_nothing_of_it_has_been_received() {
        let near = Transport {
            ttl: Ttl::Security { hops: 1 },
            ..Transport::default()
        };
        for (octets, expected) in [(&[][..], Ok(())), (&[1], Err(Refusal::TooFar))] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (stream, remote) = listener.accept().await.unwrap();
            if !octets.is_empty() {
                client.try_write(octets).unwrap();
                stream.readable().await.unwrap();
            }
            let accepted = Accepted {
                local: stream.local_addr().unwrap(),
                stream,
                remote,
                syn: None,
                password: None,
                waiting: Pace::new(Arc::default())
                    .enter(source_of(remote), false)
                    .unwrap(),
            };
            assert_eq!(near.check(&accepted), expected, "{octets:?}");
        }
    }
}
